"""Encoder of the effect latent: what was done to a clip, wherever in the clip it is heard.

Frames are mixed with their neighbours, then only statistics over time go on (mean, standard deviation, soft maximum),
so that the latent vector does not depend on when something was played. Where the dry clip is known, the encoder also
sees the difference of the two spectrograms frame by frame, in one network with blind clips, whose difference is 0.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvae.backbones import Residual, latent_major
from jaxvae.config import Model

_CONTEXT = 7  # frames that a filter over time sees
_HEADS = 4


class EffectEncoder(nn.Module):
    """Wet spectrograms, with the dry ones where known, to mean and log-variance of the effect's posterior."""

    config: Model

    @nn.compact
    def __call__(
        self,
        wet: Float[Array, "batch bin frame"],
        dry: Float[Array, "batch bin frame"],
        dry_known: Float[Array, "batch"],
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        width = 192 * self.config.width
        difference = (wet - dry) * dry_known[:, None, None]
        x = jnp.concatenate([wet, difference], axis=1).swapaxes(1, 2)
        change = x - jnp.pad(x, ((0, 0), (1, 0), (0, 0)), mode="edge")[:, :-1]
        known = nn.Dense(width, name="dry_known")(dry_known[:, None, None])
        x = nn.Dense(width)(jnp.concatenate([x, change, jnp.abs(change)], axis=2)) + known
        for block in range(2):
            x = OverTime()(x)
            if self.config.attention and block:
                normed = nn.RMSNorm(use_scale=False)(x)
                x = x + nn.MultiHeadDotProductAttention(_HEADS)(normed)
            x = Residual(2 * width)(x)
        x = nn.RMSNorm(use_scale=False)(x)
        mean = x.mean(axis=1)
        std = jnp.sqrt(((x - mean[:, None]) ** 2).mean(axis=1) + 1e-4)  # differentiable where nothing changes
        loudest = jax.nn.logsumexp(2 * x, axis=1) / 2
        features = nn.gelu(nn.Dense(2 * width)(jnp.concatenate([mean, std, loudest], axis=1)))
        # Means that differ and variances below the prior's from the start, for the heads to have something to read.
        mean = nn.Dense(self.config.latent_dim, kernel_init=partial(latent_major, scale=0.3), name="mean")
        low = nn.initializers.constant(-2.0)
        logvar = nn.Dense(self.config.latent_dim, kernel_init=latent_major, bias_init=low, name="logvar")
        return mean(features), logvar(features)


class OverTime(nn.Module):
    """Adds to x (batch, frame, channel) a filter over time of each channel.

    A sum of shifted copies: within a loop, XLA runs convolutions on a CPU many times slower than elsewhere.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "batch frame channel"]) -> Float[Array, "batch frame channel"]:
        filters = self.param("filters", nn.initializers.normal(0.2), (_CONTEXT, x.shape[2]))
        normed = nn.RMSNorm(use_scale=False)(x)
        padded = jnp.pad(normed, ((0, 0), (_CONTEXT // 2, _CONTEXT // 2), (0, 0)))
        return x + sum(padded[:, shift : shift + x.shape[1]] * taps for shift, taps in enumerate(filters))
