"""Sweeps: which fields the members of a population differ in.

    sweep=grid({"objective.beta.maximum": (0.3, 1.0, 3.0), "train.seed": range(4)})          12 members
    sweep=draws({"train.learning_rate": scipy.stats.loguniform(1e-4, 1e-2)}, members=16)
    sweep=listed([{"model.latent_dim": 32}, {"model.latent_dim": 64, "train.seed": 1}])

    sweep=listed([{"name": "the model"}, {"name": "no swaps", "objective.swap": 0.0}])

A field is named by its path in the experiment, whose own name tells members apart where values would be many. Numbers
that reach the program as arrays (`jaxvae.fields.number`) are trained in one compiled program; members that differ in
anything else form groups, one program each.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from jaxvae import fields
from jaxvae.fields import Value

_Experiment = TypeVar("_Experiment")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The members of a population, each as changes of one experiment."""

    members: tuple[tuple[tuple[str, Value], ...], ...] = ()
    """Path and value of each change, member by member; empty means one member, the experiment itself."""

    def __post_init__(self) -> None:
        first: dict[frozenset, int] = {}
        for member, changes in enumerate(self.members):
            same = first.setdefault(frozenset(changes), member)
            if same != member:
                raise ValueError(f"members {same} and {member} of the sweep are the same: {dict(changes)}; drop one")


def members(experiment: _Experiment) -> tuple[_Experiment, ...]:
    """The experiment of each member of its sweep, which trained alone gives the same numbers.

    Raises:
        ValueError: the sweep changes what is no field, or to a value of another type or out of range.
    """
    alone = dataclasses.replace(experiment, sweep=Sweep())
    return tuple(fields.changed(alone, changes) for changes in experiment.sweep.members or ((),))


@runtime_checkable
class Distribution(Protocol):
    """What `scipy.stats` calls a frozen distribution."""

    def rvs(self, *, size: int, random_state: np.random.Generator) -> np.ndarray:
        """Samples."""


def grid(axes: Mapping[str, Iterable[Value]]) -> Sweep:
    """Every combination of the values; the last field changes fastest."""
    values = [tuple(column) for column in axes.values()]
    return listed([dict(zip(axes, row, strict=True)) for row in itertools.product(*values)])


def draws(distributions: Mapping[str, Distribution | Sequence[Value]], members: int, seed: int = 0) -> Sweep:
    """Members with values drawn independently, from a distribution of scipy.stats or evenly from a sequence.

    Each field has a stream of its own, and fewer members are the first of more.
    """
    columns = []
    for path, source in distributions.items():
        generator = np.random.default_rng([seed, *path.encode()])
        if isinstance(source, Sequence):
            columns.append([source[index] for index in generator.integers(len(source), size=members)])
        else:
            columns.append([source.rvs(size=1, random_state=generator)[0] for _ in range(members)])
    return listed([dict(zip(distributions, row, strict=True)) for row in zip(*columns, strict=True)])


def listed(members: Iterable[Mapping[str, Any]]) -> Sweep:
    """Members one by one."""
    return Sweep(tuple(tuple((path, _plain(value)) for path, value in changes.items()) for changes in members))


def _plain(value: Any) -> Value:
    return value.item() if isinstance(value, np.generic) else value
