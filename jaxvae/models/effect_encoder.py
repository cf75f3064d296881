"""Encoder of the effect latent: what was done to a clip, wherever in the clip it is heard.

It sees numbers that are pooled over time, so there is little to learn a recording by: the fine structure of the wet
clip (`jaxvae.fine_structure`); where any dry passage of the recording is known, how much it differs from that; and
where that is the very clip before the effect, what changed from frame to frame (`frame_difference`). One network serves
all three relations: what is not known is 0.

A convolutional network on the spectrograms (`jaxvae.models.convolution_encoder`) was worse in all of them, and takes
five times as long.
"""

import itertools
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from jaxvae.config import Model
from jaxvae.models.layers import latent_major
from jaxvae.views import ALIGNED, SOURCE, Views

LAYERS = 2
_WIDTH = 384  # of the hidden layers
_PARTS, _WIDE_PARTS = 64, 8  # bands of differences, and wider ones
_DELAYS = (1, 2, 4, 8, 16)  # frames
_MODULATIONS = 32
_MOST = 5.0  # of a difference, in standard deviations of its band


class EffectEncoder(nn.Module):
    """Views of wet clips, with the dry ones as they are related, to mean and log-variance of the effect's posterior."""

    config: Model

    @nn.compact
    def __call__(
        self,
        wet: Views,
        dry: Views,
        relation: Int[Array, "batch"],
        kept: Float[Array, "batch layer hidden"] | None = None,
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """Hidden units are multiplied by `kept`, if given: 0 for those that are left out."""
        x = heard(wet, dry, relation)
        for layer in range(LAYERS):
            x = nn.gelu(nn.Dense(hidden(self.config))(x))
            x = x if kept is None else x * kept[:, layer]
        return posterior(x, self.config.latent_dim)


def heard(wet: Views, dry: Views, relation: Int[Array, "batch"]) -> Float[Array, "batch number"]:
    """What there is to hear of wet clips beside the dry ones as they are related, pooled over time; 0 for the rest."""
    known = (relation[:, None] == jnp.array([SOURCE, ALIGNED])[None]).astype(jnp.float32)
    difference = (wet.fine - dry.fine) * known.sum(axis=1, keepdims=True)
    by_frame = frame_difference(wet.spectrogram, dry.spectrogram) * known[:, 1:]
    return jnp.concatenate([wet.fine, difference, by_frame, known], axis=1)


def posterior(
    features: Float[Array, "batch feature"], latent_dim: int
) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
    """Layers, of the module that calls it, to mean and log-variance."""
    # Means that differ and variances below the prior's from the start, for the heads to have something to read.
    mean = nn.Dense(latent_dim, kernel_init=partial(latent_major, scale=0.3), name="mean")
    low = nn.initializers.constant(-2.0)
    logvar = nn.Dense(latent_dim, kernel_init=latent_major, bias_init=low, name="logvar")
    return mean(features), logvar(features)


def hidden(config: Model) -> int:
    """Units of each hidden layer."""
    return _WIDTH * config.width


def frame_difference(
    wet: Float[Array, "batch bin frame"], dry: Float[Array, "batch bin frame"]
) -> Float[Array, "batch number"]:
    """What changed between two normalised spectrograms of the same frames, in numbers that are pooled over time.

    Of the difference in each band: mean, deviation, mean change, highest and lowest. Of wider bands: how the difference
    follows the dry level at once (compression: a slope of -1 undoes it) and some frames later (tails and echoes), as
    slopes of a regression. And at which rates the difference moves, as magnitudes of the slowest Fourier coefficients.
    """
    change = _banded(wet - dry, _PARTS)
    steps = jnp.abs(jnp.diff(change, axis=2)).mean(axis=2) if change.shape[2] > 1 else jnp.zeros(change.shape[:2])
    wide, level = (x - x.mean(axis=2, keepdims=True) for x in (_banded(change, _WIDE_PARTS), _banded(dry, _WIDE_PARTS)))
    power = (level**2).mean(axis=2) + 0.01
    frames = level.shape[2]
    slopes = [
        (level[:, :, : max(frames - delay, 0)] * wide[:, :, delay:]).sum(axis=2) / frames / power
        for delay in (0, *_DELAYS)
    ]
    moving = jnp.abs(jnp.fft.rfft(wide.mean(axis=1), 2 * _MODULATIONS if frames < 2 * _MODULATIONS else frames))
    numbers = [
        *(change.mean(axis=2), _deviation(change), steps, change.max(axis=2), change.min(axis=2)),
        *slopes,
        jnp.log(moving[:, 1 : 1 + _MODULATIONS] + 0.01),
    ]
    return jnp.clip(jnp.concatenate(numbers, axis=1), -_MOST, _MOST)


def _banded(x: Float[Array, "batch bin frame"], most: int) -> Float[Array, "batch band frame"]:
    """Means of neighbouring bins, in so many bands if there are as many bins."""
    bins = x.shape[1]
    edges = [round(index * bins / min(most, bins)) for index in range(min(most, bins) + 1)]
    if bins % min(most, bins) == 0:
        return x.reshape(x.shape[0], min(most, bins), -1, x.shape[2]).mean(axis=2)
    return jnp.stack([x[:, low:high].mean(axis=1) for low, high in itertools.pairwise(edges)], axis=1)


def _deviation(x: Float[Array, "batch band frame"]) -> Float[Array, "batch band"]:
    """Standard deviation over time, with a gradient where nothing changes."""
    return jnp.sqrt(((x - x.mean(axis=2, keepdims=True)) ** 2).mean(axis=2) + 1e-10)
