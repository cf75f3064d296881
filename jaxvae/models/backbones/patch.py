"""Non-overlapping patches, in two levels, mixed by dense layers (after Tolstikhin et al. 2021)."""

import math

from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float

from jaxvae.models.layers import FromLatent, Mixer, Residual, extend, patches, unpatches


class Encoder(nn.Module):
    """Spectrogram to features: patches of 8 x 4 pixels, then of 2 x 2 of those, mixed over all of them."""

    width: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"], train: bool) -> Float[Array, "batch feature"]:
        rows, columns = math.ceil(spectrogram.shape[1] / 16), math.ceil(spectrogram.shape[2] / 8)
        x = patches(extend(spectrogram, 16 * rows, 8 * columns)[..., None], 8, 4)
        x = Residual(64 * self.width)(nn.Dense(64 * self.width)(x))
        x = nn.Dense(128 * self.width)(patches(nn.RMSNorm(use_scale=False)(x), 2, 2))
        x = Mixer(128 * self.width)(x.reshape(-1, rows * columns, 128 * self.width))
        x = nn.Dense(32 * self.width)(nn.RMSNorm(use_scale=False)(x))
        return x.reshape(-1, rows * columns * 32 * self.width)


class Decoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int, train: bool
    ) -> Float[Array, "batch _ _"]:
        rows, columns = math.ceil(bins / 16), math.ceil(frames / 8)
        x = FromLatent(rows * columns * 32 * self.width, name="from_latent")(z, latent_dim).reshape(
            -1, rows * columns, 32 * self.width
        )
        x = Mixer(128 * self.width)(nn.Dense(128 * self.width)(x))
        x = nn.Dense(4 * 64 * self.width)(nn.RMSNorm(use_scale=False)(x)).reshape(
            -1, rows, columns, 4 * 64 * self.width
        )
        x = Residual(64 * self.width)(unpatches(x, 2, 2))
        return unpatches(nn.Dense(32)(nn.RMSNorm(use_scale=False)(x)), 8, 4)[..., 0]
