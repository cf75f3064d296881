"""Schedules: pure functions of the step. Every argument may be a tracer, so every number can be swept.

Conventions
    step counts optimiser steps from 0. Lengths are in steps. Values have the unit of `minimum` and `maximum`.
"""

import warnings

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from jaxvae import config
from jaxvae.training.hyperparams import Hyperparams, hyperparams


def cyclical_cosine(
    step: ArrayLike,
    *,
    minimum: ArrayLike,
    maximum: ArrayLike,
    cycle_length: ArrayLike,
    ramp_fraction: ArrayLike,
    downward: ArrayLike = False,
) -> Float[Array, "..."]:
    """A cosine ramp over the first `ramp_fraction` of each cycle, then the end value until the cycle ends.

    Upward it is the cyclical schedule of Fu et al. (2019, arXiv 1903.10145, section 3.2) with a cosine ramp:
    each cycle starts at `minimum`, so the decoder leans on the latent before it is charged for.
    """
    phase = jnp.mod(step, cycle_length) / cycle_length
    ramp = 0.5 * (1.0 - jnp.cos(jnp.pi * jnp.minimum(phase / ramp_fraction, 1.0)))
    return minimum + (maximum - minimum) * jnp.where(downward, 1.0 - ramp, ramp)


def grant2023(
    step: ArrayLike, *, minimum: ArrayLike, maximum: ArrayLike, cycle_length: ArrayLike, steps_per_epoch: ArrayLike
) -> Float[Array, "..."]:
    """The curve that training really followed in Grant (2023): constant in an epoch, half a cosine down each cycle.

    Its scheduler ran at the end of an epoch with that epoch's index, so epoch 0 has `minimum` and every later
    epoch e has the value for e - 1. `cycle_length` is a whole number of epochs, expressed in steps.
    """
    epoch = jnp.floor_divide(step, steps_per_epoch)
    phase = jnp.mod((epoch - 1) * steps_per_epoch, cycle_length) / cycle_length
    falling = minimum + (maximum - minimum) * 0.5 * (1.0 + jnp.cos(jnp.pi * phase))
    return jnp.where(epoch == 0, minimum, falling)


def linear(step: ArrayLike, *, minimum: ArrayLike, maximum: ArrayLike, length: ArrayLike) -> Float[Array, "..."]:
    """A straight line from `minimum` at step 0 to `maximum` at step `length`, then `maximum`."""
    return minimum + (maximum - minimum) * jnp.minimum(step / length, 1.0)


def constant(step: ArrayLike, *, maximum: ArrayLike) -> Float[Array, "..."]:
    """`maximum` at every step."""
    return jnp.broadcast_to(maximum, jnp.shape(step)).astype(jnp.float32)


def warmup_cosine(
    step: ArrayLike, *, peak: ArrayLike, warmup_steps: ArrayLike, steps: ArrayLike
) -> Float[Array, "..."]:
    """Linear up to `peak` in `warmup_steps`, then half a cosine down to 0 at `steps` (Loshchilov & Hutter 2017)."""
    warmup = (step + 1.0) / (warmup_steps + 1.0)
    progress = jnp.clip((step - warmup_steps) / jnp.maximum(steps - warmup_steps, 1), 0.0, 1.0)
    return peak * jnp.minimum(warmup, 0.5 * (1.0 + jnp.cos(jnp.pi * progress)))


def beta(step: Int[Array, "..."], curve: config.Beta, hyperparams: Hyperparams) -> Float[Array, "..."]:
    """The weight of the KL divergence at a step: which curve is the program's, its numbers are the member's."""
    minimum, maximum = hyperparams.beta_minimum, hyperparams.beta_maximum
    cycle_length = hyperparams.beta_cycle_length
    match curve.schedule:
        case "cyclical_cosine":
            return cyclical_cosine(
                step,
                minimum=minimum,
                maximum=maximum,
                cycle_length=cycle_length,
                ramp_fraction=hyperparams.beta_ramp_fraction,
                downward=curve.direction == "down",
            )
        case "grant2023":
            return grant2023(
                step,
                minimum=minimum,
                maximum=maximum,
                cycle_length=cycle_length,
                steps_per_epoch=hyperparams.steps_per_epoch,
            )
        case "linear":
            return linear(step, minimum=minimum, maximum=maximum, length=cycle_length)
        case "constant":
            return constant(step, maximum=maximum)


def reached(experiment: config.Experiment) -> tuple[float, float]:
    """The lowest and the highest beta that the steps of an experiment meet."""
    step = jnp.arange(experiment.train.steps)
    followed = beta(step, experiment.objective.beta, hyperparams(experiment)) + jnp.zeros(len(step))
    return float(followed.min()), float(followed.max())


def warn_of_rest(experiment: config.Experiment) -> None:
    """Warn where beta rests at one value, or stays below half its maximum, because the run is too short for its cycle.

    Such a run is not one of the beta that its config names.
    """
    curve, steps = experiment.objective.beta, experiment.train.steps
    if curve.schedule == "constant" or curve.minimum == curve.maximum or experiment.objective.elbo_weight == 0:
        return
    low, high = reached(experiment)
    if low == high or high < (curve.minimum + curve.maximum) / 2:
        warnings.warn(
            f"{experiment.name}: beta is between {low:.3g} and {high:.3g} in all {steps:,} steps, though it is to move "
            f"between {curve.minimum:.3g} and {curve.maximum:.3g}: its cycle takes {experiment.beta_cycle_length:,} "
            "steps; shorten objective.beta.cycle_length or train.epoch_clips, or lengthen train.steps",
            stacklevel=2,
        )


def learning_rate(step: Int[Array, ""], hyperparams: Hyperparams) -> Float[Array, ""]:
    """The learning rate of a step."""
    return warmup_cosine(
        step, peak=hyperparams.learning_rate, warmup_steps=hyperparams.warmup_steps, steps=hyperparams.steps
    )
