"""Data set: clips rendered once through effects, in a folder.

Conventions
    A data set is a folder named after its identity (`jaxvae.data.manifest`): an equal one means equal data, wherever
    the files are. In it lie `recordings.npy`,
    `manifest.json` (written after it) and the shards of the splits (`jaxvae.data.shards`). Shards do not depend on one
    another: a killed render continues, and several processes or the workers of a cluster may share the work.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Int16, Int32, Int64
from tqdm import tqdm

from jaxvae import block, effects
from jaxvae.config import RenderedExperiment
from jaxvae.data import audio, clips, manifest, recordings, shards
from jaxvae.data.clips import Recipe
from jaxvae.data.cluster import spread
from jaxvae.data.recordings import SPLITS, Found, Recording, Remark, Skipped
from jaxvae.data.shards import Shard
from jaxvae.data.storage import Folder
from jaxvae.effects import Effect


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One of train, validation and test. Audio is memory-mapped, and fetched shard by shard if it lies elsewhere."""

    name: str
    folder: Folder
    effects: tuple[Effect, ...]
    recipe: Recipe
    """What the clips are made of."""
    recordings: tuple[Recording, ...]
    """Those of the data set, of all splits."""
    sources: tuple[str, ...]
    """Of each recording of the data set, the folder that it is from (`jaxvae.data.recordings.sources`)."""
    _shard: Callable[[int], np.ndarray]
    _prepared: np.ndarray
    _experiment: RenderedExperiment

    @property
    def clips(self) -> int:
        """How many there are."""
        return len(self.recipe.effect)

    @property
    def kinds(self) -> int:
        """How many kinds of clips there are: effects, and untouched ones where the split has them."""
        return self._experiment.data.kinds(self.name)

    @property
    def effect(self) -> Int32[np.ndarray, "clip"]:
        """Index into `effects`; as many as there are of them, for clips that stayed untouched."""
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

    def passages(self, indices: Int[np.ndarray, "content"]) -> Int16[np.ndarray, "content sample"]:
        """Of contents, another dry passage each of the same recording (`jaxvae.data.clips.passage`), in that form."""
        return audio.to_int16(audio.set_peak(self.other_dry(block.first_clip_of(indices)), clips.WET_PEAK_DBFS))

    def other_dry(self, indices: Int[np.ndarray, "clip"]) -> Float32[np.ndarray, "clip sample"]:
        """Of clips, another dry passage each of the same recording (`jaxvae.data.clips.passage`)."""

        def passage(index: int) -> np.ndarray:
            recording = self.recordings[self.recording[index]]
            played = self.recipe.played(index)
            return clips.passage(self._prepared, recording, int(self.start[index]), played, self._experiment)

        with ThreadPoolExecutor(effects.cores()) as threads:
            return np.stack(list(threads.map(passage, indices.tolist())))


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in its folder."""

    identity: str
    folder: Folder
    effects: tuple[Effect, ...]
    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...]
    remarks: tuple[Remark, ...]
    differences: tuple[str, ...]
    """Lines that say what of it this program would make otherwise."""
    experiment: RenderedExperiment

    def counts(self) -> str:
        """A line that says what became of the files of its recordings."""
        used = sum(len(recording.files) for recording in self.recordings)
        remarks = f", {len({remark.file for remark in self.remarks})} of them cut or altered" if self.remarks else ""
        listed = f" (listed in {self.folder}/{manifest.FILE})" if self.remarks or self.skipped else ""
        return f"{used + len(self.skipped)} audio files: {used} used{remarks}, {len(self.skipped)} left out{listed}"

    def require_same(self) -> None:
        """ValueError when this program would continue it otherwise than it was begun; OSError without a plug-in."""
        if self.differences:
            raise ValueError(
                f"{self.folder} cannot be continued here, where {'; '.join(self.differences)}; install the same "
                "everywhere, or render another set"
            )
        effects.require_available(self.effects)

    def kinds(self, names: Sequence[str]) -> list[Effect]:
        """Effects by name: those of the set as they were when it was made, and any others. ValueError if unknown."""
        own = {kind.name: kind for kind in self.effects}
        return [own.get(name) or effects.get(name) for name in names]

    def split(self, name: str) -> Split:
        """The split of that name. FileNotFoundError when shards of it are not rendered yet."""
        if name not in SPLITS:
            raise ValueError(f"no split is named {name!r}; use one of {', '.join(SPLITS)}")
        own = [shard for shard in shards.every(self.experiment) if shard.split == name]
        if absent := len(self.missing(own)):
            raise FileNotFoundError(
                f"{absent} of the {len(own)} {name} shards are not in {self.folder}; render the other parts"
            )
        with ThreadPoolExecutor(effects.cores() + 4) as threads:  # they may have to be fetched
            recipes = list(threads.map(lambda shard: shards.read_recipe(shard, self.folder), own))
        return Split(
            name,
            self.folder,
            self.effects,
            clips.concatenate(recipes),
            self.recordings,
            recordings.sources(self.recordings, self.experiment.data.audio, self.experiment.data.test_audio),
            _shard=shards.reader(own, self.folder),
            _prepared=recordings.load(self.folder.path(recordings.PREPARED)),
            _experiment=self.experiment,
        )

    def needs(self, splits: Sequence[str]) -> int:
        """Bytes of the shards of these splits that are not rendered yet."""
        missing = self.missing([shard for shard in shards.every(self.experiment) if shard.split in splits])
        return sum(shard.bytes(self.experiment.audio.clip_samples) for shard in missing)

    def missing(self, of: Sequence[Shard] | None = None) -> list[Shard]:
        """Shards that are not rendered yet, of all or of these."""
        samples, sizes = self.experiment.audio.clip_samples, self.folder.sizes()
        of = shards.every(self.experiment) if of is None else of
        return [shard for shard in of if not shard.complete(sizes.get, samples)]


def render(
    experiment: RenderedExperiment,
    workers: int | None = None,
    progress: bool = True,
    part: tuple[int, int] = (1, 1),
    cluster: str | None = None,
    splits: Sequence[str] = SPLITS,
    recorded: str | None = None,
) -> Dataset:
    """The data set of an experiment, of which only what is missing is rendered, and of that only these splits.

    `recorded` is the identity of the set that a run was begun on: where that lies in data.directory and is of the same
    config and files, it is taken, though this program might make another of them.

    Part (i, n) of the shards is rendered by this process, where others render the rest; two may safely do the same.
    Threads render (`workers` of them, one for each core if not given), or the workers of a cluster (see
    `jaxvae.data.cluster.spread`), each a shard at a time with one thread (or `workers`). The files are the same.

    Raises:
        AudioError: a folder or its recordings cannot be used.
        RenderError: an effect gave nothing usable in 20 draws.
        EffectError: an effect failed, or a plug-in crashed or hung too often in a row.
        OSError: data.directory cannot be written, or has too little space; the cluster was lost.
    """
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"part {part[0]} of {part[1]} does not exist; use 1 of {part[1]} to {part[1]} of {part[1]}")
    dataset = _prepare(experiment, progress, recorded)
    complete(dataset, splits, workers, progress, part, cluster)
    return dataset


def complete(
    dataset: Dataset,
    splits: Sequence[str] = SPLITS,
    workers: int | None = None,
    progress: bool = True,
    part: tuple[int, int] = (1, 1),
    cluster: str | None = None,
) -> None:
    """Render what is missing of some splits of a data set, as `render` does.

    Raises:
        RenderError, OSError: as `render`.
        ValueError: this program would render them otherwise than the set was begun.
    """
    experiment = dataset.experiment
    own = shards.every(experiment)[part[0] - 1 :: part[1]]
    missing = dataset.missing([shard for shard in own if shard.split in splits])
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
            for _, count in spread(task, missing, cluster):
                bar.update(count)
        elif missing:
            dataset.require_same()
            for shard in missing:
                _render_shard(dataset, shard, workers, bar.update)


def _render_missing(experiment: RenderedExperiment, folder: Folder, workers: int, shard: Shard) -> int:
    """On a worker: render a shard, and count its clips."""
    dataset = _load_once(experiment, folder)
    dataset.require_same()
    return _render_shard(dataset, shard, workers, lambda count: None)


def _render_shard(dataset: Dataset, shard: Shard, workers: int | None, progress: Callable[[int], object]) -> int:
    return shards.render(
        shard, dataset.folder, dataset.experiment, dataset.effects, dataset.recordings, workers, progress
    )


def identify(experiment: RenderedExperiment, progress: bool = True) -> str:
    """The identity of the data set that this program would make here. Raises as `render`."""
    return manifest.identify(_describe(experiment, progress)[1])


def _describe(experiment: RenderedExperiment, progress: bool) -> tuple[Found, dict[str, Any]]:
    """What lies in the folders of recordings, and everything that clips depend on."""
    data = experiment.data
    kinds = tuple(effects.get(name) for name in data.effects)
    found = recordings.find(data.audio, data.test_audio, progress)
    return found, manifest.describe(experiment, kinds, [(file.name, file.digest) for file in found.files])


def _prepare(experiment: RenderedExperiment, progress: bool, recorded: str | None = None) -> Dataset:
    """The data set with its recordings, but perhaps without its shards."""
    data = experiment.data
    found, described = _describe(experiment, progress)
    if recorded not in (None, manifest.identify(described)):
        folder = Folder(data.directory).subfolder(recorded)
        if folder.size(manifest.FILE) and manifest.read(folder).described["files"] == described["files"]:
            return load(experiment, folder)
    if any(entry["renderer"] is None for entry in described["effects"]):
        folder = _of_any_renderer(Folder(data.directory), described)
        if folder is None:
            effects.require_available([effects.get(name) for name in data.effects])
            raise RuntimeError(f"what renders {', '.join(data.effects)} has no name, though it is there")
        return load(experiment, folder)
    folder = Folder(data.directory).subfolder(manifest.identify(described))
    try:
        folder.make()
    except OSError as error:
        message = f"cannot make the folder {folder}: {error.strerror}; set data.directory to one that can be written"
        raise OSError(error.errno, message) from error
    if not {manifest.FILE, recordings.PREPARED} <= folder.sizes().keys():
        shares = (data.validation_share, data.test_share)
        rate, clip_samples = experiment.audio.sample_rate, experiment.audio.clip_samples
        with folder.write(recordings.PREPARED) as file:
            prepared = recordings.prepare(found, file, rate, clip_samples, shares, data.seed, progress)
        text = manifest.as_json(described, prepared)
        with folder.write(manifest.FILE, len(text)) as file:
            file.write(text)
        if prepared.skipped:
            shown = "".join(f"\n  {file}: {reason}" for file, reason in prepared.skipped[:5])
            warnings.warn(
                f"{len(prepared.skipped)} of {len(found.files) + len(found.skipped)} files are left out "
                f"(all are listed in {folder}/{manifest.FILE}):{shown}",
                stacklevel=3,
            )
    return load(experiment, folder)


def _of_any_renderer(directory: Folder, described: dict[str, Any]) -> Folder | None:
    """Where a set lies that is the same, whatever rendered it."""
    wanted = manifest.without_renderers(described)
    for name in directory.folders():
        folder = directory.subfolder(name)
        if folder.size(manifest.FILE) and manifest.without_renderers(manifest.read(folder).described) == wanted:
            return folder
    return None


def load(experiment: RenderedExperiment, folder: Folder) -> Dataset:
    """The data set in a folder, for which neither the files of its recordings nor plug-ins are needed.

    What this program would make otherwise, such as another version of what renders an effect, is warned of.

    Raises:
        OSError: the folder cannot be read.
        ValueError: it is damaged, or holds the data set of another experiment.
    """
    found = manifest.read(folder)
    of_config, of_program = manifest.differences(found.described, experiment)
    if of_config:
        raise ValueError(f"{folder} is the data set of another config:\n  " + "\n  ".join(of_config))
    if of_program:
        warnings.warn(
            f"{folder} is read as it was made; what is rendered now differs in {'; '.join(of_program)}", stacklevel=2
        )
    return Dataset(
        found.identity,
        folder,
        found.effects,
        found.recordings,
        found.skipped,
        found.remarks,
        tuple(of_program),
        experiment,
    )


def find(experiment: RenderedExperiment, identity: str, folders: Sequence[Folder]) -> Dataset | None:
    """The data set of that identity in the first of the folders that holds it; None where none does.

    Raises:
        OSError, ValueError: as `load`.
    """
    for folder in folders:
        if folder.size(manifest.FILE) and manifest.read(folder).identity == identity:
            return load(experiment, folder)
    return None


_load_once = functools.lru_cache(maxsize=1)(load)
