"""Figures of the members of a sweep against a swept field, one panel a figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.models import members, representations
from analysis.models.representations import BOTH
from analysis.pictures import style
from analysis.pictures.sweeps import Key, log_scale, numeric
from analysis.sections import FIGURES, board
from analysis.sections.table import Entries

REFERENCES = {"PCA": "--", BOTH: ":"}
"""Baselines that are drawn as level lines, by the beginning of their name, and their dashes."""
_SPREAD = 0.06  # of the seeds' dots along a logarithmic axis, so that they do not hide one another


class Panel(NamedTuple):
    """One figure of the board."""

    title: str
    section: str
    figure: str
    item: str


PANELS = (
    Panel("effect accuracy (%)", "effect", "accuracy_logistic", "random"),
    Panel("settings R²", "settings", "r2", "all"),
    Panel("settings R², one clip", "settings", "r2_one_clip", "all"),
    Panel("same setting, R@10 (%)", "invariance", "retrieval_r10", ""),
    Panel("paths, Spearman", "paths", "monotonicity", "all"),
    Panel("effects with a ring", "paths", "rings_pca", "all"),
)


class Point(NamedTuple):
    """One figure of one member, or of a baseline, which has no values."""

    representation: str
    hears: str
    values: Mapping[str, object]
    panel: str
    value: float


def points(measured: board.Board, values: Mapping[str, Mapping[str, object]]) -> list[Point]:
    """What is drawn: of members by the values of the swept fields, and of the baselines in `REFERENCES`."""
    entries = Entries(measured.entries, measured.hears)
    ways = next(entry.item for entry in measured.entries if entry.figure == "retrieval_r10")
    aware = {representations.dry_aware(name): of for name, of in values.items()}
    made = []
    for name, hears in measured.hears.items():
        of = values.get(name, aware.get(name))
        if of is None and reference(name) is None:
            continue
        for panel in PANELS:
            found = entries.value(panel.section, panel.figure, panel.item or ways, name)
            if found is not None:
                made.append(Point(name, hears, of or {}, panel.title, FIGURES[panel.figure].scale * found))
    return made


def reference(name: str) -> str | None:
    """The beginning of the name of a baseline that is drawn; None of any other representation."""
    return next((start for start in REFERENCES if name.startswith(start)), None)


def require_axis(values: Iterable[Mapping[str, object]], x: str) -> None:
    """ValueError, unless members differ in a field of numbers, along which they can be drawn."""
    found = [of[x] for of in values]
    if len(set(found)) < 2 or not numeric(found):
        raise ValueError(
            f"{x} is {', '.join(str(value) for value in sorted(set(found), key=str))} in the members; name a field by "
            "--x in which they have several finite numbers"
        )


def plot(made: Sequence[Point], x: str, colour: str, title: str) -> Figure:
    """Every panel, blind above and dry-aware below, against the field `x`, a colour for each value of another.

    `title` is that of the colours, which are one where the members do not differ in that field.

    Raises:
        ValueError: the members do not differ in `x`.
    """
    of_members = [point for point in made if point.values]
    require_axis([point.values for point in of_members], x)
    key = Key(title, [point.values[colour] for point in of_members])
    rows = [hears for hears in ("wet", "wet and dry") if any(point.hears == hears for point in of_members)]
    with style.new(11.5, 0.4 + 2.1 * len(rows)) as drawing:
        grid = drawing.subplots(len(rows), len(PANELS), squeeze=False)
        for hears, line in zip(rows, grid, strict=True):
            for axes, panel in zip(line, PANELS, strict=True):
                own = [point for point in made if point.panel == panel.title and point.hears == hears]
                _panel(axes, own, x, colour, key)
                if axes in grid[0]:
                    axes.set_title(panel.title)
                if axes in grid[-1]:
                    axes.set_xlabel("latent size" if x == "model.latent_dim" else members.short_name(x))
            line[0].set_ylabel("blind" if hears == "wet" else "dry-aware")
        drawn = {reference(point.representation) for point in made if not point.values}
        lines = [
            Line2D([], [], color="0.45", linestyle=dashes, linewidth=0.8, label=name)
            for name, dashes in REFERENCES.items()
            if name in drawn
        ]
        key.explain(drawing, grid.ravel().tolist(), lines)
    return drawing


def _panel(axes: Axes, own: Sequence[Point], x: str, colour: str, key: Key) -> None:
    ticks = sorted({point.values[x] for point in own if point.values})
    if not ticks:
        axes.axis("off")
        return
    shades = [value for value in key.values if any(point.values.get(colour) == value for point in own)]
    for place, value in enumerate(shades):
        same = [point for point in own if point.values.get(colour) == value]
        shift = (1 + _SPREAD) ** (place - (len(shades) - 1) / 2) if log_scale(ticks) else 1.0
        sizes = np.array([point.values[x] for point in same], float)
        heights = np.array([point.value for point in same])
        axes.scatter(sizes * shift, heights, s=14, color=key.colour(value), alpha=0.75, linewidths=0, zorder=3)
        means = [heights[sizes == tick].mean() for tick in np.unique(sizes)]
        axes.plot(np.unique(sizes) * shift, means, color=key.colour(value), linewidth=1.2, zorder=2)
    for point in own:
        if not point.values:
            dashes = REFERENCES[reference(point.representation)]
            axes.axhline(point.value, color="0.45", linestyle=dashes, linewidth=0.8, zorder=1)
    if log_scale(ticks):
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(y=0.12)
