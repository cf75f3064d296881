"""The plane of a latent map: where points lie, and what lies between them.

Conventions
    A place is (x, y) on [-1, 1]; up is more effect, right is brighter.
    Means over neighbours have the weights 1/d - 1/R (Shepard 1968, confined to neighbours as by Franke & Nielson 1980):
    d is the distance of a neighbour, R that of the first point that is none any more. So a point keeps its own value,
    and a value does not jump where one neighbour takes the place of another.
"""

import contextlib
import io
import json
import os
import signal
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from analysis.metrics import layout
from analysis.metrics.probes import NEIGHBOURS
from jaxvae import atomic_file

FITTED = 10_000
"""Points that UMAP is fitted on at most; others are placed among them."""
PLACED_BY = 10
"""Latent neighbours that a point is placed among."""
LEAST_SHARE = 0.02
"""Of the points, those with the least effect, which lie at the bottom."""
_MEASURED = 1_000  # points of which trustworthiness is measured, which takes the distances of all pairs
_BLOCK = 2**14  # points searched at once
_QUERIES = 2**11  # points placed at once
_TINY = 1e-12


class Figures(NamedTuple):
    """How a map lies."""

    strength_up: float
    """Correlation of y and the strength of the effect."""
    brightness_right: float
    """Correlation of x and the brightness in octaves."""
    trustworthiness: float
    """Share of neighbours on the plane that are latent neighbours as well, weighted (Venna & Kaski 2001)."""


class Layout(NamedTuple):
    """Places of points."""

    place: Float[np.ndarray, "point 2"]
    dry_place: Float[np.ndarray, " 2"]
    figures: Figures


def weights(distance: Float[np.ndarray, "*row some"]) -> Float[np.ndarray, "*row neighbours"]:
    """Weights of neighbours, which sum to 1. Distances grow along the last axis; the last is of no neighbour: R."""
    near, beyond = distance[..., :-1], distance[..., -1:]
    inverse = 1 / (near + _TINY)
    shares = np.maximum(inverse - 1 / (beyond + _TINY), 0.0)
    alike = shares.sum(axis=-1, keepdims=True) <= 0  # all are as far as the one beyond
    shares = np.where(alike, inverse, shares)
    return shares / shares.sum(axis=-1, keepdims=True)


def neighbours(
    query: Float[np.ndarray, "query latent"], latent: Float[np.ndarray, "point latent"], count: int
) -> tuple[Float[np.ndarray, "query count"], Integer[np.ndarray, "query count"]]:
    """Distances and indices of the nearest points, the nearest first. A block of points is in memory, not all."""
    query = np.asarray(query, np.float32)
    best = np.full((len(query), 0), np.inf, np.float32)
    index = np.zeros((len(query), 0), np.int64)
    for first in range(0, len(latent), _BLOCK):
        block = np.asarray(latent[first : first + _BLOCK], np.float32)
        # The library finds them by products of matrices, fast but not exact where points all but coincide.
        found = NearestNeighbors(n_neighbors=min(count, len(block)), algorithm="brute").fit(block)
        nearest = found.kneighbors(query, return_distance=False)
        distance = np.linalg.norm(query[:, None] - block[nearest], axis=2)
        best = np.concatenate([best, distance], axis=1)
        index = np.concatenate([index, nearest + first], axis=1)
        order = np.argsort(best, axis=1, kind="stable")[:, :count]
        best, index = (np.take_along_axis(values, order, axis=1) for values in (best, index))
    return best, index


def placed(
    query: Float[np.ndarray, "query latent"],
    latent: Float[np.ndarray, "point latent"],
    place: Float[np.ndarray, "point 2"],
) -> tuple[Float[np.ndarray, "query 2"], Float[np.ndarray, " query"], Integer[np.ndarray, "query neighbour"]]:
    """Where latent vectors lie among points: the mean place of their latent neighbours, how far these are from it (root
    of the mean square), and which they are, the nearest first."""
    distance, index = neighbours(query, latent, PLACED_BY + 1)
    shares, index = weights(distance.astype(np.float64)), index[:, :-1]
    around = place[index].astype(np.float64)
    where = np.einsum("qn,qnd->qd", shares, around)
    spread = np.sqrt(np.einsum("qn,qnd->q", shares, (around - where[:, None]) ** 2))
    return where, spread, index


