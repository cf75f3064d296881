"""Clips of a split on their way to a training step.

What travels at every step depends on what fits. Views (`jaxvae.views`) are computed once and stay on the device where
they take little memory (a mel spectrogram has an eighth of its clip's samples, and computing one takes a CPU as long as
a third of a small network's step); files beside the clips keep them for the next run. Else the audio stays on the
device if its memory is known and large enough. Else views are read ahead from the files, which the system keeps in
memory as far as there is some, and travel batch by batch; where the disk has no room for the files, audio does.
"""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float16, Float32, Int, Int16, Int32
from tqdm import tqdm

from jaxvae import block, devices, effects, views
from jaxvae.config import RenderedExperiment
from jaxvae.data import order
from jaxvae.data.dataset import Split
from jaxvae.data.storage import Folder
from jaxvae.views import Normalisation, Views

VIEWS_BYTES = 3 * 2**30
_CHUNK_CLIPS = 16
"""Computed at once: of more, what is between their transforms leaves the cache of a core."""
_FORMAT = 1  # of kept views: another number makes them all anew


class Pool(NamedTuple):
    """All clips of a split on every device, as views or as audio.

    Views are rounded to float16: within 4 standard deviations by less than 0.001 of one, some 0.02 dB.
    """

    wet: Views | Int16[Array | np.ndarray, "clip sample"]
    dry: Views | Int16[Array | np.ndarray, "content sample"]
    """Of each content, at the peak of wet clips."""
    passage: Float16[Array | np.ndarray, "content number"] | Int16[Array | np.ndarray, "content sample"]
    """Fine structure of another dry passage of each content's recording."""
    effect: Int32[Array | np.ndarray, "clip"]
    normalized: Float32[Array | np.ndarray, "clip parameter"]


class Examples(NamedTuple):
    """What a training step sees of a batch, in whole blocks (see `jaxvae.block`)."""

    wet: Views
    dry: Views
    """Before the effect, at the peak of wet clips, normalised by the same statistics."""
    passage: Float[Array, "batch number"]
    """Fine structure of another dry passage of the recording."""
    effect: Int32[Array, "batch"]
    normalized: Float32[Array, "batch parameter"]
    """In the order of the effect's parameters, then NaN."""

    def related(self, relation: Int[Array, "batch"]) -> Views:
        """The dry views that a network is given: the clips' own, with the fine structure of passages for SOURCE."""
        fine = jnp.where((relation == views.SOURCE)[:, None], self.passage, self.dry.fine)
        return self.dry._replace(fine=fine)


