"""How well estimates of a gradient point, by the distance of the renders that they are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from analysis.pictures import style


def plot(found: Mapping[str, Mapping[str, Any]], steps: Sequence[float], loss: str) -> Figure:
    """A panel for each case: the median cosine over clips against the step, one line for each estimator."""
    with style.new_grid(len(found), 2, 3.7, 2.5, margin=0.9) as (figure, grid):
        for axes, (title, case) in zip(grid, found.items(), strict=True):
            for index, (name, row) in enumerate(case["rows"].items()):
                axes.plot(
                    steps,
                    row["curve"],
                    label=name,
                    linestyle="--" if name.endswith("of the loss") else "-",
                    linewidth=1.2,
                    markersize=4,
                    **style.effect_style(index),
                )
            axes.axhline(0.8, color="0.6", linewidth=0.6)
            axes.axhline(0.0, color="0.6", linewidth=0.6)
            axes.set(xscale="log", ylim=(-1.05, 1.08), title=title)
        for axes in grid[-2:]:
            axes.set_xlabel("step (share of a parameter's range)")
        for axes in grid[::2]:
            axes.set_ylabel("median cosine")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=3, title=f"loss: {loss}; grey: 0 and the aim, .8"
        )
    return figure
