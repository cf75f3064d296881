"""At which settings the effect was: read by regressions, extra trees and the model's own heads, beside a ceiling."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from analysis.metrics import calibration, probes
from analysis.metrics.probes import Labelled
from analysis.models.representations import Representation
from analysis.sections.effect import by_source
from analysis.sections.outline import Contents, Outline, columns
from analysis.sections.score import (
    LEAST_CLIPS,
    Ceiling,
    Figure,
    Score,
    Study,
    both_heard,
    means,
    of_clips,
    percent,
)
from analysis.sections.section import Section
from jaxvae.effects import Effect

FIGURES = {
    "r2": Figure("R²", 2),
    "r2_trees": Figure("R² extra trees", 2),
    "r2_source": Figure("R²", 2),
    "r2_head": Figure("R² head", 2),
    "r2_one_clip": Figure("R² one clip", 2),
    "mae": Figure("MAE", 2, "less"),
    "mae_trees": Figure("MAE extra trees", 2, "less"),
    "mae_head": Figure("MAE head", 2, "less"),
    "mae_one_clip": Figure("MAE one clip", 2, "less"),
    "share_of_ceiling": percent("of ceiling"),
    "share_of_ceiling_trees": percent("of ceiling, extra trees"),
    "share_of_ceiling_head": percent("of ceiling, head"),
    "share_of_ceiling_one_clip": percent("of ceiling, one clip"),
    "ceiling": Figure("ceiling R²", 2, ""),
    "nll": Figure("NLL (nats)", 2, "less"),
    "coverage_50": percent("in 50 %", ""),
    "coverage_80": percent("in 80 %", ""),
    "coverage_90": percent("in 90 %", ""),
}
_LEVELS = (0.5, 0.8, 0.9)


class Recovered(NamedTuple):
    """Settings of the clips of one effect as they were read."""

    explained: Float[np.ndarray, "clip parameter"]
    """1 minus squared error over the variance of the clips, whose mean is R²."""
    mae: Float[np.ndarray, " parameter"]


def regressions(
    fit: Labelled, held: Labelled, probe: Literal["ridge", "trees"] = "ridge", seed: int = 0
) -> dict[int, Recovered]:
    """What ridge regressions or extra trees read of each effect, in normalised units."""
    found = probes.settings(fit, held, probe, seed)
    return {index: _of_regressions(parameters) for index, parameters in found.items()}


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


def of_recovered(
    recovered: Mapping[int, Recovered], held: Labelled, kinds: Sequence[Effect], ceiling: Ceiling, suffix: str = ""
) -> list[Score]:
    """R² and MAE of each parameter, their means over all and over identifiable ones, and the share of the ceiling.

    The suffix tells whose figures they are: nothing for ridge regressions, "_trees", "_head" or "_one_clip".
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
    covered: dict[float, list[float]] = {level: [] for level in _LEVELS}
    for index in np.unique(held.effect).tolist():
        clips, total = held.of_effect(index), 0.0
        for column, parameter in enumerate(kinds[index].parameters):
            item = f"{kinds[index].name}/{parameter.name}"
            probabilities = settings[index][held.effect == index, column]
            truth = clips.normalized[:, column]
            nats = calibration.negative_log_likelihood(probabilities, truth)
            scores.append(of_clips("nll", item, nats, clips.recording))
            for level in _LEVELS:
                covered[level].append(calibration.coverage(probabilities, truth, level))
                scores.append(Score(f"coverage_{100 * level:.0f}", item, covered[level][-1]))
            total = total + nats
        likelihoods.append(total)
        recordings.append(clips.recording)
    if not likelihoods:  # no effect is heard often enough
        return []
    scores.append(of_clips("nll", "all", np.concatenate(likelihoods), np.concatenate(recordings)))
    return scores + [Score(f"coverage_{100 * level:.0f}", "all", float(np.mean(covered[level]))) for level in _LEVELS]


