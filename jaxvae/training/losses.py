"""What is minimised: the sum of the terms of `TERMS`, each times its weight, and figures derived from them.

A term is an entry of `TERMS`; its weight is the number of the objective named after it with `_weight` behind
(`jaxvae.config.Objective`). The terms of heads are theirs (`jaxvae.models.heads.HEADS`).

Conventions
    Spectrograms are normalised, of shape (batch, bin, frame). A nat is a nat of the whole clip: sums over pixels
    and latent dimensions, never means, unless the name says mean.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Bool, Float

from jaxvae import block, config
from jaxvae.data.input_pipeline import Examples
from jaxvae.models.heads import HEADS
from jaxvae.models.vae import Output, Posterior, latent_mask
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.train_state import Metrics


class Pass(NamedTuple):
    """One pass of a batch: all that a term may look at."""

    examples: Examples
    target: Float[Array, "clip bin frame"]
    """Spectrograms of the clips that are reconstructed."""
    output: Output
    beta: Float[Array, ""]
    hyperparams: Hyperparams
    objective: config.Objective


def mean_squared(
    spectrogram: Float[Array, "batch bin frame"], reconstruction: Float[Array, "batch bin frame"]
) -> Float[Array, "batch"]:
    """Squared error averaged over the pixels of each example."""
    return jnp.mean((spectrogram - reconstruction) ** 2, axis=(1, 2))


def gaussian_nll(
    spectrogram: Float[Array, "batch bin frame"],
    reconstruction: Float[Array, "batch bin frame"],
    log_std: Float[Array, ""],
) -> Float[Array, "batch"]:
    """-log N(spectrogram; reconstruction, exp(log_std)^2) in nats: the sigma-VAE's term (Rybkin et al. 2021, eq. 5)."""
    pixels = spectrogram.shape[1] * spectrogram.shape[2]
    error = mean_squared(spectrogram, reconstruction)
    return 0.5 * pixels * (error * jnp.exp(-2.0 * log_std) + 2.0 * log_std + jnp.log(2.0 * jnp.pi))


def kl_per_dimension(posterior: Posterior) -> Float[Array, "batch latent"]:
    """KL(q(z_d|x) || N(0, 1)) in nats for each latent dimension d (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (jnp.exp(posterior.logvar) + posterior.mean**2 - 1.0 - posterior.logvar)


def free_kl(kl: Float[Array, "batch latent"], free_nats: ArrayLike) -> Float[Array, ""]:
    """KL divergence summed over dimensions, of which the first `free_nats` of each are not felt by the gradient.

    Free bits: the minimum is applied to the batch mean of each dimension (Kingma et al. 2016, eq. 15).
    """
    return jnp.sum(jnp.maximum(jnp.mean(kl, axis=0), free_nats))


def contrastive(
    mean: Float[Array, "batch latent"], temperature: ArrayLike, alike: Bool[Array, "batch batch"] | None = None
) -> Float[Array, "batch"]:
    """InfoNCE in nats: which clip of the batch has the same setting (van den Oord et al. 2018, eq. 4, on cosines).

    Of blocks of four (`jaxvae.block`): the right one is the other content at the same setting; among the wrong
    ones is the same content at the other setting, the hardest to tell from content alone. Clips of other blocks that
    are `alike`, because they are of the same setting as well, are neither right nor wrong.
    """
    batch = len(mean)
    right = block.same_setting(jnp.arange(batch))
    left_out = jnp.eye(batch, dtype=bool)
    if alike is not None:
        left_out = (left_out | alike) & (jnp.arange(batch)[None] != right[:, None])
    unit = mean / jnp.sqrt(jnp.sum(mean**2, axis=1, keepdims=True) + 1e-6)
    logits = jnp.where(left_out, -jnp.inf, unit @ unit.T / temperature)
    return optax.softmax_cross_entropy_with_integer_labels(logits, right)


def elbo_term(seen: Pass) -> tuple[Float[Array, ""], Metrics]:
    """Reconstruction and KL divergences, these times beta, averaged over clips; and what they consist of."""
    output, latent_dim = seen.output, seen.hyperparams.latent_dim
    error = jnp.mean(mean_squared(seen.target, output.reconstruction))
    if seen.objective.reconstruction == "gaussian":
        reconstruction = jnp.mean(gaussian_nll(seen.target, output.reconstruction, output.log_std))
    else:
        reconstruction = error
    kl, content_kl = map(kl_per_dimension, (output.posterior, output.content))
    free_nats = seen.hyperparams.free_nats * latent_mask(kl.shape[1], latent_dim)[0]
    charged = free_kl(kl, free_nats) + jnp.mean(jnp.sum(content_kl, axis=1))
    return reconstruction + seen.beta * charged, {
        "reconstruction": reconstruction,
        "mean_squared": error,
        "kl": jnp.mean(jnp.sum(kl, axis=1)),
        "content_kl": jnp.mean(jnp.sum(content_kl, axis=1)),
        "decoder_std": jnp.exp(output.log_std),
    }


def contrastive_term(seen: Pass) -> tuple[Float[Array, ""], Metrics]:
    """Pairs of the same setting, averaged over clips. All clips of an effect without parameters are of one setting."""
    effect, fixed = seen.examples.effect, jnp.isnan(seen.examples.normalized).all(axis=1)
    alike = (effect[:, None] == effect[None]) & fixed[:, None]
    value = jnp.mean(contrastive(seen.output.posterior.mean, seen.hyperparams.temperature, alike))
    return value, {"contrastive": value}


TERMS: dict[str, Callable[[Pass], tuple[Float[Array, ""], Metrics]]] = {
    "elbo": elbo_term,
    "contrastive": contrastive_term,
}
"""Each gives its value and figures to log."""


def terms(seen: Pass) -> tuple[dict[str, Float[Array, ""]], Metrics]:
    """The value of every term, those of heads that were made among them, and figures to log."""
    values, metrics = {}, {}
    for name, term in TERMS.items():
        values[name], figures = term(seen)
        metrics |= figures
    for name, logits in seen.output.logits.items():
        values[name] = metrics[f"{name}_nll"] = jnp.mean(HEADS[name].nll(logits, seen.examples))
    return values, metrics


def weighted(values: Mapping[str, Float[Array, ""]], hyperparams: Hyperparams) -> Float[Array, ""]:
    """The loss."""
    return sum(getattr(hyperparams, f"{name}_weight") * value for name, value in values.items())


def calibrated_negative_elbo(error: ArrayLike, kl: ArrayLike, pixels: int) -> Float[Array, "..."]:
    """-ELBO in nats at beta 1 under the Gaussian decoder of the best variance, from the mean squared error per pixel.

    The best variance is the error itself (Rybkin et al. 2021, eq. 6), so the figure depends neither on beta nor on the
    decoder's own variance, and compares models trained with different objectives.
    """
    return 0.5 * pixels * (jnp.log(2.0 * jnp.pi * error) + 1.0) + kl
