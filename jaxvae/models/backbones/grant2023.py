"""Grant 2023's backbone: four strided convolutions with BatchNorm, and one wide dense layer.

It alone has batch statistics: in training, what becomes of a clip depends on its neighbours in the batch.
"""

import math

from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float

from jaxvae.models.layers import Convolution, FromLatent, TransposedConvolution, extend, halvings

_CHANNELS = (8, 16, 32, 32)


class Encoder(nn.Module):
    """Spectrogram to features: convolution, ReLU, BatchNorm, four times; flattened."""

    width: int
    """Unused: the network is as it was published."""

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"], train: bool) -> Float[Array, "batch feature"]:
        bins, frames = (16 * halvings(size) - 15 for size in spectrogram.shape[1:])
        x = extend(spectrogram, bins, frames)[..., None]
        for channels in _CHANNELS:
            x = nn.relu(Convolution(channels)(x))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)
        return x.reshape(x.shape[0], -1)


class Decoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int
    """Unused: the network is as it was published."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int, train: bool
    ) -> Float[Array, "batch _ _"]:
        shape = (halvings(bins), halvings(frames), _CHANNELS[-1])
        x = nn.relu(FromLatent(math.prod(shape), name="from_latent")(z, latent_dim)).reshape(-1, *shape)
        for channels in _CHANNELS[-2::-1]:
            x = nn.relu(TransposedConvolution(channels)(x))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)
        return TransposedConvolution(1)(x)[..., 0]
