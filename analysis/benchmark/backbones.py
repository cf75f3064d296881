"""Backbones at equal training time: what a plain VAE of each makes of the same minutes on this machine.

    python -m analysis.benchmark.backbones configs/mda_six.py --minutes 5

The experiment's backbone and number of steps are replaced. Each backbone's speed is measured first and its schedule is
fitted to the time, so every one ends its learning-rate decay. Reconstruction is of the validation set; effect and
settings are read from the posterior means of test recordings by probes fitted on training recordings, as they are for
the principal components of the same spectrograms and for an encoder of the same shape with fresh weights.
"""

import dataclasses
import json
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from analysis.metrics import probes
from analysis.pages import plain_table
from jaxvae import command_line, config, inference
from jaxvae.data import audio, dataset
from jaxvae.training import run, run_folder
from jaxvae.training.vae_task import VAETask

_WARM, _TIMED = 3, 25  # steps


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare."""

    minutes: float = 5.0
    """Training time of each, validation and pictures left out."""
    backbones: tuple[str, ...] = ("patch", "filterbank", "convolution", "grant2023")
    probe_clips: int = 3_000
    """Training clips that the probes are fitted on."""
    out: Path = Path("runs/backbones")
    """Folder of table.json."""


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
    return inference.SpectrogramEncoder(experiment, training.task.statistics, weights), (training.step - warm) / taken


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


def main(base: config.Experiment, options: Options) -> list[Path]:
    """Train each, print the table and write table.json."""
    # Neither heads nor pairs: what is compared is what the spectrograms alone teach a backbone.
    alone = dataclasses.replace(
        base.objective, effect_weight=0.0, settings_weight=0.0, contrastive_weight=0.0, swap=0.0
    )
    base = dataclasses.replace(base, model=dataclasses.replace(base.model, content_dim=0), objective=alone)
    data = dataset.render(base)
    rate = base.audio.sample_rate
    clips = {
        "train": np.arange(min(options.probe_clips, base.data.train_clips)),
        "test": np.arange(base.data.test_clips),
    }
    rows, audios = [], {name: audio.to_float(data.split(name).audio(chosen)) for name, chosen in clips.items()}
    for backbone in options.backbones:
        settings = dataclasses.replace(base.train, steps=2**30, patience=0)
        model = dataclasses.replace(base.model, backbone=backbone)
        experiment = dataclasses.replace(base, name=backbone, model=model, train=settings)
        with tempfile.TemporaryDirectory() as folder:
            encoder, speed = train_for(60 * options.minutes, experiment, Path(folder))
        features = {name: encoder.embed(wet, rate) for name, wet in audios.items()}
        squares = [
            np.mean((encoder.spectrogram(part, rate) - encoder.reconstruct(part, rate)) ** 2)
            for part in np.array_split(audios["test"], -(-len(audios["test"]) // 256))
        ]
        row = {"model": backbone, "clips/s": speed * settings.batch_size, "steps": int(encoder.weights.step)}
        rows.append(row | {"test_mse": float(np.mean(squares))} | readable(data, features, clips))
        print(json.dumps(rows[-1]), flush=True)
    spectrograms = {name: encoder.spectrogram(wet, rate).reshape(len(wet), -1) for name, wet in audios.items()}
    components = PCA(base.model.latent_dim, svd_solver="randomized", random_state=0).fit(spectrograms["train"])
    features = {name: components.transform(flat) for name, flat in spectrograms.items()}
    rebuilt = components.inverse_transform(features["test"])
    error = float(np.mean((rebuilt - spectrograms["test"]) ** 2))
    rows.append({"model": f"PCA-{base.model.latent_dim}", "test_mse": error} | readable(data, features, clips))
    fresh = inference.untrained(encoder)
    features = {name: fresh.embed(wet, rate) for name, wet in audios.items()}
    rows.append({"model": "random encoder"} | readable(data, features, clips))
    columns = list(rows[0])
    lines = [[row.get(column, "") for column in columns] for row in rows]
    lines = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in line] for line in lines]
    print(plain_table.text([columns, *lines]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.json").write_text(json.dumps(rows, indent=1))
    return [options.out / "table.json"]


if __name__ == "__main__":
    command_line.run_experiment(main, Options, __doc__)
