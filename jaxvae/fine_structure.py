"""Fine structure of clips, on the device: what a mel picture of 43 ms frames does not show, as some 570 numbers a clip.

All of it is pooled over time, so that two passages of a recording can be compared though none of their frames line up.
Four kinds, of each clip at its own peak, so that no level gives an effect away:
    amplitudes   quantiles, a histogram, shares of samples above levels and moments: clipping, asymmetry, gates
    levels       of frames of 21 ms and their crest factors, quantiles and changes: compression, gates, tremolo
    cepstra      power cepstra (Bogert, Healy & Tukey 1963), where echoes, combs and resonances are peaks at their
                 delay: of the whole clip and, averaged, of frames of .34 s, pooled over lags evenly in log time
    bands        of the levels of 64 mel bands every 10 ms: mean, deviation and mean change from frame to frame, and the
                 autocorrelation of the mean over the bands: filters, colours, tails and repeats

Conventions
    audio        (batch, sample), float in [-1, 1] or int16
    numbers      (batch, number), float32, unit-less; networks see them standardised (`Standard`)
Nothing is computed over the batch. A silent clip has finite numbers, and its gain changes none: the law of each kind is
a test in tests/test_fine_structure.py.
"""

import functools
import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.signal
from jaxtyping import Array, Float, Int16

from jaxvae import config, spectrogram

_SHORT_SECONDS, _LONG_SECONDS = 0.021, 0.34
_LEAST_LAG_SECONDS, _LAG_BANDS = 0.00033, 40
_QUANTILES = np.array([0.1, 0.5, 1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9]) / 100
_SHARES_DB = np.array([0.1, 0.5, 1, 2, 3, 6, 9, 12, 18, 24, 30, 36, 48, 60, 72, 80])
"""Levels below the peak; the share of samples above each is counted."""
_BINS, _COARSE_BINS = 2_048, 32
"""Of the histogram that quantiles are read from, and of the one that is a part of the numbers."""
_BINS_OF_A_DB = 10
_RANKS = np.array([1, 5, 10, 25, 50, 75, 90, 95, 99]) / 100
"""Quantiles of the levels and crest factors of short frames."""
_LEAST = 1e-5  # of an amplitude: -100 dB
_LEAST_POWER = 1e-9  # of a bin of a spectrum, beside a peak of 1
_BANDS = 64
_BAND_FRAME_SECONDS, _BAND_HOP_SECONDS = 0.043, 0.01
_REPEAT_SECONDS = 1.2
_REPEATS = 60
"""Lags of the autocorrelation, evenly up to _REPEAT_SECONDS."""
_CEPSTRUM_SCALE = 10.0
"""Peaks of cepstra are hundredths; this brings them to the order of the other numbers before they are standardised."""


class Standard(NamedTuple):
    """What numbers are held to and standardised by: those of the training set, which travel with a checkpoint."""

    low: Float[Array | np.ndarray, " number"]
    high: Float[Array | np.ndarray, " number"]
    mean: Float[Array | np.ndarray, " number"]
    std: Float[Array | np.ndarray, " number"]

    def __call__(self, numbers: Float[Array | np.ndarray, "batch number"]) -> Float[Array, "batch number"]:
        """Numbers at mean 0 and deviation 1, without outliers: a number that explodes on one clip stays in range."""
        held = jnp.clip(numbers, jnp.asarray(self.low)[None], jnp.asarray(self.high)[None])
        return (held - jnp.asarray(self.mean)[None]) / jnp.asarray(self.std)[None]


def standard(numbers: Float[np.ndarray, "clip number"]) -> Standard:
    """That of these clips: between the 1st and 99th percentile, and half of their distance more on either side."""
    low, high = np.percentile(numbers.astype(np.float64), (1, 99), axis=0)
    low, high = low - (high - low) / 2, high + (high - low) / 2
    held = np.clip(numbers, low, high)
    std = held.std(axis=0)
    std = np.where(std <= 1e-6 * (1 + np.abs(high)), np.inf, std)  # the same in every clip but for rounding
    return Standard(*(np.asarray(x, np.float32) for x in (low, high, held.mean(axis=0), std)))


def standard_from(values: dict[str, list[float]]) -> Standard:
    """The inverse of `_asdict` with lists."""
    return Standard(**{name: np.asarray(value, np.float32) for name, value in values.items()})


