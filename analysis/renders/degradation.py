"""What happens to a sound after the effect, before anybody asks which it was."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from pedalboard.io import AudioFile

from jaxvae.data.audio import gain, to_float, to_int16
from jaxvae.effects import cores

NOISE_DBFS = -60.0
KBIT_PER_S = 128
LOW_RATE = 16_000
Clips = Float[np.ndarray, "clip sample"]


def sixteen_bits(clips: Clips, sample_rate: int) -> Clips:
    """Rounded to 16 bits, as a WAV file holds it."""
    return to_float(to_int16(clips))


def noise(clips: Clips, sample_rate: int) -> Clips:
    """With white noise of -60 dBFS (RMS), the same for clips that are the same."""
    rng = np.random.default_rng(0)
    return clips + np.float32(gain(NOISE_DBFS)) * rng.standard_normal(clips.shape, np.float32)


def mp3(clips: Clips, sample_rate: int) -> Clips:
    """Coded as MP3 at 128 kbit/s and decoded, as long as before."""

    def one(clip: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        with AudioFile(file, "w", sample_rate, 1, format="mp3", quality=str(KBIT_PER_S)) as coder:
            coder.write(clip)
        file.seek(0)
        decoded, _ = soundfile.read(file, dtype="float32")  # which leaves out the coder's delay
        return (
            np.resize(decoded, len(clip))
            if len(decoded) >= len(clip)
            else np.pad(decoded, (0, len(clip) - len(decoded)))
        )

    with ThreadPoolExecutor(cores()) as threads:
        return np.stack(list(threads.map(one, clips)))


def low_rate(clips: Clips, sample_rate: int) -> Clips:
    """Resampled to 16 kHz and back, so that nothing is left above 8 kHz; to half the rate where it is that already."""
    low = LOW_RATE if sample_rate > LOW_RATE else sample_rate / 2

    def one(clip: np.ndarray) -> np.ndarray:
        return _as_long(soxr.resample(soxr.resample(clip, sample_rate, low), low, sample_rate), clip)

    with ThreadPoolExecutor(cores()) as threads:
        return np.stack(list(threads.map(one, clips)))


def _as_long(samples: np.ndarray, clip: np.ndarray) -> np.ndarray:
    return np.pad(samples, (0, max(0, len(clip) - len(samples))))[: len(clip)]


DEGRADATIONS: dict[str, Callable[[Clips, int], Clips]] = {
    "16 bits": sixteen_bits,
    f"noise at {NOISE_DBFS:.0f} dBFS".replace("-", "−"): noise,
    f"MP3, {KBIT_PER_S} kbit/s": mp3,
    "16 kHz and back": low_rate,
}
