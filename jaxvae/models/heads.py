"""Heads: which effect, at which settings, read from the effect latent with a likelihood.

A head is an entry of `HEADS`: layers from the latent vector to logits, the negative log-likelihood of what is true, and
figures of its answers. It is trained where the objective has a weight for it, a field named after the head with
`_weight` behind (`jaxvae.config.head_weight`).

The density of a setting is a mixture of `BINS` uniform densities side by side on [0, 1]. It can be wide, where a
setting cannot be heard, and have two peaks, where two settings sound alike; a mean with a variance can not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxvae.models.layers import FromLatent

BINS = 20
_HIDDEN = 256

Logits = dict[str, Array]
"""What heads read from a batch, by head."""


class Truth(NamedTuple):
    """What heads are to read."""

    effect: Int[Array, "batch"]
    normalized: Float[Array, "batch parameter"]
    """Settings in the order of the effect's parameters, then NaN."""


class Head(NamedTuple):
    """One thing that is read."""

    logits: Callable[[Array, ArrayLike, tuple[int, ...]], Array]
    """Of the latent vectors (batch, latent), of which so many dimensions are in use, for effects of so many parameters.
    Called within `Heads`, whose weights are those of the layers made here; distributions lie along the last axis."""
    nll: Callable[[Array, Any], Array]
    """Negative log-likelihood of each clip in nats, of logits and the truth: anything with the fields of `Truth`."""
    figures: Callable[[Array, Any], dict[str, Array]] = lambda logits, truth: {}
    """More to know of each clip, by name."""


class Heads(nn.Module):
    """Effect latent to the logits of every head."""

    parameters: tuple[int, ...]
    """Number of parameters of each effect; none means no heads."""

    @nn.compact
    def __call__(self, mean: Float[Array, "batch latent"], latent_dim: ArrayLike) -> Logits:
        if not self.parameters:
            return {}
        return {name: head.logits(mean, latent_dim, self.parameters) for name, head in HEADS.items()}


def effect_logits(
    mean: Float[Array, "batch latent"], latent_dim: ArrayLike, parameters: tuple[int, ...]
) -> Float[Array, "batch effect"]:
    """Logits of the effects, by one dense layer."""
    return FromLatent(len(parameters), name="effect")(mean, latent_dim)


def effect_nll(logits: Float[Array, "batch effect"], truth: Any) -> Float[Array, "batch"]:
    """-log probability of the effect, in nats; log(effects) for a head that knows nothing."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, truth.effect)


def effect_accuracy(logits: Float[Array, "batch effect"], truth: Any) -> dict[str, Bool[Array, "batch"]]:
    """Whether the likeliest effect is the right one."""
    return {"accuracy": jnp.argmax(logits, axis=1) == truth.effect}


def settings_logits(
    mean: Float[Array, "batch latent"], latent_dim: ArrayLike, parameters: tuple[int, ...]
) -> Float[Array, "batch effect parameter bin"]:
    """Logits of the bins of every parameter, were the clip of that effect, by two dense layers.

    Effects with fewer parameters than others have logits that mean nothing.
    """
    hidden = nn.gelu(FromLatent(_HIDDEN, name="from_latent")(mean, latent_dim))
    logits = nn.Dense(len(parameters) * max(parameters) * BINS, name="settings")(hidden)
    return logits.reshape(-1, len(parameters), max(parameters), BINS)


def settings_nll(logits: Float[Array, "batch effect parameter bin"], truth: Any) -> Float[Array, "batch"]:
    """-log density of the settings of the clip's own effect, in nats, summed over its parameters; 0 if uniform.

    A setting between the centres of two bins counts to both by its nearness, so that neighbouring bins are neighbours.
    """
    own = jnp.take_along_axis(logits, truth.effect[:, None, None, None], axis=1)[:, 0]
    place = jnp.clip(jnp.nan_to_num(truth.normalized) * BINS - 0.5, 0.0, BINS - 1.0)
    nearness = jnp.maximum(0.0, 1.0 - jnp.abs(place[..., None] - jnp.arange(BINS)[None, None]))
    nll = -jnp.sum(nearness * jax.nn.log_softmax(own), axis=-1) - jnp.log(BINS)
    return jnp.sum(jnp.where(jnp.isnan(truth.normalized), 0.0, nll), axis=1)


HEADS = {
    "effect": Head(effect_logits, effect_nll, effect_accuracy),
    "settings": Head(settings_logits, settings_nll),
}


def probabilities(logits: Logits) -> Logits:
    """Probabilities instead of logits."""
    return {name: jax.nn.softmax(values) for name, values in logits.items()}
