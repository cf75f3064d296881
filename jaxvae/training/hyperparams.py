"""The numbers of an experiment as arrays, which the members of one program may differ in.

Their names are those of the fields, without the section: `learning_rate` of train.learning_rate, `beta_maximum` of
objective.beta.maximum; and those of the experiment's `number_property`s. What is marked where the experiment declares
it is here; nothing else has to be changed for a new one.
"""

import functools
from collections import namedtuple
from typing import Any

import jax.numpy as jnp

from jaxvae import fields
from jaxvae.fields import number_property


class Hyperparams:
    """Everything about a run that is a number: a named tuple of arrays. A new value never recompiles."""

    _replace: Any

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no number of the experiment is named {name}; mark it by jaxvae.fields.number")


def hyperparams(experiment: Any) -> Hyperparams:
    """The numbers of an experiment."""
    values = fields.flat(experiment)
    arrays = [
        (_name(path), jnp.asarray(values[path], mark.dtype))
        for path, mark in fields.numbers(experiment).items()
        if not mark.through
    ]
    for name in dir(type(experiment)):
        if isinstance(getattr(type(experiment), name), number_property):
            arrays.append((name, jnp.asarray(getattr(experiment, name), jnp.float32)))
    names, numbers = zip(*arrays, strict=True)
    return _kind(names)(*numbers)


def _name(path: str) -> str:
    return "_".join(path.split(".")[1:]) or path


@functools.cache
def _kind(names: tuple[str, ...]) -> type:
    """The class of such numbers. There is one for each set of names, because JAX compares trees by their classes."""
    if len(set(names)) < len(names):
        raise ValueError(f"two numbers of an experiment have one name: {', '.join(sorted(names))}; rename one of them")
    return type("Hyperparams", (namedtuple("Numbers", names), Hyperparams), {"__slots__": ()})
