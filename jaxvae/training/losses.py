"""Terms of the objective, one number per example, and figures derived from them.

Conventions
    Spectrograms are normalised, of shape (batch, bin, frame). A nat is a nat of the whole clip: sums over pixels
    and latent dimensions, never means, unless the name says mean.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, Int

from jaxvae.models.heads import BINS, Reading
from jaxvae.models.vae import Posterior


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


def effect_nll(reading: Reading, effect: Int[Array, "batch"]) -> Float[Array, "batch"]:
    """-log probability of the effect, in nats; log(effects) for a head that knows nothing."""
    return optax.softmax_cross_entropy_with_integer_labels(reading.effect, effect)


def settings_nll(
    reading: Reading, effect: Int[Array, "batch"], normalized: Float[Array, "batch parameter"]
) -> Float[Array, "batch"]:
    """-log density of the settings of the clip's own effect, in nats, summed over its parameters; 0 if uniform.

    A setting between the centres of two bins counts to both by its nearness, so that neighbouring bins are neighbours.
    """
    own = jnp.take_along_axis(reading.settings, effect[:, None, None, None], axis=1)[:, 0]
    place = jnp.clip(jnp.nan_to_num(normalized) * BINS - 0.5, 0.0, BINS - 1.0)
    nearness = jnp.maximum(0.0, 1.0 - jnp.abs(place[..., None] - jnp.arange(BINS)[None, None]))
    nll = -jnp.sum(nearness * jax.nn.log_softmax(own), axis=-1) - jnp.log(BINS)
    return jnp.sum(jnp.where(jnp.isnan(normalized), 0.0, nll), axis=1)


def contrastive(mean: Float[Array, "batch latent"], temperature: ArrayLike) -> Float[Array, "batch"]:
    """InfoNCE in nats: which clip of the batch has the same setting (van den Oord et al. 2018, eq. 4, on cosines).

    Of blocks of four (see `jaxvae.models.vae`): the right one is the other content at the same setting; among the wrong
    ones is the same content at the other setting, the hardest to tell from content alone.
    """
    batch = len(mean)
    unit = mean / jnp.sqrt(jnp.sum(mean**2, axis=1, keepdims=True) + 1e-6)
    logits = jnp.where(jnp.eye(batch, dtype=bool), -jnp.inf, unit @ unit.T / temperature)
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(batch) ^ 2)


def calibrated_negative_elbo(error: ArrayLike, kl: ArrayLike, pixels: int) -> Float[Array, "..."]:
    """-ELBO in nats at beta 1 under the Gaussian decoder of the best variance, from the mean squared error per pixel.

    The best variance is the error itself (Rybkin et al. 2021, eq. 6), so the figure depends neither on beta nor on the
    decoder's own variance, and compares models trained with different objectives.
    """
    return 0.5 * pixels * (jnp.log(2.0 * jnp.pi * error) + 1.0) + kl
