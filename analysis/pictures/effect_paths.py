"""Paths of an effect's parameters on its map: a panel for each parameter, or all of them for each model."""

import textwrap
from collections.abc import Mapping

import matplotlib.colors
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.metrics import paths
from analysis.pictures import style
from analysis.pictures.effect_map import EffectMap
from jaxvae import effects

_COLUMNS = 3


def plot_separate(drawn: EffectMap) -> Figure:
    """A panel for each parameter: its path over the grey cloud, coloured by setting in physical units."""
    parameters = drawn.effect.parameters
    width = 4.6 if len(parameters) == 1 else 2.5
    with style.new_grid(len(parameters), _COLUMNS, width, 3.2, margin=0.35) as (drawing, grid):
        for index, (axes, parameter) in enumerate(zip(grid, parameters, strict=True)):
            path = drawn.path(index)
            _draw_cloud(axes, drawn)
            scale = matplotlib.colors.LogNorm if parameter.scale == "log" else matplotlib.colors.Normalize
            axes.plot(*drawn.position[path].T, color="0.35", linewidth=0.8, zorder=2)
            points = axes.scatter(
                *drawn.position[path].T,
                c=drawn.physical(index, path),
                norm=scale(parameter.minimum, parameter.maximum),
                cmap="viridis",
                s=22,
                edgecolors="0.2",
                linewidths=0.3,
                zorder=3,
            )
            bar = drawing.colorbar(points, ax=axes, location="bottom", shrink=0.9, pad=0.03)
            bar.set_label(style.axis_label(parameter))
            latent, place = drawn.latent[path], drawn.position[path]
            axes.set_title(
                f"|ρ| {paths.monotonicity(latent):.2f} latent, {paths.monotonicity(place):.2f} map\n"
                f"straight {paths.straightness(latent):.2f} latent, {paths.straightness(place):.2f} map"
            )
            style.plain_map(axes)
        drawing.suptitle(
            f"{drawn.effect.name}: one parameter moves, the others rest\n(UMAP, one unseen clip)", fontsize=9.5
        )
    return drawing


def plot_joint(maps: Mapping[str, EffectMap]) -> Figure:
    """All parameters' paths of one effect over the grey cloud, a panel for each model; points grow with the setting."""
    effect = next(iter(maps.values())).effect
    columns = min(4, len(maps))
    with style.new_grid(len(maps), columns, 5.4 if columns == 1 else 3.4, 3.4, margin=0.8) as (drawing, grid):
        for axes, (title, drawn) in zip(grid, maps.items(), strict=True):
            _draw_cloud(axes, drawn)
            for index, parameter in enumerate(effect.parameters):
                _plot_path(axes, drawn.position[drawn.path(index)], index, parameter)
            style.plain_map(axes)
            if len(maps) > 1:
                axes.set_title(textwrap.fill(title, 44))
        drawing.suptitle(  # over the legend as well: a long name would not fit above the map alone
            f"{effect.name}: all paths on the UMAP of one unseen clip\nsmall marks are low settings, large ones high"
        )
        handles, labels = grid[0].get_legend_handles_labels()
        if columns == 1:
            drawing.legend(handles, labels, loc="outside right center")
        else:
            drawing.legend(handles, labels, loc="outside lower center", ncols=2 * columns - 1)
    return drawing


def _plot_path(axes: Axes, place: Float[np.ndarray, "setting 2"], index: int, parameter: effects.Parameter) -> None:
    look = style.effect_style(index)
    axes.plot(*place.T, color=look["color"], linewidth=1.0, zorder=2)
    axes.scatter(
        *place.T,
        s=np.linspace(6, 42, len(place)),
        color=look["color"],
        marker=look["marker"],
        edgecolors="white",
        linewidths=0.4,
        zorder=3,
        label=f"{style.parameter_name(parameter)}\n"
        f"{parameter.minimum:g} to {parameter.maximum:g} {parameter.unit}".rstrip(),
    )


def _draw_cloud(axes: Axes, drawn: EffectMap) -> None:
    axes.scatter(*drawn.position[drawn.cloud].T, s=5, color="0.82", linewidths=0, zorder=1)
