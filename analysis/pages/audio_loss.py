"""What an audio loss adds to a matcher, as a table and as plain values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.matching.items import Items
from analysis.matching.measure import TOTAL
from analysis.metrics import confidence

FIGURES = {TOTAL: "share of the distance", "MR-STFT": "of the STFT distance, which was trained for"}


def figures(shares: Mapping[str, Mapping[str, Float[np.ndarray, " item"]]], items: Items) -> dict[str, Any]:
    """Of each row, the share of both distances that is closed of items that can be heard, and its gain on the first.

    A gain is the mean of differences on the same items. All have 95 % intervals over recordings.
    """
    heard, recording = items.audible, items.recording[items.audible]
    first = next(iter(shares.values()))
    rows = {
        row: {
            what: {
                "share": confidence.interval(of[what][heard], recording),
                "gain": confidence.interval(of[what][heard] - first[what][heard], recording),
            }
            for what in FIGURES
        }
        for row, of in shares.items()
    }
    return {"items": int(heard.sum()), "rows": rows}


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of every effect and row."""
    titles = [f"{words} ({part})" for words in FIGURES.values() for part in ("closed", "gain on the posterior")]
    lines = [
        "One render of each answer, the effect given; 0 is nothing done, 1 the target; ± is half of a 95 % interval.",
        "",
        "| effect | items | row | " + " | ".join(titles) + " |",
        "|" + "---|" * (3 + len(titles)),
    ]
    for name, of in found.items():
        first = next(iter(of["rows"].values()))
        for row, values in of["rows"].items():
            cells = [
                "–" if part == "gain" and values is first else _cell(values[what][part])
                for what in FIGURES
                for part in ("share", "gain")
            ]
            lines.append(f"| {name} | {of['items']} | {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: confidence.Interval) -> str:
    half = "" if value.low is None or value.high is None else f" ± {(value.high - value.low) / 2:.2f}"
    return f"{value.value:.2f}{half}"