class InputPipeline:
    """The clips of one split as views, whichever way they travel."""

    def __init__(self, split: Split, experiment: RenderedExperiment, normalisation: Normalisation, mesh: Mesh) -> None:
        self._split, self._experiment, self._normalisation, self._mesh = split, experiment, normalisation, mesh
        self._clips, self._contents = split.clips, block.content_of(split.clips)
        self._shapes = Views(
            (self._clips + self._contents, experiment.bins, experiment.frames),
            (self._clips + 2 * self._contents, views.numbers(experiment)),
        )
        """Of all spectrograms, and of all fine structures: of clips, contents and, these alone, passages."""
        self.pool = self._pool()
        """None when batches travel one by one."""
        self._files = self._streamed() if self.pool is None else None

    def _pool(self) -> Pool | None:
        split, local = self._split, self._mesh.local_devices
        of_audio = 2 * (self._clips + 2 * self._contents) * self._experiment.audio.clip_samples
        if self._bytes <= VIEWS_BYTES or resident(self._bytes, local):
            clips = self._parts(self._views() or _joined(self._made()))
        elif resident(of_audio, local):
            contents = np.arange(self._contents)
            clips = split.audio(np.arange(self._clips)), split.contents(contents), split.passages(contents)
        else:
            return None
        return Pool(*devices.place((*clips, split.effect, split.normalized), self._mesh, devices.SHARED))

    def _streamed(self) -> Pool | None:
        """Views of all clips in their files, memory-mapped; None where the disk has no room."""
        kept = self._views()
        if kept is None:
            warnings.warn(
                f"{self._split.folder} has no room for {self._bytes:,} bytes of spectrograms, so audio is read and "
                "transformed at every step, which takes about twice as long; make room, or use another "
                "data.directory",
                stacklevel=4,
            )
            return None
        return Pool(*self._parts(kept), self._split.effect, self._split.normalized)

    def __len__(self) -> int:
        """Clips, contents and passages."""
        return self._shapes.fine[0]

    def _parts(self, kept: Views) -> tuple[Views, Views, np.ndarray]:
        """Of clips, of contents, and the fine structure of passages."""
        wet, dry = slice(self._clips), slice(self._clips, self._clips + self._contents)
        passage = kept.fine[self._clips + self._contents :]
        return Views(kept.spectrogram[wet], kept.fine[wet]), Views(kept.spectrogram[dry], kept.fine[dry]), passage

    def _views(self) -> Views | None:
        """Those of all clips, contents and passages in their files, made if need be; None where the disk has no room.

        The first host makes them, and every other that does not share its disk.
        """
        if (kept := self._read()) is not None:
            return kept
        if not self._has_room():
            return None
        if jax.process_index() == 0:
            self._write(self._made())
        devices.wait_for_all_hosts("spectrograms")
        if (kept := self._read()) is None:
            self._write(self._made())
            kept = self._read()
        return kept

    def _made(self) -> Iterator[Views]:
        """Those of all clips, of all contents and of passages, a chunk at a time.

        One chunk is computed on each core, which takes two cores a third less time than large ones, one by one.
        """
        of_clips, of_passages = jax.jit(self._compute), jax.jit(lambda audio: Views(None, self._compute_fine(audio)))
        split = self._split

        def make(read: Callable, compute: Callable, start: int, first: int, chunk: int) -> Views:
            made = compute(read(np.arange(start, start + chunk)))
            return jax.tree.map(lambda part: np.asarray(part)[first - start :], made)

        chunks = (
            functools.partial(make, read, compute, *chunk)
            for read, count, compute in (
                (split.audio, self._clips, of_clips),
                (split.contents, self._contents, of_clips),
                (split.passages, self._contents, of_passages),
            )
            for chunk in _chunks(count)
        )
        with tqdm(total=len(self), unit="clip", desc="spectrograms") as bar:
            for made in _side_by_side(chunks):
                yield made
                bar.update(len(made.fine))

    @functools.cached_property
    def _names(self) -> Views:
        """Of the files that keep them."""
        spectrogram, fine = self._normalisation
        made_by = Views(
            [_FORMAT, dataclasses.asdict(self._experiment.spectrogram), [x.tolist() for x in spectrogram]],
            [_FORMAT, [x.tolist() for x in fine or ()]],
        )
        digests = (hashlib.blake2b(json.dumps(part).encode(), digest_size=8).hexdigest() for part in made_by)
        kinds = zip(("spectrograms", "fine_structure"), digests, strict=True)
        return Views(*(f"{kind}-{self._split.name}-{digest}.npy" for kind, digest in kinds))

    @property
    def _bytes(self) -> int:
        return sum(2 * math.prod(shape) for shape in self._shapes)

    def _has_room(self) -> bool:
        free = self._split.folder.free()
        return free is None or self._bytes < free

    def _write(self, parts: Iterable[Views]) -> None:
        """Write the parts one after the other, into the file of each view."""
        folder = self._split.folder
        with contextlib.ExitStack() as stack:
            files: list[Any] = []
            for name, shape in zip(self._names, self._shapes, strict=True):
                if not math.prod(shape):
                    files.append(None)
                    continue
                files.append(stack.enter_context(folder.write(name, 2 * math.prod(shape))))
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(files[-1], header)
            for part in parts:
                for file, view in zip(files, part, strict=True):
                    if file is not None and view is not None:
                        file.write(np.ascontiguousarray(view).data)

    def _read(self) -> Views | None:
        """What an earlier run kept; None where any of it is not there, or damaged."""
        kept = Views(*(_read(self._split.folder, *file) for file in zip(self._names, self._shapes, strict=True)))
        return None if any(view is None for view in kept) else kept

    def _compute(self, audio: jax.Array) -> Views:
        experiment = self._experiment
        found = views.compute(audio, experiment.audio, experiment.spectrogram, self._normalisation)
        return jax.tree.map(lambda view: view.astype(jnp.float16), found)

    def _compute_fine(self, audio: jax.Array) -> jax.Array:
        return views.fine(audio, self._experiment.audio.sample_rate, self._normalisation).astype(jnp.float16)

    def batch(self, indices: Int[np.ndarray, "batch"]) -> Any:
        """What `examples` takes for these clips, which are whole blocks: indices into the pool, or the clips."""
        if self.pool is not None:
            return indices
        return order.batch(self._split, indices) if self._files is None else _take(self._files, indices)

    def batches(self, seed: int, first_step: int, last_step: int, batch_size: int) -> Iterator[Any]:
        """`batch` of each training step from `first_step` to before `last_step`."""
        if self.pool is None:
            yield from order.prefetch(self.batch, self._split, seed, first_step, last_step, batch_size)
        else:
            for step in range(first_step, last_step):
                yield order.indices(self._split, seed, step, batch_size)

    def examples(self, pool: Pool | None, batch: Any) -> Examples:
        """Examples of a batch. Pure, for use inside a compiled step, which takes `pool` as an argument."""
        wet, dry, passage, effect, normalized = batch if pool is None else _take(pool, batch)
        wet, dry = (clips if isinstance(clips, Views) else self._compute(clips) for clips in (wet, dry))
        passage = self._compute_fine(passage) if passage.dtype == jnp.int16 else passage
        wet, dry, passage = jax.tree.map(lambda view: view.astype(jnp.float32), (wet, dry, passage))
        # A content, once computed, serves all clips that are made of it.
        dry, passage = jax.tree.map(block.for_each_clip, (dry, passage))
        return Examples(wet, dry, passage, effect, normalized)


