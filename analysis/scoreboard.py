"""Figures of a trained run beside those of its baselines, all on unseen recordings.

Every representation gets the same clips and the same probes: the latent space, principal components of the same
spectrograms, an encoder of the same shape with fresh weights, MFCC statistics, and a constant. Probes are fitted on
the training recordings and scored on the test recordings.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis import baselines, embed, paths, probes
from analysis.baselines import PrincipalComponents
from analysis.effect_map import EffectMap
from jaxvae import audio, dataset, inference
from jaxvae.effects import Effect


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many clips the figures are measured on."""

    train_clips: int = 100
    """Dry clips that the probes are fitted on; each meets every effect."""
    test_clips: int = 80
    """Unseen dry clips that they are scored on; each meets every effect."""
    path_clips: int = 2
    """Unseen dry clips on which every parameter is moved."""
    path_steps: int = 11
    components: int = 128
    """Principal components of the baseline."""


@dataclasses.dataclass(frozen=True)
class Material:
    """Test clips at random settings as every representation sees them, for pictures and more figures."""

    plan: embed.Plan
    features: Mapping[str, Float[np.ndarray, "clip feature"]]
    components: PrincipalComponents


def measure(
    encoder: inference.Encoder, data: dataset.Dataset, kinds: Sequence[Effect], sizes: Sizes, seed: int = 0
) -> tuple[dict[str, Any], Material]:
    """All figures that need no picture, ready for JSON, and the test clips that they were measured on."""
    train, test = data.split("train"), data.split("test")
    rate = encoder.experiment.audio.sample_rate
    components = baselines.principal_components(encoder, train, min(sizes.components, train.clips // 2), seed)
    fresh = inference.untrained(encoder, seed)
    representations = {
        "latent space": lambda wet: encoder.embed(wet, rate),
        f"PCA-{components.pca.n_components_}": lambda wet: components.embed(wet, rate),
        "random encoder": lambda wet: fresh.embed(wet, rate),
        "MFCC statistics": lambda wet: baselines.mfcc_statistics(wet, rate),
        "constant": lambda wet: np.zeros((len(wet), 1), np.float32),
    }
    figures: dict[str, Any] = {"sizes": dataclasses.asdict(sizes), "seed": seed, "effect": {}}
    dry = {name: embed.draw_dry(split, clips, seed) for name, split, clips in (
        ("train", train, sizes.train_clips), ("test", test, sizes.test_clips), ("path", test, sizes.path_clips)
    )}  # fmt: skip
    for protocol in ("random", "fixed"):
        plans = {}
        for name, split in (("train", train), ("test", test)):
            if protocol == "random":
                plan = embed.random_settings(kinds, dry[name], 2 * seed + (name == "test"))  # not the same settings
            else:
                plan = embed.fixed_settings(kinds, dry[name])
            plans[name] = embed.represent(plan, split, rate, representations, f"{protocol} settings, {name}")
        (fit_plan, fit), (plan, held) = plans["train"], plans["test"]
        pairs = {
            name: (fit_plan.labelled(fit[name], train), plan.labelled(held[name], test)) for name in representations
        }
        figures["effect"][protocol] = {name: _effect(*pair, seed) for name, pair in pairs.items()}
        if protocol == "random":
            material = Material(plan, held, components)
            figures["parameters"] = _parameters(kinds, pairs)
    compared = dict(list(representations.items())[:2])
    plan, moved = embed.represent(
        embed.sweep_settings(kinds, dry["path"], sizes.path_steps), test, rate, compared, "paths"
    )
    for index, kind in enumerate(kinds):
        for moving, parameter in enumerate(kind.parameters):
            rows = (plan.effect == index) & (plan.moving == moving)
            clouds = {name: material.features[name][material.plan.effect == index] for name in compared}
            figures["parameters"][kind.name][parameter.name]["path"] = {
                name: _path(moved[name][rows], plan.dry[rows], clouds[name]) for name in compared
            }
    figures["reconstruction"] = _reconstruction(encoder, components, test, seed)
    return figures, material


def of_posterior(mean: Float[np.ndarray, "clip latent"], logvar: Float[np.ndarray, "clip latent"]) -> dict[str, Any]:
    """How much of the latent space is in use."""
    kl = probes.kl_per_dimension(mean, logvar)
    return {
        "dimensions": mean.shape[1],
        "active_units": probes.active_units(mean),
        "kl_nats": float(kl.sum()),
        "kl_per_dimension": kl.tolist(),
    }


def of_map(drawn: EffectMap) -> dict[str, Any]:
    """Figures of one effect on one known clip: the seed's easy protocol, and whether the map is a ring."""
    latent, normalized = drawn.latent[drawn.cloud], drawn.normalized[drawn.cloud]
    scores = probes.settings_one_clip(latent, normalized)
    # With one parameter the map is a curve, of which the ring figure says nothing.
    ring = paths.centre_occupancy(drawn.position[drawn.cloud]) if len(drawn.effect.parameters) > 1 else None
    names = [parameter.name for parameter in drawn.effect.parameters]
    return {
        "centre_occupancy": ring,
        "one_clip_r2": {name: score.r2 for name, score in zip(names, scores, strict=True)},
    }


def _effect(train: probes.Labelled, test: probes.Labelled, seed: int) -> dict[str, Any]:
    scores = probes.classify(train, test, seed)
    return {
        name: {"accuracy": score.accuracy, "macro_f1": score.macro_f1, "confusion": score.confusion.tolist()}
        for name, score in scores.items()
    } | {"chance": scores["knn"].chance, "clips": len(test.effect)}


def _parameters(kinds: Sequence[Effect], pairs: Mapping[str, tuple[probes.Labelled, probes.Labelled]]) -> dict:
    scores = {name: probes.settings(*pair) for name, pair in pairs.items()}
    return {
        kind.name: {
            parameter.name: {
                "r2": {name: score[index][column].r2 for name, score in scores.items()},
                "mae": {name: score[index][column].mae for name, score in scores.items()},
            }
            for column, parameter in enumerate(kind.parameters)
        }
        for index, kind in enumerate(kinds)
    }


def _path(features: np.ndarray, dry: np.ndarray, cloud: np.ndarray) -> dict[str, float | None]:
    """Means over the dry clips; None where a parameter moves nothing, or silences its clips."""
    drawn = [features[dry == clip] for clip in np.unique(dry)]
    values = np.array(
        [(paths.monotonicity(p), paths.straightness(p), paths.extent(p, cloud)) for p in drawn if len(p) >= 3]
    ).reshape(-1, 3)
    moving = values[~np.isnan(values).any(axis=1)]
    means = moving.mean(axis=0).tolist() if len(moving) else [None] * 3
    return dict(zip(("monotonicity", "straightness", "extent"), means, strict=True))


def _reconstruction(
    encoder: inference.Encoder, components: PrincipalComponents, test: dataset.Split, seed: int
) -> dict[str, Any]:
    """Root-mean-square error of test spectrograms; in dB where the spectrogram is logarithmic with fixed scaling."""
    experiment = encoder.experiment
    rate, settings = experiment.audio.sample_rate, experiment.spectrogram
    decibels = settings.compression == "log" and settings.normalisation == "fixed"
    scale = np.asarray(encoder.statistics.std)[:, None] if decibels else 1.0
    chosen = np.sort(np.random.default_rng(seed).choice(test.clips, min(test.clips, 96), replace=False))
    squares = {"latent space": 0.0, f"PCA-{components.pca.n_components_}": 0.0, "mean of each band": 0.0}
    for part in np.array_split(chosen, -(-len(chosen) // 32)):
        wet = audio.to_float(test.audio(part))
        truth = encoder.spectrogram(wet, rate)
        guesses = (encoder.reconstruct(wet, rate), components.reconstruct(wet, rate), components.band_mean)
        for name, guess in zip(squares, guesses, strict=True):
            squares[name] += float(np.sum(np.square(scale * (guess - truth)), dtype=np.float64))
    pixels = len(chosen) * experiment.bins * experiment.frames
    return {
        "unit": "dB" if decibels else "standard deviations",
        "clips": len(chosen),
        "rms_error": {name: float(np.sqrt(total / pixels)) for name, total in squares.items()},
    }
