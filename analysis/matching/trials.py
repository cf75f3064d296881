"""Trials of a listening test: items with what the matcher and what it has to beat made of the dry clip.

Conditions
    hidden reference   the target: the dry clip at the true settings
    dry input          the anchor: the dry clip as it is
    constant           for each effect the settings that are nearest, on average, to random ones
    extra trees        on hand-made statistics, their leaves as samples, chosen among as the matcher does
    matcher            chosen among its renders and refined by CMA-ES

All know which effect it is. `analysis.matching.rows` says more of each.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from analysis.matching import measure, rows
from analysis.matching.items import PAIRINGS, Items
from analysis.matching.rows import Answer, Fitted
from jaxvae.effects import Effect
from jaxvae.matching.matcher import Matcher

REFERENCE, ANCHOR, CONSTANT, TREES, MATCHER = CONDITIONS = (
    "hidden reference",
    "dry input",
    "constant",
    "extra trees",
    "matcher",
)


class Trial(NamedTuple):
    """An item, what it was answered with, and what is heard of it."""

    effect: Effect
    pairing: str
    """One of `PAIRINGS`."""
    settings: Float[np.ndarray, " parameter"]
    """The true ones, on [0, 1]."""
    answers: dict[str, Answer]
    """By the conditions that answer."""
    sounds: dict[str, Float[np.ndarray, " sample"]]
    """Of every condition, at whatever level."""
    style: Float[np.ndarray, " sample"]
    """The style reference: what the matcher heard."""
    shares: dict[str, dict[str, float]]
    """Of the distances, by the conditions that answer, how much is closed."""


def choose(drawn: Items, count: int) -> Int[np.ndarray, " item"]:
    """So many audible items, or all if they are fewer.

    No effect comes again before all others have come as often, as far as there are items of them; then pairings, then
    recordings.
    """
    left = np.flatnonzero(drawn.audible).tolist()
    chosen: list[int] = []

    def times(row: int) -> tuple[int, ...]:
        fields = (drawn.effect, drawn.pairing, drawn.recording)
        effect, pairing, recording = (int(np.sum(field[chosen] == field[row])) for field in fields)
        both = np.sum((drawn.effect[chosen] == drawn.effect[row]) & (drawn.pairing[chosen] == drawn.pairing[row]))
        return effect, int(both), pairing, recording, row

    while left and len(chosen) < count:
        chosen.append(min(left, key=times))
        left.remove(chosen[-1])
    return np.array(chosen, int)


def answer(
    matcher: Matcher,
    fitted: Fitted,
    items: Items,
    candidates: int,
    refine: int,
    seed: int,
) -> Iterator[Trial]:
    """A trial of each item, one after another."""
    rate = matcher.experiment.audio.sample_rate
    asked = {CONSTANT: "constant", TREES: "forest, chosen", MATCHER: f"matcher, {candidates} + {refine} renders"}
    for row in range(len(items.effect)):
        kind, dry, target = matcher.kinds[items.effect[row]], items.dry[row], items.target[row]
        every = rows.answers(matcher, fitted, items, row, candidates, refine, _POOL, seed)
        answers = {condition: every[name] for condition, name in asked.items()}
        wet = measure.renders(answers, dry, rate)
        apart = measure.apart(wet, dry, target, rate)
        yield Trial(
            kind,
            PAIRINGS[items.pairing[row]],
            items.normalized[row, : len(kind.parameters)],
            answers,
            {REFERENCE: target, ANCHOR: dry, **wet},
            items.reference[row],
            {
                condition: {what: measure.share(*values) for what, values in of.items()}
                for condition, of in apart.items()
            },
        )


_POOL = 1  # random renders of rows that are not asked
