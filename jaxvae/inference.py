"""A trained run as functions of audio: numpy in, numpy out."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import soxr
from jaxtyping import Float

from jaxvae import config, spectrogram
from jaxvae.data.audio import set_peak
from jaxvae.data.dataset import WET_PEAK_DBFS
from jaxvae.models import heads
from jaxvae.models.vae import VAE, Posterior, narrow
from jaxvae.spectrogram import Statistics
from jaxvae.training import run_folder, train_state, vae_steps
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.optimizer import Hyperparams, hyperparams

_BATCH = 32  # clips encoded at once: large enough for the matrix products, small enough for a laptop's cache


class Reading(NamedTuple):
    """What the heads of a run read from clips."""

    effect: Float[np.ndarray, "clip effect"]
    """Probabilities, in the order of `Encoder.effects`."""
    settings: tuple[Float[np.ndarray, "clip parameter bin"], ...]
    """Of each effect, were the clip of it: probabilities of equal bins on [0, 1]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """A spectrogram VAE with its weights. Posterior means of the effect are the embedding; nothing is sampled.

    With `dry`, the clips before the effect, of the same shape, it is dry-aware; without, it is blind.

    Audio is (clip, sample) or (sample,), float in any scale, at any rate: it is resampled, brought to the training
    set's level, and cut into clips of the training length. Shorter audio is tiled; of longer audio every whole clip
    is encoded, and their posteriors' means and log-variances are averaged.
    """

    experiment: config.Experiment
    statistics: Statistics
    weights: train_state.Weights
    parameters: tuple[int, ...] = ()
    """Number of parameters of each effect that the heads read; none without heads."""

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
        """Dimensions of the latent of what was played, 0 for a plain VAE."""
        return self.experiment.model.content_dim

    @property
    def dry_aware(self) -> bool:
        """Whether it was trained to make use of dry clips."""
        return self.content_dim > 0 and self.experiment.objective.dry_share > 0

    @property
    def has_heads(self) -> bool:
        """Whether it can read effect and settings."""
        return len(self.parameters) > 0

    def embed(
        self,
        audio: Float[np.ndarray, "*clip sample"],
        sample_rate: int,
        dry: Float[np.ndarray, "..."] | None = None,
    ) -> Float[np.ndarray, "clip latent"]:
        """Posterior means of the effect. Raises ValueError for audio that is empty, silent or not finite."""
        return self.posterior(audio, sample_rate, dry).mean

    def posterior(
        self,
        audio: Float[np.ndarray, "*clip sample"],
        sample_rate: int,
        dry: Float[np.ndarray, "..."] | None = None,
    ) -> Posterior:
        """Mean and log-variance (clip, latent) of each clip's posterior of the effect.

        Raises:
            ValueError: audio is empty, silent or not finite, or dry is, or of another shape, or the run is blind.
        """
        self._require_aware(dry)
        if dry is not None and np.shape(dry) != np.shape(audio):
            raise ValueError(f"dry has shape {np.shape(dry)}, audio {np.shape(audio)}; use the same clips, as long")
        clips = self._clips(audio, sample_rate)
        inputs = [clips] if dry is None else [clips, self._clips(dry, sample_rate)]
        posterior = _in_batches(self._encode, *(part.reshape(-1, part.shape[-1]) for part in inputs))
        return Posterior(*(part.reshape(*clips.shape[:2], -1).mean(axis=1) for part in posterior))

    def encode(
        self,
        spectrogram: Float[np.ndarray, "clip bin frame"],
        dry: Float[np.ndarray, "clip bin frame"] | None = None,
    ) -> Posterior:
        """Posterior (clip, latent) of the effect, from spectrograms as `spectrogram` gives them."""
        self._require_aware(dry)
        seen = [spectrogram] if dry is None else [spectrogram, dry]
        return _in_batches(self._encode_spectrogram, *seen)

    def content(self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int) -> Float[np.ndarray, "clip content"]:
        """Posterior means of what was played, averaged over the whole clips of longer audio."""
        clips = self._clips(audio, sample_rate)
        means = _in_batches(self._content, clips.reshape(-1, clips.shape[-1]))
        return means.reshape(*clips.shape[:2], -1).mean(axis=1)

    def read(
        self,
        audio: Float[np.ndarray, "*clip sample"],
        sample_rate: int,
        dry: Float[np.ndarray, "..."] | None = None,
    ) -> Reading:
        """Probabilities of the effects, and of the bins of each setting were the clip of that effect.

        Raises:
            ValueError: the run was trained without heads, or as `posterior`.
        """
        return self.read_mean(self.embed(audio, sample_rate, dry))

    def read_mean(self, mean: Float[np.ndarray, "clip latent"]) -> Reading:
        """The same of posterior means.

        Raises:
            ValueError: the run was trained without heads.
        """
        if not self.has_heads:
            raise ValueError(
                f"{self.experiment.name} was trained without heads; train with objective.effect_weight and "
                "objective.settings_weight above 0"
            )
        effect, settings = _in_batches(self._read, mean)
        return Reading(effect, tuple(settings[:, index, :count] for index, count in enumerate(self.parameters)))

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

    def _require_aware(self, dry: np.ndarray | None) -> None:
        if dry is not None and not self.dry_aware:
            raise ValueError(f"{self.experiment.name} is blind; leave out dry, or train with objective.dry_share > 0")

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

    def _encode(self, wet: np.ndarray, dry: np.ndarray | None = None) -> Posterior:
        return self._encode_spectrogram(self._compute(wet), None if dry is None else self._compute(dry))

    def _encode_spectrogram(self, wet: jax.typing.ArrayLike, dry: jax.typing.ArrayLike | None = None) -> Posterior:
        known = jnp.full(len(wet), 0.0 if dry is None else 1.0)
        return _encode(self.weights, wet, wet if dry is None else dry, known, model=self._model)

    def _content(self, wet: np.ndarray) -> jax.Array:
        return _content(self.weights, self._compute(wet), model=self._model)

    def _read(self, mean: np.ndarray) -> heads.Reading:
        return _read(self.weights, mean, model=self._model)

    def _reconstruct(self, wet: np.ndarray) -> jax.Array:
        return _reconstruct(self.weights, hyperparams(self.experiment), self._compute(wet), model=self._model)

    @property
    def _model(self) -> VAE:
        return VAE(self.experiment.model, self.parameters)


