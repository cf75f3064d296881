"""A recording through an effect, block by block, so that its length takes no memory.

Conventions
    A recording enters an effect at the level of training. What comes out is brought to the power of the recording, and
    below full scale; both are known only at its end, so that it has to be gone through twice.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from jaxvae import atomic_file, effects
from jaxvae.data.audio import gain
from jaxvae.data.waveform import Recording
from jaxvae.effects import Effect

HIGHEST_DBFS = -1.0
"""Peak that an answer does not exceed."""

Blocks = Iterator[Float[np.ndarray, "channel sample"]]


class Levelled(NamedTuple):
    """By what a render is amplified to have the power of its recording, and what it is short of that, in dB."""

    gain: float
    short_db: float


class Render:
    """A recording through an effect at settings, or as it is, where the effect is None."""

    def __init__(
        self,
        kind: Effect | None,
        settings: Mapping[str, float],
        recording: Recording,
        input_gain_db: float,
        sample_rate: float | int,
    ) -> None:
        self._kind, self._settings, self._recording = kind, settings, recording
        self._gain, self._rate = np.float32(gain(input_gain_db)), sample_rate
        self._dry = self._wet = self._peak = 0.0

    def blocks(self) -> Blocks:
        """As the effect gives it, as long as the recording. What `levelled` tells is measured on the way.

        EffectError where a sample is not finite.
        """
        self._dry = self._wet = self._peak = 0.0
        for block in self._fitted(self._through()):
            if not np.isfinite(block).all():
                raise self._unusable()
            self._wet += float(np.square(block, dtype=np.float64).sum())
            self._peak = max(self._peak, float(np.abs(block).max()))
            yield block

    def levelled(self, wanted: float | None = None) -> Levelled:
        """After all blocks: to the power of the recording, or by a gain that is wanted. EffectError where they were
        silent."""
        if self._kind is None:
            return Levelled(1.0, 0.0)
        if not self._wet:
            raise self._unusable()
        wanted = (self._dry / self._wet) ** 0.5 if wanted is None else wanted
        highest = float(gain(HIGHEST_DBFS)) / self._peak
        return Levelled(min(wanted, highest), max(0.0, 20 * np.log10(wanted / highest)))

    def audio(self) -> tuple[Float[np.ndarray, "channel sample"], float]:
        """The whole, at its level, and what it is short of the recording's in dB."""
        whole = np.concatenate(list(self.blocks()), axis=1)
        found = self.levelled()
        return (whole * np.float32(found.gain)).astype(np.float32), found.short_db

    def write(self, path: Path, progress: Callable[[int], object] | None = None, wanted: float | None = None) -> float:
        """A file of the whole, whose format its name tells; what it is short of the recording's level in dB.

        What lies in memory is a block. The folder holds the samples of the render until it is written. `progress` is
        called with the samples of a channel that are rendered. `wanted` is a gain to take the place of that level.

        Raises:
            EffectError: the effect gives nothing that can be used.
            OSError: the folder cannot be written or is full; the file is then as it was.
        """
        recording, kind = self._recording, path.suffix.removeprefix(".").upper()
        size = 4 * recording.channels * recording.samples
        with atomic_file.write(path, size) as file, tempfile.TemporaryFile(dir=path.parent) as spool:
            done = 0
            for block in self.blocks():
                spool.write(np.ascontiguousarray(block.T))
                done += block.shape[1]
                if progress is not None:
                    progress(done)
            found = self.levelled(wanted)
            spool.seek(0)
            subtype = "PCM_24" if "PCM_24" in soundfile.available_subtypes(kind) else None
            rate, width = int(recording.sample_rate), recording.channels
            try:
                with soundfile.SoundFile(file, "w", rate, width, subtype, format=kind) as out:
                    while content := spool.read(4 * width * effects.BLOCK_SAMPLES):
                        out.write(np.frombuffer(content, np.float32).reshape(-1, width) * np.float32(found.gain))
            except soundfile.LibsndfileError as error:
                raise OSError(
                    None, f"libsndfile cannot write {width} channels at {rate} Hz as {kind} ({error})"
                ) from error
        return found.short_db

    def _through(self) -> Blocks:
        rate, recording = self._rate, self._recording
        if self._kind is None:
            yield from recording.blocks()
            return
        dry = self._levels(recording.blocks())
        other = rate != recording.sample_rate
        dry = _resampled(dry, recording.sample_rate, rate, recording.channels) if other else dry
        wet = self._rendered(dry, self._kind)
        yield from _resampled(wet, rate, recording.sample_rate, recording.channels) if other else wet

    def _levels(self, blocks: Iterable[np.ndarray]) -> Blocks:
        """At the level of training."""
        for block in blocks:
            self._dry += float(np.square(block, dtype=np.float64).sum())
            yield (block * self._gain).astype(np.float32)

    def _rendered(self, blocks: Iterable[np.ndarray], kind: Effect) -> Blocks:
        """Channel by channel, on all cores; in one piece, where the effect cannot go on from block to block."""
        settings, rate, width = self._settings, int(self._rate), self._recording.channels
        with ThreadPoolExecutor(effects.cores()) as threads, contextlib.ExitStack() as stack:
            if kind.open is None:
                whole = np.concatenate(list(blocks), axis=1)
                yield np.stack(list(threads.map(lambda channel: kind.render(channel, settings, rate), whole)))
                return
            renders = [stack.enter_context(kind.opened(settings, rate)) for _ in range(width)]
            for block in _of_length(blocks, effects.BLOCK_SAMPLES):
                yield np.stack(list(threads.map(lambda render, channel: render(channel), renders, block)))

    def _fitted(self, blocks: Iterable[np.ndarray]) -> Blocks:
        """Cut, or filled with silence, where two changes of the rate do not give the same length."""
        left = self._recording.samples
        for block in blocks:
            if left and block.shape[1]:
                yield block[:, :left]
                left -= min(left, block.shape[1])
        if left:
            yield np.zeros((self._recording.channels, left), np.float32)

    def _unusable(self) -> effects.EffectError:
        name = "" if self._kind is None else self._kind.name
        return effects.EffectError(f"{name} at {dict(self._settings)} gives nothing that can be used of this recording")


def _resampled(blocks: Iterable[np.ndarray], rate: float | int, wanted: float | int, channels: int) -> Blocks:
    stream = soxr.ResampleStream(rate, wanted, channels, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block.T)).reshape(-1, channels).T
    yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).reshape(-1, channels).T


def _of_length(blocks: Iterable[np.ndarray], length: int) -> Blocks:
    """The same in blocks of one length, but for the last."""
    rest: list[np.ndarray] = []
    for block in blocks:
        rest.append(block)
        if sum(piece.shape[1] for piece in rest) < length:
            continue
        joined = np.concatenate(rest, axis=1)
        whole = joined.shape[1] // length * length
        yield from (joined[:, first : first + length] for first in range(0, whole, length))
        rest = [joined[:, whole:]]
    if rest and (last := np.concatenate(rest, axis=1)).shape[1]:
        yield last
