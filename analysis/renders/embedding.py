"""Posteriors of everything in a plan, made here or by a cluster, and the one file that holds them."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from analysis.renders import chunks
from analysis.renders.chunks import Features
from analysis.renders.plan import Plan
from jaxvae import atomic_file, config, effects, fields, inference
from jaxvae.data import dataset
from jaxvae.data.cluster import spread
from jaxvae.data.storage import Folder


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Posteriors and what was rendered for each; `effect` indexes the names."""

    mean: Float[np.ndarray, "clip latent"]
    logvar: Float[np.ndarray, "clip latent"]
    effect: Int[np.ndarray, " clip"]
    effect_names: tuple[str, ...]
    normalized: Float[np.ndarray, "clip parameter"]
    parameter_names: tuple[tuple[str, ...], ...]
    """Of each effect."""
    recording: Int[np.ndarray, " clip"]
    dry: Int[np.ndarray, " clip"]
    """Index of the dry clip in its split."""
    moving: Int[np.ndarray, " clip"]
    """Parameter that a sweep moves, else -1."""
    split: str
    experiment: config.Experiment

    def save(self, path: Path) -> None:
        """Write one .npz of plain arrays; names, split and config are JSON in `about`. Atomic."""
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        about = {
            "effect_names": self.effect_names,
            "parameter_names": self.parameter_names,
            "split": self.split,
            "experiment": fields.to_dict(self.experiment),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file.write(path) as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Embedding":
        """The inverse of `save`."""
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != "about"}
            about = json.loads(str(file["about"]))
        return cls(
            **arrays,
            effect_names=tuple(about["effect_names"]),
            parameter_names=tuple(tuple(names) for names in about["parameter_names"]),
            split=about["split"],
            experiment=config.from_dict(about["experiment"]),
        )


def embed(encoder: inference.SpectrogramEncoder, split: dataset.Split, split_name: str, plan: Plan) -> Embedding:
    """Posteriors of every usable render of the plan."""
    plan, features = chunks.evaluate(plan, split, encoder.experiment.audio.sample_rate, _functions(encoder))
    return _embedding(encoder, split, split_name, plan, features["posterior"])


class Source(NamedTuple):
    """What `inference.load` loads an encoder from."""

    run: Path
    step: int | None = None
    member: int | None = None


def embed_on(
    cluster: str, source: Source, encoder: inference.SpectrogramEncoder, data: dataset.Dataset, split: str, plan: Plan
) -> Embedding:
    """`embed` by the workers of a cluster (`jaxvae.data.cluster.spread`), which load the encoder from its source."""
    source = source._replace(run=source.run.absolute())
    task = functools.partial(_embed_chunk, source, data.folder.absolute(), split)
    plan, features = chunks.collect(plan, spread(task, chunks.divide(plan), cluster), "embed")
    return _embedding(encoder, data.split(split), split, plan, features["posterior"])


def _embed_chunk(source: Source, folder: Folder, split_name: str, rows: Plan) -> Features:
    """On a worker: posteriors of one chunk, rendered with one thread."""
    effects.require_available(rows.effects)
    encoder, split = _load_once(source, folder, split_name)
    chunk = chunks.render(rows, split, encoder.experiment.audio.sample_rate, workers=1)
    return chunks.apply(_functions(encoder), chunk)


@functools.lru_cache(maxsize=1)
def _load_once(source: Source, folder: Folder, split_name: str) -> tuple[inference.SpectrogramEncoder, dataset.Split]:
    encoder = inference.load_encoder(*source)
    return encoder, dataset.load(encoder.experiment, folder).split(split_name)


def _functions(encoder: inference.SpectrogramEncoder) -> chunks.Functions:
    """Means and log-variances of blind posteriors, side by side."""
    rate = encoder.experiment.audio.sample_rate
    return chunks.Functions(
        {"posterior": lambda wet, dry: np.concatenate(encoder.posterior(wet[:, None], rate), axis=1)}
    )


def _embedding(
    encoder: inference.SpectrogramEncoder, split: dataset.Split, split_name: str, plan: Plan, posterior: np.ndarray
) -> Embedding:
    return Embedding(
        mean=posterior[:, : encoder.latent_dim],
        logvar=posterior[:, encoder.latent_dim :],
        effect=plan.effect,
        effect_names=tuple(kind.name for kind in plan.effects),
        normalized=plan.normalized,
        parameter_names=tuple(tuple(parameter.name for parameter in kind.parameters) for kind in plan.effects),
        recording=split.recording[plan.dry],
        dry=plan.dry,
        moving=plan.moving,
        split=split_name,
        experiment=encoder.experiment,
    )
