"""Figures of the structure of one representation: what it tells of effect, settings, paths and content.

Conventions
    Every function takes the features of one representation and what is known of the clips, and gives scores. A score
    names its figure (see `analysis.sections.table.FIGURES`) and the item that it is of: a protocol, an effect, a
    parameter as mda/Delay/feedback, or a mean over parameters, those of each effect first, then over the effects:
    "all", and where a ceiling is given (`analysis.ceiling`) "identifiable", those whose ceiling has an R² above 0.25.
    A figure that is a mean over clips keeps them, for its interval and for comparisons on the same clips.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from analysis.embed import Plan
from analysis.metrics import audibility, calibration, paths, probes, retrieval
from analysis.metrics.probes import NEIGHBOURS, Labelled
from jaxvae.effects import Effect
from jaxvae.models.vae import Posterior
from jaxvae.training import losses

LEAST_CLIPS = 5  # of an effect, from which its settings are read: the folds of the penalty's choice
IDENTIFIABLE = 0.25  # R² of the ceiling
LEVELS = (0.5, 0.8, 0.9)
_LEAST_SETTINGS = 4  # along a path, of which a curve can be fitted

Ceiling = Mapping[str, Mapping[str, float]]
"""R² that can be reached at all, by effect and parameter; an effect that is not in it has none."""


class Score(NamedTuple):
    """One figure of one representation."""

    figure: str
    item: str
    value: float | None
    """None where there is none: a parameter that moves nothing has no path."""
    clips: Float[np.ndarray, " clip"] | None = None
    """Of each clip, where the value is that of their mean."""
    recording: Int[np.ndarray, " clip"] | None = None
    score: Callable = np.asarray
    """From the mean over clips to the value."""


def of_clips(figure: str, item: str, clips: np.ndarray, recording: np.ndarray, score: Callable = np.asarray) -> Score:
    """The score of a mean over clips; no value where there are no clips."""
    if not len(clips):
        return Score(figure, item, None)
    clips = np.asarray(clips, np.float64)
    return Score(figure, item, float(score(clips.mean())), clips, recording, score)


# Effect


def both_heard(fit: Labelled, held: Labelled) -> tuple[Labelled, Labelled, Bool[np.ndarray, " clip"]]:
    """The clips of effects that can be heard often enough in both, and which of `held` these are."""
    heard = [
        index
        for index in np.unique(held.effect).tolist()
        if min(np.sum(clips.effect == index) for clips in (fit, held)) >= LEAST_CLIPS
    ]
    kept = [np.isin(clips.effect, heard) for clips in (fit, held)]
    chosen = (Labelled(*(field[mask] for field in clips)) for clips, mask in zip((fit, held), kept, strict=True))
    return *chosen, kept[1]


def effect(
    fit: Labelled, held: Labelled, audible: Bool[np.ndarray, " clip"], protocol: str, seed: int
) -> tuple[list[Score], Int[np.ndarray, "true predicted"]]:
    """Accuracy and macro-F1 of each probe, accuracy on the clips that can be told from dry, and the confusion.

    The confusion is that of logistic regression, as are the scores on audible clips.
    """
    scores, results = [], probes.classify(fit, held, seed)
    for probe, result in results.items():
        scores.append(of_clips(f"accuracy_{probe}", protocol, result.correct, held.recording))
        scores.append(Score(f"macro_f1_{probe}", protocol, result.macro_f1))
    correct = results["logistic"].correct
    scores.append(of_clips("accuracy_audible", protocol, correct[audible], held.recording[audible]))
    return scores, results["logistic"].confusion


def head_effect(
    probabilities: Float[np.ndarray, "clip effect"], held: Labelled, audible: Bool[np.ndarray, " clip"], protocol: str
) -> list[Score]:
    """Accuracy of the network's own head, whose columns are the effects that `held` counts."""
    correct = probabilities.argmax(axis=1) == held.effect
    return [
        of_clips("accuracy_head", protocol, correct, held.recording),
        of_clips("accuracy_audible_head", protocol, correct[audible], held.recording[audible]),
    ]


# Settings


