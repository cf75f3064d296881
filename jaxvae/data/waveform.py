"""Audio as people have it, files and arrays of any rate and form, on its way to clips of one length.

Conventions
    An array is one of
        (sample,)                   one mono recording
        (clip, channel, sample)     recordings of one length, of 1 to 32 channels
        (clip, sample)              mono recordings, from nine on: fewer rows may as well be channels
        [(sample,), ...]            a list of mono recordings of any lengths
    and what could be two of them is refused. Soundfile gives (sample, channel): `audio.mean(axis=1)` is mono.
    Floats may have any scale; integers are scaled to it, unsigned ones around their middle. Channels are averaged.
    Audio without a peak of `LEAST_PEAK` is silent.
"""

import functools
import math
import numbers
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
from jaxtyping import Float32

from jaxvae.data import audio_file
from jaxvae.data.audio_file import HIGHEST_HZ, LOWEST_HZ, AudioError, Reading

LEAST_PEAK, LARGEST_PEAK = 1e-10, 1e10
MOST_CHANNELS = 32
"""An axis as short as this is one of channels, not of samples."""
FEWEST_ROWS = 9
"""Rows of a two-dimensional array that are clips and no channels: eight are those of surround sound."""

_BLOCK = 2**16  # samples read at once


class Track(NamedTuple):
    """One mono recording, which is read block by block and may be read again."""

    blocks: Any
    """() -> blocks (sample,), float32."""
    sample_rate: float
    samples: int
    """As many as there are, or as the header of a file claims."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.sample_rate


class Recording(NamedTuple):
    """All channels of one recording, which are read block by block and may be read again."""

    blocks: Any
    """() -> blocks (channel, sample), float32."""
    sample_rate: float
    channels: int
    samples: int
    """Of a channel: as many as there are."""

    def mono(self) -> Track:
        """The mean of the channels."""
        return Track(lambda: (block.mean(axis=0) for block in self.blocks()), self.sample_rate, self.samples)


def require_rate(sample_rate: Any) -> float:
    """The rate in Hz.

    Raises:
        ValueError: it is no number, or none of a recording.
    """
    if isinstance(sample_rate, bool | np.bool_) or not isinstance(sample_rate, numbers.Real):
        raise ValueError(f"sample_rate is {sample_rate!r}; use a number of Hz, such as 44_100")
    if not LOWEST_HZ <= sample_rate <= HIGHEST_HZ:  # NaN too
        raise ValueError(f"sample_rate is {sample_rate} Hz; use {LOWEST_HZ:,} to {HIGHEST_HZ:,} Hz")
    return float(sample_rate)


def tracks(audio: Any, sample_rate: Any, name: str = "audio") -> list[Track]:
    """The recordings of an array (see the conventions above). `name` is what messages call it.

    Raises:
        ValueError: it is no audio, or could be understood in two ways, or is not finite.
    """
    rate = require_rate(sample_rate)
    if isinstance(audio, list | tuple) and len(audio) and all(np.ndim(_array(clip, name)) == 1 for clip in audio[:1]):
        clips = [_row(clip, f"{name}[{index}]") for index, clip in enumerate(audio)]
    else:
        clips = list(_clips(_array(audio, name), name))
    return [_of_array(clip, rate) for clip in clips]


def _row(clip: Any, name: str) -> Float32[np.ndarray, " sample"]:
    """An element of a list."""
    array = _array(clip, name)
    if array.ndim != 1 or len(array) <= MOST_CHANNELS:
        raise ValueError(
            f"{name} has shape {array.shape}; use one-dimensional arrays of more than {MOST_CHANNELS} samples in a list"
        )
    return _scaled(array, name)


def _array(audio: Any, name: str) -> np.ndarray:
    """An array of numbers."""
    if isinstance(audio, str | Path | bytes):
        raise ValueError(f"{name} is {audio!r}; read a file first: audio, sample_rate = jaxvae.read_audio(path)")
    try:
        array = np.asarray(audio)
    except ValueError as error:  # of rows of unequal length
        raise ValueError(f"{name} is no array ({error}); use a list of one-dimensional arrays for clips") from error
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} is of dtype {array.dtype}; use floats, or integers as a file has them")
    return array


def _clips(array: np.ndarray, name: str) -> Iterable[np.ndarray]:
    """Mono clips of an array."""
    shape = array.shape
    if array.ndim not in (1, 2, 3) or 0 in shape:
        raise ValueError(
            f"{name} has shape {shape}; use (sample,), (clip, channel, sample) or a list of (sample,), none of them 0"
        )
    if array.ndim == 1:
        return [_scaled(array, name)]
    if shape[-1] <= MOST_CHANNELS:
        mono = f"{name}.mean(axis=1)" if array.ndim == 2 else f"{name}.swapaxes(1, 2)"
        raise ValueError(
            f"{name} has shape {shape}, whose last axis is too short for samples (more than {MOST_CHANNELS}); if it is "
            f"(…, sample, channel), use {mono}"
        )
    if array.ndim == 2:
        if 1 < shape[0] < FEWEST_ROWS:
            raise ValueError(
                f"{name} has shape {shape}, which may be {shape[0]} channels or {shape[0]} clips; use "
                f"{name}.mean(axis=0) for one recording of {shape[0]} channels, {name}[:, None] for {shape[0]} clips"
            )
        return _scaled(array, name)
    if shape[1] > MOST_CHANNELS:
        raise ValueError(
            f"{name} has shape {shape} of {shape[1]} channels; use (clip, channel, sample) with at most {MOST_CHANNELS}"
        )
    return _scaled(array, name).mean(axis=1)


def _scaled(array: np.ndarray, name: str) -> Float32[np.ndarray, "..."]:
    """As floats; integers in [-1, 1]."""
    if not array.size:
        raise ValueError(f"{name} has shape {array.shape}; use at least one sample")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            wrong = int(np.count_nonzero(~np.isfinite(array)))
            raise ValueError(f"{name} has {wrong} samples that are not finite; mend or drop them")
        peak = np.abs(array).max()
        if peak > LARGEST_PEAK:
            raise ValueError(f"{name} has a peak of {peak:.3g}; scale it to {LARGEST_PEAK:g} or less, full scale is 1")
        return array.astype(np.float32)
    half = 2.0 ** (8 * array.dtype.itemsize - 1)
    middle = half if array.dtype.kind == "u" else 0.0
    return ((array.astype(np.float64) - middle) / half).astype(np.float32)


def numbers_of(audio: Any, name: str) -> Float32[np.ndarray, "..."]:
    """Audio of any form as floats; integers in [-1, 1].

    Raises:
        ValueError: it is no array of numbers, empty, not finite or far beyond full scale.
    """
    return _scaled(_array(audio, name), name)


def recording(audio: Any, sample_rate: Any, name: str = "audio") -> Recording:
    """The channels of an array (sample,) or (channel, sample). `name` is what messages call it.

    Raises:
        ValueError: it is no audio, or of another shape, or not finite.
    """
    rate, numbers = require_rate(sample_rate), numbers_of(audio, name)
    shape = numbers.shape
    if len(shape) == 2 and not 1 <= shape[0] <= MOST_CHANNELS < shape[1]:
        raise ValueError(
            f"{name} has shape {shape}; use (sample,) or (channel, sample) with at most {MOST_CHANNELS} "
            "channels: soundfile's (sample, channel) is audio.T"
        )
    if len(shape) not in (1, 2):
        raise ValueError(f"{name} has shape {shape}; use (sample,) or (channel, sample)")
    rows = numbers.reshape(-1, shape[-1])

    def blocks() -> Iterator[np.ndarray]:
        return (rows[:, first : first + _BLOCK] for first in range(0, rows.shape[1], _BLOCK))

    return Recording(blocks, rate, *rows.shape)


def recording_of_file(path: str | Path) -> Recording:
    """The channels of a file, which are counted by reading it once: a header may claim what is not there.

    AudioError as `of_file`, but for channels that cancel.
    """
    path = Path(path)
    header = audio_file.header(path)
    samples = sum(block.shape[1] for block in audio_file.channels(path))
    return Recording(functools.partial(audio_file.channels, path), float(header.sample_rate), header.channels, samples)


def _of_array(clip: Float32[np.ndarray, " sample"], rate: float) -> Track:
    def blocks() -> Iterator[np.ndarray]:
        return (clip[first : first + _BLOCK] for first in range(0, len(clip), _BLOCK))

    return Track(blocks, rate, len(clip))


def of_file(path: str | Path) -> Track:
    """The recording in a file, whose channels are averaged while it is read.

    What is read raises AudioError, as does this, where the file is missing, no audio, empty or damaged, holds NaN or
    infinity, or channels that cancel.
    """
    path = Path(path)
    header = audio_file.header(path)

    def blocks() -> Iterator[np.ndarray]:
        reading = Reading(path)
        yield from reading
        if reading.loudest is not None:
            raise AudioError(f"{path} is silent in mono: its channels cancel; write one of them to a file of its own")

    samples = header.samples  # a pipe does not know what is still to come
    return Track(blocks, float(header.sample_rate), sum(map(len, Reading(path))) if samples is None else samples)


def resampled(track: Track, sample_rate: float | int) -> Iterator[Float32[np.ndarray, " sample"]]:
    """The blocks of a recording at another rate."""
    if track.sample_rate == sample_rate:
        yield from track.blocks()
        return
    stream = soxr.ResampleStream(track.sample_rate, sample_rate, 1, dtype="float32")
    for block in track.blocks():
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def windows(track: Track, sample_rate: int, length: int) -> Iterator[Float32[np.ndarray, " sample"]]:
    """Pieces of `length` samples at `sample_rate`, one after the other; what is left at the end is too short for one.

    A recording that is shorter than one is repeated until it fills it.
    """
    rest, count = np.zeros(0, np.float32), 0
    for block in resampled(track, sample_rate):
        rest = np.concatenate([rest, block])
        for first in range(0, len(rest) - length + 1, length):
            yield rest[first : first + length]
            count += 1
        rest = rest[len(rest) // length * length :]
    if not count and len(rest):
        yield np.resize(rest, length)


def repetitions(track: Track, sample_rate: int, length: int) -> int:
    """How often `windows` plays a recording to fill a window; 1 for one that is long enough."""
    return math.ceil(length / max(1.0, track.seconds * sample_rate) - 1e-6)


def shortened(track: Track, seconds: float) -> Track:
    """The beginning of a recording."""
    samples = round(seconds * track.sample_rate)

    def blocks() -> Iterator[np.ndarray]:
        left = samples
        for block in track.blocks():
            if left <= 0:
                return
            yield block[:left]
            left -= len(block)

    return Track(blocks, track.sample_rate, min(samples, track.samples))


def read(path: str | Path, sample_rate: Any = None) -> tuple[Float32[np.ndarray, " sample"], int]:
    """Mono audio of a file of any rate and number of channels, and its rate in Hz: that of the file, or as asked for.

    Raises:
        AudioError, a ValueError: the file is missing, no audio, empty or damaged, or holds what is no number.
        ValueError: `sample_rate` is no rate.
    """
    if sample_rate is not None:
        sample_rate = require_rate(sample_rate)
    track = of_file(path)
    rate = track.sample_rate if sample_rate is None else sample_rate
    audio = np.concatenate(list(resampled(track, rate)))
    if not len(audio):
        raise AudioError(f"{path} holds {track.samples} samples at {track.sample_rate} Hz, none at {rate} Hz")
    return audio, int(rate)
