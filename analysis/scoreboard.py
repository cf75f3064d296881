"""Figures of a trained run beside those of its baselines, all on unseen recordings.

Every representation gets the same clips and the same probes: the latent space, principal components of the same
spectrograms, an encoder of the same shape with fresh weights, MFCC statistics, and a constant. Probes are fitted on
the training recordings and scored on the test recordings. An effect that cannot be heard in the clips of a protocol is
left out of its figures, and with fewer than two effects there is no question which one it is.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from analysis import baselines, bootstrap, embed, paths, probes
from analysis.baselines import PrincipalComponents
from analysis.effect_map import EffectMap
from jaxvae import audio, config, dataset, inference, losses
from jaxvae.effects import Effect
from jaxvae.vae import Posterior

_LEAST_CLIPS = 5  # of an effect, from which its settings are read: the folds of the penalty's choice


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
    components: int | None = None
    """Principal components of the baseline; none means as many as latent dimensions."""


@dataclasses.dataclass(frozen=True)
class Material:
    """Test clips at random settings as every representation sees them, for pictures and more figures."""

    plan: embed.Plan
    features: Mapping[str, Float[np.ndarray, "clip feature"]]
    components: PrincipalComponents


Pairs = Mapping[str, tuple[probes.Labelled, probes.Labelled]]
"""Of each representation, the clips that probes are fitted on and those that they are scored on."""


def label(
    representations: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    data: dataset.Dataset,
    kinds: Sequence[Effect],
    protocol: Literal["random", "fixed"],
    train_clips: int,
    test_clips: int,
    seed: int,
) -> tuple[embed.Plan, Pairs]:
    """The test clips, and training and test clips as every representation sees them; each is rendered once."""
    made = []
    for number, (name, clips) in enumerate((("train", train_clips), ("test", test_clips))):
        split = data.split(name)
        dry = embed.draw_dry(split, clips, seed)
        if protocol == "random":
            plan = embed.random_settings(kinds, dry, 2 * seed + number)  # not the same settings
        else:
            plan = embed.fixed_settings(kinds, dry)
        description = f"{protocol} settings, {name}"
        plan, features = embed.represent(plan, split, data.experiment.audio.sample_rate, representations, description)
        made.append({name: plan.labelled(values, split) for name, values in features.items()})
    fit, held = made
    return plan, {name: (fit[name], held[name]) for name in representations}


def measure(
    encoder: inference.Encoder, data: dataset.Dataset, kinds: Sequence[Effect], sizes: Sizes, seed: int = 0
) -> tuple[dict[str, Any], Material]:
    """All figures that need no picture, ready for JSON, and the test clips that they were measured on."""
    train, test = data.split("train"), data.split("test")
    rate = encoder.experiment.audio.sample_rate
    components = baselines.principal_components(encoder, train, sizes.components, seed)
    fresh = inference.untrained(encoder, seed)
    representations = {
        "latent space": lambda wet: encoder.embed(wet, rate),
        f"PCA-{components.pca.n_components_}": lambda wet: components.embed(wet, rate),
        "random encoder": lambda wet: fresh.embed(wet, rate),
        "MFCC statistics": lambda wet: baselines.mfcc_statistics(wet, rate),
        "constant": lambda wet: np.zeros((len(wet), 1), np.float32),
    }
    figures: dict[str, Any] = {
        "sizes": dataclasses.asdict(sizes),
        "seed": seed,
        "representations": list(representations),
        "components_fitted_on": components.fitted_on,
        "heard": {},
        "effect": {},
        "comparisons": {},
    }
    for protocol in ("random", "fixed"):
        plan, pairs = label(representations, data, kinds, protocol, sizes.train_clips, sizes.test_clips, seed)
        fit, held = pairs["latent space"]
        recording = held.recording
        figures["heard"][protocol] = [kinds[index].name for index in np.unique(fit.effect)]
        if len(figures["heard"][protocol]) > 1:
            scores = {name: probes.classify(*pair, seed) for name, pair in pairs.items()}
            figures["effect"][protocol] = {name: _effect(score, len(recording)) for name, score in scores.items()}
            figures["comparisons"][protocol] = {
                probe: _compare({name: score[probe].correct for name, score in scores.items()}, recording, seed)
                for probe in ("logistic", "knn")
            }
        if protocol == "random":
            material = Material(plan, {name: held.features for name, (_, held) in pairs.items()}, components)
            figures["parameters"], figures["comparisons"]["settings"] = of_parameters(kinds, pairs, seed)
    compared = dict(list(representations.items())[:2])
    dry = embed.draw_dry(test, sizes.path_clips, seed)
    plan = embed.sweep_settings(kinds, dry, sizes.path_steps)
    plan, moved = embed.represent(plan, test, rate, compared, "paths")
    for index, kind in enumerate(kinds):
        for moving, parameter in enumerate(kind.parameters if kind.name in figures["parameters"] else ()):
            rows = (plan.effect == index) & (plan.moving == moving)
            clouds = {name: material.features[name][material.plan.effect == index] for name in compared}
            figures["parameters"][kind.name][parameter.name]["path"] = {
                name: _path(moved[name][rows], plan.dry[rows], clouds[name]) for name in compared
            }
    figures["reconstruction"], figures["comparisons"]["reconstruction"] = _reconstruction(
        encoder, components, test, seed
    )
    return figures, material


def of_posterior(mean: Float[np.ndarray, "clip latent"], logvar: Float[np.ndarray, "clip latent"]) -> dict[str, Any]:
    """How much of the latent space is in use."""
    kl = np.asarray(losses.kl_per_dimension(Posterior(mean, logvar))).mean(axis=0)
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


def _effect(scores: Mapping[str, probes.Classification], clips: int) -> dict[str, Any]:
    return {
        name: {"accuracy": score.accuracy, "macro_f1": score.macro_f1, "confusion": score.confusion.tolist()}
        for name, score in scores.items()
    } | {"chance": scores["knn"].chance, "clips": clips}


def _compare(
    scores: Mapping[str, np.ndarray], recording: np.ndarray, seed: int, score: Callable = np.asarray
) -> dict[str, Any]:
    """The first representation against the best of the others, from a score of each clip, of which more is better."""
    ours, *others = scores
    best = max(others, key=lambda name: scores[name].mean())
    return {"baseline": best} | bootstrap.difference(scores[ours], scores[best], recording, score, seed)._asdict()


def of_parameters(kinds: Sequence[Effect], pairs: Pairs, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of the parameters of every effect that can be heard, and the comparison of their mean R² over effects.

    Raises:
        ValueError: no effect can be heard in enough clips.
    """
    train, test = next(iter(pairs.values()))
    heard = [
        index
        for index in range(len(kinds))
        if min(np.sum(clips.effect == index) for clips in (train, test)) >= _LEAST_CLIPS
    ]
    if not heard:
        raise ValueError(
            f"no effect has {_LEAST_CLIPS} clips that can be heard, in training and test; draw more with "
            "--sizes.train-clips and --sizes.test-clips"
        )
    kept = np.isin(test.effect, heard)
    pairs = {name: (fit, probes.Labelled(*(field[kept] for field in held))) for name, (fit, held) in pairs.items()}
    scores = {name: probes.settings(*pair) for name, pair in pairs.items()}
    figures = {
        kinds[index].name: {
            parameter.name: {
                "r2": {name: score[index][column].r2 for name, score in scores.items()},
                "mae": {name: score[index][column].mae for name, score in scores.items()},
            }
            for column, parameter in enumerate(kinds[index].parameters)
        }
        for index in heard
    }
    effect, recording = test.effect[kept], test.recording[kept]
    explained = {name: np.empty(len(effect)) for name in pairs}
    for index in heard:
        own = effect == index
        weight = len(effect) / len(heard) / own.sum()  # every effect counts the same, however many clips it has
        for name, score in scores.items():
            explained[name][own] = weight * np.mean([parameter.explained for parameter in score[index]], axis=0)
    return figures, _compare(explained, recording, seed)


