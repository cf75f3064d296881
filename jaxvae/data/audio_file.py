"""Audio files, read block by block into one channel at one rate, so that neither length nor header takes memory.

Conventions
    A file is mono by the mean of its channels, or, where these cancel, by the loudest of them.
    Whatever goes wrong while a file is read is an AudioError that names the file and the reason.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from jaxtyping import Float32

from jaxvae.data import mp3

EXTENSIONS = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc"),
    *(".w64", ".rf64", ".caf", ".au", ".snd"),
)
UNREADABLE = (
    *(".m4a", ".m4b", ".mp4", ".aac", ".alac", ".wma", ".ape", ".wv", ".mka", ".webm", ".dsf", ".dff", ".ac3"),
    *(".mp2", ".mpc", ".tta", ".ra", ".amr"),
)
"""Of audio that libsndfile does not read."""
LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000
"""A header that claims another rate is taken for damaged."""
_UNKNOWN = 2**62  # samples from which on libsndfile means that it does not know
_BLOCK_SAMPLES = 2**18  # of all channels together: 1 MB
_CANCEL = 0.01  # power of the mean over that of the channels: 20 dB lost, where unlike channels lose 3
_CUT_SHARE = 0.99  # encoders round lengths up to whole frames


class AudioError(ValueError):
    """A recording, or a folder of recordings, that cannot be used; the message says why."""


class _Forward(soundfile.SoundFile):
    """Read from the beginning to the end whatever length the header claims, or claims not to know."""

    def seekable(self) -> bool:
        return False


class Header(NamedTuple):
    """What a file says of itself."""

    sample_rate: int
    """Hz."""
    samples: int | None
    """Of a channel; None where it does not say."""
    channels: int


def header(path: Path) -> Header:
    """What a file says of itself. AudioError when the file cannot be read."""
    with _opened(path) as file:
        return Header(file.samplerate, file.frames if 0 < file.frames < _UNKNOWN else None, file.channels)


class Reading:
    """One reading of a file: mono blocks at a rate in Hz, its own unless one is given, and what is known after it."""

    def __init__(self, path: Path, sample_rate: int | None = None, channel: int | None = None) -> None:
        self.path, self.sample_rate, self._channel = path, sample_rate, channel
        self.cut: str | None = None
        """How much is missing of what the header says."""
        self.loudest: int | None = None
        """The loudest channel, where the channels cancel."""

    def __iter__(self) -> Iterator[Float32[np.ndarray, "sample"]]:
        """Blocks, none of them empty. AudioError when the file cannot be used."""
        with _opened(self.path) as file:
            wanted = file.samplerate if self.sample_rate is None else self.sample_rate
            count = written = 0
            powers, mean_power = np.zeros(file.channels), 0.0
            resampler = soxr.ResampleStream(file.samplerate, wanted, 1, dtype="float32")
            while len(block := file.read(max(1, _BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True)):
                mono = block.mean(axis=1) if self._channel is None else block[:, self._channel].copy()
                if not np.isfinite(mono).all():
                    raise AudioError(f"{self.path} holds NaN or infinite samples")
                count += len(block)
                powers += np.square(block, dtype=np.float64).sum(axis=0)
                mean_power += float(np.square(mono, dtype=np.float64).sum())
                resampled = mono if file.samplerate == wanted else resampler.resample_chunk(mono)
                written += len(resampled)
                if len(resampled):
                    yield resampled
            if count == 0:
                raise AudioError(f"{self.path} holds no samples")
            if file.samplerate != wanted:
                rest = resampler.resample_chunk(np.empty(0, np.float32), last=True)
                written += len(rest)
                if len(rest):
                    yield rest
            if written == 0:
                raise AudioError(f"{self.path} holds {count} samples at {file.samplerate} Hz, none at {wanted} Hz")
            self._conclude(count, file.samplerate, file.frames, powers, mean_power)

    def _conclude(self, count: int, rate: int, frames: int, powers: np.ndarray, mean_power: float) -> None:
        claimed = _riff_frames(self.path) or (frames if frames < _UNKNOWN else 0)
        if count < _CUT_SHARE * claimed:
            self.cut = f"cut: {count / rate:.2f} s of the {claimed / rate:.2f} s that its header says are there"
        if mean_power < _CANCEL * powers.mean() and self._channel is None:
            self.loudest = int(powers.argmax())


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A file to be read from its beginning. AudioError for whatever goes wrong until the block ends."""
    try:
        if path.is_dir():
            raise AudioError(f"{path} is a folder; name a file in it")
        if not path.is_file():
            raise AudioError(f"no file at {path}")
        source = mp3.with_length(path) if path.suffix.lower() == ".mp3" else None
        with _Forward(source or os.fsencode(path)) as file:
            if not LOWEST_HZ <= file.samplerate <= HIGHEST_HZ:
                rates = f"rates of {LOWEST_HZ:,} to {HIGHEST_HZ:,} Hz are read"
                raise AudioError(f"{path} claims {file.samplerate:,} Hz; {rates}")
            yield file
    except AudioError:
        raise
    except Exception as error:  # of a damaged file, the libraries raise whatever they stumble over
        reason = str(error).rpartition(": ")[2].strip(". ") or type(error).__name__
        kinds = ", ".join(extension.removeprefix(".") for extension in EXTENSIONS)
        raise AudioError(
            f"{path} cannot be read as audio ({reason}); files of {kinds} can, and others once converted, such as by: "
            f"ffmpeg -i {path.name} {path.stem}.wav"
        ) from error


def read(path: str | Path, sample_rate: int) -> Float32[np.ndarray, "sample"]:
    """Mono waveform of an audio file at `sample_rate` (Hz), resampled.

    Reads what libsndfile reads: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, CAF; any rate, any number of channels.
    AudioError when the file is no audio, is damaged or empty, or holds NaN or infinity. A WAV or Ogg file that was cut
    off is read as far as it goes.
    """
    reading = Reading(Path(path), sample_rate)
    blocks = list(reading)
    if reading.loudest is not None:
        blocks = list(Reading(Path(path), sample_rate, reading.loudest))
    return np.concatenate(blocks)


def channels(path: Path) -> Iterator[Float32[np.ndarray, "channel sample"]]:
    """Blocks of all channels of an audio file, none of them empty.

    AudioError when the file is no audio, is damaged or empty, or holds NaN or infinity.
    """
    with _opened(path) as file:
        count = 0
        while len(block := file.read(max(1, _BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True)):
            if not np.isfinite(block).all():
                raise AudioError(f"{path} holds NaN or infinite samples")
            count += len(block)
            yield np.ascontiguousarray(block.T)
        if not count:
            raise AudioError(f"{path} holds no samples")


def _riff_frames(path: Path) -> int:
    """Samples of a channel that the header of a WAV file claims, of which libsndfile tells those that are there; 0
    where it claims nothing, or is of another kind."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"RIFF", b"RF64"):
            return 0
        file.seek(12)
        block = 0
        while len(header := file.read(8)) == 8:
            name, size = header[:4], int.from_bytes(header[4:], "little")
            if name == b"fmt ":
                block = int.from_bytes(file.read(14)[12:], "little")
                size = max(size - 14, 0)
            if name == b"data":
                return size // block if block and size < 2**32 - 2**16 else 0  # the rest means unknown
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0
