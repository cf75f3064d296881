"""A trained run as functions of audio: numpy in, numpy out."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import soxr
from jaxtyping import Float

from jaxvae import config, spectrogram, train_state
from jaxvae.audio import set_peak
from jaxvae.checkpoints import CheckpointError, Checkpoints
from jaxvae.dataset import WET_PEAK_DBFS
from jaxvae.optimizer import hyperparams
from jaxvae.spectrogram import Statistics
from jaxvae.vae import VAE, Posterior

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
    state: train_state.TrainState

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects it was trained on."""
        return self.experiment.data.effects

    @property
    def latent_dim(self) -> int:
        """Dimensions of an embedding."""
        return self.experiment.model.latent_dim

    def embed(self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int) -> Float[np.ndarray, "clip latent"]:
        """Posterior means. Raises ValueError for audio that is empty, silent or not finite."""
        return self.posterior(audio, sample_rate).mean

    def posterior(self, audio: Float[np.ndarray, "*clip sample"], sample_rate: int) -> Posterior:
        """Mean and log-variance (clip, latent) of each clip's posterior."""
        clips = self._clips(audio, sample_rate)
        windows = clips.reshape(-1, clips.shape[-1])
        posterior = _in_batches(lambda batch: self._encode(self.state, batch), windows)
        return Posterior(*(part.reshape(*clips.shape[:2], -1).mean(axis=1) for part in posterior))

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
        return _in_batches(lambda batch: self._reconstruct(self.state, batch), clips)

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

    @functools.cached_property
    def _model(self) -> VAE:
        return VAE(self.experiment.model)

    @functools.cached_property
    def _compute(self) -> Callable:
        audio, settings, statistics = self.experiment.audio, self.experiment.spectrogram, self.statistics
        return jax.jit(lambda batch: spectrogram.compute(batch, audio, settings, statistics))

    @functools.cached_property
    def _encode(self) -> Callable:
        return jax.jit(
            lambda state, batch: self._model.apply(
                {"params": state.params, "batch_stats": state.batch_stats},
                self._compute(batch),
                train=False,
                method="encode",
            )
        )

    @functools.cached_property
    def _reconstruct(self) -> Callable:
        def reconstruct(state: train_state.TrainState, batch: jax.Array) -> jax.Array:
            variables = {"params": state.params, "batch_stats": state.batch_stats}
            noise = jnp.zeros((len(batch), self.latent_dim))
            return self._model.apply(variables, self._compute(batch), noise, train=False).reconstruction

        return jax.jit(reconstruct)


def _in_batches(function: Callable, clips: Float[np.ndarray, "clip sample"]) -> object:
    """`function` of all clips, called on one shape only, with outputs joined along the clip axis."""
    outputs = []
    for first in range(0, len(clips), _BATCH):
        batch = clips[first : first + _BATCH]
        padded = np.concatenate([batch, np.repeat(batch[-1:], _BATCH - len(batch), axis=0)])
        outputs.append(jax.device_get(function(padded)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(clips)], *outputs)


def load(workdir: str | Path, step: int | None = None) -> Encoder:
    """The best checkpoint of a run, or the one of a given step.

    Raises:
        CheckpointError: the folder holds no checkpoint, or none of that step, or one of another format.
    """
    workdir = Path(workdir)
    for name in ("best", "checkpoints"):
        if not (workdir / name).is_dir():
            continue
        checkpoints = Checkpoints(workdir / name, keep=2)
        try:
            found = checkpoints.latest_step() if step is None else step if step in checkpoints.steps() else None
            if found is None:
                continue
            record = checkpoints.record(found)
            experiment = config.from_dict(record["experiment"])
            state = checkpoints.state(found, _abstract_state(experiment))
            return Encoder(experiment, spectrogram.statistics_from(record["statistics"]), state)
        finally:
            checkpoints.close()
    wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
    raise CheckpointError(
        f"{workdir} holds no {wanted}; make one with python -m launch.train CONFIG --workdir {workdir}"
    )


def untrained(encoder: Encoder, seed: int = 0) -> Encoder:
    """An encoder of the same shape with fresh weights: the random-encoder baseline."""
    experiment = encoder.experiment
    create = functools.partial(
        train_state.create, model=VAE(experiment.model), bins=experiment.bins, frames=experiment.frames
    )
    numbers = hyperparams(experiment)._replace(seed=jnp.asarray(seed))
    state = jax.jit(create, compiler_options=train_state.RUN_ONCE)(numbers)
    return dataclasses.replace(encoder, state=state)


def _abstract_state(experiment: config.Experiment) -> train_state.TrainState:
    return jax.eval_shape(
        lambda: train_state.create(hyperparams(experiment), VAE(experiment.model), experiment.bins, experiment.frames)
    )
