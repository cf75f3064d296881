"""Degradation: what happens to a sound after the effect, before anybody asks which it was.

Recordings in the world are rounded, noisy, coded, resampled and equalised. `draw` does some of that to a training clip,
at random; `DEGRADATIONS` are fixed ones, which figures are given for.
"""

import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.fft
import soundfile
import soxr
from jaxtyping import Float

from jaxvae.data.audio import gain, to_float, to_int16
from jaxvae.effects import cores

NOISE_DBFS = -60.0
KBIT_PER_S = 128
LOW_RATE = 16_000
EQUALISER_DB = 2.0
"""Standard deviation of an equaliser's gain at each octave."""

_SHARES = {"equalised": 0.4, "low_rate": 0.25, "noisy": 0.4, "coded": 0.35}  # of degraded clips; in this order
_NOISES_DBFS = (-90.0, -55.0)
_LOW_RATES = (0.35, 0.95)  # of the clip's own rate
_KBITS = (64, 96, 128, 160)  # frames of lower ones have no room for the tag that says the delay
_VORBIS_QUALITIES = (0.1, 0.9)  # of soundfile's compression level: the higher, the worse
_LOWEST_HZ, _OCTAVES = 40.0, 10
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

Clip = Float[np.ndarray, " sample"]
Clips = Float[np.ndarray, "clip sample"]


def draw(generator: np.random.Generator, clip: Clip, sample_rate: int) -> Clip:
    """A clip to which at random one or more of these happened: an equaliser, a lower rate, noise, a lossy coder."""
    happens: dict[str, bool] = {}
    while not any(happens.values()):
        happens = {name: generator.random() < share for name, share in _SHARES.items()}
    if happens["equalised"]:
        clip = equalised(clip, sample_rate, generator)
    if happens["low_rate"]:
        clip = resampled(clip, sample_rate, round(generator.uniform(*_LOW_RATES) * sample_rate))
    if happens["noisy"]:
        clip = noisy(clip, generator.uniform(*_NOISES_DBFS), generator)
    if happens["coded"]:
        if generator.random() < 0.5 and sample_rate in _MP3_RATES:
            clip = mp3(clip, sample_rate, int(generator.choice(_KBITS)))
        else:
            clip = vorbis(clip, sample_rate, generator.uniform(*_VORBIS_QUALITIES))
    return clip


def noisy(clip: Clip, level_dbfs: float, generator: np.random.Generator) -> Clip:
    """With white noise of that RMS."""
    return clip + np.float32(gain(level_dbfs)) * generator.standard_normal(clip.shape, np.float32)


def resampled(clip: Clip, sample_rate: int, low: int) -> Clip:
    """Resampled to a rate and back."""
    return _as_long(soxr.resample(soxr.resample(clip, sample_rate, low), low, sample_rate), clip)


def equalised(clip: Clip, sample_rate: int, generator: np.random.Generator) -> Clip:
    """Through a filter without delay, with a random gain at each octave and even between."""
    frequencies = np.maximum(np.fft.rfftfreq(len(clip), 1 / sample_rate), _LOWEST_HZ)
    gains_db = generator.normal(0.0, EQUALISER_DB, _OCTAVES)
    gains = gain(np.interp(np.log2(frequencies / _LOWEST_HZ), np.arange(_OCTAVES), gains_db)).astype(np.float32)
    return scipy.fft.irfft(scipy.fft.rfft(clip) * gains, len(clip)).astype(np.float32)


def mp3(clip: Clip, sample_rate: int, kbit_per_s: int) -> Clip:
    """Coded as MP3 and decoded, as long as before."""
    from pedalboard.io import AudioFile  # here, so that data sets are read without it

    file = io.BytesIO()
    with AudioFile(file, "w", sample_rate, 1, format="mp3", quality=str(kbit_per_s)) as coder:
        coder.write(clip)
    return _decoded(file, clip)


def vorbis(clip: Clip, sample_rate: int, compression: float) -> Clip:
    """Coded as Ogg Vorbis and decoded. The compression is from 0, the best quality, to 1."""
    file = io.BytesIO()
    soundfile.write(file, clip, sample_rate, format="OGG", subtype="VORBIS", compression_level=compression)
    return _decoded(file, clip)


def _decoded(file: io.BytesIO, clip: Clip) -> Clip:
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")  # which leaves out the coder's delay
    return _as_long(decoded, clip)


def _as_long(samples: Float[np.ndarray, " changed"], clip: Clip) -> Clip:
    return np.pad(samples, (0, max(0, len(clip) - len(samples))))[: len(clip)]


def _each(change: Callable[[Clip, int], Clip]) -> Callable[[Clips, int], Clips]:
    """The same of many clips."""

    def changed(clips: Clips, sample_rate: int) -> Clips:
        with ThreadPoolExecutor(cores()) as threads:
            return np.stack(list(threads.map(lambda clip: change(clip, sample_rate), clips)))

    return changed


DEGRADATIONS: dict[str, Callable[[Clips, int], Clips]] = {
    "16 bits": lambda clips, sample_rate: to_float(to_int16(clips)),
    f"noise at {NOISE_DBFS:.0f} dBFS".replace("-", "−"): _each(
        lambda clip, sample_rate: noisy(clip, NOISE_DBFS, np.random.default_rng(0))
    ),
    f"MP3, {KBIT_PER_S} kbit/s": _each(lambda clip, sample_rate: mp3(clip, sample_rate, KBIT_PER_S)),
    "16 kHz and back": _each(
        lambda clip, sample_rate: resampled(clip, sample_rate, LOW_RATE if sample_rate > LOW_RATE else sample_rate // 2)
    ),
    "a gentle equaliser": _each(
        lambda clip, sample_rate: equalised(clip, sample_rate, np.random.default_rng(zlib.crc32(clip.tobytes())))
    ),
}
"""By name; the same for clips that are the same."""
