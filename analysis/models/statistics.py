"""Hand-made statistics of clips: the strongest description of an effect that nothing was trained for.

Two kinds, both of clips at their own peak, so that no level gives an effect away.
    fine      mel levels at 10 ms: of each band over time mean, deviation, mean change from frame to frame, 5th and
              95th percentile; of the mean level of all bands its autocorrelation up to 1.2 s.
    waveform  what a spectrogram of 43 ms frames does not show: how amplitudes are distributed (clipping, asymmetry),
              how levels and crests of short frames are (compression, gates), and power cepstra (Bogert, Healy & Tukey
              1963), where echoes and combs are peaks at their delay, pooled over lags evenly in log time.

Beside the dry clip, differences say what the effect did: of both clips' statistics and, of mel levels, frame by frame.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
import scipy.fft
import scipy.signal
from jaxtyping import Float

from jaxvae.effects import cores

BANDS = 64
_FINE_SECONDS = 0.01
_FINE_WINDOW_SECONDS = 0.043
_ECHO_SECONDS = 1.2
_ECHO_BANDS = 60
_FLOOR_DB = -100.0
_SHORT_SECONDS = 0.021
_LONG_SECONDS = 0.34
_LEAST_LAG_SECONDS = 0.00033
_LAG_BANDS = 40
_PERCENTILES = (0.1, 0.5, 1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9)
_EPSILON = 1e-5


def mel_levels(clips: Float[np.ndarray, "clip sample"], sample_rate: int) -> Float[np.ndarray, "clip band frame"]:
    """Levels of 64 mel bands in dB below the clip's peak, a frame each 10 ms."""

    def of_some(clips: np.ndarray) -> np.ndarray:
        power = librosa.feature.melspectrogram(
            y=_at_peak(clips),
            sr=sample_rate,
            n_fft=_even(_FINE_WINDOW_SECONDS * sample_rate),
            hop_length=round(_FINE_SECONDS * sample_rate),
            n_mels=BANDS,
        )
        return librosa.power_to_db(power, amin=10 ** (_FLOOR_DB / 10), top_db=None).astype(np.float32)

    return _in_threads(of_some, clips)


def fine(levels: Float[np.ndarray, "clip band frame"]) -> Float[np.ndarray, "clip feature"]:
    """Statistics over time of mel levels, 380 numbers."""

    def of_some(levels: np.ndarray) -> np.ndarray:
        bands = [
            levels.mean(axis=2),
            levels.std(axis=2),
            np.abs(np.diff(levels, axis=2)).mean(axis=2),
            *np.percentile(levels, (5, 95), axis=2),
        ]
        whole = levels.mean(axis=1)
        return np.concatenate([*bands, _autocorrelation(whole - whole.mean(axis=1, keepdims=True))], axis=1)

    return _in_threads(of_some, levels)


def waveform(clips: Float[np.ndarray, "clip sample"], sample_rate: int) -> Float[np.ndarray, "clip feature"]:
    """Amplitudes, short levels and cepstra, some 310 numbers."""

    def of_some(clips: np.ndarray) -> np.ndarray:
        clips = _at_peak(clips).astype(np.float32)
        parts = [_amplitudes(clips), _levels(clips, sample_rate), *_cepstra(clips, sample_rate)]
        return np.concatenate(parts, axis=1).astype(np.float32)

    return _in_threads(of_some, clips)


def _amplitudes(clips: np.ndarray) -> np.ndarray:
    """Quantiles, levels of the absolute value, moments, share near the peak, and a histogram."""
    loud = np.abs(clips)
    shape = clips / (clips.std(axis=1, keepdims=True) + _EPSILON)
    square = shape * shape
    bins = np.floor((clips + 1) * 16).clip(0, 31).astype(np.int64) + 32 * np.arange(len(clips))[:, None]
    histogram = np.bincount(bins.reshape(-1), minlength=32 * len(clips)).reshape(len(clips), 32) / clips.shape[1]
    return np.concatenate(
        [
            _percentiles(clips, _PERCENTILES),
            _db(_percentiles(loud, (5, 25, 50, 75, 90, 95, 99, 99.9))),
            (shape * square).mean(axis=1, keepdims=True),
            np.log((square * square).mean(axis=1, keepdims=True) + _EPSILON),
            *((loud > share).mean(axis=1, keepdims=True) for share in (0.95, 0.8)),
            (loud < 1e-4).mean(axis=1, keepdims=True),
            np.log(histogram + _EPSILON),
        ],
        axis=1,
    )


