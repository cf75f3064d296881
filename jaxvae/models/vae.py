"""Spectrogram VAEs: what was done to a clip, and what was played, as two latent vectors.

Conventions
    wet, dry                   views (`jaxvae.views`) after and before the effect; the dry ones are of the same clip or,
                               as far as they can be, of another passage of its recording
    reconstruction             spectrograms (batch, bin, frame), normalised
    mean, logvar, z, noise     (batch, latent), of the effect; the embedding of a clip is this mean
    content                    the same of what was played, (batch, content); none when Model.content_dim is 0
    relation                   (batch,) what the dry views are to the wet ones: NONE of use, SOURCE or ALIGNED
    latent_dim                 dimensions of the effect latent in use, a number or an array; the rest are 0 and have no
                               gradient
A batch is whole blocks of four, as in a data set (`jaxvae.block`).

A network that uses `latent_dim` of its dimensions starts and computes as one that has no others (`narrow` makes it):
noise and weights are drawn latent-major, so those of fewer dimensions are the first of those of more.
No loss and no sampling of noise inside a network.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, ArrayLike, Float, Int, Key

from jaxvae import backbones, block
from jaxvae.config import Model
from jaxvae.models import effect_encoder, layers
from jaxvae.models.convolution_encoder import ConvolutionEncoder
from jaxvae.models.effect_encoder import EffectEncoder
from jaxvae.models.heads import Heads, Logits
from jaxvae.views import NONE, Views, draw_relation


class Posterior(NamedTuple):
    """Diagonal Gaussian q(z|x)."""

    mean: Float[Array, "batch latent"]
    logvar: Float[Array, "batch latent"]


class Randomness(NamedTuple):
    """All that is random in one pass of a batch."""

    noise: Float[Array, "batch latent"]
    """Standard normal, or 0 for the posterior mean."""
    content_noise: Float[Array, "clip content"]
    relation: Int[Array, "batch"]
    """Of the dry views that the effect's encoder is given (`jaxvae.views`)."""
    reconstructed: Int[Array, "some clip"]
    """Clips that are reconstructed of each of the first blocks, counted from 0 to 3."""
    effect_from: Int[Array, "some clip"]
    """Clip of the block whose effect latent each is made from: its own, or that of the other content at the same
    setting."""
    content_from: Int[Array, "some clip"]
    """Clip whose content latent each is made from: its own, or that of the same content at the other setting."""
    reading_noise: Float[Array, "batch"]
    """Share of the noise that the heads read."""
    kept: Float[Array, "batch layer hidden"] | None
    """What hidden units of the effect's encoder are multiplied by, 0 where they are left out; None leaves them."""


class Output(NamedTuple):
    """All that a loss needs; exp(log_std) is the decoder's standard deviation, one for all pixels."""

    posterior: Posterior
    content: Posterior
    """Of the clips that reconstructions took it from."""
    logits: Logits
    """What heads read; nothing without heads."""
    reconstruction: Float[Array, "clip bin frame"]
    """Of the clips `Randomness.reconstructed`, block after block."""
    log_std: Float[Array, ""]