def of_row(study: Study, row: Representation) -> list[Score]:
    """By ridge regressions, by the heads of a model that has some, and on one known clip."""
    made, kinds, ceiling = study.made, study.kinds, study.ceiling
    fit, held, kept = both_heard(made.fit.labelled(row.name), made.held.labelled(row.name))
    found = of_recovered(regressions(fit, held), held, kinds, ceiling)
    (mean,) = [score for score in found if (score.figure, score.item) == ("r2", "all")]
    found += by_source("r2_source", mean.clips, mean.recording, study.test.sources)
    found += of_recovered(regressions(fit, held, "trees", study.seed), held, kinds, ceiling, "_trees")
    if answers := made.held.reading(row.name):
        probabilities = [of_effect[kept] for of_effect in answers[1]]
        found += of_recovered(head(probabilities, held), held, kinds, ceiling, "_head")
        found += calibrated(probabilities, held, kinds)
    if not study.sizes.settings:
        return found
    cloud = made.cloud.labelled(row.name)
    return found + of_recovered(one_clip(cloud, study.seed), cloud, kinds, ceiling, "_one_clip")


def of_effect(study: Study, index: int) -> Iterable[tuple[str, Score]]:
    """The ceiling of each of its parameters, as a row of its own."""
    name = study.kinds[index].name
    for parameter, limit in study.ceiling.get(name, {}).items():
        yield "ceiling", Score("ceiling", f"{name}/{parameter}", limit)


def _note(contents: Contents) -> str:
    about = contents.about
    return (
        "R² of ridge regressions and of extra trees fitted on validation recordings, and of the model's own heads, "
        "as sure as the readout of the run makes them if it has one; 1 is perfect, 0 as good as the mean. MAE in "
        "normalised units; answering the middle has 0.25, a random one 0.33. "
        f"One clip: five folds over {about['sizes']['settings']} settings on one known clip, Grant's (2023) easy "
        "protocol. "
        + (f"Ceiling: {about['ceiling']}; identifiable: it is above 0.25." if about["ceiling"] else "No ceiling given.")
    )


def _outlines(contents: Contents) -> list[Outline]:
    over_parameters = {
        f"{FIGURES[name].title}, {item}": {"section": "settings", "item": item, "figure": name}
        for name in ("r2", "r2_trees", "r2_head", "mae", "mae_trees", "mae_head", "r2_one_clip")
        for item in contents.means
    } | columns(
        FIGURES, ("share_of_ceiling", "share_of_ceiling_trees", "share_of_ceiling_head"), section="settings", item="all"
    )
    return [
        Outline("Means over effects", contents.rows, over_parameters),
        Outline(
            "R² by source of the recordings, ridge regression",
            contents.rows,
            {
                name: {"section": "settings", "figure": "r2_source", "item": name}
                for name in contents.items.get("r2_source", ())
            },
        ),
        *_by_parameter(contents),
        *(_in_detail(contents, row) for row in contents.ours),
    ]


def _by_parameter(contents: Contents) -> list[Outline]:
    """R² of each parameter, a table for each mode."""
    tables = []
    for hears, words in (
        ("wet", "hearing the wet clip"),
        ("wet and source", "hearing another dry passage of the recording as well"),
        ("wet and dry", "hearing the dry clip as well"),
    ):
        rows = [row for row, own in contents.hears.items() if own == hears]
        read = {"ceiling": {"section": "settings", "figure": "ceiling", "row": "ceiling"}}
        for row in rows:
            read[row] = {"section": "settings", "figure": "r2", "row": row}
            read[f"{row}: head"] = {"section": "settings", "figure": "r2_head", "row": row}
        if rows:
            tables.append(Outline(f"R² of each parameter, {words}", contents.parameters, read, "line"))
    return tables


def _in_detail(contents: Contents, row: str) -> Outline:
    """Errors and calibration of each parameter."""
    names = ("mae", "mae_head", "r2_one_clip", "coverage_50", "coverage_80", "coverage_90", "nll")
    constant = {"MAE constant": {"section": "settings", "figure": "mae", "row": "constant"}}
    return Outline(
        f"{row} in detail",
        contents.parameters | {"all": {"item": "all"}},
        columns(FIGURES, names, section="settings", row=row) | constant,
        "line",
    )


SECTION = Section(
    name="settings",
    title="Settings",
    figures=FIGURES,
    of_row=of_row,
    note=_note,
    outlines=_outlines,
    compared=("r2", "r2_trees", "r2_one_clip"),
    of_effect=of_effect,
)
