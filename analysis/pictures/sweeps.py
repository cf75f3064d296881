"""Pictures of a sweep: training curves, one field against every figure, and the Pareto front."""

import dataclasses
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.models import members
from analysis.pictures import style
from jaxvae.sweep import Value

_LEGEND_ENTRIES = 8
_DECADE = 8.0  # the largest over the smallest value of a field from which its axis is logarithmic
DRY_AWARE = "_dry_aware"
"""Ends the names of figures of the mode that knows the dry clip."""
_STRUCTURE = ("accuracy", f"accuracy{DRY_AWARE}", "r2", f"r2{DRY_AWARE}")
_REFERENCES = ("PCA-", "waveform and fine statistics", "constant")  # what lines are drawn of; tables have them all
_GREY = "0.45"
_REFERENCE_LINES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a member, or a baseline."""

    name: str
    values: Mapping[str, Value]
    """Of the fields in which members differ, by path."""
    status: str
    best_step: int
    figures: Mapping[str, float]
    """Empty where a member diverged or was never validated."""


def titles(unit: str) -> dict[str, str]:
    """Each figure by its name, the unit of the test error as given."""
    return {
        "criterion": "criterion (nats)",
        "negative_elbo": "−ELBO (nats)",
        "mean_squared": "error (σ²)",
        "kl": "KL (nats)",
        "active_units": "active units",
        "rms_error": f"test error ({unit})",
        "accuracy": "effect, blind (%)",
        f"accuracy{DRY_AWARE}": "effect, dry-aware (%)",
        "r2": "settings R², blind",
        f"r2{DRY_AWARE}": "settings R², dry-aware",
    }


def drawn(row: "Row", name: str) -> float:
    """A figure as pictures show it: shares in percent."""
    return row.figures[name] * (100 if name.startswith("accuracy") else 1)


def log_scale(values: Sequence[int | float]) -> bool:
    """Whether a logarithmic axis shows values better: positive ones over about a decade, as 32, 64, 128, 256."""
    return min(values) > 0 and max(values) >= _DECADE * min(values)


def numeric(values: Sequence[Value]) -> bool:
    """Whether values lie on an axis: numbers, all of them finite."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) for value in values)


class Key:
    """A colour for each value of one field: a scale from dark to light for numbers, else colours apart."""

    def __init__(self, title: str, values: Sequence[Value]) -> None:
        self.title, self.values = title, sorted(set(values))
        if numeric(self.values):
            low, high = self.values[0], self.values[-1]
            norm = matplotlib.colors.LogNorm if log_scale(self.values) else matplotlib.colors.Normalize
            shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))  # the lightest are lost on white
            self._scale = ScalarMappable(norm(low, high), matplotlib.colors.ListedColormap(shades))

    def colour(self, value: Value) -> object:
        """The colour of one of the values."""
        if numeric(self.values):
            return self._scale.to_rgba(value)
        if len(self.values) > len(style.COLOURS):
            return _GREY
        return style.COLOURS[self.values.index(value)]

    def explain(self, drawing: Figure, axes: Sequence[Axes], lines: Sequence[Line2D] = ()) -> None:
        """Add a legend, with other lines in it, and a colour bar in the place of too many entries."""
        handles = []
        if len(self.values) > _LEGEND_ENTRIES and numeric(self.values):
            bar = drawing.colorbar(self._scale, ax=list(axes), label=self.title, shrink=0.8)
            if log_scale(self.values):
                _number_plainly(bar.ax.yaxis)
        elif 1 < len(self.values) <= _LEGEND_ENTRIES:
            words = [f"{self.title} {value:g}" if numeric([value]) else str(value) for value in self.values]
            handles = [
                Line2D([], [], color=self.colour(value), marker="o", markersize=4, label=label)
                for value, label in zip(self.values, words, strict=True)
            ]
        handles += lines
        if handles:
            drawing.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))


def key_of(rows: Sequence[Row]) -> tuple[Key, list[Value]]:
    """Colours by the first swept field, of the seed only where nothing else is swept, and the value of each row."""
    path = next(iter(rows[0].values), None)
    values = ["" if path is None else row.values[path] for row in rows]
    return Key("" if path is None else members.short_name(path), values), values


