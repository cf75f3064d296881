"""What was found, in three sentences made from the figures alone."""

from typing import NamedTuple

import numpy as np

from analysis.models.representations import WORDS
from analysis.pages.scoreboard import verdict
from analysis.pictures import style
from analysis.sections import FIGURES
from analysis.sections.board import Board
from analysis.sections.table import Comparison, Entries, number

_READABLE = 0.1  # R² of a setting below which it is as good as unread
_HEARD = {
    "wet": "blind, from the wet clip alone",
    "wet and source": "source-aware, with another dry passage of the recording known",
    "wet and dry": "dry-aware, with the dry clip known",
}


class Finding(NamedTuple):
    """A question and the sentence that answers it."""

    question: str
    answer: str


def sentences(measured: Board) -> list[Finding]:
    """The three findings; a run of one effect has two, since there is no question which one it is."""
    effect = _against(measured, "effect", "accuracy_logistic", "random")
    settings = _against(measured, "settings", "r2", "all")
    found = []
    if effect:
        told = f"Of unseen clips, a logistic regression on the latent space names the effect of {effect}"
        found.append(Finding("Which effect?", told))
    if settings:
        told = "A ridge regression on the latent space reads the settings of unseen recordings with a mean R² of "
        found.append(Finding("Which settings?", told + settings))
    found.append(Finding("Where does it fall short?", _shortcomings(measured)))
    return found


def _against(measured: Board, section: str, figure: str, item: str) -> str:
    """One figure beside the best baseline that hears the same, mode by mode, and chance; nothing if not compared."""
    entries, told = Entries(measured.entries, measured.hears), []
    for found in measured.comparisons:
        if (found.section, found.figure, found.item) != (section, figure, item):
            continue
        ours, theirs = (
            _quantity(figure, entries.value(section, figure, item, row)) for row in (found.row, found.baseline)
        )
        heard = _HEARD[measured.hears[found.row]]
        told.append(f"{ours} {heard} (best baseline, {found.baseline}: {theirs}; {_advantage(found)})")
    chance = entries.value(section, figure, item, "constant")
    if told and chance is not None:
        told[-1] += f"; chance, a constant answer, is {_quantity(figure, chance)}"
    return f"{', and of '.join(told)}." if told else ""


def _advantage(found: Comparison) -> str:
    """What the interval of an advantage says, in words."""
    said = verdict(found)
    if found.low is None or found.high is None:
        return f"{said} for an interval"
    signed = (found.value, found.low, found.high)
    if said == "worse":
        signed = (-found.value, -found.high, -found.low)
    by, low, high = (number(found.figure, value) for value in signed)
    by += " points" if FIGURES[found.figure].scale == 100 else ""
    said = f"{by} apart, which cannot be told from nothing" if said == "cannot be told" else f"{said} by {by}"
    return f"{said}, 95\N{NO-BREAK SPACE}% interval {low} to {high}"


def _shortcomings(measured: Board) -> str:
    """Comparisons that are not won, settings that are not read, and the effect that is missed most often."""
    by_verdict: dict[str, list[Comparison]] = {}
    for found in measured.comparisons:
        by_verdict.setdefault("few" if found.low is None else verdict(found), []).append(found)
    total, parts = len(measured.comparisons), []
    if total:
        worse, unclear, few = (len(by_verdict.get(name, [])) for name in ("worse", "cannot be told", "few"))
        parts.append(
            "Compared with the best baseline that hears the same, it is better in "
            f"{len(by_verdict.get('better', []))} of {total} and worse in {worse}, and {unclear} cannot be told"
            + (f" ({few} more have too few recordings for an interval)" if few else "")
        )
    modes = [row for row in measured.contents.ours]
    if unread := [_unread(measured, row) for row in modes]:
        parts.append(
            f"R² is below {_READABLE:g} for "
            + " and ".join(
                f"{count} of {of} settings {WORDS[measured.hears[row]]}"
                for row, (count, of) in zip(modes, unread, strict=True)
            )
        )
    missed = [(row, *worst) for row in modes if (worst := _most_missed(measured, row)) is not None]
    if missed:
        parts.append(
            "the effect that is named least often is "
            + " and ".join(
                f"{style.short_name(name)}, {100 * share:.0f}\N{NO-BREAK SPACE}% {WORDS[measured.hears[row]]}"
                for row, name, share in missed
            )
        )
    return "; ".join(parts) + "."


def _unread(measured: Board, row: str) -> tuple[int, int]:
    """How many settings of how many a ridge regression hardly reads from a row."""
    known = [
        entry.value
        for entry in measured.entries
        if (entry.section, entry.figure, entry.row) == ("settings", "r2", row)
        and "/" in entry.item
        and entry.value is not None
    ]
    return sum(value < _READABLE for value in known), len(known)


def _most_missed(measured: Board, row: str) -> tuple[str, float] | None:
    """The effect of which the smallest share of clips at random settings is named right, and that share."""
    confusion = measured.confusion.get("random")
    if confusion is None or row not in confusion["counts"]:
        return None
    counts = np.array(confusion["counts"][row])
    shares = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
    return confusion["effects"][int(shares.argmin())], float(shares.min())


def _quantity(figure: str, value: float | None) -> str:
    return number(figure, value) + ("\N{NO-BREAK SPACE}%" if FIGURES[figure].scale == 100 else "")
