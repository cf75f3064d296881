"""Which effect it was: at random settings, and with all settings at the middle; by source, and after degradation."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.metrics import probes
from analysis.metrics.probes import Labelled, Probe
from analysis.models.representations import Representation
from analysis.sections.outline import Contents, Key, Outline, columns
from analysis.sections.score import Confusion, Score, Study, both_heard, of_clips, percent
from analysis.sections.section import Section
from jaxvae.data import audibility
from jaxvae.effects import Effect

PROTOCOLS = {"random": "random settings", "fixed": "all settings at the middle"}
FIGURES = {
    "accuracy_logistic": percent("logistic"),
    "accuracy_knn": percent("kNN-15"),
    "accuracy_forest": percent("forest"),
    "accuracy_trees": percent("extra trees"),
    "accuracy_head": percent("head"),
    "accuracy_audible": percent("audible: logistic"),
    "accuracy_audible_head": percent("audible: head"),
    "macro_f1_logistic": percent("F1 logistic"),
    "macro_f1_knn": percent("F1 kNN-15"),
    "macro_f1_forest": percent("F1 forest"),
    "macro_f1_trees": percent("F1 extra trees"),
    "accuracy_source": percent("logistic"),
    "accuracy_degraded": percent("logistic"),
    "accuracy_degraded_trees": percent("extra trees"),
    "inaudible": percent("inaudible", ""),
}
_DEGRADED = {"logistic": "accuracy_degraded", "trees": "accuracy_degraded_trees"}
PROBED = [name for name in FIGURES if name not in ("inaudible", "accuracy_source", *_DEGRADED.values())]


def probed(
    fit: Labelled,
    held: Labelled,
    audible: Bool[np.ndarray, " clip"],
    kinds: Sequence[Effect],
    protocol: str,
    seed: int,
    fitted: Mapping[str, Probe] | None = None,
) -> list[Score]:
    """Accuracy, with its confusion, and macro-F1 of each probe; and accuracy on the clips that can be told from dry.

    The score on audible clips is that of logistic regression. Probes may be given that were `fitted` on `fit`.
    """
    scores, results = [], probes.classify(fit, held, seed, fitted)
    names = [kinds[index].name for index in np.unique(held.effect)]
    for probe, result in results.items():
        accuracy = of_clips(f"accuracy_{probe}", protocol, result.correct, held.recording)
        scores.append(accuracy._replace(confusion=Confusion(names, result.confusion)))
        scores.append(Score(f"macro_f1_{probe}", protocol, result.macro_f1))
    correct = results["logistic"].correct
    scores.append(of_clips("accuracy_audible", protocol, correct[audible], held.recording[audible]))
    return scores


def of_head(
    probabilities: Float[np.ndarray, "clip effect"], held: Labelled, audible: Bool[np.ndarray, " clip"], protocol: str
) -> list[Score]:
    """Accuracy of the network's own head or its readout, whose columns are the effects that `held` counts."""
    correct = probabilities.argmax(axis=1) == held.effect
    return [
        of_clips("accuracy_head", protocol, correct, held.recording),
        of_clips("accuracy_audible_head", protocol, correct[audible], held.recording[audible]),
    ]


def by_source(
    figure: str, correct: Float[np.ndarray, " clip"], recording: Int[np.ndarray, " clip"], sources: Sequence[str]
) -> list[Score]:
    """A figure that is a mean over clips, of the recordings of each source; `sources` are those of all recordings."""
    own = np.array(sources)[recording]
    names = np.unique(own).tolist()
    if len(names) < 2:
        return []
    return [of_clips(figure, name, correct[own == name], recording[own == name]) for name in names]


def after_degradation(
    fitted: Mapping[str, Probe], degraded: Mapping[str, Labelled], known: Int[np.ndarray, " effect"]
) -> list[Score]:
    """Accuracy on clips that something happened to, by probes that were fitted on clips as they were rendered.

    Clips of effects that the probes do not know are left out.
    """
    scores = []
    for name, clips in degraded.items():
        chosen = np.isin(clips.effect, known)
        for probe, figure in _DEGRADED.items():
            correct = fitted[probe](clips.features[chosen]) == clips.effect[chosen]
            scores.append(of_clips(figure, name, correct, clips.recording[chosen]))
    return scores


