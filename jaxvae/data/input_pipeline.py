"""Clips of a split on their way to a training step.

What travels at every step depends on what fits. Spectrograms are computed once and stay on the device where they take
little memory (a mel spectrogram has an eighth of its clip's samples, and computing one takes a CPU as long as a third
of a small network's step); a file beside the clips keeps them for the next run. Else the audio stays on the device if
its memory is known and large enough. Else spectrograms are read ahead from the file, which the system keeps in memory
as far as there is some, and travel batch by batch; where the disk has no room for the file, audio does.
"""

import dataclasses
import functools
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, Float16, Float32, Int, Int16, Int32
from tqdm import tqdm

from jaxvae import block, devices, spectrogram
from jaxvae.config import Experiment
from jaxvae.data import order
from jaxvae.data.dataset import Split
from jaxvae.data.storage import Folder
from jaxvae.spectrogram import Statistics

SPECTROGRAM_BYTES = 2 * 2**30
_CHUNK_CLIPS = 64
_FORMAT = 1  # of kept spectrograms: another number makes them all anew


class Pool(NamedTuple):
    """All clips of a split on every device, as spectrograms or as audio.

    Spectrograms are rounded to float16: within 4 standard deviations by less than 0.001 of one, some 0.02 dB.
    """

    wet: Float16[Array, "clip bin frame"] | Int16[Array, "clip sample"]
    dry: Float16[Array, "content bin frame"] | Int16[Array, "content sample"]
    """Of each content, at the peak of wet clips."""
    effect: Int32[Array, "clip"]
    normalized: Float32[Array, "clip parameter"]


class Examples(NamedTuple):
    """What a training step sees of a batch, in whole blocks (see `jaxvae.block`)."""

    wet: Float[Array, "batch bin frame"]
    dry: Float[Array, "batch bin frame"]
    """Before the effect, at the peak of wet clips, normalised by the same statistics."""
    effect: Int32[Array, "batch"]
    normalized: Float32[Array, "batch parameter"]
    """In the order of the effect's parameters, then NaN."""


