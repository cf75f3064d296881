"""The geometry of Grant (2023), wider, with GroupNorm."""

import math

from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float

from jaxvae.models.layers import Convolution, FromLatent, TransposedConvolution, extend, halvings

_CHANNELS = (16, 32, 64, 64)


class Encoder(nn.Module):
    """Spectrogram to features: convolution, GroupNorm, GELU, four times; flattened."""

    width: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"], train: bool) -> Float[Array, "batch feature"]:
        bins, frames = (16 * halvings(size) - 15 for size in spectrogram.shape[1:])
        x = extend(spectrogram, bins, frames)[..., None]
        for channels in _CHANNELS:
            x = nn.gelu(nn.GroupNorm(num_groups=1)(Convolution(channels * self.width)(x)))
        return x.reshape(x.shape[0], -1)


class Decoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int, train: bool
    ) -> Float[Array, "batch _ _"]:
        shape = (halvings(bins), halvings(frames), _CHANNELS[-1] * self.width)
        x = nn.gelu(FromLatent(math.prod(shape), name="from_latent")(z, latent_dim)).reshape(-1, *shape)
        for channels in _CHANNELS[-2::-1]:
            x = nn.gelu(nn.GroupNorm(num_groups=1)(TransposedConvolution(channels * self.width)(x)))
        return TransposedConvolution(1)(x)[..., 0]