class Layout(NamedTuple):
    """Where each kind of number stands."""

    quantiles: slice
    histogram: slice
    shares: slice
    skewness: int
    kurtosis: int
    levels: slice
    crests: slice
    changes: slice
    cepstrum: tuple[slice, slice, slice]
    """Of the whole clip: the highest of each band of lags, the lowest, and the strength."""
    averaged: tuple[slice, slice, slice]
    """The same of long frames."""
    bands: tuple[slice, slice, slice]
    """Mean, deviation and change of each band."""
    repeats: slice


def layout(samples: int, sample_rate: int) -> Layout:
    """That of clips of so many samples."""
    places, first = [], 0
    bands = [len(lag_edges(most, sample_rate)) - 1 for most in _longest_lags(samples, sample_rate)]
    for size in (len(_QUANTILES), _COARSE_BINS, len(_SHARES_DB), 1, 1, len(_RANKS), len(_RANKS), 3):
        places.append(slice(first, first + size))
        first += size
    cepstra = []
    for count in bands:
        cepstra.append(tuple(slice(first + part * count, first + (part + 1) * count) for part in range(3)))
        first += 3 * count
    of_bands = tuple(slice(first + part * _BANDS, first + (part + 1) * _BANDS) for part in range(3))
    repeats = slice(of_bands[-1].stop, of_bands[-1].stop + _REPEATS)
    return Layout(*places[:3], places[3].start, places[4].start, *places[5:], *cepstra, of_bands, repeats)


def size(samples: int, sample_rate: int) -> int:
    """How many numbers there are of clips of so many samples."""
    return layout(samples, sample_rate).repeats.stop


def compute(
    audio: Float[Array | np.ndarray, "batch sample"] | Int16[Array | np.ndarray, "batch sample"], sample_rate: int
) -> Float[Array, "batch number"]:
    """The fine structure of clips. Raises ValueError for clips that are shorter than a short frame."""
    short = _even(_SHORT_SECONDS * sample_rate)
    if audio.shape[-1] < 2 * short:
        raise ValueError(f"a clip of {audio.shape[-1]} samples has no fine structure; use {2 * short} or more")
    clips = jnp.asarray(audio, jnp.float32)
    clips = clips / jnp.maximum(jnp.abs(clips).max(axis=1, keepdims=True), 1e-12)
    parts = [_amplitudes(clips), _levels(clips, short), *_cepstra(clips, sample_rate), _bands(clips, sample_rate)]
    return jnp.concatenate(parts, axis=1, dtype=jnp.float32)


def _amplitudes(clips: Array) -> Array:
    """Read off two histograms, of amplitudes and of their levels: to sort the samples takes twenty times as long."""
    samples = clips.shape[1]
    counts = _histogram((clips + 1) * (_BINS / 2), _BINS)
    below = jnp.cumsum(counts, axis=1) / samples  # of the upper edge of each bin
    places = jnp.argmax(below[:, None] >= _QUANTILES[None, :, None].astype(np.float32), axis=2)
    quantiles = (places + 0.5) * (2 / _BINS) - 1
    histogram = counts.reshape(len(clips), _COARSE_BINS, -1).sum(axis=2) / samples
    quieter = _histogram(-20 * jnp.log10(jnp.abs(clips) + _LEAST) * _BINS_OF_A_DB, 100 * _BINS_OF_A_DB)
    shares = (jnp.cumsum(quieter, axis=1) / samples)[:, (_SHARES_DB * _BINS_OF_A_DB).astype(int) - 1]
    square = clips * clips
    power = square.mean(axis=1, keepdims=True) + _LEAST**2
    skewness = (square * clips).mean(axis=1, keepdims=True) / power**1.5
    kurtosis = (square * square).mean(axis=1, keepdims=True) / power**2
    return jnp.concatenate(
        [quantiles, jnp.log(histogram + _LEAST), jnp.log(shares + _LEAST), skewness, jnp.log(kurtosis + _LEAST)], axis=1
    )


def _histogram(places: Array, bins: int) -> Array:
    """How many of each clip's samples fall into each bin; those beyond an end count in the last one there."""
    bin_of = jnp.clip(places.astype(jnp.int32), 0, bins - 1)
    clip_of = jnp.arange(len(places))[:, None]
    return jnp.zeros((len(places), bins), jnp.int32).at[clip_of, bin_of].add(1)


