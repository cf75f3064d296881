"""Augmentation of what was played: the same recording at another speed, and through another microphone.

A network that is to hear an effect whatever the recording needs more recordings than there are. Both are applied
before the effect, so the effect's settings stay true.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
import soxr
from jaxtyping import Float32, Int16

from jaxvae.data import audio

MOST_SPEED = 1.35
"""Recordings are played at 1 / MOST_SPEED to MOST_SPEED times their speed."""
_TILT_DB = 5.0  # standard deviation of the filter's gain at each octave
_LOWEST_HZ = 40.0
_OCTAVES = 9


class Augmentation(NamedTuple):
    """How a recording is played. The default is as it is."""

    speed: float = 1.0
    filter: int = 0
    """Seed of the filter, 0 for none."""

    def samples(self, clip_samples: int) -> int:
        """Samples of the recording that make a clip."""
        return round(clip_samples * self.speed)


def draw(generator: np.random.Generator, clip_samples: int, length: int) -> Augmentation:
    """A speed for a recording of `length` samples, log-uniform as far as it is long enough, and half the time a filter.

    Log-uniform, because speed is heard in octaves, as pitch is.
    """
    fastest = min(MOST_SPEED, length / clip_samples)
    speed = float(np.float32(np.exp(generator.uniform(-np.log(MOST_SPEED), np.log(fastest)))))  # as it is stored
    filtered, seed = generator.random() < 0.5, int(generator.integers(1, 2**31))
    return Augmentation(speed, seed if filtered else 0)


def apply(
    recorded: Int16[np.ndarray, "recorded"], played: Augmentation, clip_samples: int, sample_rate: int
) -> Float32[np.ndarray, "sample"]:
    """A clip of `played.samples(clip_samples)` recorded samples."""
    samples = audio.to_float(recorded)
    if played.speed != 1.0:
        # Lowest quality: what it lets through of aliases is 80 dB down at speeds so near 1.
        samples = soxr.resample(samples, len(samples), clip_samples, quality="LQ")[:clip_samples]
        samples = np.pad(samples, (0, clip_samples - len(samples)))  # rounding may leave a sample out
    if played.filter:
        gains = 10 ** (_gains_db(played.filter, clip_samples, sample_rate) / 20)
        samples = scipy.fft.irfft(scipy.fft.rfft(samples) * gains.astype(np.float32), clip_samples)
    return samples


def _gains_db(seed: int, samples: int, sample_rate: int) -> np.ndarray:
    """Gain of each frequency of a transform of `samples`: a random gain at each octave, half the time a low-pass."""
    generator = np.random.default_rng(seed)
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / sample_rate), _LOWEST_HZ)
    octaves = np.log2(frequencies / _LOWEST_HZ)
    gains = np.interp(octaves, np.arange(_OCTAVES), generator.normal(0.0, _TILT_DB, _OCTAVES))
    if generator.random() < 0.5:
        cutoff = np.exp(generator.uniform(np.log(1_200.0), np.log(0.46 * sample_rate)))
        gains -= generator.uniform(6.0, 48.0) * np.maximum(0.0, np.log2(frequencies / cutoff))  # dB an octave
    return gains
