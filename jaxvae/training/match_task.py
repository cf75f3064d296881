"""The matcher's controller as a task: it is trained on the clips of a data set, as the spectrogram VAE is."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from jax.sharding import Mesh

from jaxvae import block, config, fields, views
from jaxvae.config import MatchExperiment
from jaxvae.data.input_pipeline import Examples, InputPipeline
from jaxvae.models.controller import Controller
from jaxvae.training import controller_steps, rendered
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.rendered import Rendered
from jaxvae.training.task import Evaluation, Record, Task
from jaxvae.training.train_state import Metrics, TrainState, Weights

_MODES = {
    "blind": "The reference is of another recording.",
    "source_aware": "The reference is of the same recording as the dry clip.",
    "dry_aware": "The reference is known before the effect as well.",
}
_FIGURES = {
    "effect_nll": "Negative log-likelihood of the effect in nats, on validation clips at their temperature.",
    "temperature": "By what logits of effects are divided to be as sure as they are right.",
    "settings_nll": "Negative log-likelihood of the settings in nats a clip; 0 if uniform.",
    "accuracy": "Share of clips whose likeliest effect is the right one.",
    "flow": "Squared error of the flow's velocity, summed over the parameters of the effect.",
    "criterion": "What the best weights are chosen by, the lower the better: nats of effect and settings, summed over "
    "the modes trained.",
}


@dataclasses.dataclass(frozen=True, eq=False)
class MatchTask(Task):
    """Members that share a data set, a spectrogram and a network."""

    NAME: ClassVar[str] = "match"
    SHOWN: ClassVar[tuple[str, ...]] = tuple(
        f"val/{mode}/{figure}" for figure in ("accuracy", "settings_nll") for mode in config.MODES
    )
    BLOCK: ClassVar[int] = block.CLIPS

    experiment: MatchExperiment
    model: Controller
    rendered: Rendered
    train: InputPipeline
    validation: InputPipeline

    @classmethod
    def prepare(cls, members: Sequence[MatchExperiment], mesh: Mesh, record: Record | None) -> "MatchTask":
        """Render what is missing of the data set, and take from the record or measure how it is normalised.

        Raises:
            CheckpointError: the record is of another data set.
        """
        of_clips = rendered.prepare(members[0], mesh, record)
        model = Controller(members[0].controller, of_clips.parameters())
        return cls(members[0], model, of_clips, of_clips.train, of_clips.validation)

    @staticmethod
    def read(values: Record) -> MatchExperiment:
        """The experiment of a record."""
        return fields.from_dict(MatchExperiment, values)

    @staticmethod
    def criterion(members: Sequence[MatchExperiment]) -> tuple[str, ...]:
        """Nats of effect and settings, in every mode that all of them train."""
        modes = [mode for mode in config.MODES if all(mode in member.modes for member in members)]
        return tuple(f"val/{mode}/{what}_nll" for mode in modes for what in ("effect", "settings"))

    def record(self) -> Record:
        """How to make the network anew, and what it was trained on."""
        return {**self.rendered.record(), "parameters": self.model.parameters}

    def batches(self, first_step: int) -> Iterator[Any]:
        """Clips of each step from `first_step` on, in whole blocks."""
        train = self.experiment.train
        return self.train.batches(train.order_seed, first_step, train.steps, train.batch_size)

    def validation_batches(self) -> Iterator[tuple[Any, int]]:
        """Every clip of the validation set once."""
        for clips, counted in self.rendered.all_of_validation(self.experiment.train.batch_size):
            yield self.validation.batch(clips), counted

    def create(self, hyperparams: Hyperparams) -> TrainState:
        """The state of a member before its first step."""
        bins, frames = self.experiment.bins, self.experiment.frames
        return controller_steps.create(hyperparams, self.model, bins, frames, views.numbers(self.experiment))

    def step(self, state: TrainState, hyperparams: Hyperparams, examples: Examples) -> tuple[TrainState, Metrics]:
        """The state after a step, and its figures."""
        objective = self.experiment.objective
        return controller_steps.train_step(state, hyperparams, examples, model=self.model, objective=objective)

    def evaluate(self, weights: Weights, hyperparams: Hyperparams, examples: Examples) -> Metrics:
        """Figures of each clip."""
        return controller_steps.eval_step(weights, examples, model=self.model)

    def evaluation(self, experiment: MatchExperiment, outputs: dict[str, np.ndarray]) -> Evaluation:
        """Means over the clips, and of each mode the temperature of least likelihood lost.

        Training makes logits of effects surer than they are right on recordings that it never met. Divided by a
        temperature they are not (Guo et al. 2017), and that is how weights are judged and used.
        """
        scalars = {f"val/{name}": output.mean(axis=0) for name, output in outputs.items()}
        for mode in config.MODES:
            nll = scalars[f"val/{mode}/effect_nll"]
            scalars[f"val/{mode}/effect_nll"] = nll.min()
            scalars[f"val/{mode}/temperature"] = controller_steps.TEMPERATURES[nll.argmin()]
        return Evaluation({name: float(value) for name, value in scalars.items()}, {})

    def describe(self, tag: str) -> str:
        """What a tag of the logs shows and in which unit."""
        group, _, name = tag.partition("/")
        mode, _, figure = name.rpartition("/")
        where = {"train": "Mean over the steps since the last point.", "val": "Mean over the validation clips."}
        words = (_FIGURES.get(figure, ""), _MODES.get(mode, ""), where.get(group, ""))
        return " ".join(part for part in words if part)

    def criterion_words(self, experiment: MatchExperiment, value: float) -> str:
        """What the criterion is made of, in nats."""
        return f"matching {value:.4g} nats per clip"