class VAE(nn.Module):
    """Variational autoencoder of wet spectrograms (Kingma & Welling 2014), plain or split into effect and content."""

    config: Model
    parameters: tuple[int, ...] = ()
    """Number of parameters of each effect that the heads read; none means no heads."""

    def setup(self) -> None:
        config = self.config
        if config.content_dim:
            self.effect_encoder = (EffectEncoder if config.fine_structure else ConvolutionEncoder)(config)
            self.content_encoder = Encoder(config, config.content_dim)
        else:
            self.encoder = Encoder(config, config.latent_dim)
        self.decoder = Decoder(config)
        self.heads = Heads(self.parameters)
        self.log_std = self.param("log_std", nn.initializers.zeros, ())

    def __call__(
        self,
        wet: Views,
        dry: Views,
        randomness: Randomness,
        latent_dim: ArrayLike | None = None,
        train: bool = False,
    ) -> Output:
        """Posteriors, what the heads read from the effect latent, and the reconstruction, from samples at `randomness`.

        With swaps, the reconstruction is still one of `wet`: all it is made from belongs to the same content at the
        same setting, but came from other clips. Of the latent dimensions the first `latent_dim` are in use; None
        means all.
        """
        latent_dim = self.config.latent_dim if latent_dim is None else latent_dim
        used = latent_mask(self.config.latent_dim, latent_dim)
        posterior = self.effect_posterior(wet, dry, randomness.relation, train, randomness.kept)
        posterior = Posterior(*(used * part for part in posterior))
        z = _sample(posterior, used * randomness.noise)
        logits = self.heads(posterior.mean + randomness.reading_noise[:, None] * (z - posterior.mean), latent_dim)
        content = self.content_posterior(choose(wet.spectrogram, randomness.content_from), train)
        # Content first, so that the rows of the layer it enters do not move with the number of latent dimensions.
        z = jnp.concatenate([_sample(content, randomness.content_noise), choose(z, randomness.effect_from)], axis=1)
        reconstruction = self.decoder(z, self.config.content_dim + latent_dim, *wet.spectrogram.shape[1:], train)
        return Output(posterior, content, logits, reconstruction, self.log_std)

    def effect_posterior(
        self,
        wet: Views,
        dry: Views,
        relation: Int[Array, "batch"],
        train: bool = False,
        kept: Float[Array, "batch layer hidden"] | None = None,
    ) -> Posterior:
        """Posterior of the effect. A plain VAE is always blind."""
        if self.config.content_dim:
            return Posterior(*self.effect_encoder(wet, dry, relation, kept))
        return self.encoder(wet.spectrogram, train)

    def content_posterior(self, wet: Float[Array, "batch bin frame"], train: bool = False) -> Posterior:
        """Posterior of the content of spectrograms, without dimensions for a plain VAE."""
        if self.config.content_dim:
            return self.content_encoder(wet, train)
        return Posterior(jnp.zeros((len(wet), 0)), jnp.zeros((len(wet), 0)))

    def reconstruct(self, wet: Views, latent_dim: ArrayLike | None = None) -> Float[Array, "batch bin frame"]:
        """What the decoder makes of a blind clip's own posterior means; the batch need not be blocks."""
        latent_dim = self.config.latent_dim if latent_dim is None else latent_dim
        used = latent_mask(self.config.latent_dim, latent_dim)
        clips, *shape = wet.spectrogram.shape
        z = used * self.effect_posterior(wet, wet, jnp.full(clips, NONE)).mean
        z = jnp.concatenate([self.content_posterior(wet.spectrogram).mean, z], axis=1)
        return self.decoder(z, self.config.content_dim + latent_dim, *shape, False)

    def answers(
        self, wet: Views, dry: Views, relation: Int[Array, "batch"], latent_dim: ArrayLike | None = None
    ) -> Logits:
        """What the heads read from the posterior means of clips."""
        latent_dim = self.config.latent_dim if latent_dim is None else latent_dim
        used = latent_mask(self.config.latent_dim, latent_dim)
        return self.heads(used * self.effect_posterior(wet, dry, relation).mean, latent_dim)

    def read(self, mean: Float[Array, "batch latent"]) -> Logits:
        """What the heads read from posterior means."""
        return self.heads(mean, self.config.latent_dim)


def _sample(posterior: Posterior, noise: Float[Array, "batch latent"]) -> Float[Array, "batch latent"]:
    return posterior.mean + jnp.exp(0.5 * posterior.logvar) * noise


def choose(x: Float[Array, "batch *rest"], chosen: Int[Array, "block clip"]) -> Float[Array, "chosen *rest"]:
    """Clips of each block, block after block; of fewer blocks than there are, those of the first."""
    blocks = block.by_block(x)[: len(chosen)]
    index = chosen.reshape(*chosen.shape, *(1,) * (x.ndim - 1))
    return jnp.take_along_axis(blocks, index, axis=1).reshape(-1, *x.shape[1:])


def latent_mask(latent_dim: int, used: ArrayLike) -> Float[Array, "1 latent"]:
    """1 for the dimensions in use, 0 for the rest."""
    return (jnp.arange(latent_dim) < used).astype(jnp.float32)[None]


