"""Numbers: what is marked where it is declared reaches the program, under its own name and type, and nothing else."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxvae import fields
from jaxvae.config import Beta, Experiment, Objective, Train
from jaxvae.fields import number, number_property
from jaxvae.training.hyperparams import hyperparams


def test_every_marked_field_is_an_array_of_its_value_or_goes_into_one():
    experiment = Experiment(
        "x", objective=Objective(beta=Beta(cycle_length=7, maximum=0.3)), train=Train(seed=3, batch_size=8)
    )
    numbers, values = hyperparams(experiment), fields.flat(experiment)
    for path, mark in fields.numbers(experiment).items():
        name = "_".join(path.split(".")[1:])
        if not mark.through:
            found = getattr(numbers, name)
            assert found.dtype == mark.dtype and found == np.asarray(values[path], mark.dtype)
        else:
            assert hasattr(numbers, mark.through)
    assert numbers.beta_cycle_length == 7 * numbers.steps_per_epoch == 7 * (7_000 // 8)
    assert {field.name for field in dataclasses.fields(experiment)}.isdisjoint(numbers._fields)


def test_experiments_that_differ_in_numbers_are_one_tree_of_arrays():
    first, second = (hyperparams(Experiment("x", train=Train(learning_rate=rate))) for rate in (1e-3, 1e-4))
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(first))


def test_a_number_that_is_not_marked_says_how_to_mark_it():
    with pytest.raises(AttributeError, match=r"no number of the experiment is named momentum; mark it by .*number"):
        _ = hyperparams(Experiment("x")).momentum


@dataclasses.dataclass(frozen=True)
class Section:
    rate: float = number(1.0)


SECTION = Section()


@dataclasses.dataclass(frozen=True)
class Twice:
    first: Section = SECTION
    second: Section = SECTION


@dataclasses.dataclass(frozen=True)
class Property:
    first: Section = SECTION

    @number_property
    def rate(self) -> float:
        return 2.0


@pytest.mark.parametrize("experiment", [Twice(), Property()], ids=["sections", "property"])
def test_two_numbers_of_one_name_are_refused(experiment):
    with pytest.raises(ValueError, match="two numbers of an experiment have one name: rate, rate"):
        hyperparams(experiment)
