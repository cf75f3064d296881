"""Whether clips at the same setting find each other when what was played differs.

Conventions
    query and gallery are representations (clip, feature) of the same settings over different recordings: row i of both
    is setting i. A gallery may have more rows, of settings that no query looks for. Each query looks for its own
    setting in the gallery; the nearest by cosine comes first, after the mean of the gallery is taken from both. Where
    several are as near, their order is drawn by lot and the figure is the expectation over the draws, so a
    representation that is the same for all clips scores exactly chance.

Figures
    rank      place of the right clip in the whole gallery.
    retrieve  the same among N clips ("N-way"): R@1, R@10 and the mean rank.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

_CHUNK = 512  # queries compared at once, 17 MB for a gallery of 4,096
_TIE = 1e-9  # cosines in float64 that differ by less are equal


class Retrieval(NamedTuple):
    """How well the right clip is found among `ways` clips."""

    ways: int
    r1: float
    """Share of queries whose right clip comes first; chance 1 / ways."""
    r10: float
    """Share of queries whose right clip is among the first 10; chance 10 / ways."""
    mean_rank: float
    """Mean share of the other clips that come before the right one: 0 is best, chance 0.5, whatever the ways."""
    hit1: Float[np.ndarray, " query"]
    """Of each query, the chance that the right clip comes first, whose mean is `r1`."""
    hit10: Float[np.ndarray, " query"]
    """Of each query, the chance that the right clip is among the first 10."""
    ranks: Float[np.ndarray, " query"]
    """Of each query, the place of the right clip in the whole gallery, as `rank` gives it."""


def rank(
    query: Float[np.ndarray, "query feature"], gallery: Float[np.ndarray, "clip feature"]
) -> Float[np.ndarray, " query"]:
    """Place of gallery[i] among the gallery by nearness to query[i], 1 for the nearest; the mean place among ties."""
    nearer, as_near = _compare(query, gallery)
    return 1 + nearer + as_near / 2


def retrieve(
    query: Float[np.ndarray, "query feature"], gallery: Float[np.ndarray, "clip feature"], ways: int
) -> Retrieval:
    """Expected figures over all galleries that hold the right clip and `ways - 1` of the others.

    Of the others in such a gallery, those nearer than the right clip follow a hypergeometric distribution, so nothing
    is sampled.

    Raises:
        ValueError: there are fewer clips than `ways`, or `ways` is below 2, or a feature is not finite.
    """
    others = len(gallery) - 1
    if not 2 <= ways <= len(gallery):
        raise ValueError(f"{ways}-way retrieval from {len(gallery)} clips; use 2 to {len(gallery)} ways")
    nearer, as_near = _compare(query, gallery)
    hits = []
    for first in (1, 10):
        found = stats.hypergeom.cdf(first - 1, others, np.arange(others + 1), ways - 1)  # by the number that are nearer
        total = np.concatenate([[0.0], np.cumsum(found)])
        hits.append((total[nearer + as_near + 1] - total[nearer]) / (as_near + 1))
    ranks = 1 + nearer + as_near / 2
    return Retrieval(
        ways, float(hits[0].mean()), float(hits[1].mean()), float((ranks - 1).mean() / others), *hits, ranks
    )


def _compare(query, gallery) -> tuple[np.ndarray, np.ndarray]:
    """For each query, how many other clips are nearer than the right one, and how many are as near."""
    if query.shape[1] != gallery.shape[1] or len(query) > len(gallery):
        raise ValueError(
            f"{query.shape} queries and {gallery.shape} gallery clips; row i of both is setting i, of as many features"
        )
    if not (np.isfinite(query).all() and np.isfinite(gallery).all()):
        raise ValueError("features are not finite; leave out the clips that could not be embedded")
    mean = gallery.mean(axis=0, dtype=np.float64)
    query, gallery = _directions(query, mean), _directions(gallery, mean)
    nearer, as_near = np.empty((2, len(query)), np.int64)
    for start in range(0, len(query), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(query)))
        cosine = query[rows] @ gallery.T
        cosine -= cosine[np.arange(len(rows)), rows][:, None]
        nearer[rows] = np.sum(cosine > _TIE, axis=1)
        as_near[rows] = np.sum(np.abs(cosine) <= _TIE, axis=1) - 1
    return nearer, as_near


def _directions(features, mean) -> np.ndarray:
    """Centred features of length 1; of length 0 where only rounding is left, which has no direction."""
    centred = features - mean
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    still = length <= 1e-6 * np.linalg.norm(mean)
    return np.where(still, 0.0, centred / np.where(still, 1.0, length))
