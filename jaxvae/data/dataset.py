"""Data set: clips rendered once through effects, and the order in which training meets them.

Conventions
    A data set is a folder named after its identity: a hash of the config, the effects' tables and the content of the
    recordings, so an equal identity means equal data, wherever the files are. In it lie `recordings.npy`,
    `manifest.json` (written after it) and shards: `<split>-<number>.npy` (clip, sample) int16 and beside it, written
    after it, `.npz` with what each clip is made of (`jaxvae.data.clips.Recipe`).
    A shard depends on nothing but the config and its number: a killed render continues, and several processes or the
    workers of a cluster may share the work.
"""

import dataclasses
import functools
import hashlib
import io
import json
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int16, Int32, Int64
from tqdm import tqdm

from jaxvae import effects
from jaxvae.config import BLOCK_CLIPS, Experiment
from jaxvae.data import audio, clips, recordings
from jaxvae.data.augmentation import Variation
from jaxvae.data.clips import REASONS, SILENT_DBFS, WET_PEAK_DBFS, Recipe, RenderError
from jaxvae.data.cluster import spread
from jaxvae.data.recordings import SPLITS, Recording, Skipped
from jaxvae.data.storage import Folder
from jaxvae.effects import Effect

__all__ = [
    "REASONS",
    "SILENT_DBFS",
    "WET_PEAK_DBFS",
    "Batch",
    "Dataset",
    "RenderError",
    "Split",
    "batch",
    "indices",
    "load",
    "prefetch",
    "render",
    "require_available",
    "resident",
]

_FORMAT = 5  # of the files; a change of what is in them, or of how clips are drawn, raises it
_SHARD_CLIPS = 256  # whole blocks, as in the chunks
_CHUNK_CLIPS = 64  # rendered at once: 100 MB with the default clip
_AHEAD = 2  # batches prefetched


class Batch(NamedTuple):
    """Clips of one training step, in whole blocks (see `jaxvae.data.clips`)."""

    wet: Int16[np.ndarray, "batch sample"]
    dry: Int16[np.ndarray, "content sample"]
    """Of each two clips, `Split.contents`."""
    effect: Int32[np.ndarray, "batch"]
    normalized: Float32[np.ndarray, "batch parameter"]


class _Shard(NamedTuple):
    split: str
    number: int
    clips: range

    @property
    def audio(self) -> str:
        return f"{self.split}-{self.number:05d}.npy"

    @property
    def recipe(self) -> str:
        return f"{self.split}-{self.number:05d}.npz"

    def complete(self, size: Callable[[str], int | None], clip_samples: int) -> bool:
        """Whether the files of the folder, of which `size` tells the bytes, hold it."""
        whole = len(_header(len(self.clips), clip_samples)) + self.bytes(clip_samples)
        return bool(size(self.recipe)) and size(self.audio) == whole

    def bytes(self, clip_samples: int) -> int:
        return 2 * len(self.clips) * clip_samples


