"""Places of clips on a plane, and how a plane relates to the effects and to the space that it was made from."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from analysis.metrics.probes import NEIGHBOURS


def fit(features: Float[np.ndarray, "clip feature"], seed: int = 0) -> Float[np.ndarray, "clip 2"]:
    """Places of the clips on a plane by UMAP (McInnes et al. 2018); the same seed gives the same places."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it says that its TensorFlow part is not installed
        from umap import UMAP  # here, because the import takes seconds and some analyses draw no map
    # One thread: what a seeded fit uses anyway, said first so that UMAP does not warn.
    return UMAP(n_neighbors=min(15, len(features) - 1), n_jobs=1, random_state=seed).fit_transform(features)


LEAST = 2 * NEIGHBOURS + 1
"""Clips of a map: of fewer, every one is among the neighbours that its trustworthiness is about."""


class MapFigures(NamedTuple):
    """How a map relates to the effects and to the space that it was made from."""

    knn: float | None
    """Accuracy of 15 nearest neighbours on the map, by cross-validation that keeps recordings whole; None for
    one, and where 15 are not left to choose from."""
    trustworthiness: float
    """Share of neighbours on the map that are neighbours in the space as well, weighted (Venna & Kaski 2001)."""
    silhouette: float


def figures(
    position: Float[np.ndarray, "clip 2"],
    features: Float[np.ndarray, "clip feature"],
    effect: Int[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
) -> MapFigures:
    """Figures of one map, of at least `LEAST` clips."""
    if len(position) < LEAST:
        raise ValueError(f"a map of {len(position)} clips is too small to be measured; use at least {LEAST}")
    groups = len(np.unique(recording))
    knn = None
    folds = GroupKFold(min(5, groups)) if groups > 1 else None
    if folds and all(len(fitted) >= NEIGHBOURS for fitted, _ in folds.split(position, groups=recording)):
        neighbours = KNeighborsClassifier(NEIGHBOURS)
        knn = float(cross_val_score(neighbours, position, effect, groups=recording, cv=folds).mean())
    return MapFigures(
        knn=knn,
        trustworthiness=float(trustworthiness(features, position, n_neighbors=NEIGHBOURS)),
        silhouette=float(silhouette_score(position, effect)),
    )
