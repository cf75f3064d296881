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
from jaxvae.data.clips import WET_PEAK_DBFS
from jaxvae.models import heads
from jaxvae.models.heads import Logits
from jaxvae.models.vae import VAE, Posterior, narrow
from jaxvae.spectrogram import Statistics
from jaxvae.training import run_folder, task, train_state, vae_steps
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.hyperparams import Hyperparams, hyperparams
from jaxvae.training.train_state import TrainState, Weights

_BATCH = 32  # clips encoded at once: large enough for the matrix products, small enough for a laptop's cache


class Reading(NamedTuple):
    """What the heads of a run read from clips."""

    effect: Float[np.ndarray, "clip effect"]
    """Probabilities, in the order of `SpectrogramEncoder.effects`."""
    settings: tuple[Float[np.ndarray, "clip parameter bin"], ...]
    """Of each effect, were the clip of it: probabilities of equal bins on [0, 1]."""


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrogramEncoder:
    """A spectrogram VAE with its weights. Posterior means of the effect are the embedding; nothing is sampled.

    With `dry`, the clips before the effect, of the same shape, it is dry-aware; without, it is blind.

    Audio is (clip, sample) or (sample,), float in any scale, at any rate: it is resampled, brought to the training
    set's level, and cut into clips of the training length. Shorter audio is tiled; of longer audio every whole clip
    is encoded, and their posteriors' means and log-variances are averaged.
    """

    experiment: config.Experiment
    statistics: Statistics
    weights: Weights
    parameters: tuple[int, ...] = ()
    """Number of parameters of each effect that the heads read; none without heads."""
    dataset: str = ""
    """Identity of the data set that it was trained on."""
    dataset_folders: tuple[str, ...] = ()
    """Where that may lie, the likeliest first."""

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
        posterior = _in_batches(self._posterior_of_audio, *(part.reshape(-1, part.shape[-1]) for part in inputs))
        return Posterior(*(part.reshape(*clips.shape[:2], -1).mean(axis=1) for part in posterior))

    def posterior_of_spectrograms(
        self,
        spectrogram: Float[np.ndarray, "clip bin frame"],
        dry: Float[np.ndarray, "clip bin frame"] | None = None,
    ) -> Posterior:
        """Posterior (clip, latent) of the effect, from spectrograms as `spectrogram` gives them."""
        self._require_aware(dry)
        seen = [spectrogram] if dry is None else [spectrogram, dry]
        return _in_batches(self._posterior, *seen)

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
        answers = _in_batches(self._answers, mean)
        settings = tuple(answers["settings"][:, index, :count] for index, count in enumerate(self.parameters))
        return Reading(answers["effect"], settings)

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

    def _posterior_of_audio(self, wet: np.ndarray, dry: np.ndarray | None = None) -> Posterior:
        return self._posterior(self._compute(wet), None if dry is None else self._compute(dry))

    def _posterior(self, wet: jax.typing.ArrayLike, dry: jax.typing.ArrayLike | None = None) -> Posterior:
        known = jnp.full(len(wet), 0.0 if dry is None else 1.0)
        return _posterior(self.weights, wet, wet if dry is None else dry, known, model=self._model)

    def _content(self, wet: np.ndarray) -> jax.Array:
        return _content(self.weights, self._compute(wet), model=self._model)

    def _answers(self, mean: np.ndarray) -> Logits:
        return _answers(self.weights, mean, model=self._model)

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
def _posterior(weights: Weights, wet: jax.Array, dry: jax.Array, dry_known: jax.Array, *, model: VAE) -> Posterior:
    return model.apply(weights.variables, wet, dry, dry_known, train=False, method="effect_posterior")


@functools.partial(jax.jit, static_argnames="model")
def _content(weights: Weights, wet: jax.Array, *, model: VAE) -> jax.Array:
    return model.apply(weights.variables, wet, train=False, method="content_posterior").mean


@functools.partial(jax.jit, static_argnames="model")
def _answers(weights: Weights, mean: jax.Array, *, model: VAE) -> Logits:
    return heads.probabilities(model.apply(weights.variables, mean, method="read"))


@functools.partial(jax.jit, static_argnames="model")
def _reconstruct(weights: Weights, numbers: Hyperparams, spectrograms: jax.Array, *, model: VAE) -> jax.Array:
    return vae_steps.reconstruct(weights, numbers, spectrograms, model=model)