def means(kinds: Sequence[Effect], ceiling: Ceiling) -> dict[str, dict[int, Bool[np.ndarray, " parameter"]]]:
    """Over which parameters of each effect means are taken, by item: "all", and with a ceiling "identifiable".

    Those of an effect without a ceiling count as identifiable.
    """
    limits = {
        index: np.array([ceiling.get(kind.name, {}).get(parameter.name, 1.0) for parameter in kind.parameters])
        for index, kind in enumerate(kinds)
    }
    chosen = {"all": {index: np.full(len(limit), True) for index, limit in limits.items()}}
    if ceiling:
        chosen["identifiable"] = {index: limit > IDENTIFIABLE for index, limit in limits.items()}
    return chosen


class Recovered(NamedTuple):
    """Settings of the clips of one effect as they were read."""

    explained: Float[np.ndarray, "clip parameter"]
    """1 minus squared error over the variance of the clips, whose mean is R²."""
    mae: Float[np.ndarray, " parameter"]


def ridge(fit: Labelled, held: Labelled) -> dict[int, Recovered]:
    """What ridge regressions read of each effect, in normalised units."""
    return {index: _of_regressions(parameters) for index, parameters in probes.settings(fit, held).items()}


def one_clip(cloud: Labelled, seed: int) -> dict[int, Recovered]:
    """The same by five folds over many settings on one known clip, Grant's (2023) easy protocol."""
    recovered = {}
    for index in np.unique(cloud.effect).tolist():
        clips = cloud.of_effect(index)
        if len(clips.features) >= LEAST_CLIPS:
            recovered[index] = _of_regressions(probes.settings_one_clip(clips.features, clips.normalized, seed))
    return recovered


def _of_regressions(parameters: Sequence[probes.Regression]) -> Recovered:
    return Recovered(
        np.stack([score.explained for score in parameters], axis=1), np.array([score.mae for score in parameters])
    )


def head(settings: Sequence[Float[np.ndarray, "clip _ bin"]], held: Labelled) -> dict[int, Recovered]:
    """What the expectation of the network's own heads reads; `settings` are their probabilities, effect by effect."""
    recovered = {}
    for index in np.unique(held.effect).tolist():
        rows = held.effect == index
        truth = held.of_effect(index).normalized.astype(np.float64)
        predicted = np.stack([calibration.mean(settings[index][rows, p]) for p in range(truth.shape[1])], axis=1)
        explained = 1 - (predicted - truth) ** 2 / truth.var(axis=0)
        recovered[index] = Recovered(explained, np.abs(predicted - truth).mean(axis=0))
    return recovered


def settings(
    recovered: Mapping[int, Recovered], held: Labelled, kinds: Sequence[Effect], ceiling: Ceiling, suffix: str = ""
) -> list[Score]:
    """R² and MAE of each parameter, their means over all and over identifiable ones, and the share of the ceiling.

    The suffix tells whose figures they are: nothing for ridge regressions, "_head" or "_one_clip".
    """
    scores = []
    recordings = {index: held.recording[held.effect == index] for index in recovered}
    for index, one in recovered.items():
        for column, parameter in enumerate(kinds[index].parameters):
            item = f"{kinds[index].name}/{parameter.name}"
            scores.append(of_clips(f"r2{suffix}", item, one.explained[:, column], recordings[index]))
            scores.append(Score(f"mae{suffix}", item, float(one.mae[column])))
    for item, chosen in means(kinds, ceiling).items():
        some = {index: one for index, one in recovered.items() if chosen[index].any()}
        clips = sum(len(recordings[index]) for index in some)
        # Every effect counts the same, however many clips it has.
        explained = [
            clips / len(some) / len(one.explained) * one.explained[:, chosen[index]].mean(axis=1)
            for index, one in some.items()
        ]
        if some:
            recording = np.concatenate([recordings[index] for index in some])
            scores.append(of_clips(f"r2{suffix}", item, np.concatenate(explained), recording))
            errors = [one.mae[chosen[index]].mean() for index, one in some.items()]
            scores.append(Score(f"mae{suffix}", item, float(np.mean(errors))))
    known = {index: one for index, one in recovered.items() if kinds[index].name in ceiling}
    if known:
        reached = np.concatenate([one.explained.mean(axis=0) for one in known.values()])
        limits = [
            ceiling[kinds[index].name].get(parameter.name, np.nan)
            for index in known
            for parameter in kinds[index].parameters
        ]
        scores.append(Score(f"share_of_ceiling{suffix}", "all", probes.share_of_ceiling(reached, np.array(limits))))
    return scores


