"""A listening test as a page that stands alone: what it shows, and the pictures of its matches.

The method is MUSHRA (ITU-R BS.1534-3): multiple stimuli with hidden reference and anchor. The anchor is the dry input
in the place of low passes, which would say nothing of effects.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from analysis.matching.measure import TOTAL
from analysis.matching.rows import Answer
from analysis.matching.trials import ANCHOR, CONDITIONS, CONSTANT, MATCHER, REFERENCE, TREES, Trial
from analysis.metrics import ratings
from analysis.pages import sound, templates
from analysis.pictures import matches, style

STYLE = "style reference"
MEANINGS = {
    REFERENCE: "the target itself: the dry clip at the true settings",
    ANCHOR: "the anchor: the dry clip with nothing done to it",
    CONSTANT: "for each effect the same settings, whatever is heard",
    TREES: "extra trees on hand-made statistics, and the matcher's choice among renders",
    MATCHER: "the matcher's choice among renders, refined by search",
}
_SHOWN = {"target": REFERENCE, ANCHOR: ANCHOR, MATCHER: MATCHER, TREES: TREES}  # in pictures, by what they say there


def title(number: int, trial: Trial) -> str:
    """ "Item 3: mda/Delay, reference of another package"."""
    return f"Item {number}: {trial.effect.name}, style reference of {_OF[trial.pairing]}"


def _settings(answer: Answer) -> Float[np.ndarray, " parameter"] | None:
    return None if answer.kind is None else answer.settings


_OF = {
    "same recording": "the same recording",
    "other recording": "another recording",
    "other package": "another package",
}


def picture(number: int, trial: Trial, sample_rate: int) -> Figure:
    """What was matched and how far."""
    answered = {name: _settings(trial.answers[name]) for name in (MATCHER, TREES)}
    return matches.plot(
        matches.Drawn(
            title(number, trial),
            trial.effect,
            {"true": trial.settings, **answered},
            {shown: trial.sounds[name] for shown, name in _SHOWN.items()},
            {name: trial.shares[name] for name in (MATCHER, TREES)},
        ),
        sample_rate,
    )


def _item(number: int, trial: Trial, png: bytes, sample_rate: int) -> dict[str, Any]:
    sounds = {STYLE: trial.style, **{name: trial.sounds[name] for name in CONDITIONS}}
    loud = sound.equally_loud(np.stack(list(sounds.values())), sample_rate)
    closed = ", ".join(f"{name} {matches.percent(of[TOTAL])}" for name, of in trial.shares.items())
    return {
        "title": title(number, trial),
        "effect": trial.effect.name,
        "pairing": trial.pairing,
        "settings": {
            REFERENCE: matches.words(trial.effect, trial.settings),
            **{name: matches.words(trial.effect, _settings(answer)) for name, answer in trial.answers.items()},
        },
        "closed": closed,
        "sounds": {
            name: sound.lossless_address(row.astype(np.float32), sample_rate)
            for name, row in zip(sounds, loud, strict=True)
        },
        "picture": style.data_url(png, "image/png"),
    }


def render(trials: Sequence[Trial], pictures: Sequence[bytes], sample_rate: int, matcher: str) -> str:
    """The page: all sounds of an item are of one loudness.

    Raises:
        ValueError: the clips are shorter than the .4 s that loudness is measured over.
    """
    items = [
        _item(number, trial, png, sample_rate)
        for number, (trial, png) in enumerate(zip(trials, pictures, strict=True), start=1)
    ]
    test: dict[str, Any] = {
        "rate": sample_rate,
        "seconds": len(trials[0].style) / sample_rate,
        "conditions": CONDITIONS,
        "meanings": MEANINGS,
        "hidden": REFERENCE,
        "columns": ratings.COLUMNS,
        "least": ratings.LEAST,
        "share": ratings.SHARE,
        "items": items,
    }
    test["id"] = hashlib.sha256(json.dumps(test).encode()).hexdigest()[:12]
    return templates.get("listening_test.html").render(
        test=test,
        matcher=matcher,
        slots=range(1, len(CONDITIONS) + 1),
        open_sounds=(("Reference", REFERENCE, "R"), ("Style reference", STYLE, "S"), ("Dry input", ANCHOR, "D")),
        labels=ratings.LABELS,
    )
