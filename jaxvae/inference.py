"""A trained run as functions of audio: numpy in, numpy out."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import soxr
from jaxtyping import Float

import jaxvae.workdir
from jaxvae import config, spectrogram, train_state, vae_steps
from jaxvae.audio import set_peak
from jaxvae.checkpoints import CheckpointError, Checkpoints
from jaxvae.dataset import WET_PEAK_DBFS
from jaxvae.optimizer import Hyperparams, hyperparams
from jaxvae.spectrogram import Statistics
from jaxvae.vae import VAE, Posterior, narrow

_BATCH = 32  # clips encoded at once: large enough for the matrix products, small enough for a laptop's cache


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """A spectrogram VAE with its weights. Posterior means are the embedding; nothing is sampled.

    Audio is (clip, sample) or (sample,), float in any scale, at any rate: it is resampled, brought to the training
    set's level, and cut into clips of the training length. Shorter audio is tiled; of longer audio every whole clip
    is encoded, and their posteriors' means and log-variances are averaged.
    """

    experiment: config.Experiment
    statistics: Statistics
    weights: train_state.Weights

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects it was trained on."""
        return self.experiment.data.effects

    @property
    def latent_dim(self) -> int:
        """Dimensions of an embedding."""
        return self.experiment.model.latent_dim

    @property
    def content_dim(self) -> int:
        """Dimensions of the content latent; 0 without one."""
        return 0

    @property
    def dry_aware(self) -> bool:
        """Whether it can be given the clips before the effect."""
        return False

    @property
    def has_heads(self) -> bool:
        """Whether it reads effects and settings."""
        return False

    def embed(self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int) -> Float[np.ndarray, "clip latent"]:
        """Posterior means. Raises ValueError for audio that is empty, silent or not finite."""
        return self.posterior(audio, sample_rate).mean

    def posterior(self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int) -> Posterior:
        """Mean and log-variance (clip, latent) of each clip's posterior."""
        clips = self._clips(audio, sample_rate)
        windows = clips.reshape(-1, clips.shape[-1])
        posterior = _in_batches(self._encode, windows)
        return Posterior(*(part.reshape(*clips.shape[:2], -1).mean(axis=1) for part in posterior))

    def encode(
        self, spectrogram: Float[np.ndarray, "clip bin frame"], dry: Float[np.ndarray, "clip bin frame"] | None = None
    ) -> Posterior:
        """Posterior (clip, latent) of the effect, from spectrograms as `spectrogram` gives them."""
        if dry is not None:
            raise ValueError(f"{self.experiment.name} is blind; leave out dry")
        return _in_batches(functools.partial(_encode, self.weights, model=self.experiment.model), spectrogram)

    def spectrogram(
        self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int
    ) -> Float[np.ndarray, "clip bin frame"]:
        """What the network sees: the normalised spectrogram of the first `clip_samples` of each clip."""
        return _in_batches(self._compute, self._clips(audio, sample_rate)[:, 0])

    def reconstruct(
        self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int
    ) -> Float[np.ndarray, "clip bin frame"]:
        """The decoder's spectrogram at the posterior mean of the first `clip_samples` of each clip."""
        clips = self._clips(audio, sample_rate)[:, 0]
        return _in_batches(self._reconstruct, clips)

    def _clips(self, audio: np.ndarray, sample_rate: int) -> Float[np.ndarray, "clip window sample"]:
        audio = np.atleast_2d(np.asarray(audio, np.float32))
        if audio.ndim != 2 or audio.size == 0:
            raise ValueError(f"audio has shape {audio.shape}; use (sample,) or (clip, sample), none of them 0")
        if not np.isfinite(audio).all():
            raise ValueError("audio has samples that are not finite; mend or drop them")
        silent = np.flatnonzero(~audio.any(axis=1))
        if len(silent):
            raise ValueError(f"{len(silent)} of {len(audio)} clips are silent, the first is {silent[0]}; drop them")
        target = self.experiment.audio
        if sample_rate != target.sample_rate:
            audio = soxr.resample(audio.T, sample_rate, target.sample_rate).T
        length = target.clip_samples
        if audio.shape[1] < length:
            audio = np.tile(audio, (1, -(-length // audio.shape[1])))
        windows = audio.shape[1] // length
        return set_peak(audio[:, : windows * length], WET_PEAK_DBFS).reshape(len(audio), windows, length)

    def _compute(self, batch: np.ndarray) -> jax.Array:
        experiment = self.experiment
        return _spectrogram(batch, self.statistics, audio=experiment.audio, settings=experiment.spectrogram)

    def _encode(self, batch: np.ndarray) -> Posterior:
        return _encode(self.weights, self._compute(batch), model=self.experiment.model)

    def _reconstruct(self, batch: np.ndarray) -> jax.Array:
        numbers = hyperparams(self.experiment)
        return _reconstruct(self.weights, numbers, self._compute(batch), model=self.experiment.model)


# Jitted once for all encoders, so that those which differ only in their weights share a program.


@functools.partial(jax.jit, static_argnames=("audio", "settings"))
def _spectrogram(
    batch: jax.Array, statistics: Statistics, *, audio: config.Audio, settings: config.Spectrogram
) -> jax.Array:
    return spectrogram.compute(batch, audio, settings, statistics)


@functools.partial(jax.jit, static_argnames="model")
def _encode(weights: train_state.Weights, spectrograms: jax.Array, *, model: config.Model) -> Posterior:
    variables = {"params": weights.params, "batch_stats": weights.batch_stats}
    return VAE(model).apply(variables, spectrograms, train=False, method="encode")


@functools.partial(jax.jit, static_argnames="model")
def _reconstruct(
    weights: train_state.Weights, numbers: Hyperparams, spectrograms: jax.Array, *, model: config.Model
) -> jax.Array:
    return vae_steps.reconstruct(weights, numbers, spectrograms, model=VAE(model))


def _in_batches(function: Callable, clips: Float[np.ndarray, "clip ..."]) -> object:
    """`function` of all clips, called on one shape only, with outputs joined along the clip axis."""
    outputs = []
    for first in range(0, len(clips), _BATCH):
        batch = clips[first : first + _BATCH]
        padded = np.concatenate([batch, np.repeat(batch[-1:], _BATCH - len(batch), axis=0)])
        outputs.append(jax.device_get(function(padded)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(clips)], *outputs)


def load(workdir: str | Path, step: int | None = None, member: int | None = None) -> Encoder:
    """The best weights of a run, or those of a given step; of a sweep, of the best member, or of a given one.

    Raises:
        CheckpointError: the folder holds no checkpoint, or none of that step or member, or one of another format.
    """
    members = jaxvae.workdir.read(Path(workdir))
    if member is None:
        member = min(members, key=lambda index: np.inf if members[index].best is None else members[index].best)
    if member not in members:
        raise CheckpointError(f"{workdir} has no member {member}; it has {', '.join(map(str, members))}")
    chosen = members[member]
    checkpoints = Checkpoints(chosen.folder / "checkpoints", keep=2)
    try:
        steps = checkpoints.steps()
        if step is not None and step not in steps:
            raise CheckpointError(
                f"{workdir} holds no checkpoint of step {step}; it holds {', '.join(map(str, steps))}"
            )
        record = checkpoints.record(steps[-1] if step is None else step)
        item, like = ("best", _stacked(record).weights) if step is None else ("state", _stacked(record))
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        restored = checkpoints.restore(record["step"], {item: like}, device)[item]
    finally:
        checkpoints.close()
    weights = jax.tree.map(lambda leaf: leaf[chosen.place], restored if step is None else restored.weights)
    weights = weights._replace(params=narrow(weights.params, chosen.experiment.model.latent_dim))
    return Encoder(chosen.experiment, spectrogram.statistics_from(record["statistics"]), weights)


def untrained(encoder: Encoder, seed: int = 0) -> Encoder:
    """An encoder of the same shape with fresh weights: the random-encoder baseline."""
    create = functools.partial(_create, encoder.experiment)
    numbers = hyperparams(encoder.experiment)._replace(seed=jnp.asarray(seed))
    state = jax.jit(create, compiler_options=train_state.RUN_ONCE)(numbers)
    return dataclasses.replace(encoder, weights=state.weights)


def _create(experiment: config.Experiment, numbers: Hyperparams) -> train_state.TrainState:
    return train_state.create(numbers, VAE(experiment.model), experiment.bins, experiment.frames)


def _stacked(record: dict[str, Any]) -> train_state.TrainState:
    """Shapes of the state of all members of a checkpoint."""
    members = [config.from_dict(values) for values in record["members"]]
    widest = max(members, key=lambda member: member.model.latent_dim)
    one = jax.eval_shape(functools.partial(_create, widest), hyperparams(widest))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((len(members), *leaf.shape), leaf.dtype), one)
