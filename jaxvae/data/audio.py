"""The level and shape of a clip.

Conventions
    Audio is float32 in [-1, 1] (full scale), mono, its last axis is time. Levels in dBFS are levels of the peak,
    relative to full scale. Functions return copies.
"""

import numpy as np
from jaxtyping import Float, Float32, Int16

from jaxvae.data.audio_file import AudioError


def gain(level_db: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"] | float:
    """Amplitude ratio of a level in dB: 10 ** (level_db / 20)."""
    return 10.0 ** (level_db / 20)


def peak_dbfs(audio: Float[np.ndarray, "*clip sample"]) -> Float[np.ndarray, "*clip"]:
    """Peak level of each clip in dBFS; -inf for digital silence."""
    with np.errstate(divide="ignore"):
        return np.asarray(20 * np.log10(np.abs(audio).max(axis=-1)))


def set_peak(audio: Float[np.ndarray, "*clip sample"], level_dbfs: float) -> Float[np.ndarray, "*clip sample"]:
    """Each clip scaled so that its peak is `level_dbfs`. AudioError for a clip without one: silent or not finite."""
    peak = np.abs(audio).max(axis=-1, keepdims=True)
    if not (np.isfinite(peak) & (peak > 0)).all():
        raise AudioError("a silent or non-finite clip has no peak level to set; leave it out")
    return audio * (audio.dtype.type(gain(level_dbfs)) / peak)


def fade(audio: Float[np.ndarray, "*clip sample"], samples: int) -> Float[np.ndarray, "*clip sample"]:
    """Each clip with a raised-cosine fade-in and fade-out over so many samples."""
    if not 0 <= 2 * samples <= audio.shape[-1]:
        raise ValueError(f"two fades of {samples} samples do not fit into {audio.shape[-1]}; shorten data.fade_ms")
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / max(samples, 1))).astype(audio.dtype)
    faded = audio.copy()
    faded[..., :samples] *= ramp
    faded[..., audio.shape[-1] - samples :] *= ramp[::-1]
    return faded


def to_int16(audio: Float[np.ndarray, "*clip sample"]) -> Int16[np.ndarray, "*clip sample"]:
    """Audio as 16-bit integers, rounded; 1.0 is 32768, one step more than fits, so it becomes 32767."""
    return np.round(audio * 32_768).clip(-32_768, 32_767).astype(np.int16)


def to_float(audio: Int16[np.ndarray, "*clip sample"]) -> Float32[np.ndarray, "*clip sample"]:
    """The inverse of `to_int16`, exact."""
    return audio.astype(np.float32) / np.float32(32_768)