def oriented(
    place: Float[np.ndarray, "point 2"], strength: Float[np.ndarray, " point"], octave: Float[np.ndarray, " point"]
) -> Float[np.ndarray, "point 2"]:
    """Places turned, mirrored and scaled to [-1, 1].

    From the mean of the points with the least effect to the centroid it goes up. Brightness, in octaves, grows to the
    right. Distances keep their proportions.
    """
    place = place.astype(np.float64) - place.mean(axis=0)
    least = np.argsort(strength, kind="stable")[: max(1, round(LEAST_SHARE * len(place)))]
    up = -place[least].mean(axis=0)
    length = np.hypot(*up)
    if length > _TINY:
        x, y = up / length
        place = place @ np.array([[y, x], [-x, y]])
    if _correlation(place[:, 0], octave) < 0:
        place[:, 0] *= -1
    lowest, highest = place.min(axis=0), place.max(axis=0)
    return (place - (lowest + highest) / 2) / max(float((highest - lowest).max()) / 2, _TINY)


def lay_out(
    latent: Float[np.ndarray, "point latent"],
    strength: Float[np.ndarray, " point"],
    brightness_hz: Float[np.ndarray, " point"],
    dry: Float[np.ndarray, " latent"],
    seed: int,
    fitted: int = FITTED,
) -> Layout:
    """Places of points: the first ones by UMAP, others and the dry clip among them."""
    known = np.asarray(latent[:fitted], np.float32)
    octave = np.log2(np.maximum(np.asarray(brightness_hz, np.float64), 1.0))
    place = oriented(layout.fit(known, seed), np.asarray(strength[:fitted]), octave[:fitted])
    parts = [place]
    firsts = range(fitted, len(latent), _QUERIES)
    for first in tqdm(firsts, unit_scale=_QUERIES, unit="point", desc="place the others", delay=1):
        parts.append(placed(np.asarray(latent[first : first + _QUERIES], np.float32), known, place)[0])
    dry_place = placed(np.asarray(dry, np.float32)[None], known, place)[0][0]
    whole = np.clip(np.concatenate(parts), -1, 1).astype(np.float32)
    figures = Figures(
        _correlation(whole[:, 1], np.asarray(strength, np.float64)),
        _correlation(whole[:, 0], octave),
        float(layout.trustworthiness(known[:_MEASURED], whole[:_MEASURED][: len(known)], n_neighbors=NEIGHBOURS)),
    )
    return Layout(whole, np.clip(dry_place, -1, 1), figures)


def write_layout(folder: Path, count: int, seed: int, apart: bool = True) -> None:
    """Lay out the first points of a stored map and write the places and a record of the rest beside its columns.

    It runs in a process of its own: UMAP's programs keep Python's lock, so that no click would be answered beside it.
    """
    if apart:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
        os.nice(5)
    latent, strength, brightness = (
        np.load(folder / f"{name}.npy", mmap_mode="r")[:count] for name in ("latent", "strength", "brightness")
    )
    found = lay_out(latent, strength, brightness, np.load(folder / "dry.npy"), seed)
    content = io.BytesIO()
    np.save(content, found.place)
    with atomic_file.write(folder / place_name(count), len(content.getvalue())) as file:
        file.write(content.getvalue())
    record = {"dry_place": found.dry_place.tolist(), "figures": found.figures._asdict()}
    atomic_file.write_text(folder / record_name(count), json.dumps(record))


def place_name(count: int) -> str:
    """File of the places of so many points."""
    return f"place_{count}.npy"


def record_name(count: int) -> str:
    """File of what else is known of them."""
    return f"layout_{count}.json"


def _correlation(some: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 0 where one of the two does not vary."""
    with contextlib.suppress(FloatingPointError), np.errstate(all="raise"):
        if np.ptp(some) > 0 and np.ptp(other) > 0:
            return float(np.corrcoef(some, other)[0, 1])
    return 0.0