def plot_curves(rows: Sequence[Row], scalars: Mapping[str, Mapping[str, Float[np.ndarray, "point 2"]]]) -> Figure:
    """Validation over the steps, a line for each member; a cross is where one diverged."""
    panels = {
        "val/negative_elbo": "−ELBO (nats a clip)",
        "val/mean_squared": "error (σ²)",
        "val/kl": "KL (nats a clip)",
        "latent/active_share": "share of latent dimensions active",
    }
    key, values = key_of(rows)
    with style.new_grid(len(panels), 2, 3.7, 2.5, margin=0.4) as (drawing, grid):
        for axes, (tag, title) in zip(grid, panels.items(), strict=True):
            drawn = [(row, value, scalars[row.name][tag]) for row, value in zip(rows, values, strict=True)
                     if tag in scalars[row.name]]  # fmt: skip
            for row, value, points in drawn:
                axes.plot(*points.T, color=key.colour(value), linewidth=0.9, marker="." if len(points) < 15 else None)
                if row.status.startswith("diverged"):
                    axes.plot(*points[-1], "x", color=key.colour(value), markersize=7)
            if tag == "val/negative_elbo" and drawn:  # the first steps would fill the axis
                low = min(points[:, 1].min() for *_, points in drawn)
                high = max(np.median(points[:, 1]) for *_, points in drawn)
                axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) or None)
            if tag == "val/mean_squared":
                axes.set_yscale("log")
                _number_plainly(axes.yaxis)
            if tag == "latent/active_share":
                axes.set_ylim(0, 1.05)
            axes.set(title=title, xlabel="step")
        key.explain(drawing, grid)
    return drawing