def of_row(study: Study, row: Representation) -> list[Score]:
    """Of either protocol in which two effects can be heard; with fewer there is no question which one it is."""
    scores, made = [], study.made
    for protocol in PROTOCOLS if study.sizes.fixed_clips else ("random",):
        first, second = (made.fit, made.held) if protocol == "random" else (made.fixed_fit, made.fixed)
        fit, held, kept = both_heard(first.labelled(row.name), second.labelled(row.name))
        if len(np.unique(held.effect)) < 2:
            continue
        audible, fitted = second.audible[kept], probes.effect_probes(fit, study.seed)
        found = probed(fit, held, audible, study.kinds, protocol, study.seed, fitted)
        if answers := second.reading(row.name):
            found += of_head(answers[0][kept], held, audible, protocol)
        if protocol == "random":
            (correct,) = [score.clips for score in found if score.figure == "accuracy_logistic"]
            found += by_source("accuracy_source", correct, held.recording, study.test.sources)
            if study.sizes.degraded_pairs:
                degraded = {name: renders.labelled(row.name) for name, renders in made.degraded.items()}
                found += after_degradation(fitted, degraded, np.unique(fit.effect))
        scores += found
    return scores


def of_effect(study: Study, index: int) -> Iterable[tuple[str, Score]]:
    """The share of its clips that cannot be told from dry, a row for each protocol."""
    made = study.made
    of_protocol = {"random": made.held} | ({"fixed": made.fixed} if study.sizes.fixed_clips else {})
    for protocol, renders in of_protocol.items():
        heard = renders.audible[renders.plan.effect == index]
        share = float(np.mean(~heard)) if len(heard) else None
        yield protocol, Score("inaudible", study.kinds[index].name, share)


def _note(contents: Contents) -> str:
    about = contents.about
    held = about["clips"]["held"]
    fixed = degraded = ""
    if clips := about["sizes"]["degraded_pairs"]:
        degraded = f" After degradation: {clips} clips at random settings, the probes as they were fitted."
    if "fixed" in about["clips"]:
        used = about["clips"]["fixed"]["used"]
        fixed = f", and on {used:,} with all settings at the middle (Grant's (2023) protocol)"
    return (
        f"Probes are fitted on {about['clips']['fit']['used']:,} clips of validation recordings and scored on "
        f"{held['used']:,} of {held['recordings']} unseen recordings at random settings{fixed}. Chance is "
        f"{100 / len(about['effects']):.0f} %; clips of each effect: {', '.join(map(str, held['of_effect']))}. "
        f"Inaudible: the log-spectral distance to the dry clip is below {audibility.INAUDIBLE_DB:g} dB.{degraded}"
    )


def _outlines(contents: Contents) -> list[Outline]:
    def key(figure: str, item: str) -> Key:
        return {"section": "effect", "figure": figure, "item": item}

    accuracies = [
        Outline(f"Accuracy, {words}", contents.rows, columns(FIGURES, PROBED, section="effect", item=protocol))
        for protocol, words in PROTOCOLS.items()
    ]
    further = [
        Outline(title, contents.rows, {item: key(figure, item) for item in contents.items.get(figure, ())})
        for figure, title in (
            ("accuracy_source", "Accuracy by source of the recordings, random settings, logistic regression (%)"),
            ("accuracy_degraded", "Accuracy after degradation, random settings, logistic regression (%)"),
            ("accuracy_degraded_trees", "Accuracy after degradation, random settings, extra trees (%)"),
        )
    ]
    lines = {words: {"row": protocol} for protocol, words in PROTOCOLS.items()}
    inaudible = {
        short: {"section": "effect", "figure": "inaudible", "item": name}
        for name, short in contents.short_names.items()
    }
    return [*accuracies, *further, Outline("Inaudible clips (%)", lines, inaudible)]


SECTION = Section(
    name="effect",
    title="Effect",
    figures=FIGURES,
    of_row=of_row,
    note=_note,
    outlines=_outlines,
    compared=("accuracy_logistic", "accuracy_knn", "accuracy_forest", "accuracy_trees"),
    of_effect=of_effect,
)
