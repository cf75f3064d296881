"""Schedules against optax, against a literal replay of the loop of Grant (2023), and under tracing."""

import dataclasses
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvae.config import Beta, Data, Experiment, Objective, Train
from jaxvae.training import schedules

CYCLE = {"minimum": 0.1, "maximum": 0.9, "cycle_length": 40, "ramp_fraction": 0.5}


def test_cyclical_cosine_rises_then_holds_then_starts_again():
    steps = jnp.arange(120)
    values = np.asarray(schedules.cyclical_cosine(steps, **CYCLE))
    assert values[0] == pytest.approx(0.1)
    assert values[10] == pytest.approx(0.5)  # half the ramp, half the way
    np.testing.assert_allclose(values[20:40], 0.9, rtol=1e-6)
    assert (np.diff(values[:21]) > 0).all()
    np.testing.assert_allclose(values[40:80], values[:40], atol=1e-6)


def test_cyclical_cosine_downward_mirrors_upward():
    steps = jnp.arange(80)
    up = schedules.cyclical_cosine(steps, **CYCLE)
    down = schedules.cyclical_cosine(steps, **CYCLE, downward=True)
    np.testing.assert_allclose(up + down, 1.0, rtol=1e-6)


def test_downward_ramp_of_a_whole_cycle_equals_optax_cosine_decay():
    steps = jnp.arange(40)
    ours = schedules.cyclical_cosine(steps, minimum=0.0, maximum=0.7, cycle_length=40, ramp_fraction=1.0, downward=True)
    np.testing.assert_allclose(ours, optax.cosine_decay_schedule(0.7, 40)(steps), atol=1e-6)


def test_curve_of_grant2023_equals_a_replay_of_its_training_loop():
    minimum, maximum, cycle, steps_per_epoch = 1e-4, 1e-3, 17, 3
    replay, beta = [], minimum
    for epoch in range(40):
        replay += [beta] * steps_per_epoch
        beta = minimum + 0.5 * (1 + math.cos(math.pi * (epoch % cycle) / cycle)) * (maximum - minimum)
    ours = schedules.grant2023(
        jnp.arange(len(replay)),
        minimum=minimum,
        maximum=maximum,
        cycle_length=cycle * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
    )
    np.testing.assert_allclose(ours, replay, rtol=1e-5)


def test_linear_equals_optax_and_constant_is_constant():
    steps = jnp.arange(30)
    line = schedules.linear(steps, minimum=0.2, maximum=1.5, length=20)
    np.testing.assert_allclose(line, optax.linear_schedule(0.2, 1.5, 20)(steps), atol=1e-6)
    np.testing.assert_array_equal(schedules.constant(steps, maximum=0.3), np.full(30, 0.3, np.float32))


def test_warmup_cosine_peaks_after_the_warmup_and_ends_at_zero():
    values = np.asarray(schedules.warmup_cosine(jnp.arange(101), peak=2.0, warmup_steps=10, steps=100))
    assert values[0] > 0
    assert values.argmax() == 10 and values.max() == pytest.approx(2.0)
    assert values[100] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(values[:11]) > 0).all() and (np.diff(values[11:]) < 0).all()


def test_every_argument_may_be_traced():
    def both(step, low, high, length, fraction):
        cyclical = schedules.cyclical_cosine(
            step, minimum=low, maximum=high, cycle_length=length, ramp_fraction=fraction, downward=fraction > 0.5
        )
        return (
            cyclical
            + schedules.grant2023(step, minimum=low, maximum=high, cycle_length=length, steps_per_epoch=length)
            + schedules.linear(step, minimum=low, maximum=high, length=length)
            + schedules.constant(step, maximum=high)
            + schedules.warmup_cosine(step, peak=high, warmup_steps=low, steps=length)
        )

    arguments = (jnp.arange(4), *jnp.array([[0.0] * 4, [1.0, 2.0, 3.0, 4.0], [5.0] * 4, [0.4, 0.5, 0.6, 1.0]]))
    traced = jax.jit(jax.vmap(both))(*arguments)
    alone = [both(*(argument[i] for argument in arguments)) for i in range(4)]
    np.testing.assert_allclose(traced, alone, rtol=1e-6)


def experiment(**curve) -> Experiment:
    """100 steps in ten epochs."""
    data = Data(train_clips=480)
    return Experiment("short", data=data, objective=Objective(beta=Beta(**curve)), train=Train(steps=100))


def test_a_beta_that_the_run_is_too_short_to_move_is_warned_of():
    still = dataclasses.replace(
        experiment(schedule="grant2023", minimum=0.1, cycle_length=17), data=Data(train_clips=48 * 504, untouched=False)
    )
    with pytest.warns(UserWarning, match=r"short: beta is between 0\.1 and 0\.1 in all 100 steps.*cycle takes 8,568"):
        schedules.warn_of_rest(still)
    with pytest.warns(UserWarning, match=r"between 0 and 0\.495 in all 100 steps.*cycle takes 200 steps"):
        schedules.warn_of_rest(experiment(schedule="linear", cycle_length=200, cycle_unit="step"))


@pytest.mark.parametrize(
    "curve",
    [
        {"schedule": "constant", "maximum": 3.0},
        {"schedule": "linear", "minimum": 2.0, "maximum": 2.0, "cycle_length": 1_009},
        {"schedule": "linear", "cycle_length": 150, "cycle_unit": "step"},  # two thirds of the way
        {"schedule": "cyclical_cosine", "cycle_length": 7},
        {"schedule": "cyclical_cosine", "cycle_length": 101, "direction": "down"},  # begins at its maximum
        {"schedule": "grant2023", "minimum": 0.1, "cycle_length": 17},
    ],
)
def test_a_beta_that_moves_or_is_meant_to_rest_is_not(curve):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedules.warn_of_rest(experiment(**curve))
