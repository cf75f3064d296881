"""Effect and settings of effects that the models were not trained on, by the figures of those two sections."""

import numpy as np

from analysis.models.representations import Representation
from analysis.sections import effect, settings
from analysis.sections.outline import Contents, Outline, columns
from analysis.sections.score import Score, Study, both_heard
from analysis.sections.section import Section


def of_row(study: Study, row: Representation) -> list[Score]:
    """By probes that are fitted on these effects; nothing where there are none."""
    made = study.made
    if made.new_fit is None or made.new is None:
        return []
    kinds, scores = made.new.plan.effects, []
    fit, held, kept = both_heard(made.new_fit.labelled(row.name), made.new.labelled(row.name))
    if len(np.unique(held.effect)) > 1:
        scores += effect.probed(fit, held, made.new.audible[kept], kinds, "random", study.seed)
    return scores + settings.of_recovered(settings.regressions(fit, held), held, kinds, {})


def _note(contents: Contents) -> str:
    names = ", ".join(contents.about["unseen_effects"])
    return f"{names}: not in training. Probes are fitted on them, latent spaces are not."


def _outlines(contents: Contents) -> list[Outline]:
    if not contents.about["unseen_effects"]:
        return []
    effects = columns(effect.FIGURES, effect.PROBED, section="unseen", item="random")
    means = columns(settings.FIGURES, ("r2", "mae"), section="unseen", item="all")
    return [Outline("Effect", contents.rows, effects), Outline("Settings, means", contents.rows, means)]


SECTION = Section(name="unseen", title="Unseen effects", figures={}, of_row=of_row, note=_note, outlines=_outlines)