def resident(size: int, devices: Sequence[Any]) -> bool:
    """Whether `size` bytes fit into half of the free memory of every device; False where that is unknown (CPU)."""
    memory = [device.memory_stats() for device in devices]
    return all(stats and 2 * size <= stats["bytes_limit"] - stats["bytes_in_use"] for stats in memory)


def _chunks(clips: int) -> Iterator[tuple[int, int, int]]:
    """First clip of each chunk, first that no chunk before has, and how many clips it has.

    All are of one size, so that one program serves them: the last begins within the one before.
    """
    chunk = min(_CHUNK_CLIPS, clips)
    for first in range(0, clips, chunk):
        yield min(first, clips - chunk), first, chunk


def _side_by_side(tasks: Iterable[Callable[[], Views]]) -> Iterator[Views]:
    """What the tasks give, in their order, computed on all cores, a few ahead of what is taken."""
    with ThreadPoolExecutor(effects.cores()) as threads:
        ahead: collections.deque[Future] = collections.deque()
        for task in tasks:
            ahead.append(threads.submit(task))
            if len(ahead) > 2 * effects.cores():
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _joined(parts: Iterable[Views]) -> Views:
    """In memory."""
    spectrograms, fine = zip(*parts, strict=True)
    return Views(np.concatenate([part for part in spectrograms if part is not None]), np.concatenate(fine))


def _read(folder: Folder, name: str, shape: tuple[int, ...]) -> Float16[np.ndarray, "clip *rest"] | None:
    """Views that an earlier run kept; None where there are none, or where the file is damaged."""
    if not math.prod(shape):
        return np.zeros(shape, np.float16)
    if folder.size(name) is None:
        return None
    try:
        kept = np.load(folder.path(name), mmap_mode="r")
    except (ValueError, EOFError) as error:
        warnings.warn(f"{folder}/{name} is damaged ({error}); it is made anew", stacklevel=4)
        return None
    return kept if kept.shape == shape and kept.dtype == np.float16 else None


def _take(pool: Pool, indices: Int[Array | np.ndarray, "batch"]) -> Pool:
    contents = block.contents(indices)
    wet = jax.tree.map(lambda view: view[indices], pool.wet)
    dry, passage = jax.tree.map(lambda view: view[contents], (pool.dry, pool.passage))
    return Pool(wet, dry, passage, pool.effect[indices], pool.normalized[indices])
