"""Training and evaluation of one VAE on one batch. Pure functions; nothing here knows of more than one model."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxvae import config, losses
from jaxvae.optimizer import Hyperparams, beta, learning_rate, make_optimizer
from jaxvae.train_state import TrainState
from jaxvae.vae import VAE

Metrics = dict[str, Any]


def train_step(
    state: TrainState,
    hyperparams: Hyperparams,
    spectrogram: Float[Array, "batch bin frame"],
    *,
    model: VAE,
    objective: config.Objective,
    steps_per_epoch: int,
) -> tuple[TrainState, Metrics]:
    """The state after one step of the optimiser, and the step's figures as scalars."""
    noise = jax.random.normal(
        jax.random.fold_in(state.key, state.step), (spectrogram.shape[0], model.config.latent_dim)
    )
    beta_now = beta(state.step, hyperparams, objective.beta, steps_per_epoch)

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        output, updated = model.apply(variables, spectrogram, noise, train=True, mutable=["batch_stats"])
        error = jnp.mean(losses.mean_squared(spectrogram, output.reconstruction))
        if objective.reconstruction == "gaussian":
            reconstruction = jnp.mean(losses.gaussian_nll(spectrogram, output.reconstruction, output.log_std))
        else:
            reconstruction = error
        kl = losses.kl_per_dimension(output.posterior)
        loss = reconstruction + beta_now * losses.free_kl(kl, hyperparams.free_nats)
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
    state = state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return state, metrics


def eval_step(
    state: TrainState, spectrogram: Float[Array, "batch bin frame"], noise: Float[Array, "batch latent"], *, model: VAE
) -> Metrics:
    """Figures of each example: mean squared error of a sampled reconstruction, KL per dimension, posterior mean."""
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    output = model.apply(variables, spectrogram, noise, train=False)
    return {
        "mean_squared": losses.mean_squared(spectrogram, output.reconstruction),
        "kl": losses.kl_per_dimension(output.posterior),
        "mean": output.posterior.mean,
        "reconstruction": output.reconstruction,
    }