def mean_r2(parameters: Mapping[str, Any]) -> dict[str, float]:
    """Mean R² over effects of the mean over their parameters, for each representation."""
    tables = [list(scores.values()) for scores in parameters.values()]
    return {
        name: float(np.mean([np.mean([scores["r2"][name] for scores in table]) for table in tables]))
        for name in tables[0][0]["r2"]
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
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Root-mean-square error of test spectrograms, and its comparison."""
    names = ("latent space", f"PCA-{components.pca.n_components_}", "mean of each band")
    guesses = (encoder.reconstruct, components.reconstruct, lambda wet, rate: components.band_mean)
    chosen, squares = squared_errors(encoder, dict(zip(names, guesses, strict=True)), test, seed)
    figures = {
        "unit": error_unit(encoder.experiment),
        "clips": len(chosen),
        "rms_error": {name: float(np.sqrt(values.mean())) for name, values in squares.items()},
    }
    negative = {name: -values for name, values in squares.items()}  # more is better
    return figures, _compare(negative, test.recording[chosen], seed, lambda mean: -np.sqrt(-mean))


def error_unit(experiment: config.Experiment) -> str:
    """Unit of the root of `squared_errors`: dB where the spectrogram is logarithmic with fixed scaling."""
    settings = experiment.spectrogram
    return "dB" if settings.compression == "log" and settings.normalisation == "fixed" else "standard deviations"


def squared_errors(
    encoder: inference.Encoder,
    guesses: Mapping[str, Callable[[np.ndarray, int], np.ndarray]],
    test: dataset.Split,
    seed: int,
) -> tuple[Int[np.ndarray, " clip"], dict[str, Float[np.ndarray, " clip"]]]:
    """Some test clips, and the mean squared error over pixels of each guess at the spectrogram that the encoder sees.

    A guess takes clips (clip, sample) and their rate to spectrograms (clip, bin, frame).
    """
    rate = encoder.experiment.audio.sample_rate
    scale = np.asarray(encoder.statistics.std)[:, None] if error_unit(encoder.experiment) == "dB" else 1.0
    chosen = np.sort(np.random.default_rng(seed).choice(test.clips, min(test.clips, 96), replace=False))
    squares = {name: np.empty(len(chosen)) for name in guesses}
    for part in np.array_split(np.arange(len(chosen)), -(-len(chosen) // 32)):
        wet = audio.to_float(test.audio(chosen[part]))
        truth = encoder.spectrogram(wet, rate)
        for name, guess in guesses.items():
            squares[name][part] = np.square(scale * (guess(wet, rate) - truth)).mean(axis=(1, 2), dtype=np.float64)
    return chosen, squares
