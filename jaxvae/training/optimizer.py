"""The numbers of a training run as arrays, and the optimiser made from them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxvae import config
from jaxvae.training import schedules


class Hyperparams(NamedTuple):
    """Everything about a run that is a number. A new value never recompiles; lengths are in steps."""

    learning_rate: Float[Array, "*member"]
    warmup_steps: Float[Array, "*member"]
    steps: Float[Array, "*member"]
    steps_per_epoch: Float[Array, "*member"]
    weight_decay: Float[Array, "*member"]
    gradient_norm: Float[Array, "*member"]
    beta_minimum: Float[Array, "*member"]
    beta_maximum: Float[Array, "*member"]
    beta_cycle_length: Float[Array, "*member"]
    beta_ramp_fraction: Float[Array, "*member"]
    free_nats: Float[Array, "*member"]
    swap: Float[Array, "*member"]
    dry_share: Float[Array, "*member"]
    reading_noise: Float[Array, "*member"]
    elbo_weight: Float[Array, "*member"]
    effect_weight: Float[Array, "*member"]
    settings_weight: Float[Array, "*member"]
    contrastive_weight: Float[Array, "*member"]
    temperature: Float[Array, "*member"]
    latent_dim: Int[Array, "*member"]
    """Latent dimensions in use, of those that the network has."""
    seed: Int[Array, "*member"]


NUMBERS = (
    "model.latent_dim",
    "objective.beta.cycle_length",
    "objective.beta.cycle_unit",
    "objective.beta.maximum",
    "objective.beta.minimum",
    "objective.beta.ramp_fraction",
    "objective.contrastive_weight",
    "objective.dry_share",
    "objective.effect_weight",
    "objective.elbo_weight",
    "objective.free_nats",
    "objective.reading_noise",
    "objective.settings_weight",
    "objective.swap",
    "objective.temperature",
    "train.epoch_clips",
    "train.gradient_norm",
    "train.learning_rate",
    "train.seed",
    "train.warmup_steps",
    "train.weight_decay",
)
"""Fields of an experiment that reach a program through `Hyperparams` only, so that one program trains all their values.

(`train.steps` does as well, but also says how long the program runs.)
"""


def hyperparams(experiment: config.Experiment) -> Hyperparams:
    """The numbers of an experiment."""
    train, objective, beta = experiment.train, experiment.objective, experiment.objective.beta
    unit = experiment.steps_per_epoch if beta.cycle_unit == "epoch" else 1
    numbers = {
        "learning_rate": train.learning_rate,
        "warmup_steps": train.warmup_steps,
        "steps": train.steps,
        "steps_per_epoch": experiment.steps_per_epoch,
        "weight_decay": train.weight_decay,
        "gradient_norm": train.gradient_norm,
        "beta_minimum": beta.minimum,
        "beta_maximum": beta.maximum,
        "beta_cycle_length": beta.cycle_length * unit,
        "beta_ramp_fraction": beta.ramp_fraction,
        "free_nats": objective.free_nats,
        "swap": objective.swap,
        "dry_share": objective.dry_share,
        "reading_noise": objective.reading_noise,
        "elbo_weight": objective.elbo_weight,
        "effect_weight": objective.effect_weight,
        "settings_weight": objective.settings_weight,
        "contrastive_weight": objective.contrastive_weight,
        "temperature": objective.temperature,
    }
    return Hyperparams(
        **{name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()},
        latent_dim=jnp.asarray(experiment.model.latent_dim),
        seed=jnp.asarray(train.seed),
    )


def learning_rate(step: Int[Array, ""], hyperparams: Hyperparams) -> Float[Array, ""]:
    """The learning rate of a step."""
    return schedules.warmup_cosine(
        step, peak=hyperparams.learning_rate, warmup_steps=hyperparams.warmup_steps, steps=hyperparams.steps
    )


def beta(step: Int[Array, ""], hyperparams: Hyperparams, beta: config.Beta) -> Float[Array, ""]:
    """The weight of the KL divergence at a step."""
    minimum, maximum = hyperparams.beta_minimum, hyperparams.beta_maximum
    cycle_length = hyperparams.beta_cycle_length
    match beta.schedule:
        case "cyclical_cosine":
            return schedules.cyclical_cosine(
                step,
                minimum=minimum,
                maximum=maximum,
                cycle_length=cycle_length,
                ramp_fraction=hyperparams.beta_ramp_fraction,
                downward=beta.direction == "down",
            )
        case "seed":
            return schedules.seed(
                step,
                minimum=minimum,
                maximum=maximum,
                cycle_length=cycle_length,
                steps_per_epoch=hyperparams.steps_per_epoch,
            )
        case "linear":
            return schedules.linear(step, minimum=minimum, maximum=maximum, length=cycle_length)
        case "constant":
            return schedules.constant(step, maximum=maximum)


def make_optimizer(step: Int[Array, ""], hyperparams: Hyperparams) -> optax.GradientTransformation:
    """Adam with decoupled weight decay on kernels and a bound on the gradient's norm (Loshchilov & Hutter 2019)."""
    return optax.chain(
        optax.clip_by_global_norm(hyperparams.gradient_norm),
        optax.adamw(
            learning_rate(step, hyperparams),
            weight_decay=hyperparams.weight_decay,
            mask=lambda params: jax.tree.map(lambda weights: weights.ndim > 1, params),
        ),
    )
