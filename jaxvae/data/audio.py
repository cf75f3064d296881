"""Audio files to mono waveforms, and the level and shape of a clip.

Conventions
    Audio is float32 in [-1, 1] (full scale), mono, its last axis is time. Levels in dBFS are levels of the peak,
    relative to full scale. Functions return copies.
"""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Float32, Int16

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif")


class AudioError(ValueError):
    """A recording, or a folder of recordings, that cannot be used; the message says why."""


def read(path: str | Path, sample_rate: int) -> Float32[np.ndarray, "sample"]:
    """Mono waveform of an audio file at `sample_rate` (Hz): the mean of its channels, resampled.

    Reads what libsndfile reads: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF; any rate, any number of channels.
    AudioError when the file is no audio, is damaged or empty, or holds NaN or infinity. A WAV or Ogg file that was cut
    off is read as far as it goes: libsndfile takes its length from what is there.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"no file at {path}")
    try:
        channels, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path} cannot be read as audio ({error})") from error
    if len(channels) == 0:
        raise AudioError(f"{path} holds no samples")
    mono = channels.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path} holds NaN or infinite samples")
    audio = soxr.resample(mono, file_rate, sample_rate) if file_rate != sample_rate else mono
    if len(audio) == 0:
        raise AudioError(f"{path} holds {len(mono)} samples at {file_rate} Hz, none at {sample_rate} Hz")
    return audio


def find(folder: str | Path) -> list[Path]:
    """Audio files below a folder, by extension, sorted by their path; hidden files and folders are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioError(f"no folder at {folder}")
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    visible = ((path.relative_to(folder), path) for path in paths)
    return [path for relative, path in sorted(visible) if not any(part.startswith(".") for part in relative.parts)]


def gain(level_db: float) -> float:
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
