"""Clips of a split on their way to a training step.

What travels at every step depends on what fits. Spectrograms are computed once and stay on the device where they take
little memory (a mel spectrogram has an eighth of its clip's samples, and computing one takes a CPU as long as a third
of a small network's step). Else the audio stays on the device if its memory is known and large enough. Else audio is
read ahead and travels batch by batch.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from jaxvae import dataset, population, spectrogram
from jaxvae.config import Experiment
from jaxvae.dataset import Split
from jaxvae.spectrogram import Statistics

SPECTROGRAM_BYTES = 2 * 2**30
_CHUNK_CLIPS = 64


class Feed:
    """The clips of one split as spectrograms, whichever way they travel."""

    def __init__(self, split: Split, experiment: Experiment, statistics: Statistics, mesh: Mesh) -> None:
        self._split, self._experiment, self._statistics, self._mesh = split, experiment, statistics, mesh
        self.pool = self._pool()
        """Spectrograms or audio of all clips on every device; None when batches travel one by one."""

    def _pool(self) -> jax.Array | None:
        split, experiment = self._split, self._experiment
        shape = (split.clips, experiment.bins, experiment.frames)
        if 4 * np.prod(shape, dtype=np.int64) > SPECTROGRAM_BYTES:
            if not dataset.resident(split, self._mesh.local_devices):
                return None
            return population.place(split.audio(np.arange(split.clips)), self._mesh, population.SHARED)
        spectrograms = np.empty(shape, np.float32)
        compute = jax.jit(self._compute)
        with tqdm(total=split.clips, unit="clip", desc="spectrograms") as bar:
            for first in range(0, split.clips, _CHUNK_CLIPS):
                chosen = np.arange(first, first + _CHUNK_CLIPS) % split.clips  # one shape: the last part is filled up
                part = spectrograms[first : first + _CHUNK_CLIPS]
                part[:] = compute(split.audio(chosen))[: len(part)]
                bar.update(len(part))
        return population.place(spectrograms, self._mesh, population.SHARED)

    def _compute(self, audio: jax.Array) -> jax.Array:
        return spectrogram.compute(audio, self._experiment.audio, self._experiment.spectrogram, self._statistics)

    def batch(self, indices: Int[np.ndarray, "batch"]) -> np.ndarray:
        """What `spectrograms` takes for these clips: their indices into the pool, or their audio."""
        return self._split.audio(indices) if self.pool is None else indices

    def batches(self, seed: int, first_step: int, last_step: int, batch_size: int) -> Iterator[np.ndarray]:
        """`batch` of each training step from `first_step` to before `last_step`."""
        if self.pool is None:
            for batch in dataset.prefetch(self._split, seed, first_step, last_step, batch_size):
                yield batch.audio
        else:
            for step in range(first_step, last_step):
                yield dataset.indices(self._split, seed, step, batch_size)

    def spectrograms(self, pool: Array | None, batch: Any) -> Float[Array, "batch bin frame"]:
        """Spectrograms of a batch. Pure, for use inside a compiled step, which takes `pool` as an argument."""
        clips = batch if pool is None else pool[batch]
        return self._compute(clips) if clips.dtype == np.int16 else clips