def calibrated(
    settings: Sequence[Float[np.ndarray, "clip _ bin"]], held: Labelled, kinds: Sequence[Effect]
) -> list[Score]:
    """Coverage of central intervals and negative log-likelihood of the heads, of each parameter and of all.

    The likelihood of all is the mean over clips of the sum over the effect's parameters, in nats a clip.
    """
    scores, likelihoods, recordings = [], [], []
    covered: dict[float, list[float]] = {level: [] for level in LEVELS}
    for index in np.unique(held.effect).tolist():
        clips, total = held.of_effect(index), 0.0
        for column, parameter in enumerate(kinds[index].parameters):
            item = f"{kinds[index].name}/{parameter.name}"
            probabilities = settings[index][held.effect == index, column]
            truth = clips.normalized[:, column]
            nats = calibration.negative_log_likelihood(probabilities, truth)
            scores.append(of_clips("nll", item, nats, clips.recording))
            for level in LEVELS:
                covered[level].append(calibration.coverage(probabilities, truth, level))
                scores.append(Score(f"coverage_{100 * level:.0f}", item, covered[level][-1]))
            total = total + nats
        likelihoods.append(total)
        recordings.append(clips.recording)
    scores.append(of_clips("nll", "all", np.concatenate(likelihoods), np.concatenate(recordings)))
    return scores + [Score(f"coverage_{100 * level:.0f}", "all", float(np.mean(covered[level]))) for level in LEVELS]


# Paths


