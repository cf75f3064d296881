"""Backbones of a spectrogram VAE: each an encoder to features and its mirror image, a decoder.

Conventions
    spectrogram, reconstruction   (batch, bin, frame), normalised; any number of bins and frames
    z                             (batch, latent)
    inside                        (batch, bin, frame, channel), or as the module says
Only the seed's backbone has batch statistics; with any other, what becomes of a clip does not depend on its
neighbours. A size that a backbone does not divide is extended by repeating its last bin or frame, and the
reconstruction is to be cut to the size asked for.

Backbones
    seed          Grant 2023's: four strided convolutions with BatchNorm, one wide dense layer
    convolution   the same geometry, wider, with GroupNorm
    patch         non-overlapping patches, in two levels, mixed by dense layers (after Tolstikhin et al. 2021)
    filterbank    a learned filterbank on every frame, then dense layers over time and over filters in turn
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float, Key

_SEED_CHANNELS = (8, 16, 32, 32)
_CONVOLUTION_CHANNELS = (16, 32, 64, 64)


def latent_major(
    key: Key[Array, ""], shape: tuple[int, int], dtype: Any = jnp.float32, scale: float = 0.01
) -> Float[Array, "_ latent"]:
    """Initial weights of a layer to the latent vector, of which fewer dimensions have the first columns.

    The default scale is small, so that training starts close to the prior whatever the backbone's scale.
    """
    init = nn.initializers.variance_scaling(scale, "fan_in", "truncated_normal", in_axis=1, out_axis=0)
    return init(key, shape[::-1], dtype).T


class FromLatent(nn.Module):
    """Dense layer of the latent vector, whose initial scale is that of `latent_dim` inputs (LeCun et al. 1998)."""

    features: int

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], latent_dim: ArrayLike) -> Float[Array, "batch {self.features}"]:
        def init(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "latent feature"]:
            # A normal distribution cut at two standard deviations has .8796 of its standard deviation.
            return jax.random.truncated_normal(key, -2.0, 2.0, shape) / (0.87962566 * jnp.sqrt(latent_dim))

        kernel = self.param("kernel", init, (z.shape[1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return z @ kernel + bias[None]


# Strided convolutions. Four halvings with kernel 3 and padding 1 take 16 m + 1 to m + 1, and back exactly. All are one
# matrix product: within a loop, XLA computes a convolution on a CPU many times slower than outside of one.


@jax.custom_vjp
def unfold(x: Float[Array, "batch bin frame channel"]) -> Float[Array, "batch (bin+1)//2 (frame+1)//2 9*channel"]:
    """The 3 x 3 neighbours of every other pixel, first to last, 0 beyond the edge (im2col)."""
    batch, rows, columns, channels = x.shape[0], (x.shape[1] + 1) // 2, (x.shape[2] + 1) // 2, x.shape[3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def neighbour(i: int, j: int) -> Array:
        last = (batch, i + 2 * rows - 1, j + 2 * columns - 1, channels)
        return jax.lax.slice(padded, (0, i, j, 0), last, (1, 2, 2, 1))

    return jnp.concatenate([neighbour(i, j) for i in range(3) for j in range(3)], axis=-1)


@jax.custom_vjp
def fold(x: Float[Array, "batch bin frame nine_channels"]) -> Float[Array, "batch 2*bin-1 2*frame-1 nine_channels//9"]:
    """The adjoint of `unfold`, which adds every neighbour to the pixel that it was (col2im)."""
    batch, rows, columns, channels = *x.shape[:3], x.shape[3] // 9
    taps = x.reshape(batch, rows, columns, 3, 3, channels)

    def tap(i: int, j: int) -> Array:
        """A tap of the neighbour below (i = 0) and to the right (j = 0), or of the pixel itself."""
        below, right = int(i == 0), int(j == 0)
        return jnp.pad(taps[:, below:, right:, i, j], ((0, 0), (0, below), (0, right), (0, 0)))

    def pixels(i: int, j: int) -> Array:
        """Those of the even rows (i = 0) or the odd ones, and columns likewise."""
        return sum(tap(row, column) for row in ((1,), (2, 0))[i] for column in ((1,), (2, 0))[j])

    quarters = jnp.stack([jnp.stack([pixels(i, j) for j in range(2)], axis=3) for i in range(2)], axis=2)
    return quarters.reshape(batch, 2 * rows, 2 * columns, channels)[:, :-1, :-1]


# Each is the gradient of the other, which autodiff would find as a sum of nine arrays with holes.
unfold.defvjp(lambda x: (unfold(x), None), lambda _, gradient: (fold(gradient),))
fold.defvjp(lambda x: (fold(x), None), lambda _, gradient: (unfold(gradient),))


def convolution(
    x: Float[Array, "batch bin frame channel"], kernel: Float[Array, "3 3 channel out"]
) -> Float[Array, "batch (bin+1)//2 (frame+1)//2 out"]:
    """A convolution with stride 2 and padding 1, of odd numbers of bins and frames."""
    return unfold(x) @ kernel.reshape(-1, kernel.shape[3])


def transposed_convolution(
    x: Float[Array, "batch bin frame channel"], kernel: Float[Array, "3 3 out channel"]
) -> Float[Array, "batch 2*bin-1 2*frame-1 out"]:
    """The adjoint of `convolution`, whose kernel maps `out` to `channel` channels."""
    return fold(x @ kernel.reshape(-1, kernel.shape[3]).T)


class Convolution(nn.Module):
    """Convolution of half the resolution, (batch, bin, frame, channel) to (batch, bin/2, frame/2, features)."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch bin frame channel"]) -> Float[Array, "batch _ _ {self.features}"]:
        def by_product(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
            return convolution(x, kernel)

        return nn.Conv(self.features, (3, 3), strides=2, padding=1, conv_general_dilated=by_product)(x)


class TransposedConvolution(nn.Module):
    """Transposed convolution to twice the resolution less one."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch bin frame channel"]) -> Float[Array, "batch _ _ {self.features}"]:
        # Each output pixel sees a quarter of the kernel, 9/4 taps of every channel.
        init = nn.initializers.variance_scaling(4.0, "fan_in", "truncated_normal", in_axis=(0, 1, 3), out_axis=2)
        kernel = self.param("kernel", init, (3, 3, self.features, x.shape[-1]))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return transposed_convolution(x, kernel) + bias[None, None, None]


def extend(x: Float[Array, "batch bin frame"], bins: int, frames: int) -> Float[Array, "batch {bins} {frames}"]:
    """The last bin and frame repeated up to a size."""
    return jnp.pad(x, ((0, 0), (0, bins - x.shape[1]), (0, frames - x.shape[2])), mode="edge")


def _halvings(size: int) -> int:
    """Size after four halvings of the next size that is 16 m + 1."""
    return math.ceil((size - 1) / 16) + 1


class SeedEncoder(nn.Module):
    """Spectrogram to features: convolution, ReLU, BatchNorm, four times; flattened."""

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"], train: bool) -> Float[Array, "batch feature"]:
        bins, frames = (16 * _halvings(size) - 15 for size in spectrogram.shape[1:])
        x = extend(spectrogram, bins, frames)[..., None]
        for channels in _SEED_CHANNELS:
            x = nn.relu(Convolution(channels)(x))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)
        return x.reshape(x.shape[0], -1)


class SeedDecoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int, train: bool
    ) -> Float[Array, "batch _ _"]:
        shape = (_halvings(bins), _halvings(frames), _SEED_CHANNELS[-1])
        x = nn.relu(FromLatent(math.prod(shape), name="from_latent")(z, latent_dim)).reshape(-1, *shape)
        for channels in _SEED_CHANNELS[-2::-1]:
            x = nn.relu(TransposedConvolution(channels)(x))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)
        return TransposedConvolution(1)(x)[..., 0]


class ConvolutionEncoder(nn.Module):
    """Spectrogram to features: convolution, GroupNorm, GELU, four times; flattened."""

    width: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"]) -> Float[Array, "batch feature"]:
        bins, frames = (16 * _halvings(size) - 15 for size in spectrogram.shape[1:])
        x = extend(spectrogram, bins, frames)[..., None]
        for channels in _CONVOLUTION_CHANNELS:
            x = nn.gelu(nn.GroupNorm(num_groups=1)(Convolution(channels * self.width)(x)))
        return x.reshape(x.shape[0], -1)


class ConvolutionDecoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int
    ) -> Float[Array, "batch _ _"]:
        shape = (_halvings(bins), _halvings(frames), _CONVOLUTION_CHANNELS[-1] * self.width)
        x = nn.gelu(FromLatent(math.prod(shape), name="from_latent")(z, latent_dim)).reshape(-1, *shape)
        for channels in _CONVOLUTION_CHANNELS[-2::-1]:
            x = nn.gelu(nn.GroupNorm(num_groups=1)(TransposedConvolution(channels * self.width)(x)))
        return TransposedConvolution(1)(x)[..., 0]


# Dense layers only.


class Residual(nn.Module):
    """Adds to x a function of its last axis: RMSNorm, dense, GELU, dense."""

    hidden: int

    @nn.compact
    def __call__(self, x: Float[Array, "*axes channel"]) -> Float[Array, "*axes channel"]:
        hidden = nn.gelu(nn.Dense(self.hidden)(nn.RMSNorm(use_scale=False)(x)))
        return x + nn.Dense(x.shape[-1])(hidden)


class Mixer(nn.Module):
    """Mixes (batch, token, channel) over tokens, then over channels."""

    hidden: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch token channel"]) -> Float[Array, "batch token channel"]:
        x = Residual(self.hidden)(x.swapaxes(1, 2)).swapaxes(1, 2)
        return Residual(self.hidden)(x)


def patches(x: Float[Array, "batch bin frame channel"], bins: int, frames: int) -> Float[Array, "batch _ _ _"]:
    """Non-overlapping patches of bins x frames, each flattened into the channels of one pixel."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // bins, bins, width // frames, frames, channels).swapaxes(2, 3)
    return x.reshape(batch, height // bins, width // frames, bins * frames * channels)


def _unpatches(x: Float[Array, "batch bin frame channel"], bins: int, frames: int) -> Float[Array, "batch _ _ _"]:
    """The inverse of `patches`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, bins, frames, channels // (bins * frames)).swapaxes(2, 3)
    return x.reshape(batch, height * bins, width * frames, channels // (bins * frames))


class PatchEncoder(nn.Module):
    """Spectrogram to features: patches of 8 x 4 pixels, then of 2 x 2 of those, mixed over all of them."""

    width: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"]) -> Float[Array, "batch feature"]:
        rows, columns = math.ceil(spectrogram.shape[1] / 16), math.ceil(spectrogram.shape[2] / 8)
        x = patches(extend(spectrogram, 16 * rows, 8 * columns)[..., None], 8, 4)
        x = Residual(64 * self.width)(nn.Dense(64 * self.width)(x))
        x = nn.Dense(128 * self.width)(patches(nn.RMSNorm(use_scale=False)(x), 2, 2))
        x = Mixer(128 * self.width)(x.reshape(-1, rows * columns, 128 * self.width))
        x = nn.Dense(32 * self.width)(nn.RMSNorm(use_scale=False)(x))
        return x.reshape(-1, rows * columns * 32 * self.width)


class PatchDecoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int
    ) -> Float[Array, "batch _ _"]:
        rows, columns = math.ceil(bins / 16), math.ceil(frames / 8)
        x = FromLatent(rows * columns * 32 * self.width, name="from_latent")(z, latent_dim).reshape(
            -1, rows * columns, 32 * self.width
        )
        x = Mixer(128 * self.width)(nn.Dense(128 * self.width)(x))
        x = nn.Dense(4 * 64 * self.width)(nn.RMSNorm(use_scale=False)(x)).reshape(
            -1, rows, columns, 4 * 64 * self.width
        )
        x = Residual(64 * self.width)(_unpatches(x, 2, 2))
        return _unpatches(nn.Dense(32)(nn.RMSNorm(use_scale=False)(x)), 8, 4)[..., 0]


class FilterbankEncoder(nn.Module):
    """Spectrogram to features: filters on every frame, mixed over time and over filters, then fewer of both."""

    width: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"]) -> Float[Array, "batch feature"]:
        x = nn.Dense(128 * self.width)(spectrogram.swapaxes(1, 2))
        for _ in range(2):
            x = Mixer(128 * self.width)(x)
        x = nn.Dense(64 * self.width)(nn.RMSNorm(use_scale=False)(x)).swapaxes(1, 2)
        x = nn.Dense(32 * self.width)(x)
        return x.reshape(x.shape[0], -1)


class FilterbankDecoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int
    ) -> Float[Array, "batch _ _"]:
        x = FromLatent(64 * self.width * 32 * self.width, name="from_latent")(z, latent_dim).reshape(
            -1, 64 * self.width, 32 * self.width
        )
        x = nn.Dense(frames)(x).swapaxes(1, 2)
        x = nn.Dense(128 * self.width)(x)
        for _ in range(2):
            x = Mixer(128 * self.width)(x)
        return nn.Dense(bins)(nn.RMSNorm(use_scale=False)(x)).swapaxes(1, 2)
