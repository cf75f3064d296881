"""Maps of latent spaces: clips of several effects on the plane of UMAP, coloured by effect."""

import textwrap
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from analysis.metrics import layout
from analysis.metrics.layout import MapFigures
from analysis.metrics.probes import Labelled
from analysis.pictures import style

_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2}
_MOST_COLUMNS = 4


def fit(panels: Mapping[str, Labelled], seed: int = 0) -> dict[str, Float[np.ndarray, "clip 2"]]:
    """Places of the clips of each representation."""
    return {title: layout.fit(clips.features, seed) for title, clips in panels.items()}


def plot(
    panels: Mapping[str, Labelled], places: Mapping[str, Float[np.ndarray, "clip 2"]], names: tuple[str, ...]
) -> tuple[Figure, dict[str, MapFigures]]:
    """One map for each representation of the same clips, side by side, at the places of `fit`, and their figures."""
    scores = {}
    with style.new_grid(len(panels), _COLUMNS.get(len(panels), _MOST_COLUMNS), 3.6, 3.7, margin=0.5) as (
        drawing,
        grid,
    ):
        for axes, (title, clips) in zip(grid, panels.items(), strict=True):
            position = places[title]
            scores[title] = score = layout.figures(position, clips.features, clips.effect, clips.recording)
            for index, name in enumerate(names):
                look = style.effect_style(index)
                points = position[clips.effect == index]
                axes.scatter(
                    *points.T, s=9, alpha=0.75, linewidths=0, color=look["color"], marker=look["marker"], label=name
                )
            knn = "–" if score.knn is None else f"{score.knn:.2f}"
            axes.set_title(
                f"{textwrap.fill(title, 44)}\nkNN-15 {knn} · trustworthiness {score.trustworthiness:.2f} · "
                f"silhouette {score.silhouette:.2f}"
            )
            style.plain_map(axes)
        handles, labels = grid[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=min(len(names), 4), markerscale=2)
    return drawing, scores
