"""Training and evaluation of one VAE on one batch. Pure functions; nothing here knows of more than one model."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxvae import config
from jaxvae.data.input_pipeline import Examples
from jaxvae.models.vae import VAE, Draws, choose, draw, latent_mask, still
from jaxvae.training import losses
from jaxvae.training.optimizer import Hyperparams, beta, learning_rate, make_optimizer
from jaxvae.training.train_state import TrainState, Weights

Metrics = dict[str, Any]


def train_step(
    state: TrainState,
    hyperparams: Hyperparams,
    examples: Examples,
    *,
    model: VAE,
    objective: config.Objective,
) -> tuple[TrainState, Metrics]:
    """The state after one step of the optimiser, and the step's figures as scalars.

    A step whose loss or gradient is not finite is not taken, nor is any after it.
    """
    batch, latent_dim = len(examples.wet), hyperparams.latent_dim
    key = jax.random.fold_in(state.key, state.step)
    draws = draw(
        key,
        batch,
        model.config,
        hyperparams.dry_share,
        hyperparams.swap,
        hyperparams.reading_noise,
        objective.reconstructed_clips,
    )
    target = choose(examples.wet, draws.reconstructed)
    beta_now = beta(state.step, hyperparams, objective.beta)
    free_nats = hyperparams.free_nats * latent_mask(model.config.latent_dim, latent_dim)[0]

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        output, updated = model.apply(
            variables, examples.wet, examples.dry, draws, latent_dim, train=True, mutable=["batch_stats"]
        )
        error = jnp.mean(losses.mean_squared(target, output.reconstruction))
        if objective.reconstruction == "gaussian":
            reconstruction = jnp.mean(losses.gaussian_nll(target, output.reconstruction, output.log_std))
        else:
            reconstruction = error
        kl, content_kl = map(losses.kl_per_dimension, (output.posterior, output.content))
        contrastive = jnp.mean(losses.contrastive(output.posterior.mean, hyperparams.temperature))
        charged = losses.free_kl(kl, free_nats) + jnp.mean(jnp.sum(content_kl, axis=1))
        loss = hyperparams.elbo_weight * (reconstruction + beta_now * charged)
        loss += hyperparams.contrastive_weight * contrastive
        metrics = {
            "reconstruction": reconstruction,
            "mean_squared": error,
            "kl": jnp.mean(jnp.sum(kl, axis=1)),
            "content_kl": jnp.mean(jnp.sum(content_kl, axis=1)),
            "contrastive": contrastive,
            "decoder_std": jnp.exp(output.log_std),
        }
        if model.parameters:
            effect_nll = jnp.mean(losses.effect_nll(output.reading, examples.effect))
            settings_nll = jnp.mean(losses.settings_nll(output.reading, examples.effect, examples.normalized))
            loss += hyperparams.effect_weight * effect_nll + hyperparams.settings_weight * settings_nll
            metrics |= {"effect_nll": effect_nll, "settings_nll": settings_nll}
        return loss, (metrics | {"loss": loss}, updated.get("batch_stats", {}))

    gradient, (metrics, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    updates, opt_state = make_optimizer(state.step, hyperparams).update(gradient, state.opt_state, state.params)
    metrics |= {
        "beta": beta_now,
        "learning_rate": learning_rate(state.step, hyperparams),
        "gradient_norm": optax.tree.norm(gradient),
    }
    diverged = state.diverged | ~jnp.isfinite(metrics["loss"]) | ~jnp.isfinite(metrics["gradient_norm"])
    old = (state.step, state.params, state.batch_stats, state.opt_state)
    new = (state.step + 1, optax.apply_updates(state.params, updates), batch_stats, opt_state)
    step, params, batch_stats, opt_state = jax.tree.map(lambda new, old: jnp.where(diverged, old, new), new, old)
    return TrainState(step, params, batch_stats, opt_state, state.key, diverged), metrics


def train_steps(
    state: TrainState,
    hyperparams: Hyperparams,
    running: Bool[Array, ""],
    examples: Examples,
    *,
    model: VAE,
    objective: config.Objective,
) -> tuple[TrainState, Metrics]:
    """The state after several steps, and figures of each step. A model that is not running stays as it is.

    The examples have a leading axis of steps.
    """

    def train(state: TrainState) -> tuple[TrainState, Metrics]:
        step = functools.partial(train_step, model=model, objective=objective)
        return jax.lax.scan(lambda state, examples: step(state, hyperparams, examples), state, examples)

    def rest(state: TrainState) -> tuple[TrainState, Metrics]:
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(train, state)[1])

    return jax.lax.cond(running, train, rest, state)


def eval_step(
    weights: Weights,
    hyperparams: Hyperparams,
    examples: Examples,
    draws: Draws,
    *,
    model: VAE,
) -> Metrics:
    """Figures of each example.

    Mean squared error of a sampled reconstruction, KL per dimension of the effect latent and in sum of the content's,
    posterior mean; of the heads, blind and, where the model can be, dry-aware: negative log-likelihoods and whether the
    effect is right.
    """
    variables = {"params": weights.params, "batch_stats": weights.batch_stats}
    wet, dry = examples.wet, examples.dry
    output = model.apply(variables, wet, dry, draws, hyperparams.latent_dim, train=False)
    metrics = {
        "mean_squared": losses.mean_squared(wet, output.reconstruction),
        "kl": losses.kl_per_dimension(output.posterior),
        "content_kl": jnp.sum(losses.kl_per_dimension(output.content), axis=1),
        "mean": output.posterior.mean,
    }
    if model.parameters:
        readings = {"blind": output.reading}
        if model.config.content_dim:
            known = still(len(wet), model.config)._replace(dry_known=jnp.ones(len(wet)))
            aware = model.apply(variables, wet, dry, known, hyperparams.latent_dim, train=False)
            readings["dry_aware"] = aware.reading
        for mode, reading in readings.items():
            metrics[f"{mode}/effect_nll"] = losses.effect_nll(reading, examples.effect)
            metrics[f"{mode}/settings_nll"] = losses.settings_nll(reading, examples.effect, examples.normalized)
            metrics[f"{mode}/accuracy"] = jnp.argmax(reading.effect, axis=1) == examples.effect
    return metrics


def reconstruct(
    weights: Weights, hyperparams: Hyperparams, wet: Float[Array, "batch bin frame"], *, model: VAE
) -> Float[Array, "batch bin frame"]:
    """What the decoder makes of the posterior means, blind."""
    variables = {"params": weights.params, "batch_stats": weights.batch_stats}
    return model.apply(variables, wet, hyperparams.latent_dim, method="reconstruct")
