"""Spectrograms on the device, and back to audio for listening.

Conventions
    audio         (batch, sample), float in [-1, 1] or int16
    spectrogram   (batch, bin, frame), float32; a bin is a band when the scale is mel
    frames        centred on multiples of the hop, the clip mirrored at its ends (librosa's pad_mode="reflect")
    level         dB relative to a full-scale sine at the centre of the bin or band; such a sine reads 0 dB
Nothing is computed over the batch: the spectrogram of a clip does not depend on its neighbours.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
from jaxtyping import Array, Float, Int16

from jaxvae import config

_MOST = 1e6
"""Power relative to a full-scale sine that is taken for the highest when a spectrogram is inverted."""


class Statistics(NamedTuple):
    """Mean and standard deviation of the compressed spectrogram, for each bin."""

    mean: Float[Array | np.ndarray, " bin"]
    std: Float[Array | np.ndarray, " bin"]


def mel_frequencies(count: int, highest: float) -> Float[np.ndarray, " count"]:
    """Frequencies from 0 to `highest` Hz, equally far apart on Slaney's (1998) mel scale: linear, above 1 kHz log."""
    knee, linear, ratio = 1_000.0, 200 / 3, np.log(6.4) / 27.0
    last = knee / linear + np.log(highest / knee) / ratio if highest >= knee else highest / linear
    mels = np.linspace(0.0, last, count)
    above = mels >= knee / linear
    return np.where(above, knee * np.exp(ratio * (mels - knee / linear)), linear * mels)


def frequencies(audio_config: config.Audio, spectrogram_config: config.Spectrogram) -> Float[np.ndarray, " bin"]:
    """Frequency in Hz of each bin, or of the centre of each band."""
    if spectrogram_config.scale == "mel":
        return mel_frequencies(spectrogram_config.n_mels + 2, audio_config.sample_rate / 2)[1:-1]
    return np.fft.rfftfreq(spectrogram_config.n_fft, 1 / audio_config.sample_rate)


