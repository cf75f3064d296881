"""Heads: which effect, at which settings, read from the effect latent with a likelihood.

The density of a setting is a mixture of `BINS` uniform densities side by side on [0, 1]. It can be wide, where a
setting cannot be heard, and have two peaks, where two settings sound alike; a mean with a variance can not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float

from jaxvae.models.backbones import FromLatent

BINS = 20
_HIDDEN = 256


class Reading(NamedTuple):
    """Logits; those of settings are of the bins of every parameter, were the clip of that effect."""

    effect: Float[Array, "batch effect"]
    settings: Float[Array, "batch effect parameter bin"]


class Heads(nn.Module):
    """Effect latent to logits: of the effect by one dense layer, of the settings by two."""

    parameters: tuple[int, ...]
    """Number of parameters of each effect. Effects with fewer than others have logits that mean nothing."""

    @nn.compact
    def __call__(self, mean: Float[Array, "batch latent"], latent_dim: ArrayLike) -> Reading:
        effects, most = len(self.parameters), max(self.parameters, default=0)
        if not effects:
            return Reading(jnp.zeros((len(mean), 0)), jnp.zeros((len(mean), 0, 0, BINS)))
        effect = FromLatent(effects, name="effect")(mean, latent_dim)
        hidden = nn.gelu(FromLatent(_HIDDEN, name="from_latent")(mean, latent_dim))
        settings = nn.Dense(effects * most * BINS, name="settings")(hidden)
        return Reading(effect, settings.reshape(-1, effects, most, BINS))


def probabilities(reading: Reading) -> Reading:
    """Probabilities instead of logits."""
    return Reading(jax.nn.softmax(reading.effect), jax.nn.softmax(reading.settings))