def along(
    features: Float[np.ndarray, "clip feature"],
    plan: Plan,
    steps_db: Float[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
    ceiling: Ceiling,
) -> list[Score]:
    """Figures of the path of each parameter of a sweep, means over its dry clips, and means over parameters.

    `steps_db` is the log-spectral distance of each render from the one before it on its path; the first of a path has
    none that counts. The means over parameters leave out those that move nothing.
    """
    clips, first = np.unique(plan.dry, return_index=True)
    moved = [(index, moving) for index, kind in enumerate(plan.effects) for moving in range(len(kind.parameters))]
    values = np.full((len(moved), len(clips), len(PATH_FIGURES)), np.nan)
    for place, (index, moving) in enumerate(moved):
        for column, clip in enumerate(clips):
            rows = np.flatnonzero((plan.effect == index) & (plan.moving == moving) & (plan.dry == clip))
            if len(rows) >= _LEAST_SETTINGS:
                values[place, column] = _path(features[rows], float(steps_db[rows[1:]].sum()) / audibility.INAUDIBLE_DB)
    scores = [
        Score(figure, f"{plan.effects[index].name}/{plan.effects[index].parameters[moving].name}", _mean(found))
        for (index, moving), by_clip in zip(moved, values, strict=True)
        for figure, found in zip(PATH_FIGURES, by_clip.T, strict=True)
    ]
    for item, chosen in means(plan.effects, ceiling).items():
        own = [
            [chosen[index][moving] and index == kind for index, moving in moved] for kind in range(len(plan.effects))
        ]
        for column, figure in enumerate(PATH_FIGURES):
            of_clip = [_mean([_mean(clip[mask]) for mask in own]) for clip in values[:, :, column].T]
            if None in of_clip:  # nothing moves on some clip, so the others do not compare
                scores.append(Score(figure, item, _mean(of_clip)))
            else:
                scores.append(of_clips(figure, item, np.array(of_clip), recording[first]))
    return scores


PATH_FIGURES = ("monotonicity", "smoothness", "straightness", "closure", "length_per_step")


def _path(path: np.ndarray, audible_steps: float) -> tuple[float, ...]:
    return (
        paths.monotonicity(path),
        paths.smoothness(path),
        paths.straightness(path),
        paths.closure(path),
        paths.length_per_step(path, audible_steps),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that there are."""
    finite = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def ring(
    features: Float[np.ndarray, "clip feature"],
    plan: Plan,
    figure: str,
    place: Callable[[Float[np.ndarray, "clip feature"]], Float[np.ndarray, "clip 2"]],
) -> list[Score]:
    """Centre occupancy of the cloud of each effect's settings on one clip, placed on a plane, and the least of them.

    And how many of the clouds are rings (`paths.is_ring`). An effect of one parameter draws a curve, of which the
    figures say nothing.
    """
    scores, rings = [], []
    for index, kind in enumerate(plan.effects):
        rows = plan.effect == index
        if len(kind.parameters) > 1 and np.sum(rows) >= LEAST_CLIPS and features[rows].std(axis=0).max() > 0:
            cloud = place(features[rows])
            scores.append(Score(figure, kind.name, paths.centre_occupancy(cloud)))
            rings.append(paths.is_ring(cloud))
    least = min((score.value for score in scores), default=None)
    count = Score(figure.replace("ring", "rings"), "all", float(sum(rings)) if rings else None)
    return [*scores, Score(figure, "least", least), count]


# Invariance


def same_setting(
    first: Float[np.ndarray, "pair feature"],
    second: Float[np.ndarray, "clip feature"],
    recording: Int[np.ndarray, " pair"],
    ways: int,
) -> list[Score]:
    """Retrieval of the second clip of each pair by the first: the same setting over another recording, among `ways`.

    `recording` is that of the first; after the second clips may come others, at settings of their own.
    """
    found = retrieval.retrieve(first, second, ways)
    item = f"{ways:,}-way"
    return [
        of_clips("retrieval_r1", item, found.hit1, recording),
        of_clips("retrieval_r10", item, found.hit10, recording),
        of_clips("retrieval_rank", item, (found.ranks - 1) / (len(second) - 1), recording),
    ]


def recording_read(
    features: Float[np.ndarray, "clip feature"],
    dry: Int[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
    seed: int,
    name: str = "recording",
) -> list[Score]:
    """How well the recording can be read from clips whose crops a probe has not met, plainly and against chance.

    None of it where fewer than two recordings have two crops. `name` begins the names of the figures: "recording", or
    "content" for those of the content latent.
    """
    crops = np.unique(np.stack([recording, dry], axis=1), axis=0)[:, 0]
    if np.sum(np.unique(crops, return_counts=True)[1] > 1) < 2:
        return []
    found = probes.identify(features, recording, dry, seed)
    own = recording[np.isin(recording, found.recordings)]
    return [
        of_clips(f"{name}_accuracy", "", found.correct, own),
        of_clips(f"{name}_ratio", "", found.correct, own, lambda mean: mean / found.chance),
    ]


# VAE


def latent(posterior: Posterior) -> list[Score]:
    """KL divergence and active units of posteriors (clip, latent) over clips of unseen recordings."""
    kl = np.asarray(losses.kl_per_dimension(posterior)).mean(axis=0)
    units = probes.active_units(posterior.mean)
    return [
        Score("kl", "", float(kl.sum())),
        Score("active_units", "", float(units)),
        Score("active_share", "", units / len(kl)),
    ]


def silhouette(features: Float[np.ndarray, "clip feature"], effect: Int[np.ndarray, " clip"]) -> list[Score]:
    """Silhouette of the effects (Rousseeuw 1987) by cosine in the space itself, in [-1, 1]."""
    if len(np.unique(effect)) < 2:
        return []
    centred = features - features.mean(axis=0)
    if not np.linalg.norm(centred, axis=1).all():
        return []
    return [Score("silhouette", "", float(silhouette_score(centred, effect, metric="cosine")))]


def plane(
    features: Float[np.ndarray, "clip feature"], position: Float[np.ndarray, "clip 2"], effect: Int[np.ndarray, " clip"]
) -> list[Score]:
    """Trustworthiness (Venna & Kaski 2001) of a map of the space, and the effects' silhouette on it."""
    scores = [Score("trustworthiness", "", float(trustworthiness(features, position, n_neighbors=NEIGHBOURS)))]
    if len(np.unique(effect)) > 1:
        scores.append(Score("silhouette_map", "", float(silhouette_score(position, effect))))
    return scores
