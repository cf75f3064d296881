"""Tasks: what a run trains. The loop knows of nothing else what it trains (`jaxvae.training.run`).

A task is named in the records of checkpoints, and prepared from the experiments of the members that one program
trains. What it computes it writes for one member; the run makes it one of a population.

An experiment is any frozen dataclass with the fields `name`, `train` (`jaxvae.config.Train`), `execution`
(`jaxvae.config.Execution`) and `sweep`; the rest is the task's own.
"""

import abc
import importlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from jaxvae.training.checkpoints import CheckpointError
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.train_state import Metrics, TrainState, Weights

Record = dict[str, Any]


class Evaluation(NamedTuple):
    """How well one member does on the validation set."""

    scalars: dict[str, float]
    """By the name that logs show, those of `Task.criterion` among them."""
    histograms: dict[str, np.ndarray]


@runtime_checkable
class Log(Protocol):
    """Where pictures and sounds go (`jaxvae.training.summaries.Summaries`)."""

    def image(self, step: int, tag: str, pixels: UInt8[np.ndarray, "row column 3"]) -> None:
        """Log a picture."""

    def audio(self, step: int, tag: str, audio: Float[np.ndarray, "sample"], sample_rate: int) -> None:
        """Log a sound, full scale at 1."""


class Source(Protocol):
    """Where the examples of a step come from."""

    pool: Any
    """Arrays that stay on the devices; None where there are none."""

    def examples(self, pool: Any, batch: Any) -> Any:
        """Examples of a batch. Pure, for use inside a compiled step, which takes `pool` as an argument."""


class Task(abc.ABC):
    """What a run trains: how it begins, steps, is evaluated, shown and judged."""

    NAME: ClassVar[str]
    """As records say it."""
    SHOWN: ClassVar[tuple[str, ...]]
    """Names of the figures that a person sees at each validation."""
    BLOCK: ClassVar[int]
    """Examples of a batch that belong together, and stay on one device."""

    experiment: Any
    """What the program is made for; its numbers are those of the first member."""
    train: Source
    validation: Source

    @classmethod
    @abc.abstractmethod
    def prepare(cls, members: Sequence[Any], mesh: Mesh, record: Record | None) -> "Task":
        """The task of the members' experiments on the devices of a mesh; the record is what an earlier process left.

        Raises:
            CheckpointError: the record is of other data.
        """

    @staticmethod
    @abc.abstractmethod
    def read(values: Record) -> Any:
        """The experiment of a record, the inverse of `jaxvae.fields.to_dict`."""

    @staticmethod
    @abc.abstractmethod
    def criterion(members: Sequence[Any]) -> tuple[str, ...]:
        """Names of the figures whose sum judges the weights of all these members alike; the lowest is the best.

        Of one member they choose among the steps of its training, of the members of a sweep among these. None, where
        no figure says the same of all.
        """

    @abc.abstractmethod
    def record(self) -> Record:
        """Plain values that checkpoints keep beside the weights, for a later process and for who loads them."""

    @abc.abstractmethod
    def batches(self, first_step: int) -> Iterator[Any]:
        """What `train.examples` takes at each step from `first_step` on: arrays with a leading axis of examples."""

    @abc.abstractmethod
    def validation_batches(self) -> Iterator[tuple[Any, int]]:
        """What `validation.examples` takes, batches of one size, and how many examples of each are counted."""

    @abc.abstractmethod
    def create(self, hyperparams: Hyperparams) -> TrainState:
        """The state of a member before its first step. Pure."""

    @abc.abstractmethod
    def step(self, state: TrainState, hyperparams: Hyperparams, examples: Any) -> tuple[TrainState, Metrics]:
        """The state after a step, and figures as scalars (`train_state.descend`). Pure."""

    @abc.abstractmethod
    def evaluate(self, weights: Weights, hyperparams: Hyperparams, examples: Any) -> Metrics:
        """Figures of each validation example, arrays with a leading axis of examples. Pure."""

    @abc.abstractmethod
    def evaluation(self, experiment: Any, outputs: dict[str, np.ndarray]) -> Evaluation:
        """What `evaluate` gave of all validation examples for one member, summed up."""

    def shown_batch(self) -> Any:
        """What `validation.examples` takes to show a person; None where there is nothing to show."""
        return None

    def shown(self, weights: Weights, hyperparams: Hyperparams, examples: Any) -> Any:
        """Arrays that `show` is to log of the weights. Pure."""
        return None

    def show(self, log: Log, step: int, shown: Any) -> None:
        """Log pictures and sounds of one member."""
        return None

    def describe(self, tag: str) -> str:
        """What a tag of the logs shows and in which unit, for a person; empty where that is not known."""
        return ""

    @abc.abstractmethod
    def criterion_words(self, experiment: Any, value: float) -> str:
        """The criterion of a member in words with its unit."""


_BUILT_IN = {
    "vae": "jaxvae.training.vae_task:VAETask",
    "match": "jaxvae.training.match_task:MatchTask",
}
_REGISTERED: dict[str, type[Task]] = {}


def register(kind: type[Task]) -> type[Task]:
    """Make a task of one's own known to those who read records; usable as a decorator."""
    _REGISTERED[kind.NAME] = kind
    return kind


def kind_of(record: Record) -> type[Task]:
    """The task whose checkpoint has this record.

    Raises:
        CheckpointError: no task of that name is known.
    """
    name = record.get("task", "vae")  # there was no other when records did not name it
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in _BUILT_IN:
        raise CheckpointError(
            f"the checkpoint is of a task named {name!r}; known are {', '.join((*_BUILT_IN, *_REGISTERED))}: import "
            "the module that registers it"
        )
    module, _, attribute = _BUILT_IN[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def members(record: Record) -> Sequence[Any]:
    """The experiments of the members of a checkpoint."""
    kind = kind_of(record)
    return [kind.read(values) for values in record["members"]]