def sample_randomness(
    key: Key[Array, ""],
    batch: int,
    config: Model,
    dry_share: ArrayLike = 0.0,
    source_share: ArrayLike = 0.0,
    swap: ArrayLike = 0.0,
    reading_noise: ArrayLike = 0.0,
    dropout: ArrayLike | None = None,
    reconstructed_clips: int = block.CLIPS,
    reconstructed_blocks: int = 0,
) -> Randomness:
    """The randomness of a training step: what blocks know of dry clips, how many clips are made from others' latents.

    Of hidden units a share of `dropout` is left out, and the others grow for it (Srivastava et al. 2014). Noise of
    fewer latent dimensions has the first columns of that of more.
    """
    noise, content_noise, known, swap_effect, swap_content, first, left_out = jax.random.split(key, 7)
    blocks = block.block_of(batch)
    some = min(reconstructed_blocks or blocks, blocks)
    run = jax.random.randint(first, (some, 1), 0, block.CLIPS) + jnp.arange(reconstructed_clips)[None]
    reconstructed = jnp.sort(run % block.CLIPS, axis=1)
    units = effect_encoder.hidden(config)
    swapped = [jax.random.bernoulli(key, swap, reconstructed.shape) for key in (swap_effect, swap_content)]
    return Randomness(
        noise=jax.random.normal(noise, (config.latent_dim, batch)).T,
        content_noise=jax.random.normal(content_noise, (some * reconstructed_clips, config.content_dim)),
        # The clips of a block alike, so that a pair of the contrastive term is of one mode.
        relation=draw_relation(known, batch, dry_share, source_share),
        reconstructed=reconstructed,
        effect_from=jnp.where(swapped[0], block.same_setting(reconstructed), reconstructed),
        content_from=jnp.where(swapped[1], block.same_content(reconstructed), reconstructed),
        reading_noise=jnp.full(batch, reading_noise, jnp.float32),
        kept=None if dropout is None else layers.dropout(left_out, (batch, effect_encoder.LAYERS, units), dropout),
    )


def still(batch: int, config: Model) -> Randomness:
    """No randomness: posterior means, blind, every clip by itself."""
    noise, content_noise = jnp.zeros((batch, config.latent_dim)), jnp.zeros((batch, config.content_dim))
    own = jnp.tile(jnp.arange(block.CLIPS), (block.block_of(batch), 1))
    return Randomness(noise, content_noise, jnp.full(batch, NONE), own, own, own, jnp.zeros(batch), None)


def narrow(params: Any, like: Any) -> Any:
    """The weights of a VAE of fewer latent dimensions, cut out of those of one that uses no more of its own.

    `like` has the narrow network's shapes. Wherever the two differ, the narrow one has the first of an axis, because
    latent dimensions in use come first, and content before effect.
    """
    return jax.tree.map(lambda wide, shape: wide[tuple(slice(size) for size in shape.shape)], params, like)


class Encoder(nn.Module):
    """Spectrogram to the parameters of a posterior, by the backbone."""

    config: Model
    latent_dim: int

    @nn.compact
    def __call__(self, spectrogram: Float[Array, "batch bin frame"], train: bool) -> Posterior:
        backbone = backbones.get(self.config.backbone)
        features = backbone.Encoder(self.config.width, name="backbone")(spectrogram, train)
        mean = nn.Dense(self.latent_dim, kernel_init=layers.latent_major, name="mean")(features)
        logvar = nn.Dense(self.latent_dim, kernel_init=layers.latent_major, name="logvar")(features)
        return Posterior(mean, logvar)


class Decoder(nn.Module):
    """Latent vector to spectrogram, by the backbone."""

    config: Model

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], latent_dim: ArrayLike, bins: int, frames: int, train: bool
    ) -> Float[Array, "batch {bins} {frames}"]:
        backbone = backbones.get(self.config.backbone)
        reconstruction = backbone.Decoder(self.config.width, name="backbone")(z, latent_dim, bins, frames, train)
        return reconstruction[:, :bins, :frames]
