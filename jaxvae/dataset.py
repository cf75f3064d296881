"""Data set: clips rendered once through effects, and the order in which training meets them.

Conventions
    A data set is a folder named after its identity: a hash of the config, the effects' tables and the content of the
    recordings, so an equal identity means equal data, wherever the files are. In it lie `recordings.npy`,
    `manifest.json` (written after it) and shards: `<split>-<number>.npy` (clip, sample) int16 and beside it, written
    after it, `.npz` with what each clip is made of (`jaxvae.clips.Recipe`).
    A shard depends on nothing but the config and its number: a killed render continues, and several processes may
    share the work.
"""

import dataclasses
import functools
import hashlib
import io
import json
import shutil
import warnings
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int16, Int32, Int64
from tqdm import tqdm

from jaxvae import atomic_file, clips, effects, recordings
from jaxvae.clips import REASONS, SILENT_DBFS, WET_PEAK_DBFS, Recipe, RenderError
from jaxvae.config import Experiment
from jaxvae.effects import Effect
from jaxvae.recordings import SPLITS, Recording, Skipped

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
    "prefetch",
    "render",
    "resident",
]

_FORMAT = 2  # of the files; a change of what is in them, or of how clips are drawn, raises it
_SHARD_CLIPS = 256
_CHUNK_CLIPS = 64  # rendered at once: 100 MB with the default clip
_AHEAD = 2  # batches prefetched


class Batch(NamedTuple):
    """Clips of one training step."""

    audio: Int16[np.ndarray, "batch sample"]
    effect: Int32[np.ndarray, "batch"]
    normalized: Float32[np.ndarray, "batch parameter"]


class _Shard(NamedTuple):
    split: str
    number: int
    clips: range

    def path(self, folder: Path) -> Path:
        return folder / f"{self.split}-{self.number:05d}.npy"

    def complete(self, folder: Path, clip_samples: int) -> bool:
        path = self.path(folder)
        size = len(_header(len(self.clips), clip_samples)) + self.bytes(clip_samples)
        whole = zipfile.is_zipfile(path.with_suffix(".npz"))  # not where it is absent or cut off
        return whole and path.is_file() and path.stat().st_size == size

    def bytes(self, clip_samples: int) -> int:
        return 2 * len(self.clips) * clip_samples


