"""A learned filterbank on every frame, then dense layers over time and over filters in turn."""

from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float

from jaxvae.models.layers import FromLatent, Mixer


class Encoder(nn.Module):
    """Spectrogram to features: filters on every frame, mixed over time and over filters, then fewer of both."""

    width: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"], train: bool) -> Float[Array, "batch feature"]:
        x = nn.Dense(128 * self.width)(spectrogram.swapaxes(1, 2))
        for _ in range(2):
            x = Mixer(128 * self.width)(x)
        x = nn.Dense(64 * self.width)(nn.RMSNorm(use_scale=False)(x)).swapaxes(1, 2)
        x = nn.Dense(32 * self.width)(x)
        return x.reshape(x.shape[0], -1)


class Decoder(nn.Module):
    """Latent vector to spectrogram: the mirror image of the encoder."""

    width: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int, train: bool
    ) -> Float[Array, "batch _ _"]:
        x = FromLatent(64 * self.width * 32 * self.width, name="from_latent")(z, latent_dim).reshape(
            -1, 64 * self.width, 32 * self.width
        )
        x = nn.Dense(frames)(x).swapaxes(1, 2)
        x = nn.Dense(128 * self.width)(x)
        for _ in range(2):
            x = Mixer(128 * self.width)(x)
        return nn.Dense(bins)(nn.RMSNorm(use_scale=False)(x)).swapaxes(1, 2)
