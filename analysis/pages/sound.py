"""Sounds that a page holds inside itself."""

import io

import numpy as np
import pyloudnorm
import soundfile
import soxr
from jaxtyping import Float

from analysis.pictures import style
from jaxvae.data import audio

LOUDNESS_LUFS = -23.0  # EBU R 128
HIGHEST_DBTP = -1.0
_MARGIN_DB = 0.1  # four samples in the place of one underestimate a true peak
_BLOCK_SECONDS = 0.4  # of a block of BS.1770
_SMALL = 0.6  # libsndfile's measure of compression, which makes 45 kbit/s of music; its default makes 64


def address(samples: Float[np.ndarray, " sample"], sample_rate: int, small: bool = False) -> str:
    """An MP3, at one of the rates that the format has and every browser plays."""
    rate = 24_000 if sample_rate <= 24_000 else 48_000
    buffer = io.BytesIO()
    resampled = np.clip(soxr.resample(samples, sample_rate, rate), -1, 1)
    soundfile.write(buffer, resampled, rate, format="MP3", compression_level=_SMALL if small else None)
    return style.data_url(buffer.getvalue(), "audio/mpeg")


def lossless_address(samples: Float[np.ndarray, " sample"], sample_rate: int) -> str:
    """A FLAC of 16 bits at the very rate: neither a coder nor a delay comes between a listener and the samples."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return style.data_url(buffer.getvalue(), "audio/flac")


def equally_loud(sounds: Float[np.ndarray, "sound sample"], sample_rate: int) -> Float[np.ndarray, "sound sample"]:
    """Sounds at one integrated loudness (ITU-R BS.1770-4): -23 LUFS, or less, so that no true peak is above -1 dBTP.

    Raises:
        AudioError: one is silent or not finite.
        ValueError: they are shorter than the .4 s that loudness is measured over.
    """
    if sounds.shape[1] < _BLOCK_SECONDS * sample_rate:
        raise ValueError(
            f"sounds of {sounds.shape[1] / sample_rate:.2f} s have no loudness, which is of blocks of "
            f"{_BLOCK_SECONDS} s; use longer ones"
        )
    sounds = audio.set_peak(sounds.astype(np.float64), 0.0)
    meter = pyloudnorm.Meter(sample_rate)
    loudness = np.array([meter.integrated_loudness(sound) for sound in sounds])
    peaks = np.array([np.abs(soxr.resample(sound, sample_rate, 4 * sample_rate)).max() for sound in sounds])
    highest = loudness + HIGHEST_DBTP - _MARGIN_DB - 20 * np.log10(np.maximum(peaks, 1.0))
    wanted = min(LOUDNESS_LUFS, float(highest.min()))
    return sounds * audio.gain(wanted - loudness)[:, None]