def _header(clips: int, clip_samples: int) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<i2", "fortran_order": False, "shape": (clips, clip_samples)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One of train, validation and test. Audio is memory-mapped, and fetched shard by shard if it lies elsewhere."""

    name: str
    folder: Folder
    clips: int
    effects: tuple[Effect, ...]
    effect: Int32[np.ndarray, "clip"]
    """Index into `effects`."""
    normalized: Float32[np.ndarray, "clip parameter"]
    """In the order of the effect's parameters, then NaN."""
    recording: Int32[np.ndarray, "clip"]
    """Index into `Dataset.recordings`."""
    start: Int64[np.ndarray, "clip"]
    """First sample of the crop in the prepared recordings."""
    speed: Float32[np.ndarray, "clip"]
    """Of the crop's playback."""
    filter: Int32[np.ndarray, "clip"]
    """Seed of the filter that the crop passed, 0 for none."""
    redraws: Int32[np.ndarray, "clip reason"]
    """Draws that were repeated before this one, by reason."""
    _shard: Callable[[int], np.ndarray]
    _prepared: np.ndarray
    _experiment: Experiment

    def audio(self, indices: Int[np.ndarray, "clip"]) -> Int16[np.ndarray, "clip sample"]:
        """Wet clips."""
        wet = np.empty((len(indices), self._experiment.audio.clip_samples), np.int16)
        for row, index in enumerate(indices):
            shard, clip = divmod(int(index), _SHARD_CLIPS)
            wet[row] = self._shard(shard)[clip]
        return wet

    def dry(self, indices: Int[np.ndarray, "clip"]) -> Float32[np.ndarray, "clip sample"]:
        """Dry clips, exactly as they went into the effect."""

        def dry(index: int) -> np.ndarray:
            played = Variation(float(self.speed[index]), int(self.filter[index]))
            return clips.dry(self._prepared, int(self.start[index]), played, self._experiment)

        with ThreadPoolExecutor(effects.cores()) as threads:
            return np.stack(list(threads.map(dry, indices.tolist())))

    def contents(self, indices: Int[np.ndarray, "content"]) -> Int16[np.ndarray, "content sample"]:
        """Dry clips of contents, of which clip i has number i // 2, at the peak and the 16 bits of wet clips."""
        return audio.to_int16(audio.set_peak(self.dry(2 * indices), WET_PEAK_DBFS))


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in its folder."""

    identity: str
    folder: Folder
    effects: tuple[Effect, ...]
    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...]
    experiment: Experiment

    def split(self, name: str) -> Split:
        """The split of that name. FileNotFoundError when shards of it are not rendered yet."""
        if name not in SPLITS:
            raise ValueError(f"no split is named {name!r}; use one of {', '.join(SPLITS)}")
        shards = [shard for shard in _shards(self.experiment) if shard.split == name]
        absent = sum(shard.split == name for shard in self.missing())
        if absent:
            raise FileNotFoundError(
                f"{absent} of the {len(shards)} {name} shards are not in {self.folder}; render the other parts"
            )

        def recipe(shard: _Shard) -> Recipe:
            path = self.folder.path(shard.recipe)
            try:
                with np.load(io.BytesIO(path.read_bytes())) as file:  # of a path, numpy would leave a bad one open
                    return Recipe(*(file[field] for field in Recipe._fields))
            except (ValueError, EOFError, zipfile.BadZipFile) as error:
                raise ValueError(f"{path} is damaged ({error}); delete it to render it anew") from error

        with ThreadPoolExecutor() as threads:  # they may have to be fetched
            columns = zip(*threads.map(recipe, shards), strict=True)
        return Split(
            name,
            self.folder,
            sum(len(shard.clips) for shard in shards),
            self.effects,
            *(np.concatenate(column) for column in columns),
            _shard=functools.cache(lambda number: np.load(self.folder.path(shards[number].audio), mmap_mode="r")),
            _prepared=recordings.load(self.folder.path("recordings.npy")),
            _experiment=self.experiment,
        )

    def missing(self) -> list[_Shard]:
        """Shards that are not rendered yet."""
        samples, sizes = self.experiment.audio.clip_samples, self.folder.sizes()
        return [shard for shard in _shards(self.experiment) if not shard.complete(sizes.get, samples)]


def render(
    experiment: Experiment,
    workers: int | None = None,
    progress: bool = True,
    part: tuple[int, int] = (1, 1),
    cluster: str | None = None,
) -> Dataset:
    """The data set of an experiment, of which only what is missing is rendered.

    Part (i, n) of the shards is rendered by this process, where others render the rest; two may safely do the same.
    Threads render (`workers` of them, one for each core if not given), or the workers of a cluster (see
    `jaxvae.data.cluster.spread`), each a shard at a time with one thread (or `workers`). The files are the same.

    Raises:
        AudioError: a folder or its recordings cannot be used.
        RenderError: an effect gave nothing usable in 20 draws.
        OSError: data.directory cannot be written, or has too little space; the cluster was lost.
    """
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"part {part[0]} of {part[1]} does not exist; use 1 of {part[1]} to {part[1]} of {part[1]}")
    dataset = _prepare(experiment, progress)
    own = _shards(experiment)[part[0] - 1 :: part[1]]
    missing = [shard for shard in dataset.missing() if shard in own]
    samples = experiment.audio.clip_samples
    needed, free = sum(shard.bytes(samples) for shard in missing), dataset.folder.free()
    if free is not None and needed > free:
        raise OSError(
            f"{dataset.folder} needs {needed:,} bytes for clips and has {free:,} bytes free; make room, or set "
            "data.directory to another disk"
        )
    total = sum(len(shard.clips) for shard in missing)
    with tqdm(total=total, desc="render", unit="clip", disable=not progress) as bar:
        if missing and cluster:
            task = functools.partial(_render_missing, experiment, dataset.folder.absolute(), workers or 1)
            main_thread = any(kind.main_thread for kind in dataset.effects)
            for _, count in spread(task, missing, cluster, main_thread):
                bar.update(count)
        elif missing:
            require_available(dataset.effects)
            for shard in missing:
                _render_shard(shard, dataset, workers, bar.update)
    return dataset


def _render_missing(experiment: Experiment, folder: Folder, workers: int, shard: _Shard) -> int:
    """On a worker: render a shard, and count its clips."""
    dataset = _load_once(experiment, folder)
    require_available(dataset.effects)
    return _render_shard(shard, dataset, workers, lambda count: None)


def require_available(kinds: Sequence[Effect]) -> None:
    """FileNotFoundError when this machine cannot render one of the effects. A finished set needs no plug-in."""
    unavailable = effects.unavailable()
    for kind in kinds:
        if kind.name in unavailable:
            raise FileNotFoundError(f"{kind.name} cannot be rendered here: {unavailable[kind.name]}")


def _shards(experiment: Experiment) -> list[_Shard]:
    shards = []
    for split in SPLITS:
        clips = getattr(experiment.data, f"{split}_clips")
        firsts = range(0, clips, _SHARD_CLIPS)
        shards += [_Shard(split, n, range(first, min(first + _SHARD_CLIPS, clips))) for n, first in enumerate(firsts)]
    return shards


def _prepare(experiment: Experiment, progress: bool) -> Dataset:
    """The data set with its recordings, but perhaps without its shards."""
    data = experiment.data
    kinds = tuple(effects.get(name) for name in data.effects)
    files = recordings.find(data.audio, data.test_audio, progress)
    described = _describe(experiment, kinds, [(file.name, file.digest) for file in files])
    identity = _identity(described)
    folder = Folder(data.directory).subfolder(identity)
    try:
        folder.make()
    except OSError as error:
        message = f"cannot make the folder {folder}: {error.strerror}; set data.directory to one that can be written"
        raise OSError(error.errno, message) from error
    if not {"manifest.json", "recordings.npy"} <= folder.sizes().keys():
        shares = (data.validation_share, data.test_share)
        rate, clip_samples = experiment.audio.sample_rate, experiment.audio.clip_samples
        with folder.write("recordings.npy") as file:
            prepared = recordings.prepare(files, file, rate, clip_samples, shares, data.seed, progress)
        text = json.dumps({**described, "identity": identity, **prepared._asdict()}, indent=1).encode()
        with folder.write("manifest.json", len(text)) as file:
            file.write(text)
        if prepared.skipped:
            shown = "".join(f"\n  {file}: {reason}" for file, reason in prepared.skipped[:5])
            warnings.warn(
                f"{len(prepared.skipped)} of {len(files)} files are left out "
                f"(all are listed in {folder}/manifest.json):{shown}",
                stacklevel=3,
            )
    return load(experiment, folder)


def _describe(experiment: Experiment, kinds: Sequence[Effect], files: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Everything that clips depend on."""
    data = dataclasses.asdict(experiment.data)
    return {
        "format": _FORMAT,
        "audio": dataclasses.asdict(experiment.audio),
        "data": {name: value for name, value in data.items() if name not in ("audio", "test_audio", "directory")},
        "effects": [
            {"name": kind.name, "parameters": [dataclasses.asdict(p) for p in kind.parameters], "held": kind.held}
            for kind in kinds
        ],
        "files": files,
    }


