"""Training and evaluation of one controller on one batch. Pure functions; nothing here knows of more than one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxvae import config
from jaxvae.data.input_pipeline import Examples
from jaxvae.models import controller, heads, layers
from jaxvae.models.controller import Controller
from jaxvae.training import train_state
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.train_state import Metrics, TrainState, Weights
from jaxvae.views import RELATIONS, Views, draw_relation


def create(hyperparams: Hyperparams, model: Controller, bins: int, frames: int, numbers: int) -> TrainState:
    """The state before the first step, for spectrograms of these sizes and so many numbers of fine structure.

    A pure function of the hyper-parameters' seed.
    """
    params_key, noise_key = jax.random.split(jax.random.key(hyperparams.seed))
    clips = Views(jnp.zeros((1, bins, frames)), jnp.zeros((1, numbers)))
    none = jnp.zeros(1, jnp.int32)
    z, time = jnp.zeros((1, 1, max(1, *model.parameters))), jnp.zeros((1, 1))
    return train_state.begin(model.init(params_key, clips, clips, none, none, z, time), noise_key, hyperparams)


def train_step(
    state: TrainState,
    hyperparams: Hyperparams,
    examples: Examples,
    *,
    model: Controller,
    objective: config.MatchObjective,
) -> tuple[TrainState, Metrics]:
    """The state after one step of the optimiser (`train_state.descend`), and the step's figures as scalars."""
    known, left_out, flow = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
    batch = len(examples.effect)
    relation = draw_relation(known, batch, hyperparams.dry_share, hyperparams.source_share)
    dry = examples.related(relation)
    kept = layers.dropout(left_out, (batch, controller.LAYERS, model.config.width), hyperparams.dropout)
    arcs = draw_arcs(flow, examples.normalized, objective.times)

    def loss(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        logits, moved = model.apply(
            {"params": params}, examples.wet, dry, relation, examples.effect, arcs.z, arcs.time, kept
        )
        effect = jnp.mean(heads.effect_nll(logits, examples))
        settings = jnp.mean(jnp.sum((moved - arcs.velocity) ** 2, axis=2))  # of an effect's own parameters
        value = hyperparams.effect_weight * effect + hyperparams.settings_weight * settings
        return value, ({"effect_nll": effect, "flow": settings}, {})

    return train_state.descend(state, hyperparams, loss)


TEMPERATURES = 2.0 ** (np.arange(-2, 11) / 4)
"""By what the logits of effects may be divided: .7 to 5.7."""


def eval_step(weights: Weights, examples: Examples, *, model: Controller) -> Metrics:
    """Figures of each example in each mode: negative log-likelihoods of effect and settings, and accuracy.

    That of the effect is told at each of the `TEMPERATURES`.
    """
    metrics = {}
    for mode, relation in RELATIONS.items():
        relations = jnp.full(len(examples.effect), relation)
        dry = examples.related(relations)
        hidden = model.apply(weights.variables, examples.wet, dry, relations, method="hear")
        logits = model.apply(weights.variables, hidden, method="effect")
        cooled = [heads.effect_nll(logits / temperature, examples) for temperature in TEMPERATURES]
        metrics[f"{mode}/effect_nll"] = jnp.stack(cooled, axis=1)
        metrics[f"{mode}/accuracy"] = heads.effect_accuracy(logits, examples)["accuracy"]
        metrics[f"{mode}/settings_nll"] = controller.settings_nll(
            model, weights.variables, hidden, examples.effect, examples.normalized
        )
    return metrics


class Arcs(NamedTuple):
    """Moments on arcs from noise to the settings of clips."""

    z: Float[Array, "batch moment parameter"]
    velocity: Float[Array, "batch moment parameter"]
    time: Float[Array, "batch moment"]


def draw_arcs(key: Key[Array, ""], normalized: Float[Array, "batch parameter"], times: int) -> Arcs:
    """So many moments of each clip, one in each of equal spans of time."""
    of_noise, of_time = jax.random.split(key)
    given = ~jnp.isnan(normalized)[:, None]
    end = jnp.repeat(controller.as_quantile(normalized)[:, None], times, axis=1)
    time = (jnp.arange(times)[None] + jax.random.uniform(of_time, end.shape[:2])) / times
    z, velocity = controller.on_arc(given * jax.random.normal(of_noise, end.shape), end, time)
    return Arcs(z, velocity, time)