def _percentiles(values: np.ndarray, wanted: Sequence[float | int]) -> np.ndarray:
    """Of each row, the nearest values. numpy's own interpolate, in doubles, which takes ten times as long."""
    places = np.round(np.array(wanted) / 100 * (values.shape[1] - 1)).astype(int)
    return np.sort(values, axis=1)[:, places]


def _levels(clips: np.ndarray, sample_rate: int) -> np.ndarray:
    """Levels and crest factors of short frames: percentiles, spread and changes."""
    length = _even(_SHORT_SECONDS * sample_rate)
    frames = clips[:, : clips.shape[1] // length * length].reshape(len(clips), -1, length)
    level = _db(np.sqrt((frames * frames).mean(axis=2)))
    crest = _db(np.abs(frames).max(axis=2)) - level
    change = np.diff(level, axis=1)
    return np.concatenate(
        [
            np.percentile(level, (1, 5, 10, 25, 50, 75, 90, 95, 99), axis=1).T,
            np.percentile(crest, (5, 25, 50, 75, 95), axis=1).T,
            np.stack([level.std(axis=1), change.std(axis=1), np.abs(change).mean(axis=1)], axis=1),
        ],
        axis=1,
    )


def _cepstra(clips: np.ndarray, sample_rate: int) -> list[np.ndarray]:
    """Of the whole clip up to a second, and of long frames, averaged, up to half a frame."""
    length = min(_even(_LONG_SECONDS * sample_rate), clips.shape[1])
    starts = range(0, clips.shape[1] - length + 1, length // 2)
    frames = np.stack([clips[:, start : start + length] for start in starts], axis=1)
    window = scipy.signal.get_window("hann", length).astype(np.float32)
    averaged = _cepstrum(frames * window).mean(axis=1)
    whole = min(sample_rate, clips.shape[1] // 2)
    return [_pooled(_cepstrum(clips), whole, sample_rate), _pooled(averaged, length // 2, sample_rate)]


def _cepstrum(signal: np.ndarray) -> np.ndarray:
    return scipy.fft.irfft(np.log(np.abs(scipy.fft.rfft(signal)) ** 2 + 1e-9))


def _pooled(cepstrum: np.ndarray, most: int, sample_rate: int) -> np.ndarray:
    """Maximum, minimum and log RMS of the cepstrum in bands of lags."""
    least = max(2, round(_LEAST_LAG_SECONDS * sample_rate))
    edges = np.unique(np.geomspace(least, most, _LAG_BANDS).astype(int))
    bands = [cepstrum[:, low:high] for low, high in itertools.pairwise(edges)]
    numbers = [
        (10 * band.max(axis=1), -10 * band.min(axis=1), np.log(np.sqrt((band**2).mean(axis=1)) + 1e-6))
        for band in bands
    ]
    return np.stack([number for of_band in numbers for number in of_band], axis=1)


def _autocorrelation(signal: np.ndarray) -> np.ndarray:
    """The greatest in each of 60 bands of lags, even up to 1.2 s, divided by that at lag 0."""
    frames = signal.shape[1]
    power = np.abs(scipy.fft.rfft(signal, 2 * frames)) ** 2
    found = scipy.fft.irfft(power)[:, :frames]
    most = min(round(_ECHO_SECONDS / _FINE_SECONDS), frames - 1)
    first = np.linspace(1, most + 1, _ECHO_BANDS, endpoint=False).astype(int)
    return np.maximum.reduceat(found[:, : most + 1], first, axis=1) / (found[:, :1] + _EPSILON)


def _at_peak(clips: np.ndarray) -> np.ndarray:
    return clips / np.maximum(np.abs(clips).max(axis=1, keepdims=True), _EPSILON)


def _db(amplitude: np.ndarray) -> np.ndarray:
    return 20 * np.log10(amplitude + _EPSILON)


def _even(samples: float) -> int:
    """The power of two that is nearest, for a fast transform."""
    return 2 ** round(np.log2(samples))


def _in_threads(function: Callable[[np.ndarray], np.ndarray], items: np.ndarray) -> np.ndarray:
    parts = np.array_split(items, min(len(items), max(cores(), -(-len(items) // 32))))  # few at once, for the caches
    with ThreadPoolExecutor(cores()) as threads:
        return np.concatenate(list(threads.map(function, parts)))
