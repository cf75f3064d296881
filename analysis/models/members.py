"""The members of a run that an analysis reads: which of them, what sets them apart, and what they are called."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from jaxvae import fields, inference
from jaxvae.config import Experiment
from jaxvae.data import dataset
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


def swept(experiments: Sequence[Experiment]) -> tuple[str, ...]:
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
            inference.load(run, member=index),
        )
        for index in indices
    ]


def data(experiments: Sequence[Experiment]) -> dataset.Dataset:
    """The data set that experiments share, whatever their spectrograms are.

    Raises:
        ValueError: they were trained on different clips, which no figure compares.
    """
    fields = [path for path in swept(experiments) if path.startswith(("audio.", "data."))]
    if fields:
        raise ValueError(f"these members differ in {', '.join(fields)}, so they share no clips; take one at a time")
    return dataset.render(experiments[0])
