"""Layers that the networks share: to and from the latent vector, strided convolutions, dense layers over all axes.

Conventions
    Inside a network, arrays are (batch, bin, frame, channel), or as the layer says; spectrograms, outside, are
    (batch, bin, frame), and latent vectors (batch, latent).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float, Key


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


def halvings(size: int) -> int:
    """Size after four halvings of the next size that is 16 m + 1."""
    return math.ceil((size - 1) / 16) + 1


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


def unpatches(x: Float[Array, "batch bin frame channel"], bins: int, frames: int) -> Float[Array, "batch _ _ _"]:
    """The inverse of `patches`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, bins, frames, channels // (bins * frames)).swapaxes(2, 3)
    return x.reshape(batch, height * bins, width * frames, channels // (bins * frames))


def dropout(key: Key[Array, ""], shape: tuple[int, int, int], share: ArrayLike) -> Float[Array, "batch layer feature"]:
    """What hidden units are multiplied by when a share of them is left out (Srivastava et al. 2014)."""
    return jax.random.bernoulli(key, 1 - share, shape) / (1 - share)
