"""The members of a run that an analysis reads: which of them, what sets them apart, and what they are called."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from jaxvae import fields, inference
from jaxvae.config import Experiment, RenderedExperiment
from jaxvae.data import dataset
from jaxvae.data.recordings import SPLITS
from jaxvae.data.storage import Folder
from jaxvae.matching.matcher import Matcher
from jaxvae.sweep import Value
from jaxvae.training import run_folder
from jaxvae.training.checkpoints import CheckpointError

SEED = "train.seed"
FREE = ("data.directory", "execution.")  # where files lie and how the machine is used is no part of a sweep
_MOST_PANELS = 16  # in one figure that can be read


class Chosen(NamedTuple):
    """A member to analyse."""

    index: int
    title: str
    logs: Path
    """Folder of its TensorBoard logs."""
    encoder: inference.SpectrogramEncoder


def swept(experiments: Sequence[RenderedExperiment]) -> tuple[str, ...]:
    """Paths of the fields in which experiments differ, the seed last."""
    values = [fields.flat(experiment) for experiment in experiments]
    paths = [path for path in values[0] if not path.startswith(FREE) and len({str(v[path]) for v in values}) > 1]
    return tuple(sorted(paths, key=lambda path: path == SEED))


def values(experiment: Experiment, paths: Sequence[str]) -> dict[str, Value]:
    """Values of some fields by their path."""
    every = fields.flat(experiment)
    return {path: every[path] for path in paths}


def short_name(path: str) -> str:
    """ "beta.maximum" of objective.beta.maximum."""
    return path.partition(".")[2]


def words(values: dict[str, Value]) -> str:
    """ "latent_dim 64, seed 1"."""
    return ", ".join(
        f"{short_name(path)} {value:g}" if isinstance(value, float) else f"{short_name(path)} {value}"
        for path, value in values.items()
    )


def load(run: Path, chosen: Sequence[int | Literal["all"]] = (), in_one_figure: bool = True) -> list[Chosen]:
    """The best member of a run, or those of these indices, or all that were ever validated.

    Raises:
        CheckpointError: the run has no checkpoint or no such member.
        ValueError: they are too many to be read in one figure, and have to be.
    """
    found = run_folder.read(run)
    if "all" in chosen:
        chosen = [index for index, member in found.items() if member.best is not None]
    indices = list(dict.fromkeys(chosen)) or [run_folder.best(found)]
    if missing := [index for index in indices if index not in found]:
        raise CheckpointError(f"{run} has no member {missing[0]}; it has {', '.join(map(str, found))}")
    if in_one_figure and len(indices) > _MOST_PANELS:
        raise ValueError(
            f"{len(indices)} members do not fit into one figure; name at most {_MOST_PANELS}, as in --members 0 4 8"
        )
    fields = swept([member.experiment for member in found.values()])
    titles = {index: words(values(member.experiment, fields)) for index, member in found.items()}
    return [
        Chosen(
            index,
            f"member {index}: {titles[index]}" if titles[index] else found[index].experiment.name,
            found[index].logs,
            inference.load_encoder(run, member=index),
        )
        for index in indices
    ]


def require_same_clips(experiments: Sequence[RenderedExperiment]) -> None:
    """ValueError where experiments were trained on different clips, which no figure compares."""
    fields = [path for path in swept(experiments) if path.startswith(("audio.", "data."))]
    if fields:
        raise ValueError(f"these members differ in {', '.join(fields)}, so they share no clips; take one at a time")


def data(
    encoders: Sequence[inference.SpectrogramEncoder | Matcher],
    directory: str | None = None,
    splits: Sequence[str] = SPLITS,
    cluster: str | None = None,
) -> dataset.Dataset:
    """The data set that encoders were trained on, whatever their spectrograms are, with these of its splits.

    It is looked for where training left it, or in `directory`. Where it is not, or not whole, these splits are
    rendered, after a line that says so; neither recordings nor plug-ins are needed else.

    Raises:
        ValueError: the encoders were trained on different clips; or the set is not found, and cannot be rendered or
            would be another one.
        OSError: as `dataset.render`.
    """
    experiment, identity = encoders[0].experiment, encoders[0].dataset
    require_same_clips([encoder.experiment for encoder in encoders])
    if others := {encoder.dataset for encoder in encoders} - {identity}:
        raise ValueError(f"these members were trained on data sets {identity} and {min(others)}; take one at a time")
    folders = [Folder(folder) for folder in encoders[0].dataset_folders]
    if directory is not None:
        folders = [Folder(directory).subfolder(identity), Folder(directory)]
    found = dataset.find(experiment, identity, folders)
    if found is None:
        looked = f"data set {identity}, which the run was trained on, is not in {', nor in '.join(map(str, folders))}"
        try:
            present = dataset.identify(experiment)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{looked}, and cannot be made here: {error}; say where it lies by --data.directory"
            ) from error
        if present != identity:
            raise ValueError(
                f"{looked}, and recordings and effects make {present} here; say where it lies by --data.directory"
            )
        directory = str(folders[0].parent) if directory is None else directory
        clips = sum(getattr(experiment.data, f"{split}_clips") for split in splits)
        size = 2 * clips * experiment.audio.clip_samples
        print(f"{looked}; its {_and(splits)} clips, {size:,} bytes, are rendered into {directory}", flush=True)
        experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, directory=directory))
        return dataset.render(experiment, splits=splits, cluster=cluster)
    if needed := found.needs(splits):
        print(f"{found.folder} lacks {needed:,} bytes of {_and(splits)} clips, which are rendered", flush=True)
        dataset.complete(found, splits, cluster=cluster)
    return found


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
