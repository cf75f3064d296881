"""Which effect it was: at random settings, and with all settings at the middle."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from analysis.metrics import audibility, probes
from analysis.metrics.probes import Labelled
from analysis.models.representations import Representation
from analysis.sections.outline import Contents, Outline, columns
from analysis.sections.score import Confusion, Score, Study, both_heard, of_clips, percent
from analysis.sections.section import Section
from jaxvae.effects import Effect

PROTOCOLS = {"random": "random settings", "fixed": "all settings at the middle"}
FIGURES = {
    "accuracy_logistic": percent("logistic"),
    "accuracy_knn": percent("kNN-15"),
    "accuracy_forest": percent("forest"),
    "accuracy_head": percent("head"),
    "accuracy_audible": percent("audible: logistic"),
    "accuracy_audible_head": percent("audible: head"),
    "macro_f1_logistic": percent("F1 logistic"),
    "macro_f1_knn": percent("F1 kNN-15"),
    "macro_f1_forest": percent("F1 forest"),
    "inaudible": percent("inaudible", ""),
}
PROBED = [name for name in FIGURES if name != "inaudible"]


def probed(
    fit: Labelled,
    held: Labelled,
    audible: Bool[np.ndarray, " clip"],
    kinds: Sequence[Effect],
    protocol: str,
    seed: int,
) -> list[Score]:
    """Accuracy, with its confusion, and macro-F1 of each probe; and accuracy on the clips that can be told from dry.

    The score on audible clips is that of logistic regression.
    """
    scores, results = [], probes.classify(fit, held, seed)
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
    """Accuracy of the network's own head, whose columns are the effects that `held` counts."""
    correct = probabilities.argmax(axis=1) == held.effect
    return [
        of_clips("accuracy_head", protocol, correct, held.recording),
        of_clips("accuracy_audible_head", protocol, correct[audible], held.recording[audible]),
    ]


def of_row(study: Study, row: Representation) -> list[Score]:
    """Of either protocol in which two effects can be heard; with fewer there is no question which one it is."""
    scores, made = [], study.made
    for protocol, first, second in (("random", made.fit, made.held), ("fixed", made.fixed_fit, made.fixed)):
        fit, held, kept = both_heard(first.labelled(row.name), second.labelled(row.name))
        if len(np.unique(held.effect)) > 1:
            audible = second.audible[kept]
            scores += probed(fit, held, audible, study.kinds, protocol, study.seed)
            if answers := second.reading(row.name):
                scores += of_head(answers[0][kept], held, audible, protocol)
    return scores


def of_effect(study: Study, index: int) -> Iterable[tuple[str, Score]]:
    """The share of its clips that cannot be told from dry, a row for each protocol."""
    for protocol, renders in (("random", study.made.held), ("fixed", study.made.fixed)):
        heard = renders.audible[renders.plan.effect == index]
        share = float(np.mean(~heard)) if len(heard) else None
        yield protocol, Score("inaudible", study.kinds[index].name, share)


def _note(contents: Contents) -> str:
    about = contents.about
    held = about["clips"]["held"]
    return (
        f"Probes are fitted on {about['clips']['fit']['used']:,} clips of validation recordings and scored on "
        f"{held['used']:,} of {held['recordings']} unseen recordings at random settings, "
        f"{about['clips']['fixed']['used']:,} with all settings at the middle (Grant's (2023) protocol). Chance is "
        f"{100 / len(about['effects']):.0f} %; clips of each effect: {', '.join(map(str, held['of_effect']))}. "
        f"Inaudible: the log-spectral distance to the dry clip is below {audibility.INAUDIBLE_DB:g} dB."
    )


def _outlines(contents: Contents) -> list[Outline]:
    accuracies = [
        Outline(f"Accuracy, {words}", contents.rows, columns(FIGURES, PROBED, section="effect", item=protocol))
        for protocol, words in PROTOCOLS.items()
    ]
    lines = {words: {"row": protocol} for protocol, words in PROTOCOLS.items()}
    inaudible = {
        short: {"section": "effect", "figure": "inaudible", "item": name}
        for name, short in contents.short_names.items()
    }
    return [*accuracies, Outline("Inaudible clips (%)", lines, inaudible)]


SECTION = Section(
    name="effect",
    title="Effect",
    figures=FIGURES,
    of_row=of_row,
    note=_note,
    outlines=_outlines,
    compared=("accuracy_logistic", "accuracy_knn", "accuracy_forest"),
    of_effect=of_effect,
)