def _levels(clips: Array, length: int) -> Array:
    """Quantiles, spread and changes of the levels in dB of short frames, and quantiles of their crest factors."""
    frames = clips[:, : clips.shape[1] // length * length].reshape(len(clips), -1, length)
    level = _db(jnp.sqrt((frames * frames).mean(axis=2)))
    crest = _db(jnp.abs(frames).max(axis=2)) - level
    change = jnp.diff(level, axis=1)
    count = level.shape[1]
    ranks = np.round(_RANKS * (count - 1)).astype(int)
    spread = [x.std(axis=1)[:, None] for x in (level, change)] + [jnp.abs(change).mean(axis=1)[:, None]]
    return jnp.concatenate([jnp.sort(level, axis=1)[:, ranks], jnp.sort(crest, axis=1)[:, ranks], *spread], axis=1)


def _cepstra(clips: Array, sample_rate: int) -> list[Array]:
    """Of the whole clip up to a second, and of long frames, averaged, up to half a frame."""
    samples = clips.shape[1]
    length = min(_even(_LONG_SECONDS * sample_rate), samples)
    starts = np.arange(0, samples - length + 1, length // 2)
    window = scipy.signal.get_window("hann", length).astype(np.float32)
    frames = jnp.stack([clips[:, start : start + length] for start in starts.tolist()], axis=1) * window[None, None]
    averaged = _cepstrum(frames).mean(axis=1)
    whole, half = _longest_lags(samples, sample_rate)
    return [_pooled(_cepstrum(clips), whole, sample_rate), _pooled(averaged, half, sample_rate)]


def _longest_lags(samples: int, sample_rate: int) -> tuple[int, int]:
    """Of the cepstrum of the whole clip, and of that of long frames."""
    return min(sample_rate, samples // 2), min(_even(_LONG_SECONDS * sample_rate), samples) // 2


def _cepstrum(signal: Array) -> Array:
    spectrum = jnp.fft.rfft(signal)
    power = spectrum.real**2 + spectrum.imag**2
    loudest = power.max(axis=-1, keepdims=True)
    return jnp.fft.irfft(jnp.log(power + _LEAST_POWER * loudest + 1e-20))


@functools.cache
def lag_edges(most: int, sample_rate: int) -> tuple[int, ...]:
    """First lags of the bands, in samples, and the end of the last."""
    least = max(2, round(_LEAST_LAG_SECONDS * sample_rate))
    return tuple(np.unique(np.geomspace(least, most, _LAG_BANDS).astype(int)).tolist())


def _pooled(cepstrum: Array, most: int, sample_rate: int) -> Array:
    """Maximum, minimum and logarithm of the mean square of the cepstrum in each band of lags."""
    bands = [cepstrum[:, low:high] for low, high in itertools.pairwise(lag_edges(most, sample_rate))]
    highest = [_CEPSTRUM_SCALE * band.max(axis=1) for band in bands]
    lowest = [_CEPSTRUM_SCALE * band.min(axis=1) for band in bands]
    strength = [jnp.log(jnp.sqrt((band**2).mean(axis=1)) + 1e-6) for band in bands]
    return jnp.stack([*highest, *lowest, *strength], axis=1)


def _bands(clips: Array, sample_rate: int) -> Array:
    """Mean, deviation and change of the level of each band, and the autocorrelation of the mean of all."""
    frame, hop = _even(_BAND_FRAME_SECONDS * sample_rate), round(_BAND_HOP_SECONDS * sample_rate)
    mel = config.Spectrogram(n_fft=frame, window_length=frame, hop_length=hop, n_mels=_BANDS)
    level = spectrogram.level(clips, config.Audio(sample_rate, clips.shape[1]), mel)
    change = jnp.abs(jnp.diff(level, axis=2)).mean(axis=2)
    whole = level.mean(axis=1)
    whole = whole - whole.mean(axis=1, keepdims=True)
    frames = whole.shape[1]
    transform = jnp.fft.rfft(whole, 2 * frames)
    correlation = jnp.fft.irfft(transform.real**2 + transform.imag**2)[:, :frames]
    lags = np.round(np.arange(1, _REPEATS + 1) * _REPEAT_SECONDS / _REPEATS / _BAND_HOP_SECONDS).astype(int)
    repeats = correlation[:, np.minimum(lags, frames - 1)] / (correlation[:, :1] + 1.0)  # 1 dB^2, so silence has none
    return jnp.concatenate([level.mean(axis=2), level.std(axis=2), change, repeats], axis=1)


def _db(amplitude: Array) -> Array:
    return 20 * jnp.log10(amplitude + _LEAST)


def _even(samples: float) -> int:
    """The power of two that is nearest, for a fast transform."""
    return 2 ** round(np.log2(samples))
