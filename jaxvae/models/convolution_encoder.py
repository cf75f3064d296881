"""Encoder of the effect latent by convolutions, for networks that see no fine structure: those of earlier versions.

Convolutions see a few bands and frames at a time, with the same weights at every pitch and every moment, so there is
little to learn a recording by; then only statistics over time go on (mean, standard deviation, soft maximum). A
network that mixed all bands at once told the effects of training recordings apart as well, and those of unseen ones
14 points worse. Where the dry clip is known, the encoder also sees the difference of the two spectrograms, in one
network with blind clips, whose difference is 0.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from jaxvae.config import Model
from jaxvae.models.effect_encoder import posterior
from jaxvae.models.layers import extend, patches
from jaxvae.views import ALIGNED, Views

_BANDS, _FRAMES = 4, 2  # of a patch, the convolutions' pixel
_STRIDES = ((2, 2), (2, 1), (2, 1))
_HEADS = 4


class ConvolutionEncoder(nn.Module):
    """Views of wet clips, with the dry ones as they are related, to mean and log-variance of the effect's posterior."""

    config: Model

    @nn.compact
    def __call__(
        self, wet: Views, dry: Views, relation: Int[Array, "batch"], kept: Array | None = None
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """No hidden unit is ever left out."""
        width, aligned, picture = 64 * self.config.width, (relation == ALIGNED).astype(jnp.float32), wet.spectrogram
        bins, frames = math.ceil(picture.shape[1] / _BANDS) * _BANDS, math.ceil(picture.shape[2] / _FRAMES) * _FRAMES
        difference = (picture - dry.spectrogram) * aligned[:, None, None]
        x = jnp.stack([extend(picture, bins, frames), extend(difference, bins, frames)], axis=-1)
        known = nn.Dense(width // 2, name="dry_known")(aligned[:, None, None, None])
        x = nn.gelu(nn.Dense(width // 2)(patches(x, _BANDS, _FRAMES)) + known)
        for stage, strides in enumerate(_STRIDES):
            features = width if stage == 0 else width * 4 // 3
            x = nn.gelu(nn.RMSNorm(use_scale=False)(LocalDense(features, strides)(x)))
        if self.config.attention:
            tokens = x.reshape(x.shape[0], -1, x.shape[3])
            normed = nn.RMSNorm(use_scale=False)(tokens)
            features = _HEADS * (x.shape[3] // _HEADS)
            x = x + nn.MultiHeadDotProductAttention(_HEADS, qkv_features=features)(normed).reshape(x.shape)
        mean = x.mean(axis=2)
        std = jnp.sqrt(((x - mean[:, :, None]) ** 2).mean(axis=2) + 1e-4)  # differentiable where nothing changes
        loudest = jax.nn.logsumexp(2 * x, axis=2) / 2
        statistics = jnp.concatenate([mean, std, loudest], axis=2).reshape(x.shape[0], -1)
        return posterior(nn.gelu(nn.Dense(6 * width)(statistics)), self.config.latent_dim)


class LocalDense(nn.Module):
    """A convolution of 3 x 3 pixels as one matrix product of shifted slices.

    Within a loop, XLA computes a convolution on a CPU a hundred times slower than outside of one, but not a product.
    """

    features: int
    strides: tuple[int, int]

    @nn.compact
    def __call__(self, x: Float[Array, "batch bin frame channel"]) -> Float[Array, "batch _ _ {self.features}"]:
        batch, height, width, channels = x.shape
        down, right = self.strides
        rows, columns = -(-height // down), -(-width // right)
        padded = jnp.pad(x, ((0, 0), (1, 1 + down), (1, 1 + right), (0, 0)))

        def shifted(i: int, j: int) -> Array:
            last = (batch, i + down * (rows - 1) + 1, j + right * (columns - 1) + 1, channels)
            return jax.lax.slice(padded, (0, i, j, 0), last, (1, down, right, 1))

        neighbours = [shifted(i, j) for i in range(3) for j in range(3)]
        return nn.Dense(self.features)(jnp.concatenate(neighbours, axis=-1))