def _identity(described: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=8).hexdigest()


def load(experiment: Experiment, folder: Folder) -> Dataset:
    """The data set in a folder, for which the files of its recordings are not needed.

    Raises:
        OSError: the folder cannot be read.
        ValueError: it holds another data set than this program would make.
    """
    try:
        found = json.loads(folder.path("manifest.json").read_text())
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no data set in {folder}; data.directory has to be where every machine sees it"
        ) from error
    except ValueError as error:
        raise ValueError(f"{folder}/manifest.json is damaged ({error}); delete {folder} to render it anew") from error
    kinds = tuple(effects.get(name) for name in experiment.data.effects)
    identity = _identity(_describe(experiment, kinds, found["files"]))
    if identity != found["identity"]:
        raise ValueError(f"{folder} is not {identity}, which this version of jaxvae makes; install the same everywhere")
    made = tuple(Recording(tuple(names), *rest) for names, *rest in found["recordings"])
    skipped = tuple(Skipped(*item) for item in found["skipped"])
    return Dataset(identity, folder, kinds, made, skipped, experiment)


_load_once = functools.lru_cache(maxsize=1)(load)


def _render_shard(shard: _Shard, dataset: Dataset, workers: int | None, progress: Callable[[int], object]) -> int:
    """Write one shard: its audio, then its recipe. Returns its clips."""
    experiment, folder, recipes = dataset.experiment, dataset.folder, []
    samples = experiment.audio.clip_samples
    if shard.complete(folder.size, samples):  # another process was faster
        progress(len(shard.clips))
        return len(shard.clips)
    prepared = recordings.load(folder.path("recordings.npy"))
    header = _header(len(shard.clips), samples)
    with folder.write(shard.audio, shard.bytes(samples)) as file:
        file.write(header)
        for first in range(0, len(shard.clips), _CHUNK_CLIPS):
            chunk = shard.clips[first : first + _CHUNK_CLIPS]
            wet, recipe = clips.render(
                experiment, dataset.effects, dataset.recordings, prepared, shard.split, chunk, workers
            )
            file.write(wet.data)
            recipes.append(recipe)
            progress(len(chunk))
    recipe = Recipe(*(np.concatenate(column) for column in zip(*recipes, strict=True)))
    buffer = io.BytesIO()
    np.savez(buffer, **recipe._asdict())
    with folder.write(shard.recipe, buffer.tell()) as file:
        file.write(buffer.getvalue())
    return len(shard.clips)


