"""Ratings of listening tests: their files, who is left out, and means with their intervals.

Conventions
    MUSHRA, ITU-R BS.1534-3: ratings of 0 to 100; of every item all conditions are rated, the reference, hidden, too.
    A test is a set of items; files of one test hold the same items.

Figures
    left out   listeners who rate the hidden reference below 90 in more than 15 % of items (section 4.1.2)
    mean       over the listeners who are left and items
    interval   95 %, percentiles of the bootstrap over listeners and items, each drawn with its own replacement
               (Owen 2007), so that neither many items nor many listeners alone make it narrow
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

COLUMNS = ("listener", "seed", "item", "effect", "pairing", "condition", "rating", "seconds", "order")
LABELS = ("Bad", "Poor", "Fair", "Good", "Excellent")
"""Of fifths of the scale, from 0 to 100."""
HIDDEN = "hidden reference"
LEAST, SHARE = 90, 0.15
"""A rating of the hidden reference that is too low, and the share of items that may have one."""
_DRAWS = 4_000
_LEVEL = 0.95


class RatingsError(ValueError):
    """Files that are not ratings of one test."""


class Ratings(NamedTuple):
    """What was rated; NaN where it was not."""

    value: Float[np.ndarray, "listener item condition"]
    listeners: tuple[str, ...]
    items: tuple[str, ...]
    conditions: tuple[str, ...]


class Figure(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def read(paths: Sequence[Path]) -> Ratings:
    """Ratings of files as the page of a listening test writes them.

    Raises:
        RatingsError: a file has other columns, a rating is no number of 0 to 100 or comes twice, items are of different
            tests, or nothing is rated.
    """
    found: dict[tuple[str, str, str], float] = {}
    about: dict[str, tuple[str, str, Path]] = {}
    for path in paths:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise RatingsError(f"{path} has no column {missing[0]}; use the files that the page of the test saves")
            for row in rows:
                what = row["effect"], row["pairing"]
                *before, where = about.setdefault(row["item"], (*what, path))
                if what != tuple(before):
                    raise RatingsError(
                        f"item {row['item']} is of {', '.join(before)} in {where} and of {', '.join(what)} in {path}; "
                        "use files of one test"
                    )
                key = row["listener"], row["item"], row["condition"]
                if key in found:
                    raise RatingsError(
                        f"{path} rates {key[2]} of item {key[1]} for {key[0]} again; give each listener a name of "
                        "their own and each file once"
                    )
                found[key] = _rating(row["rating"], path)
    if not found:
        raise RatingsError(f"{', '.join(map(str, paths))} hold no rating; use files of whole tests")
    listeners, items, conditions = (tuple(dict.fromkeys(key[field] for key in found)) for field in range(3))
    value = np.full((len(listeners), len(items), len(conditions)), np.nan)
    for (listener, item, condition), rating in found.items():
        value[listeners.index(listener), items.index(item), conditions.index(condition)] = rating
    return Ratings(value, listeners, items, conditions)


def _rating(text: str, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 100:
        raise RatingsError(f"{path} has a rating of {text!r}; use numbers of 0 to 100")
    return value


def low_shares(ratings: Ratings) -> Float[np.ndarray, " listener"]:
    """Of each listener, the share of items whose hidden reference is rated too low; NaN without any."""
    if HIDDEN not in ratings.conditions:
        return np.full(len(ratings.listeners), np.nan)
    hidden = ratings.value[:, :, ratings.conditions.index(HIDDEN)]
    count = np.sum(~np.isnan(hidden), axis=1)
    return np.where(count > 0, np.sum(hidden < LEAST, axis=1) / np.maximum(count, 1), np.nan)


def screen(ratings: Ratings) -> tuple[Ratings, dict[str, float]]:
    """The ratings of those who hear the hidden reference, and the others with their share of items.

    Raises:
        RatingsError: the hidden reference was not rated by a listener.
    """
    share = low_shares(ratings)
    if np.isnan(share).any():
        name = ratings.listeners[int(np.argmax(np.isnan(share)))]
        raise RatingsError(f"{name} rated no {HIDDEN}, so that nobody can be judged by it; use files of whole tests")
    kept = share <= SHARE
    left_out = {name: float(own) for name, own, keep in zip(ratings.listeners, share, kept, strict=True) if not keep}
    listeners = tuple(name for name, keep in zip(ratings.listeners, kept, strict=True) if keep)
    return ratings._replace(value=ratings.value[kept], listeners=listeners), left_out


def means(ratings: Ratings, seed: int = 0) -> dict[str, Figure]:
    """The mean of each condition."""
    rng = np.random.default_rng(seed)
    listeners, items, _ = ratings.value.shape
    of_listener = rng.multinomial(listeners, np.full(listeners, 1 / listeners), _DRAWS)
    of_item = rng.multinomial(items, np.full(items, 1 / items), _DRAWS)
    rated = ~np.isnan(ratings.value)
    ends = [50 * (1 - _LEVEL), 50 * (1 + _LEVEL)]
    found = {}
    for place, condition in enumerate(ratings.conditions):
        own, there = np.nan_to_num(ratings.value[:, :, place]), rated[:, :, place]
        total, count = (
            np.einsum("dl,di,li->d", of_listener, of_item, x.astype(float), optimize=True) for x in (own, there)
        )
        drawn = total[count > 0] / count[count > 0]
        low, high = np.percentile(drawn, ends)
        found[condition] = Figure(float(own[there].mean()), float(low), float(high))
    return found
