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
import difflib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from jaxvae import fields
from jaxvae.fields import Value

MOST_MEMBERS = 10_000  # of a sweep that is typed: more is a mistake
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
    return Sweep(tuple(tuple((path, _plain(path, value)) for path, value in changes.items()) for changes in members))


def parse(axes: Sequence[str], experiment: Any) -> Sweep:
    """The grid of axes in words, "model.latent_dim=32,64" and "train.seed=0..3", which includes both ends.

    Raises:
        ValueError: an axis names no field, or a value that the field cannot take, or there are too many members.
    """
    known, values = fields.flat(experiment), {}
    for axis in axes:
        path, equals, text = axis.partition("=")
        path = path.strip().replace("-", "_")
        if not equals or not text.strip():
            raise ValueError(f"{axis!r} is no axis of a sweep; write FIELD=VALUES, such as model.latent_dim=32,64,128")
        if path not in known or path.startswith(("sweep.", "execution.")):
            close = difflib.get_close_matches(path, known, n=3, cutoff=0.5)
            meant = f"did you mean {' or '.join(close)}?" if close else "--help lists them"
            raise ValueError(f"the sweep changes {path!r}, which is no field; {meant}")
        if path in values:
            raise ValueError(f"the sweep names {path} twice; give all its values at once, with commas")
        values[path] = [_values(part.strip(), known[path], path) for part in text.split(",")]
    if (members := math.prod(sum(map(len, parts)) for parts in values.values())) > MOST_MEMBERS:
        raise ValueError(f"the sweep has {members} members; use at most {MOST_MEMBERS}")
    return grid({path: itertools.chain(*parts) for path, parts in values.items()})


def _values(text: str, present: Any, path: str) -> Sequence[Value]:
    """The values of a word of an axis, of the type of the field's present one."""
    kind = type(present)
    try:
        if kind is int and ".." in text:
            first, last = map(int, text.split(".."))
            if first <= last:
                return range(first, last + 1)
        if kind is bool:
            return [{"true": True, "false": False}[text.lower()]]
        if kind in (int, float, str) and text:
            return [kind(text)]
    except (KeyError, ValueError):
        pass
    may_be = {
        int: "whole numbers, or a range that includes both ends, such as 0..3",
        float: "numbers, with commas",
        bool: "true or false",
        str: "words, with commas",
    }
    if kind not in may_be:
        raise ValueError(f"{path} holds several values, so a sweep cannot change it; train once with each --{path}")
    raise ValueError(f"the sweep sets {path} to {text!r}; use {may_be[kind]}")


def _plain(path: str, value: Any) -> Value:
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, Value):
        raise ValueError(
            f"the sweep sets {path} to {value!r}, a {type(value).__name__}; members differ in single numbers and "
            f"words only: make a config for each {path}"
        )
    return value
