"""Training of a backbone for a given time, and what can be read from what it has learned."""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from analysis.metrics import probes
from jaxvae import config, inference
from jaxvae.data import dataset
from jaxvae.training import run, run_folder
from jaxvae.training.vae_task import VAETask

_WARM, _TIMED = 3, 25  # steps


def train_for(
    seconds: float, experiment: config.Experiment, workdir: Path
) -> tuple[inference.SpectrogramEncoder, float]:
    """A model trained for so long, and its steps a second; batches are included, compilation is not.

    The first steps, all of them in the warm-up, tell how many there is time for, and the learning rate is laid out
    over that many.
    """
    group = run_folder.groups(experiment, workdir)[0]
    training = run.start(group, VAETask)
    batches = training.batches()
    while training.step < _WARM:
        jax.block_until_ready(training.advance(next(batches)))
    start, warm = time.perf_counter(), training.step
    while training.step < warm + _TIMED:
        jax.block_until_ready(training.advance(next(batches)))
    steps = round(seconds * (training.step - warm) / (time.perf_counter() - start))
    training.hyperparams = training.hyperparams._replace(steps=jnp.full(1, steps, jnp.float32))
    with tqdm(total=steps, unit="step", desc=experiment.model.backbone, initial=training.step) as bar:
        while training.step < steps:
            # Waited for: else the queue of steps, and with it memory, would grow.
            jax.block_until_ready(training.advance(next(batches)))
            bar.update(training.step - bar.n)
    taken = time.perf_counter() - start
    batches.close()
    training.close()
    weights = jax.tree.map(lambda leaf: leaf[0], training.state.weights)
    encoder = inference.SpectrogramEncoder(experiment, training.task.rendered.normalisation, weights)
    return encoder, (training.step - warm) / taken


def readable(data: dataset.Dataset, features: dict[str, np.ndarray], clips: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy of each classifier of the effect, and R² averaged over all parameters of all effects."""
    labelled = {}
    for name, chosen in clips.items():
        split = data.split(name)
        labelled[name] = probes.Labelled(
            features[name], split.effect[chosen], split.normalized[chosen], split.recording[chosen]
        )
    scores = probes.classify(labelled["train"], labelled["test"])
    settings = probes.settings(labelled["train"], labelled["test"])
    accuracy = {f"{name}_accuracy": score.accuracy for name, score in scores.items()}
    return accuracy | {"r2": float(np.mean([score.r2 for effect in settings.values() for score in effect]))}