class InputPipeline:
    """The clips of one split as spectrograms, whichever way they travel."""

    def __init__(self, split: Split, experiment: Experiment, statistics: Statistics, mesh: Mesh) -> None:
        self._split, self._experiment, self._statistics, self._mesh = split, experiment, statistics, mesh
        self.pool = self._pool()
        """None when batches travel one by one."""
        self._file = self._kept() if self.pool is None else None

    def _pool(self) -> Pool | None:
        split, experiment, local = self._split, self._experiment, self._mesh.local_devices
        contents = block.content_of(split.clips)
        size = 2 * (split.clips + contents)  # bytes of each pixel, and of each sample
        of_spectrograms, of_audio = size * experiment.bins * experiment.frames, size * experiment.audio.clip_samples
        if of_spectrograms <= SPECTROGRAM_BYTES or resident(of_spectrograms, local):
            wet, dry = self._spectrograms()
        elif resident(of_audio, local):
            audio = split.audio(np.arange(split.clips)), split.contents(np.arange(contents))
            wet, dry = devices.place(audio, self._mesh, devices.SHARED)
        else:
            return None
        return Pool(wet, dry, *devices.place((split.effect, split.normalized), self._mesh, devices.SHARED))

    def _spectrograms(self) -> tuple[jax.Array, jax.Array]:
        """Those of all clips and of all contents, kept in the data set's folder where it has room for them."""
        clips = self._split.clips
        if (kept := self._read()) is not None:
            return devices.place((kept[:clips], kept[clips:]), self._mesh, devices.SHARED)
        with tqdm(total=self._shape[0], unit="clip", desc="spectrograms") as bar:
            wet = self._all_spectrograms(self._split.audio, clips, bar)
            dry = self._all_spectrograms(self._split.contents, self._shape[0] - clips, bar)
        if jax.process_index() == 0 and self._has_room():
            self._write(np.asarray(part.addressable_data(0)) for part in (wet, dry))
        return wet, dry

    def _kept(self) -> Pool | None:
        """Those of all clips in their file, memory-mapped; made a chunk at a time; None where the disk has no room."""
        kept, clips = self._read(), self._split.clips
        if kept is None:
            if not self._has_room():
                warnings.warn(
                    f"{self._split.folder} has no room for {self._bytes:,} bytes of spectrograms, so audio is read and "
                    "transformed at every step, which takes about twice as long; make room, or use another "
                    "data.directory",
                    stacklevel=4,
                )
                return None
            if jax.process_index() == 0:
                self._write(self._made())
            devices.wait_for_all_hosts("spectrograms")
            kept = self._read()
            if kept is None:  # a host that does not share the disk of the first
                self._write(self._made())
                kept = self._read()
        return Pool(kept[:clips], kept[clips:], self._split.effect, self._split.normalized)

    def _made(self) -> Iterator[np.ndarray]:
        """Those of all clips, then of all contents, a chunk at a time."""
        compute = jax.jit(lambda audio: self._compute(audio).astype(jnp.float16))
        clips, total = self._split.clips, self._shape[0]
        with tqdm(total=total, unit="clip", desc="spectrograms") as bar:
            for read, count in ((self._split.audio, clips), (self._split.contents, total - clips)):
                chunk = min(_CHUNK_CLIPS, count)
                for first in range(0, count, chunk):
                    start = min(first, count - chunk)  # one shape: the last chunk begins within the one before
                    yield np.asarray(compute(read(np.arange(start, start + chunk))))[first - start :]
                    bar.update(min(chunk, count - first))

    @functools.cached_property
    def _name(self) -> str:
        """Of the file that keeps them."""
        made_by = [_FORMAT, dataclasses.asdict(self._experiment.spectrogram), [x.tolist() for x in self._statistics]]
        digest = hashlib.blake2b(json.dumps(made_by).encode(), digest_size=8).hexdigest()
        return f"spectrograms-{self._split.name}-{digest}.npy"

    @property
    def _shape(self) -> tuple[int, int, int]:
        clips = self._split.clips
        return clips + block.content_of(clips), self._experiment.bins, self._experiment.frames

    @property
    def _bytes(self) -> int:
        return 2 * math.prod(self._shape)

    def _has_room(self) -> bool:
        free = self._split.folder.free()
        return free is None or self._bytes < free

    def _write(self, parts: Iterable[Float16[np.ndarray, "clip bin frame"]]) -> None:
        header = {"descr": "<f2", "fortran_order": False, "shape": self._shape}
        with self._split.folder.write(self._name, self._bytes) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part).data)

    def _read(self) -> Float16[np.ndarray, "clip bin frame"] | None:
        return _read(self._split.folder, self._name, self._shape)

    def _all_spectrograms(self, read: Callable[[np.ndarray], np.ndarray], clips: int, bar: tqdm) -> jax.Array:
        """Those of all clips that `read` gives, filled in place: memory holds them and a chunk of audio, no more."""

        def fill(pool: jax.Array, first: jax.Array, audio: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice_in_dim(pool, self._compute(audio).astype(pool.dtype), first, axis=0)

        shape = (clips, self._experiment.bins, self._experiment.frames)
        shared = NamedSharding(self._mesh, devices.SHARED)
        pool = jax.jit(functools.partial(jnp.zeros, shape, jnp.float16), out_shardings=shared)()
        fill = jax.jit(fill, donate_argnums=0)
        chunk = min(_CHUNK_CLIPS, clips)
        for first in range(0, clips, chunk):
            start = min(first, clips - chunk)  # one shape: the last chunk begins within the one before
            audio = read(np.arange(start, start + chunk))
            pool = fill(pool, *devices.place((np.int32(start), audio), self._mesh, devices.SHARED))
            bar.update(min(chunk, clips - first))
        return pool

    def _compute(self, audio: jax.Array) -> jax.Array:
        return spectrogram.compute(audio, self._experiment.audio, self._experiment.spectrogram, self._statistics)

    def batch(self, indices: Int[np.ndarray, "batch"]) -> Any:
        """What `examples` takes for these clips, which are whole blocks: indices into the pool, or the clips."""
        if self.pool is not None:
            return indices
        return order.batch(self._split, indices) if self._file is None else _take(self._file, indices)

    def batches(self, seed: int, first_step: int, last_step: int, batch_size: int) -> Iterator[Any]:
        """`batch` of each training step from `first_step` to before `last_step`."""
        if self.pool is None:
            yield from order.prefetch(self.batch, self._split, seed, first_step, last_step, batch_size)
        else:
            for step in range(first_step, last_step):
                yield order.indices(self._split, seed, step, batch_size)

    def examples(self, pool: Pool | None, batch: Any) -> Examples:
        """Examples of a batch. Pure, for use inside a compiled step, which takes `pool` as an argument."""
        wet, dry, effect, normalized = batch if pool is None else _take(pool, batch)
        # A content, once computed, serves all clips that are made of it.
        return Examples(self._normalise(wet), block.for_each_clip(self._normalise(dry)), effect, normalized)

    def _normalise(self, clips: jax.Array) -> jax.Array:
        return self._compute(clips) if clips.dtype == jnp.int16 else clips.astype(jnp.float32)


def resident(size: int, devices: Sequence[Any]) -> bool:
    """Whether `size` bytes fit into half of the free memory of every device; False where that is unknown (CPU)."""
    memory = [device.memory_stats() for device in devices]
    return all(stats and 2 * size <= stats["bytes_limit"] - stats["bytes_in_use"] for stats in memory)


def _read(folder: Folder, name: str, shape: tuple[int, ...]) -> Float16[np.ndarray, "clip bin frame"] | None:
    """Spectrograms that an earlier run kept; None where there are none, or where the file is damaged."""
    if folder.size(name) is None:
        return None
    try:
        kept = np.load(folder.path(name), mmap_mode="r")
    except (ValueError, EOFError) as error:
        warnings.warn(f"{folder}/{name} is damaged ({error}); it is made anew", stacklevel=4)
        return None
    return kept if kept.shape == shape and kept.dtype == np.float16 else None


def _take(pool: Pool, indices: Int[Array | np.ndarray, "batch"]) -> Pool:
    return Pool(pool.wet[indices], pool.dry[block.contents(indices)], pool.effect[indices], pool.normalized[indices])