def _number_plainly(axis: Axis) -> None:
    """Label 0.1, 0.2, 0.5, 1, ... on a logarithmic axis, without powers of ten."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


def pareto_front(error: Float[np.ndarray, " point"], score: Float[np.ndarray, " point"]) -> Bool[np.ndarray, " point"]:
    """Points that no other beats in one of lower error and higher score, and equals in the other."""
    no_worse = (error <= error[:, None]) & (score >= score[:, None])
    better = (error < error[:, None]) | (score > score[:, None])
    return ~(no_worse & better).any(axis=1)


def plot_pareto(rows: Sequence[Row], reference: Sequence[Row], unit: str) -> Figure:
    """Structure against the error of reconstruction, members of the front joined and numbered."""
    key, values = key_of(rows)
    known = [(row, value) for row, value in zip(rows, values, strict=True) if "rms_error" in row.figures]
    scores = [name for name in _STRUCTURE if known and all(name in row.figures for row, _ in known)]
    lines = _reference_lines(reference)
    with style.new_grid(len(scores), 2, 3.7, 3.2, margin=0.5) as (drawing, grid):
        for axes, name in zip(grid, scores, strict=True):
            error, score = np.array([[row.figures["rms_error"], drawn(row, name)] for row, _ in known]).T
            front = np.flatnonzero(pareto_front(error, score))
            front = front[np.argsort(error[front])]
            axes.step(error[front], score[front], where="post", color="0.6", linewidth=1, zorder=1)
            axes.scatter(error, score, c=[key.colour(value) for _, value in known], s=26, zorder=3)
            axes.scatter(
                error[front], score[front], s=70, facecolors="none", edgecolors="0.2", linewidths=0.8, zorder=2
            )
            for point in front:
                place = (error[point], score[point])
                axes.annotate(known[point][0].name, place, (4, 5), textcoords="offset points", fontsize=7.5)
            for row, dashes in lines:
                if name in row.figures:
                    axes.axhline(drawn(row, name), color=_GREY, linestyle=dashes, linewidth=0.8, zorder=0)
            axes.margins(0.12)
            axes.set(xlabel=titles(unit)["rms_error"], ylabel=titles(unit)[name])
        ring = Line2D([], [], color="0.6", marker="o", markerfacecolor="none", markeredgecolor="0.2", label="front")
        key.explain(drawing, grid, [ring, *_legend(lines)])
    return drawing


def _reference_lines(reference: Sequence[Row]) -> list[tuple[Row, Any]]:
    """The baselines that are drawn, each with its dashes. (A line does not give them back: it says "--" of any.)"""
    shown = [row for row in reference if row.name.startswith(_REFERENCES)]
    return list(zip(shown, _REFERENCE_LINES, strict=False))


def _legend(lines: Sequence[tuple[Row, Any]]) -> list[Line2D]:
    return [Line2D([], [], color=_GREY, linewidth=0.8, linestyle=dashes, label=row.name) for row, dashes in lines]


def plot_ablation(rows: Sequence[Row], reference: Sequence[Row], path: str, unit: str) -> Figure:
    """Every figure against one swept field: a point for each member, and lines through the means over seeds.

    There is a line for each combination of the other swept fields in which this one takes several values.
    """
    known = [row for row in rows if row.figures]
    others = [other for other in rows[0].values if other not in (path, members.SEED)]

    def rest(row: Row) -> Value:
        return row.values[others[0]] if len(others) == 1 else members.words({key: row.values[key] for key in others})

    key = Key(members.short_name(others[0]) if len(others) == 1 else "", [rest(row) for row in known])
    lines = _reference_lines(reference)
    error = "rms_error" if any("rms_error" in row.figures for row in known) else "mean_squared"
    order = (*_STRUCTURE, error, "negative_elbo", "kl", "active_units")
    names = [name for name in order if any(name in row.figures for row in known)]
    x = sorted({row.values[path] for row in known})
    with style.new_grid(len(names), 3, 2.5, 2.3, margin=0.5) as (drawing, grid):
        for axes, name in zip(grid, names, strict=True):
            for value in key.values:
                same = [row for row in known if rest(row) == value and name in row.figures]
                places = np.array([row.values[path] for row in same])
                heights = np.array([drawn(row, name) for row in same])
                axes.scatter(places, heights, s=16, color=key.colour(value), alpha=0.7, linewidths=0, zorder=2)
                distinct = np.unique(places)
                if len(distinct) > 1:
                    means = [heights[places == place].mean() for place in distinct]
                    axes.plot(distinct, means, color=key.colour(value), linewidth=1.2, zorder=3)
            for row, dashes in lines:
                if name in row.figures:
                    axes.axhline(drawn(row, name), color=_GREY, linestyle=dashes, linewidth=0.8)
            if log_scale(x):
                axes.set_xscale("log")
                _number_plainly(axes.xaxis)
            if len(x) <= _LEGEND_ENTRIES:
                axes.xaxis.set_major_locator(matplotlib.ticker.FixedLocator(x))
                axes.xaxis.set_major_formatter("{x:g}")
            axes.set(title=titles(unit)[name], xlabel=members.short_name(path))
        key.explain(drawing, grid, _legend(lines))
    return drawing


def plot_all(
    rows: Sequence[Row],
    reference: Sequence[Row],
    scalars: Mapping[str, Mapping[str, Float[np.ndarray, "point 2"]]],
    unit: str,
) -> list[tuple[str, str, Figure]]:
    """Title, caption and picture of everything that the page shows."""
    pictures = []
    known = [row for row in rows if row.figures]
    for path in rows[0].values:
        values = [row.values[path] for row in known]
        if path != members.SEED and numeric(values) and len(set(values)) > 1:
            caption = "A point for each member; lines join means over seeds." + _about(reference)
            pictures.append((members.short_name(path), caption, plot_ablation(rows, reference, path, unit)))
    if any("rms_error" in row.figures for row in rows):
        caption = "To the upper left is better. No other member beats one of the front (ringed, with its number) in "
        caption += "one figure without losing in the other." + _about(reference)
        pictures.append(("Reconstruction against structure", caption, plot_pareto(rows, reference, unit)))
    if any("val/negative_elbo" in points for points in scalars.values()):
        caption = "Of the validation set. The −ELBO's axis leaves out the first steps; a cross is a divergence."
        pictures.append(("Training", caption, plot_curves(rows, scalars)))
    return pictures


def _about(reference: Sequence[Row]) -> str:
    return " Level lines are baselines." if reference else ""
