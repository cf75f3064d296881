"""Data set: clips rendered once through effects, in a folder.

Conventions
    A data set is a folder named after its identity: a hash of the config, the effects' tables and the content of the
    recordings, so an equal identity means equal data, wherever the files are. In it lie `recordings.npy`,
    `manifest.json` (written after it) and the shards of the splits (`jaxvae.data.shards`). Shards do not depend on one
    another: a killed render continues, and several processes or the workers of a cluster may share the work.
"""

import dataclasses
import functools
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Int16, Int32, Int64
from tqdm import tqdm

from jaxvae import block, effects
from jaxvae.config import Experiment
from jaxvae.data import audio, clips, recordings, shards
from jaxvae.data.clips import Recipe
from jaxvae.data.cluster import spread
from jaxvae.data.recordings import SPLITS, Recording, Skipped
from jaxvae.data.shards import Shard
from jaxvae.data.storage import Folder
from jaxvae.effects import Effect

_FORMAT = 6  # of the files; a change of what is in them, or of how clips are drawn, raises it


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One of train, validation and test. Audio is memory-mapped, and fetched shard by shard if it lies elsewhere."""

    name: str
    folder: Folder
    effects: tuple[Effect, ...]
    recipe: Recipe
    """What the clips are made of."""
    _shard: Callable[[int], np.ndarray]
    _prepared: np.ndarray
    _experiment: Experiment

    @property
    def clips(self) -> int:
        """How many there are."""
        return len(self.recipe.effect)

    @property
    def effect(self) -> Int32[np.ndarray, "clip"]:
        """Index into `effects`."""
        return self.recipe.effect

    @property
    def normalized(self) -> Float32[np.ndarray, "clip parameter"]:
        """Settings, in the order of the effect's parameters, then NaN."""
        return self.recipe.normalized

    @property
    def recording(self) -> Int32[np.ndarray, "clip"]:
        """Index into `Dataset.recordings`."""
        return self.recipe.recording

    @property
    def start(self) -> Int64[np.ndarray, "clip"]:
        """First sample of the crop in the prepared recordings."""
        return self.recipe.start

    def audio(self, indices: Int[np.ndarray, "clip"]) -> Int16[np.ndarray, "clip sample"]:
        """Wet clips."""
        wet = np.empty((len(indices), self._experiment.audio.clip_samples), np.int16)
        for row, index in enumerate(indices):
            shard, place = shards.place(int(index))
            wet[row] = self._shard(shard)[place]
        return wet

    def dry(self, indices: Int[np.ndarray, "clip"]) -> Float32[np.ndarray, "clip sample"]:
        """Dry clips, exactly as they went into the effect."""

        def dry(index: int) -> np.ndarray:
            return clips.dry(self._prepared, int(self.start[index]), self.recipe.played(index), self._experiment)

        with ThreadPoolExecutor(effects.cores()) as threads:
            return np.stack(list(threads.map(dry, indices.tolist())))

    def contents(self, indices: Int[np.ndarray, "content"]) -> Int16[np.ndarray, "content sample"]:
        """Dry clips of contents (see `jaxvae.block`), at the peak and the 16 bits of wet clips."""
        return audio.to_int16(audio.set_peak(self.dry(block.first_clip_of(indices)), clips.WET_PEAK_DBFS))


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
        own = [shard for shard in shards.every(self.experiment) if shard.split == name]
        if absent := len(self.missing(own)):
            raise FileNotFoundError(
                f"{absent} of the {len(own)} {name} shards are not in {self.folder}; render the other parts"
            )
        with ThreadPoolExecutor() as threads:  # they may have to be fetched
            recipes = list(threads.map(lambda shard: shards.read_recipe(shard, self.folder), own))
        return Split(
            name,
            self.folder,
            self.effects,
            clips.concatenate(recipes),
            _shard=functools.cache(lambda number: shards.read_audio(own[number], self.folder)),
            _prepared=recordings.load(self.folder.path(recordings.PREPARED)),
            _experiment=self.experiment,
        )

    def missing(self, of: Sequence[Shard] | None = None) -> list[Shard]:
        """Shards that are not rendered yet, of all or of these."""
        samples, sizes = self.experiment.audio.clip_samples, self.folder.sizes()
        of = shards.every(self.experiment) if of is None else of
        return [shard for shard in of if not shard.complete(sizes.get, samples)]


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
    missing = dataset.missing(shards.every(experiment)[part[0] - 1 :: part[1]])
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
                _render_shard(dataset, shard, workers, bar.update)
    return dataset


def _render_missing(experiment: Experiment, folder: Folder, workers: int, shard: Shard) -> int:
    """On a worker: render a shard, and count its clips."""
    dataset = _load_once(experiment, folder)
    require_available(dataset.effects)
    return _render_shard(dataset, shard, workers, lambda count: None)


def _render_shard(dataset: Dataset, shard: Shard, workers: int | None, progress: Callable[[int], object]) -> int:
    return shards.render(
        shard, dataset.folder, dataset.experiment, dataset.effects, dataset.recordings, workers, progress
    )


def require_available(kinds: Sequence[Effect]) -> None:
    """FileNotFoundError when this machine cannot render one of the effects. A finished set needs no plug-in."""
    unavailable = effects.unavailable()
    for kind in kinds:
        if kind.name in unavailable:
            raise FileNotFoundError(f"{kind.name} cannot be rendered here: {unavailable[kind.name]}")


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
    if not {"manifest.json", recordings.PREPARED} <= folder.sizes().keys():
        shares = (data.validation_share, data.test_share)
        rate, clip_samples = experiment.audio.sample_rate, experiment.audio.clip_samples
        with folder.write(recordings.PREPARED) as file:
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