# Jitted once for all encoders, so that those which differ only in their weights share a program.


@functools.partial(jax.jit, static_argnames=("audio", "settings"))
def _spectrogram(
    batch: jax.Array, statistics: Statistics, *, audio: config.Audio, settings: config.Spectrogram
) -> jax.Array:
    return spectrogram.compute(batch, audio, settings, statistics)


@functools.partial(jax.jit, static_argnames="model")
def _encode(
    weights: train_state.Weights, wet: jax.Array, dry: jax.Array, dry_known: jax.Array, *, model: VAE
) -> Posterior:
    return model.apply(_variables(weights), wet, dry, dry_known, train=False, method="encode")


@functools.partial(jax.jit, static_argnames="model")
def _content(weights: train_state.Weights, wet: jax.Array, *, model: VAE) -> jax.Array:
    return model.apply(_variables(weights), wet, train=False, method="content").mean


@functools.partial(jax.jit, static_argnames="model")
def _read(weights: train_state.Weights, mean: jax.Array, *, model: VAE) -> heads.Reading:
    return heads.probabilities(model.apply(_variables(weights), mean, method="read"))


@functools.partial(jax.jit, static_argnames="model")
def _reconstruct(
    weights: train_state.Weights, numbers: Hyperparams, spectrograms: jax.Array, *, model: VAE
) -> jax.Array:
    return vae_steps.reconstruct(weights, numbers, spectrograms, model=model)


def _variables(weights: train_state.Weights) -> dict[str, Any]:
    return {"params": weights.params, "batch_stats": weights.batch_stats}


def _in_batches(function: Callable, *arrays: Float[np.ndarray, "clip ..."]) -> Any:
    """`function` of all rows, called on one shape only, with outputs joined along the clip axis."""
    outputs, count = [], len(arrays[0])
    for first in range(0, count, _BATCH):
        batches = [array[first : first + _BATCH] for array in arrays]
        padded = [np.concatenate([batch, np.repeat(batch[-1:], _BATCH - len(batch), axis=0)]) for batch in batches]
        outputs.append(jax.device_get(function(*padded)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *outputs)


def load(workdir: str | Path, step: int | None = None, member: int | None = None) -> Encoder:
    """The best weights of a run, or those of a given step; of a sweep, of the best member, or of a given one.

    Raises:
        CheckpointError: the folder holds no checkpoint, or none of that step or member, or one of another format.
    """
    members = run_folder.read(Path(workdir))
    if member is None:
        member = run_folder.best(members)
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
    model = chosen.experiment.model
    weights = weights._replace(params=narrow(weights.params, model, model.latent_dim))
    statistics = spectrogram.statistics_from(record["statistics"])
    # A program trains heads if one of its members has them.
    parameters = tuple(record["parameters"]) if chosen.experiment.objective.reads else ()
    return Encoder(chosen.experiment, statistics, weights, parameters)


def untrained(encoder: Encoder, seed: int = 0) -> Encoder:
    """An encoder of the same shape with fresh weights: the random-encoder baseline."""
    create = functools.partial(_create, encoder.experiment, encoder.parameters)
    numbers = hyperparams(encoder.experiment)._replace(seed=jnp.asarray(seed))
    state = jax.jit(create, compiler_options=train_state.RUN_ONCE)(numbers)
    return dataclasses.replace(encoder, weights=state.weights)


def _create(experiment: config.Experiment, parameters: tuple[int, ...], numbers: Hyperparams) -> train_state.TrainState:
    return train_state.create(numbers, VAE(experiment.model, parameters), experiment.bins, experiment.frames)


def _stacked(record: dict[str, Any]) -> train_state.TrainState:
    """Shapes of the state of all members of a checkpoint."""
    members = [config.from_dict(values) for values in record["members"]]
    widest = max(members, key=lambda member: member.model.latent_dim)
    create = functools.partial(_create, widest, tuple(record["parameters"]))
    one = jax.eval_shape(create, hyperparams(widest))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((len(members), *leaf.shape), leaf.dtype), one)
