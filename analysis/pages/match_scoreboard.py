"""The scoreboard of a matcher as tables and as plain values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.matching.items import PAIRINGS, Items
from analysis.matching.measure import TOTAL, Measured
from analysis.metrics import confidence
from analysis.metrics.confidence import Interval
from analysis.pages import plain_table
from analysis.pages.plain_table import figure

_COLUMNS = ("share", "spectrum", "colour", "modulation", "decay", "MR-STFT")


def figures(measured: Measured, items: Items, names: Sequence[str]) -> dict[str, Any]:
    """Plain values: by pairing and row, then by effect, of items whose effect can be heard; and how many these are."""
    found: dict[str, Any] = {"items": len(items.effect), "audible": float(items.audible.mean()), "pairings": {}}
    for index, pairing in enumerate(PAIRINGS):
        of_pairing = items.pairing == index
        if not of_pairing.any():
            continue
        own = of_pairing & items.audible
        found["pairings"][pairing] = {
            "items": int(of_pairing.sum()),
            "audible": float(items.audible[of_pairing].mean()),
            "rows": {row: _row(measured, items, row, own, of_pairing) for row in measured.share},
            "effects": {
                name: {
                    "audible": float(items.audible[of_pairing & (items.effect == effect)].mean()),
                    **{
                        row: _mean(measured.share[row][TOTAL], own & (items.effect == effect)) for row in measured.share
                    },
                }
                for effect, name in enumerate(names)
            },
        }
    return found


def _row(measured: Measured, items: Items, row: str, own: np.ndarray, every: np.ndarray) -> dict[str, Any]:
    shares = measured.share[row]
    return {
        "share": _interval(shares[TOTAL], items, own),
        **{what: _mean(values, own) for what, values in shares.items() if what != TOTAL},
        "worse": _interval(measured.worse[row].astype(float), items, own),
        "share, inaudible items too": _mean(shares[TOTAL], every),
        "right effect": _mean(measured.right[row], own),
        "settings R2": _r2(measured.settings[row], items, own),
    }


def _interval(values: np.ndarray, items: Items, own: np.ndarray) -> Interval:
    return confidence.interval(values[own], items.recording[own])


def _mean(values: np.ndarray, own: np.ndarray) -> float | None:
    return float(values[own].mean()) if own.any() else None


def _r2(settings: np.ndarray, items: Items, own: np.ndarray) -> float | None:
    """Over the settings of all effects, each beside a variance of 1/12, that of a uniform distribution."""
    error = (settings - items.normalized)[own] ** 2
    return None if np.isnan(error).all() else float(1 - 12 * np.nanmean(error))


def markdown(found: dict[str, Any]) -> str:
    """A table of rows for each pairing, and one of the effects."""
    parts = []
    for pairing, of in found["pairings"].items():
        parts.append(
            f"### {pairing.capitalize()}: {of['items']} items, of which {of['audible']:.0%} can be heard\n\n"
            "Share of the distance to the target that is closed, of those; 0 is nothing done."
        )
        columns = (*_COLUMNS, "worse", "right effect", "settings R2")
        lines = [("", *columns)]
        lines += [(row, *(figure(values[column]) for column in columns)) for row, values in of["rows"].items()]
        parts.append(plain_table.markdown(lines))
        rows = list(of["rows"])
        lines = [("share closed", *(name.rpartition("/")[2] for name in of["effects"]))]
        lines += [(row, *(figure(values[row]) for values in of["effects"].values())) for row in ("audible", *rows)]
        parts.append(plain_table.markdown(lines))
    return "\n\n".join(parts) + "\n"