def _in_batches(function: Callable, *arrays: Float[np.ndarray, "clip ..."]) -> Any:
    """`function` of all rows, called on one shape only, with outputs joined along the clip axis."""
    outputs, count = [], len(arrays[0])
    for first in range(0, count, _BATCH):
        batches = [array[first : first + _BATCH] for array in arrays]
        padded = [np.concatenate([batch, np.repeat(batch[-1:], _BATCH - len(batch), axis=0)]) for batch in batches]
        outputs.append(jax.device_get(function(*padded)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *outputs)


class Stored(NamedTuple):
    """A member of a run as a checkpoint holds it."""

    workdir: Path
    record: dict[str, Any]
    experiment: Any
    restore: Callable[[Weights], Weights]
    """Its weights, of these shapes."""


def load(workdir: str | Path, step: int | None = None, member: int | None = None) -> Any:
    """What was trained, with the best weights of the run, or those of a given step; of a sweep, of the best member, or
    of a given one. What it is, the checkpoint says: of a VAE, a `SpectrogramEncoder`.

    Raises:
        CheckpointError: the folder holds no checkpoint, or none of that step or member, or one of another format, or
            of a task that nothing is made of; or it was never validated, so that no weights are the best.
    """
    members = run_folder.read(Path(workdir))
    if member is None:
        member = run_folder.best(members)
    if member not in members:
        raise CheckpointError(f"{workdir} has no member {member}; it has {', '.join(map(str, members))}")
    chosen = members[member]
    checkpoints = Checkpoints(chosen.folder / "checkpoints", keep=2)

    if step is None and chosen.best is None:
        raise CheckpointError(_never_validated(workdir, member, chosen, alone=len(members) == 1))

    def restore(like: Weights) -> Weights:
        weights = checkpoints.restore_member(record["step"], "best" if step is None else "state", like, chosen.place)
        return jax.device_put(weights, jax.local_devices()[0])

    try:
        steps = checkpoints.steps()
        if step is not None and step not in steps:
            raise CheckpointError(
                f"{workdir} holds no checkpoint of step {step}; it holds {', '.join(map(str, steps))}"
            )
        record = checkpoints.record(steps[-1] if step is None else step)
        name = task.kind_of(record).NAME
        if name not in LOADERS:
            raise CheckpointError(
                f"{workdir} holds a run of task {name!r}, which cannot be loaded; those that can are "
                f"{', '.join(LOADERS)}"
            )
        return LOADERS[name](Stored(Path(workdir), record, chosen.experiment, restore))
    finally:
        checkpoints.close()


def _never_validated(workdir: str | Path, member: int, stopped: run_folder.Member, alone: bool) -> str:
    what = f"the run in {workdir}" if alone else f"member {member} of {workdir}"
    if stopped.diverged:
        return f"{what} diverged at step {stopped.step}, before its first validation, so no weights of it are the best"
    return (
        f"{what} stopped at step {stopped.step}, before its first validation, so it has no best weights; the same "
        f"command of launch.train continues it, and step={stopped.step} loads the weights of its newest checkpoint"
    )


def _load_encoder(stored: Stored) -> SpectrogramEncoder:
    record, experiment = stored.record, stored.experiment
    parameters = tuple(record["parameters"])
    members = task.members(record)
    widest = max(members, key=lambda member: member.model.latent_dim)
    shapes, own = (
        jax.eval_shape(functools.partial(_create, one, parameters), hyperparams(one)) for one in (widest, experiment)
    )
    weights = stored.restore(shapes.weights)
    weights = weights._replace(params=narrow(weights.params, own.params))
    statistics = spectrogram.statistics_from(record["statistics"])
    # A program trains heads if one of its members has them.
    return SpectrogramEncoder(
        experiment,
        statistics,
        weights,
        parameters if experiment.objective.heads else (),
        record["dataset"],
        _dataset_folders(stored),
    )


def _dataset_folders(stored: Stored) -> tuple[str, ...]:
    """Where training left the data set, then where it lies if it was moved together with the run."""
    record, directory = stored.record, Path(stored.experiment.data.directory).expanduser()
    recorded = [record["dataset_folder"]] if "dataset_folder" in record else []  # older records name none
    if "://" in stored.experiment.data.directory:
        return (*recorded, f"{stored.experiment.data.directory.rstrip('/')}/{record['dataset']}")
    places = [Path.cwd(), *stored.workdir.absolute().parents]  # all the same to an absolute directory
    return tuple(dict.fromkeys([*recorded, *(str(place / directory / record["dataset"]) for place in places)]))


LOADERS: dict[str, Callable[[Stored], Any]] = {"vae": _load_encoder}
"""What is made of the checkpoints of each task."""


def untrained(encoder: SpectrogramEncoder, seed: int = 0) -> SpectrogramEncoder:
    """An encoder of the same shape with fresh weights: the random-encoder baseline."""
    create = functools.partial(_create, encoder.experiment, encoder.parameters)
    numbers = hyperparams(encoder.experiment)._replace(seed=jnp.asarray(seed))
    state = jax.jit(create, compiler_options=train_state.RUN_ONCE)(numbers)
    return dataclasses.replace(encoder, weights=state.weights)


def _create(experiment: config.Experiment, parameters: tuple[int, ...], numbers: Hyperparams) -> TrainState:
    return vae_steps.create(numbers, VAE(experiment.model, parameters), experiment.bins, experiment.frames)
