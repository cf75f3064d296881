"""Training and evaluation of one VAE on one batch. Pure functions; nothing here knows of more than one model."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxvae import config, losses
from jaxvae.optimizer import Hyperparams, beta, learning_rate, make_optimizer
from jaxvae.train_state import TrainState, Weights
from jaxvae.vae import VAE, draw_noise, latent_mask

Metrics = dict[str, Any]


def train_step(
    state: TrainState,
    hyperparams: Hyperparams,
    spectrogram: Float[Array, "batch bin frame"],
    *,
    model: VAE,
    objective: config.Objective,
) -> tuple[TrainState, Metrics]:
    """The state after one step of the optimiser, and the step's figures as scalars.

    A step whose loss or gradient is not finite is not taken, nor is any after it.
    """
    latent_dim = hyperparams.latent_dim
    noise = draw_noise(jax.random.fold_in(state.key, state.step), len(spectrogram), model.config.latent_dim)
    beta_now = beta(state.step, hyperparams, objective.beta)
    free_nats = hyperparams.free_nats * latent_mask(model.config.latent_dim, latent_dim)[0]

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        output, updated = model.apply(variables, spectrogram, noise, latent_dim, train=True, mutable=["batch_stats"])
        error = jnp.mean(losses.mean_squared(spectrogram, output.reconstruction))
        if objective.reconstruction == "gaussian":
            reconstruction = jnp.mean(losses.gaussian_nll(spectrogram, output.reconstruction, output.log_std))
        else:
            reconstruction = error
        kl = losses.kl_per_dimension(output.posterior)
        loss = reconstruction + beta_now * losses.free_kl(kl, free_nats)
        metrics = {
            "loss": loss,
            "reconstruction": reconstruction,
            "mean_squared": error,
            "kl": jnp.mean(jnp.sum(kl, axis=1)),
            "decoder_std": jnp.exp(output.log_std),
        }
        return loss, (metrics, updated.get("batch_stats", {}))

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
    spectrograms: Float[Array, "step batch bin frame"],
    *,
    model: VAE,
    objective: config.Objective,
) -> tuple[TrainState, Metrics]:
    """The state after several steps, and figures of each step. A model that is not running stays as it is."""

    def train(state: TrainState) -> tuple[TrainState, Metrics]:
        step = functools.partial(train_step, model=model, objective=objective)
        return jax.lax.scan(lambda state, spectrogram: step(state, hyperparams, spectrogram), state, spectrograms)

    def rest(state: TrainState) -> tuple[TrainState, Metrics]:
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(train, state)[1])

    return jax.lax.cond(running, train, rest, state)


def eval_step(
    weights: Weights,
    hyperparams: Hyperparams,
    spectrogram: Float[Array, "batch bin frame"],
    noise: Float[Array, "batch latent"],
    *,
    model: VAE,
) -> Metrics:
    """Figures of each example: mean squared error of a sampled reconstruction, KL per dimension, posterior mean."""
    variables = {"params": weights.params, "batch_stats": weights.batch_stats}
    output = model.apply(variables, spectrogram, noise, hyperparams.latent_dim, train=False)
    return {
        "mean_squared": losses.mean_squared(spectrogram, output.reconstruction),
        "kl": losses.kl_per_dimension(output.posterior),
        "mean": output.posterior.mean,
    }


def reconstruct(
    weights: Weights, hyperparams: Hyperparams, spectrogram: Float[Array, "batch bin frame"], *, model: VAE
) -> Float[Array, "batch bin frame"]:
    """What the decoder makes of the posterior mean."""
    variables = {"params": weights.params, "batch_stats": weights.batch_stats}
    noise = jnp.zeros((len(spectrogram), model.config.latent_dim))
    return model.apply(variables, spectrogram, noise, hyperparams.latent_dim, train=False).reconstruction
