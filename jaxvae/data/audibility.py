"""Whether an effect can be heard: how far the spectrum of a clip is from that of the clip before the effect.

Conventions
    wet and dry are (clip, sample) at one rate, row by row the same clip after and before the effect. Levels are dB of
    40 mel bands (about a critical band each) in frames of some 50 ms. What is heard of a difference depends neither on
    polarity nor, after normalisation, on gain, so one gain is taken away: the median of the differences. Levels further
    than 60 dB below the loudest of both clips count as so far below, and where both are, nothing is compared.

Figures
    log_spectral_distance  dB, root mean square over bands and frames (Gray & Markel 1976).
    audible                whether it reaches `INAUDIBLE_DB`.
"""

from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from jaxvae.effects import cores

INAUDIBLE_DB = 1.0
"""Log-spectral distance from which a difference counts as audible.

The least difference of level that listeners notice is .5 to 1 dB (Miller 1947 for noise; Jesteadt, Wier & Green 1977
for tones), and an average spectral distortion of 1 dB is what speech coding calls transparent (Paliwal & Atal 1993).
A mean over a clip can miss a short click; it is a criterion for figures, not a listening test.
"""

_BANDS = 40
_RANGE_DB = 60.0


def log_spectral_distance(
    wet: Float[np.ndarray, "clip sample"], dry: Float[np.ndarray, "clip sample"], sample_rate: int
) -> Float[np.ndarray, " clip"]:
    """Root-mean-square difference of the levels of wet and dry in dB, after the one gain that fits best.

    Raises:
        ValueError: a clip is silent or not finite.
    """
    return distance(levels(wet, sample_rate), levels(dry, sample_rate))


def levels(clips: Float[np.ndarray, "clip sample"], sample_rate: int) -> Float[np.ndarray, "clip band frame"]:
    """Levels relative to the loudest of each clip, in dB.

    Raises:
        ValueError: a clip is silent or not finite.
    """
    peak = np.abs(clips).max(axis=1)
    usable = np.isfinite(peak) & (peak > 0)
    if not usable.all():
        clip = int(np.argmin(usable))
        raise ValueError(f"clip {clip} is silent or not finite, with a peak of {peak[clip]}; leave it out")
    n_fft = 2 ** round(np.log2(0.05 * sample_rate))
    bands = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=_BANDS, norm=None)

    def level(audio: np.ndarray) -> np.ndarray:
        transform = librosa.stft(audio, n_fft=n_fft, hop_length=n_fft // 2)
        power = bands @ (transform.real**2 + transform.imag**2)
        return 10 * np.log10(np.maximum(power / power.max(), 1e-20))

    # A product is too small to share: threads of BLAS that wait for each other took twice as long as all the rest.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as threads:
        return np.stack(list(threads.map(level, clips)))


def distance(
    wet: Float[np.ndarray, "clip band frame"], dry: Float[np.ndarray, "clip band frame"]
) -> Float[np.ndarray, " clip"]:
    """`log_spectral_distance` of levels."""
    return np.array([_distance(*pair) for pair in zip(wet, dry, strict=True)])


def audible(
    wet: Float[np.ndarray, "clip sample"], dry: Float[np.ndarray, "clip sample"], sample_rate: int
) -> Bool[np.ndarray, " clip"]:
    """Whether wet and dry differ by at least `INAUDIBLE_DB`."""
    return log_spectral_distance(wet, dry, sample_rate) >= INAUDIBLE_DB


def _distance(wet: np.ndarray, dry: np.ndarray) -> float:
    shared = np.minimum(wet, dry) > -_RANGE_DB
    wet = wet - (np.median((wet - dry)[shared]) if shared.any() else 0.0)
    floor = max(wet.max(), dry.max()) - _RANGE_DB
    heard = np.maximum(wet, dry) > floor
    difference = np.maximum(wet, floor) - np.maximum(dry, floor)
    return float(np.sqrt(np.mean(difference[heard] ** 2, dtype=np.float64)))
