"""Sounds that a page holds inside itself."""

import io

import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from analysis.pictures import style

_SMALL = 0.6  # libsndfile's measure of compression, which makes 45 kbit/s of music; its default makes 64


def address(samples: Float[np.ndarray, " sample"], sample_rate: int, small: bool = False) -> str:
    """An MP3, at one of the rates that the format has and every browser plays."""
    rate = 24_000 if sample_rate <= 24_000 else 48_000
    buffer = io.BytesIO()
    audio = np.clip(soxr.resample(samples, sample_rate, rate), -1, 1)
    soundfile.write(buffer, audio, rate, format="MP3", compression_level=_SMALL if small else None)
    return style.data_url(buffer.getvalue(), "audio/mpeg")
