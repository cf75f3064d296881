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
from pathlib import Path

from jaxvae import command_line, config


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


def main(base: config.Experiment, options: Options) -> list[Path]:
    """Train each, print the table and write table.json."""
    import numpy as np
    from sklearn.decomposition import PCA

    from analysis.benchmark import backbone_training
    from analysis.pages import plain_table
    from jaxvae import inference
    from jaxvae.data import audio, dataset

    # Neither heads nor pairs: what is compared is what the spectrograms alone teach a backbone.
    alone = dataclasses.replace(
        base.objective, effect_weight=0.0, settings_weight=0.0, contrastive_weight=0.0, swap=0.0
    )
    base = dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, untouched=False, degraded_share=0.0),
        model=dataclasses.replace(base.model, content_dim=0),
        objective=alone,
    )
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
            encoder, speed = backbone_training.train_for(60 * options.minutes, experiment, Path(folder))
        features = {name: encoder.embed(wet[:, None], rate) for name, wet in audios.items()}
        squares = [
            np.mean((encoder.spectrogram(part[:, None], rate) - encoder.reconstruct(part[:, None], rate)) ** 2)
            for part in np.array_split(audios["test"], -(-len(audios["test"]) // 256))
        ]
        row = {"model": backbone, "clips/s": speed * settings.batch_size, "steps": int(encoder.weights.step)}
        rows.append(row | {"test_mse": float(np.mean(squares))} | backbone_training.readable(data, features, clips))
        print(json.dumps(rows[-1]), flush=True)
    spectrograms = {name: encoder.spectrogram(wet[:, None], rate).reshape(len(wet), -1) for name, wet in audios.items()}
    components = PCA(base.model.latent_dim, svd_solver="randomized", random_state=0).fit(spectrograms["train"])
    features = {name: components.transform(flat) for name, flat in spectrograms.items()}
    rebuilt = components.inverse_transform(features["test"])
    error = float(np.mean((rebuilt - spectrograms["test"]) ** 2))
    rows.append(
        {"model": f"PCA-{base.model.latent_dim}", "test_mse": error} | backbone_training.readable(data, features, clips)
    )
    fresh = inference.untrained(encoder)
    features = {name: fresh.embed(wet[:, None], rate) for name, wet in audios.items()}
    rows.append({"model": "random encoder"} | backbone_training.readable(data, features, clips))
    columns = list(rows[0])
    lines = [[row.get(column, "") for column in columns] for row in rows]
    lines = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in line] for line in lines]
    print(plain_table.text([columns, *lines]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.json").write_text(json.dumps(rows, indent=1))
    return [options.out / "table.json"]


if __name__ == "__main__":
    command_line.run_experiment(main, Options, __doc__)
