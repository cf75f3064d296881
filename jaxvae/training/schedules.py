"""Schedules: pure functions of the step. Every argument may be a tracer, so every number can be swept.

Conventions
    step counts optimiser steps from 0. Lengths are in steps. Values have the unit of `minimum` and `maximum`.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


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


def seed(
    step: ArrayLike, *, minimum: ArrayLike, maximum: ArrayLike, cycle_length: ArrayLike, steps_per_epoch: ArrayLike
) -> Float[Array, "..."]:
    """The curve that the seed's training really followed: constant within an epoch, and half a cosine down each cycle.

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