def _header(clips: int, clip_samples: int) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<i2", "fortran_order": False, "shape": (clips, clip_samples)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One of train, validation and test, memory-mapped."""

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
    redraws: Int32[np.ndarray, "clip reason"]
    """Draws that were repeated before this one, by reason."""
    _shards: tuple[np.ndarray, ...]
    _prepared: np.ndarray
    _experiment: Experiment

    def audio(self, indices: Int[np.ndarray, "clip"]) -> Int16[np.ndarray, "clip sample"]:
        """Wet clips."""
        wet = np.empty((len(indices), self._experiment.audio.clip_samples), np.int16)
        for row, index in enumerate(indices):
            shard, clip = divmod(int(index), _SHARD_CLIPS)
            wet[row] = self._shards[shard][clip]
        return wet

    def dry(self, indices: Int[np.ndarray, "clip"]) -> Float32[np.ndarray, "clip sample"]:
        """Dry clips, exactly as they went into the effect."""
        return np.stack([clips.dry(self._prepared, int(self.start[index]), self._experiment) for index in indices])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in its folder."""

    identity: str
    folder: Path
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
        paths = [shard.path(self.folder) for shard in shards]
        parts = []
        for path in paths:
            with np.load(path.with_suffix(".npz")) as file:
                parts.append(Recipe(*(file[field] for field in Recipe._fields)))
        return Split(
            sum(len(shard.clips) for shard in shards),
            self.effects,
            *(np.concatenate(column) for column in zip(*parts, strict=True)),
            _shards=tuple(np.load(path, mmap_mode="r") for path in paths),
            _prepared=recordings.load(self.folder / "recordings.npy"),
            _experiment=self.experiment,
        )

    def missing(self) -> list[_Shard]:
        """Shards that are not rendered yet."""
        samples = self.experiment.audio.clip_samples
        return [shard for shard in _shards(self.experiment) if not shard.complete(self.folder, samples)]


def render(
    experiment: Experiment, workers: int | None = None, progress: bool = True, part: tuple[int, int] = (1, 1)
) -> Dataset:
    """The data set of an experiment, of which only what is missing is rendered.

    Part (i, n) of the shards is rendered by this process, where others render the rest; two may safely do the same.

    Raises:
        AudioError: a folder or its recordings cannot be used.
        RenderError: an effect gave nothing usable in 20 draws.
        OSError: data.directory cannot be written, or has too little space.
    """
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"part {part[0]} of {part[1]} does not exist; use 1 of {part[1]} to {part[1]} of {part[1]}")
    dataset = _prepare(experiment, progress)
    own = _shards(experiment)[part[0] - 1 :: part[1]]
    missing = [shard for shard in dataset.missing() if shard in own]
    samples = experiment.audio.clip_samples
    needed, free = sum(shard.bytes(samples) for shard in missing), shutil.disk_usage(dataset.folder).free
    if needed > free:
        raise OSError(
            f"{dataset.folder} needs {needed:,} bytes for clips and has {free:,} bytes free; make room, or set "
            "data.directory to another disk"
        )
    if missing:
        _require_available(dataset.effects)
        prepared = recordings.load(dataset.folder / "recordings.npy")
        total = sum(len(shard.clips) for shard in missing)
        with tqdm(total=total, desc="render", unit="clip", disable=not progress) as bar:
            for shard in missing:
                if shard.complete(dataset.folder, samples):  # another process was faster
                    bar.update(len(shard.clips))
                else:
                    _render_shard(shard, dataset, prepared, workers, bar)
    return dataset


def _require_available(kinds: Sequence[Effect]) -> None:
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
    described = {
        "format": _FORMAT,
        "audio": dataclasses.asdict(experiment.audio),
        "data": {k: v for k, v in dataclasses.asdict(data).items() if k not in ("audio", "test_audio", "directory")},
        "effects": [
            {"name": kind.name, "parameters": [dataclasses.asdict(p) for p in kind.parameters], "held": kind.held}
            for kind in kinds
        ],
        "files": [(file.name, file.digest) for file in files],
    }
    identity = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=8).hexdigest()
    folder = Path(data.directory).expanduser() / identity
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the folder {folder}: {error.strerror}; set data.directory to one that can be written"
        raise OSError(error.errno, message) from error
    atomic_file.remove_abandoned(folder)
    manifest = folder / "manifest.json"
    if not (manifest.is_file() and (folder / "recordings.npy").is_file()):
        shares = (data.validation_share, data.test_share)
        rate, clip_samples = experiment.audio.sample_rate, experiment.audio.clip_samples
        prepared = recordings.prepare(files, folder / "recordings.npy", rate, clip_samples, shares, data.seed, progress)
        text = json.dumps({**described, "identity": identity, **prepared._asdict()}, indent=1).encode()
        with atomic_file.write(manifest, len(text)) as file:
            file.write(text)
        if prepared.skipped:
            shown = "".join(f"\n  {file}: {reason}" for file, reason in prepared.skipped[:5])
            warnings.warn(
                f"{len(prepared.skipped)} of {len(files)} files are left out (all are listed in {manifest}):{shown}",
                stacklevel=3,
            )
    try:
        found = json.loads(manifest.read_text())
    except ValueError as error:
        raise ValueError(f"{manifest} is damaged ({error}); delete {folder} to render it anew") from error
    made = tuple(Recording(tuple(names), *rest) for names, *rest in found["recordings"])
    skipped = tuple(Skipped(*item) for item in found["skipped"])
    return Dataset(identity, folder, kinds, made, skipped, experiment)


def _render_shard(
    shard: _Shard, dataset: Dataset, prepared: Int16[np.ndarray, "recorded"], workers: int | None, bar: tqdm
) -> None:
    """Write one shard: its audio, then its recipe."""
    experiment, path, recipes = dataset.experiment, shard.path(dataset.folder), []
    size = shard.bytes(experiment.audio.clip_samples)
    with atomic_file.write(path, size) as file:
        file.write(_header(len(shard.clips), experiment.audio.clip_samples))
        for first in range(0, len(shard.clips), _CHUNK_CLIPS):
            chunk = shard.clips[first : first + _CHUNK_CLIPS]
            wet, recipe = clips.render(
                experiment, dataset.effects, dataset.recordings, prepared, shard.split, chunk, workers
            )
            file.write(wet.data)
            recipes.append(recipe)
            bar.update(len(chunk))
    recipe = Recipe(*(np.concatenate(column) for column in zip(*recipes, strict=True)))
    buffer = io.BytesIO()
    np.savez(buffer, **recipe._asdict())
    with atomic_file.write(path.with_suffix(".npz"), buffer.tell()) as file:
        file.write(buffer.getvalue())


@functools.lru_cache(maxsize=4)
def _epoch(clips: int, kinds: int, seed: int, epoch: int) -> Int64[np.ndarray, "clip"]:
    """Indices of all clips, once each: a random order within each effect, the effects in turn."""
    generator = np.random.default_rng((seed, epoch))
    order = np.stack([kinds * generator.permutation(clips // kinds) + effect for effect in range(kinds)], axis=1)
    order.flags.writeable = False
    return order.reshape(-1)


def indices(split: Split, seed: int, step: int, batch_size: int) -> Int64[np.ndarray, "batch"]:
    """Clips of a training step; a pure function of its arguments.

    Steps are consecutive pieces of one endless sequence of epochs, each of which visits every clip once, the effects
    in turn: a batch of at least as many clips as there are effects holds all of them.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = np.divmod(positions, split.clips)
    chosen = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = _epoch(split.clips, len(split.effects), seed, int(epoch))[places[here]]
    return chosen


def batch(split: Split, seed: int, step: int, batch_size: int) -> Batch:
    """Clips of a training step with their effects and settings; a pure function of its arguments, see `indices`."""
    chosen = indices(split, seed, step, batch_size)
    return Batch(split.audio(chosen), split.effect[chosen], split.normalized[chosen])


def prefetch(split: Split, seed: int, first_step: int, last_step: int, batch_size: int) -> Iterator[Batch]:
    """Batches of the steps from `first_step` to before `last_step`, read ahead by a thread that ends with it."""
    with ThreadPoolExecutor(1, "prefetch") as thread:
        ahead: deque = deque()
        for step in range(first_step, last_step):
            ahead.append(thread.submit(batch, split, seed, step, batch_size))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def resident(split: Split, devices: Sequence[Any]) -> bool:
    """Whether the wet clips fit into half of the free memory of every device; False where that is unknown (CPU)."""
    size = 2 * split.clips * split._experiment.audio.clip_samples
    memory = [device.memory_stats() for device in devices]
    return all(stats and 2 * size <= stats["bytes_limit"] - stats["bytes_in_use"] for stats in memory)