@functools.lru_cache(maxsize=4)
def _epoch(blocks: int, kinds: int, seed: int, epoch: int) -> Int64[np.ndarray, "block"]:
    """All blocks, once each: a random order within each effect of the first setting, those effects in turn."""
    generator = np.random.default_rng((seed, epoch))
    order = np.stack([kinds * generator.permutation(blocks // kinds) + effect for effect in range(kinds)], axis=1)
    order.flags.writeable = False
    return order.reshape(-1)


def indices(split: Split, seed: int, step: int, batch_size: int) -> Int64[np.ndarray, "batch"]:
    """Clips of a training step, in whole blocks; a pure function of its arguments.

    Steps are consecutive pieces of one endless sequence of epochs, each of which visits every block once, the effects
    of their first settings in turn: a batch of at least as many blocks as there are effects holds all of them.
    """
    positions = np.arange(step * batch_size // BLOCK_CLIPS, (step + 1) * batch_size // BLOCK_CLIPS)
    count = split.clips // BLOCK_CLIPS
    epochs, places = np.divmod(positions, count)
    blocks = np.empty(len(positions), np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        blocks[here] = _epoch(count, len(split.effects), seed, int(epoch))[places[here]]
    return (BLOCK_CLIPS * blocks[:, None] + np.arange(BLOCK_CLIPS)).reshape(-1)


def batch(split: Split, indices: Int[np.ndarray, "batch"]) -> Batch:
    """Clips of whole blocks, with their effects and settings."""
    return Batch(
        split.audio(indices), split.contents(indices[::2] // 2), split.effect[indices], split.normalized[indices]
    )


def prefetch(split: Split, seed: int, first_step: int, last_step: int, batch_size: int) -> Iterator[Batch]:
    """Batches of the steps from `first_step` to before `last_step`, read ahead by a thread that ends with it."""
    with ThreadPoolExecutor(1, "prefetch") as thread:
        ahead: deque = deque()
        for step in range(first_step, last_step):
            ahead.append(thread.submit(batch, split, indices(split, seed, step, batch_size)))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def resident(size: int, devices: Sequence[Any]) -> bool:
    """Whether `size` bytes fit into half of the free memory of every device; False where that is unknown (CPU)."""
    memory = [device.memory_stats() for device in devices]
    return all(stats and 2 * size <= stats["bytes_limit"] - stats["bytes_in_use"] for stats in memory)
