"""Training and evaluation of one VAE on one batch. Pure functions; nothing here knows of more than one model."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxvae import block, config
from jaxvae.data.input_pipeline import Examples
from jaxvae.models.heads import HEADS
from jaxvae.models.vae import VAE, Randomness, choose, sample_randomness, still
from jaxvae.training import losses, schedules, train_state
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.losses import Pass
from jaxvae.training.train_state import Metrics, TrainState, Weights
from jaxvae.views import NONE, RELATIONS, Views


def create(hyperparams: Hyperparams, model: VAE, bins: int, frames: int, numbers: int = 0) -> TrainState:
    """The state before the first step, for spectrograms of these sizes and so many numbers of fine structure.

    A pure function of the hyper-parameters' seed.
    """
    params_key, noise_key = jax.random.split(jax.random.key(hyperparams.seed))
    clips = Views(jnp.zeros((block.CLIPS, bins, frames)), jnp.zeros((block.CLIPS, numbers)))
    variables = model.init(
        params_key, clips, clips, still(block.CLIPS, model.config), hyperparams.latent_dim, train=False
    )
    return train_state.begin(variables, noise_key, hyperparams)


def train_step(
    state: TrainState,
    hyperparams: Hyperparams,
    examples: Examples,
    *,
    model: VAE,
    objective: config.Objective,
) -> tuple[TrainState, Metrics]:
    """The state after one step of the optimiser (`train_state.descend`), and the step's figures as scalars."""
    randomness = sample_randomness(
        jax.random.fold_in(state.key, state.step),
        len(examples.effect),
        model.config,
        hyperparams.dry_share,
        hyperparams.source_share,
        hyperparams.swap,
        hyperparams.reading_noise,
        hyperparams.dropout,
        objective.reconstructed_clips,
        objective.reconstructed_blocks,
    )
    target = choose(examples.wet.spectrogram, randomness.reconstructed)
    dry = examples.related(randomness.relation)
    beta = schedules.beta(state.step, objective.beta, hyperparams)

    def loss(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        output, updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            examples.wet,
            dry,
            randomness,
            hyperparams.latent_dim,
            train=True,
            mutable=["batch_stats"],
        )
        terms, metrics = losses.terms(Pass(examples, target, output, beta, hyperparams, objective))
        return losses.weighted(terms, hyperparams), (metrics | {"beta": beta}, updated.get("batch_stats", {}))

    return train_state.descend(state, hyperparams, loss)


def eval_step(
    weights: Weights, hyperparams: Hyperparams, examples: Examples, randomness: Randomness, *, model: VAE
) -> Metrics:
    """Figures of each example.

    Mean squared error of a sampled reconstruction, KL per dimension of the effect latent and in sum of the content's,
    posterior mean; of each head, blind and in the other modes that the model has: negative log-likelihood and more.
    """
    wet = examples.wet
    output = model.apply(weights.variables, wet, examples.dry, randomness, hyperparams.latent_dim, train=False)
    metrics = {
        "mean_squared": losses.mean_squared(wet.spectrogram, output.reconstruction),
        "kl": losses.kl_per_dimension(output.posterior),
        "content_kl": jnp.sum(losses.kl_per_dimension(output.content), axis=1),
        "mean": output.posterior.mean,
    }
    if output.logits:
        for mode in modes(model.config):
            relation = RELATIONS[mode]
            if relation == NONE:
                logits = output.logits
            else:
                clips = jnp.full(len(examples.effect), relation)
                logits = model.apply(
                    weights.variables, wet, examples.related(clips), clips, hyperparams.latent_dim, method="answers"
                )
            for name, head in HEADS.items():
                metrics[f"{mode}/{name}_nll"] = head.nll(logits[name], examples)
                metrics |= {f"{mode}/{key}": value for key, value in head.figures(logits[name], examples).items()}
    return metrics


def modes(network: config.Model) -> tuple[str, ...]:
    """The modes that a network of this kind has, trained or not: a plain VAE is blind."""
    if not network.content_dim:
        return ("blind",)
    return tuple(mode for mode in RELATIONS if mode != "source_aware" or network.fine_structure)


def reconstruct(
    weights: Weights, hyperparams: Hyperparams, wet: Views, *, model: VAE
) -> Float[Array, "batch bin frame"]:
    """What the decoder makes of the posterior means, blind."""
    return model.apply(weights.variables, wet, hyperparams.latent_dim, method="reconstruct")