@functools.cache
def _mel_weights(sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Triangles (band, bin) of equal area, Slaney's, the ones of librosa.filters.mel."""
    edges = mel_frequencies(n_mels + 2, sample_rate / 2)
    distances = edges[:, None] - np.fft.rfftfreq(n_fft, 1 / sample_rate)
    widths = np.diff(edges)[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    weights = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    weights *= 2 / (edges[2:] - edges[:-2])[:, None]
    empty = np.sum(weights.max(axis=1) == 0)
    if empty:
        raise ValueError(
            f"{empty} of {n_mels} mel bands hold no bin of n_fft {n_fft} at {sample_rate} Hz; "
            "use a smaller spectrogram.n_mels or a larger spectrogram.n_fft"
        )
    return weights


def _window(spectrogram_config: config.Spectrogram) -> np.ndarray:
    return scipy.signal.get_window("hann", spectrogram_config.window_length).astype(np.float32)


@functools.cache
def _full_scale(sample_rate: int, spectrogram_config: config.Spectrogram) -> np.ndarray:
    """Power (bin,) of a sine of amplitude 1 at the centre of each bin or band."""
    n_fft = spectrogram_config.n_fft
    lobe = np.abs(np.fft.fft(_window(spectrogram_config), n_fft)) ** 2 / 4
    if spectrogram_config.scale == "linear":
        return np.full(n_fft // 2 + 1, lobe[0], np.float32)
    weights = _mel_weights(sample_rate, n_fft, spectrogram_config.n_mels)
    by_frequency = np.fft.ifft(
        np.fft.fft(weights, n_fft) * np.fft.fft(lobe)
    ).real  # of a sine at each bin, in each band
    return by_frequency.max(axis=-1).astype(np.float32)


def _power(
    audio: Float[Array | np.ndarray, "batch sample"] | Int16[Array | np.ndarray, "batch sample"],
    audio_config: config.Audio,
    spectrogram_config: config.Spectrogram,
) -> Float[Array, "batch bin frame"]:
    n_fft, length, hop = spectrogram_config.n_fft, spectrogram_config.window_length, spectrogram_config.hop_length
    if audio.shape[-1] <= n_fft // 2:
        raise ValueError(
            f"a clip of {audio.shape[-1]} samples is too short for n_fft {n_fft}; use more than n_fft // 2"
        )
    scale = 1 / 32_768 if audio.dtype == jnp.int16 else 1.0
    padded = jnp.pad(jnp.asarray(audio, jnp.float32) * scale, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    frames = 1 + (padded.shape[-1] - n_fft) // hop
    # Only the samples under the window are framed: where they lie within the n_fft samples changes the phase alone.
    starts = (n_fft - length) // 2 + hop * np.arange(frames)
    framed = padded[:, starts[:, None] + np.arange(length)] * _window(spectrogram_config)[None, None]
    transform = jnp.fft.rfft(framed, n_fft)
    power = transform.real**2 + transform.imag**2
    if spectrogram_config.scale == "linear":
        return power.swapaxes(1, 2)
    weights = _mel_weights(audio_config.sample_rate, n_fft, spectrogram_config.n_mels)
    return jnp.einsum("bfk,mk->bmf", power, weights, precision="highest")


def _positive_power(base: Array, exponent: float) -> Array:
    """base ** exponent for base >= 0, with the gradient 0 where base is 0 (it is infinite for exponents below 1)."""
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1.0) ** exponent, 0.0)


def magnitude(
    audio: Float[Array | np.ndarray, "batch sample"] | Int16[Array | np.ndarray, "batch sample"],
    audio_config: config.Audio,
    spectrogram_config: config.Spectrogram,
) -> Float[Array, "batch bin frame"]:
    """STFT magnitude, or for mel the root of each band's power (of librosa.feature.melspectrogram with power=2)."""
    return _positive_power(_power(audio, audio_config, spectrogram_config), 0.5)


def level(
    audio: Float[Array | np.ndarray, "batch sample"] | Int16[Array | np.ndarray, "batch sample"],
    audio_config: config.Audio,
    spectrogram_config: config.Spectrogram,
) -> Float[Array, "batch bin frame"]:
    """Compressed spectrogram before normalisation: dB, at least floor_db, or (magnitude / full scale) ** exponent."""
    full_scale = _full_scale(audio_config.sample_rate, spectrogram_config)
    relative = _power(audio, audio_config, spectrogram_config) / full_scale[None, :, None]
    if spectrogram_config.compression == "power":
        return _positive_power(relative, spectrogram_config.exponent / 2)
    return 10 * jnp.log10(jnp.maximum(relative, 10 ** (spectrogram_config.floor_db / 10)))


def compute(
    audio: Float[Array | np.ndarray, "batch sample"] | Int16[Array | np.ndarray, "batch sample"],
    audio_config: config.Audio,
    spectrogram_config: config.Spectrogram,
    statistics: Statistics | None = None,
) -> Float[Array, "batch bin frame"]:
    """Normalised spectrogram, what the network sees.

    `statistics` are those of the training set; needed when the normalisation is fixed, unused when it is per clip.
    A silent clip has finite gradients; normalised per clip, it is 0 everywhere.
    """
    compressed = level(audio, audio_config, spectrogram_config)
    if spectrogram_config.normalisation == "clip":
        mean = jnp.mean(compressed, axis=(1, 2), keepdims=True)
        variance = jnp.mean((compressed - mean) ** 2, axis=(1, 2), keepdims=True)
        return (compressed - mean) / jnp.sqrt(variance + 1e-8)
    if statistics is None:
        raise ValueError("spectrogram.normalisation is fixed but no statistics were given; take them with statistics()")
    return (compressed - statistics.mean[None, :, None]) / statistics.std[None, :, None]


def statistics(
    batches: Iterable[Float[Array | np.ndarray, "_ _"] | Int16[Array | np.ndarray, "_ _"]],
    audio_config: config.Audio,
    spectrogram_config: config.Spectrogram,
) -> Statistics:
    """Mean and standard deviation of each bin's level over batches of audio, read once and summed in float64.

    The deviation of a bin is at least a tenth of the largest, so that a bin which hardly varies in the training
    set does not drown the others elsewhere. When normalisation is per clip, all bins share one mean and deviation,
    which is what `invert` needs. Raises ValueError when there is no audio, or none that varies.
    """
    compress = jax.jit(functools.partial(level, audio_config=audio_config, spectrogram_config=spectrogram_config))
    count, total, squares = 0, 0.0, 0.0
    for audio in batches:
        values = np.asarray(compress(audio), np.float64)
        count += values.shape[0] * values.shape[2]
        total = total + values.sum(axis=(0, 2))
        squares = squares + (values**2).sum(axis=(0, 2))
    if count == 0:
        raise ValueError("no audio to take spectrogram statistics of; give at least one clip")
    mean, square = total / count, squares / count
    if spectrogram_config.normalisation == "clip":
        mean, square = np.full_like(mean, mean.mean()), np.full_like(square, square.mean())
    std = np.sqrt(np.maximum(square - mean**2, 0.0))
    if not std.mean() > 0:
        raise ValueError(f"the levels of {count} frames are all equal or not finite; is the audio silent?")
    return Statistics(mean.astype(np.float32), np.maximum(std, 0.1 * std.max()).astype(np.float32))


def statistics_from(values: dict[str, list[float]]) -> Statistics:
    """Statistics from the plain lists of a checkpoint's record."""
    return Statistics(*(np.asarray(values[name], np.float32) for name in Statistics._fields))


def _spread(weights: np.ndarray, bands: np.ndarray, iterations: int = 30) -> np.ndarray:
    """Power (batch, bin, frame) that the mel weights (band, bin) take to `bands` (batch, band, frame).

    Multiplicative updates of the Kullback-Leibler divergence (Lee & Seung 2000): quiet bands count in proportion, while
    least squares leave those far below the loudest unresolved.
    """
    tiny = np.finfo(np.float32).tiny
    power, total = weights.T @ bands, np.maximum(weights.sum(axis=0), tiny)[:, None]
    for _ in range(iterations):
        power = power * (weights.T @ (bands / np.maximum(weights @ power, tiny))) / total
    return power


def invert(
    spectrogram: Float[Array | np.ndarray, "batch bin frame"],
    audio_config: config.Audio,
    spectrogram_config: config.Spectrogram,
    statistics: Statistics,
    iterations: int = 32,
) -> Float[np.ndarray, "batch sample"]:
    """Audio whose spectrogram is close to the given one, for listening (Griffin & Lim 1984, as librosa's).

    Undoes what `compute` did, in reverse order. A level at the floor is silence, one that no clip can have (a decoder
    may answer anything) is 60 dB above full scale. Mel bands are spread over the frequency bins. After per-clip
    normalisation the level is that of `statistics`.
    """
    n_fft, full_scale = spectrogram_config.n_fft, _full_scale(audio_config.sample_rate, spectrogram_config)
    values = np.asarray(spectrogram) * statistics.std[None, :, None] + statistics.mean[None, :, None]
    if spectrogram_config.compression == "power":
        exponent = spectrogram_config.exponent / 2
        relative = np.clip(values, 0, _MOST**exponent) ** (1 / exponent)
    else:
        audible = values > spectrogram_config.floor_db
        relative = np.where(audible, 10 ** (np.minimum(values, 10 * np.log10(_MOST)) / 10), 0)
    power = np.asarray(relative * full_scale[None, :, None], np.float32)
    if spectrogram_config.scale == "mel":
        weights = _mel_weights(audio_config.sample_rate, n_fft, spectrogram_config.n_mels)
        power = _spread(weights, power)
    import librosa  # here, so that only listening needs it

    return librosa.griffinlim(
        np.sqrt(power),
        n_iter=iterations,
        hop_length=spectrogram_config.hop_length,
        win_length=spectrogram_config.window_length,
        n_fft=n_fft,
        pad_mode="reflect",
        length=audio_config.clip_samples,
        init=None,  # zero phases: deterministic, by a name that all versions of librosa share
    )
