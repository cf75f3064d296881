"""What a task that is trained on rendered clips has of its data set: the clips of two splits as views."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from jaxvae import devices, views
from jaxvae.config import RenderedExperiment
from jaxvae.data import dataset
from jaxvae.data.dataset import Dataset, Split
from jaxvae.data.input_pipeline import InputPipeline
from jaxvae.training.checkpoints import CheckpointError
from jaxvae.training.task import Record
from jaxvae.views import Normalisation

STATISTICS_CLIPS = 2_048


class Rendered(NamedTuple):
    """A data set as a task sees it."""

    data: Dataset
    normalisation: Normalisation
    validation_split: Split
    train: InputPipeline
    validation: InputPipeline

    def record(self) -> Record:
        """What a checkpoint keeps, for `prepare` to go on with and for those who load it."""
        return {
            **views.as_record(self.normalisation),
            "dataset": self.data.identity,
            "dataset_folder": str(self.data.folder.absolute()),
        }

    def parameters(self) -> tuple[int, ...]:
        """Number of parameters of each kind of clips: untouched ones, which come last, have none."""
        untouched = self.data.experiment.data.kinds("train") - len(self.data.effects)
        return (*(len(kind.parameters) for kind in self.data.effects), *(0,) * untouched)

    def all_of_validation(self, batch_size: int) -> list[tuple[Any, int]]:
        """Clips of batches of one size that hold every validation clip, and how many of each to count."""
        clips = self.validation_split.clips
        firsts = range(0, clips, batch_size)
        return [(np.arange(first, first + batch_size) % clips, min(batch_size, clips - first)) for first in firsts]


def prepare(experiment: RenderedExperiment, mesh: Mesh, record: Record | None) -> Rendered:
    """Render what is missing of the data set, and take from the record or measure how it is normalised.

    Raises:
        CheckpointError: the record is of another data set.
    """
    data = _render(experiment, record and record["dataset"])
    if record is not None and record["dataset"] != data.identity:
        raise CheckpointError(
            f"the run was trained on data set {record['dataset']}, but the recordings or effects now make "
            f"{data.identity}; use another --workdir, or restore the recordings"
        )
    if jax.process_index() == 0:
        tqdm.write(data.counts())
    train, validation = data.split("train"), data.split("validation")
    if record is None:
        measured = np.arange(min(train.clips, STATISTICS_CLIPS))
        normalisation = views.measure(train.audio(measured), experiment)
    else:
        normalisation = views.from_record(record)
    feeds = (InputPipeline(split, experiment, normalisation, mesh) for split in (train, validation))
    return Rendered(data, normalisation, validation, *feeds)


def _render(experiment: RenderedExperiment, recorded: str | None) -> Dataset:
    """The data set, of which every host renders its share first. Hosts that share no disk then render the rest."""
    host, hosts = jax.process_index(), jax.process_count()
    if hosts > 1:
        dataset.render(experiment, part=(host + 1, hosts), progress=host == 0, recorded=recorded)
        devices.wait_for_all_hosts("rendered")
    return dataset.render(experiment, progress=host == 0, recorded=recorded)
