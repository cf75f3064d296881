"""Every pair of an effect's parameters, coloured by where the setting falls on the effect's map."""

import itertools

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from analysis.metrics import probes
from analysis.pictures import style
from analysis.pictures.effect_map import EffectMap
from jaxvae import effects


def unit_square(position: Float[np.ndarray, "clip 2"]) -> Float[np.ndarray, "clip 2"]:
    """Places scaled so that the middle 96 % fill [0, 1] on both axes; a few strays are clipped to the edge."""
    low, high = np.percentile(position, [2, 98], axis=0)
    return np.clip((position - low) / (high - low), 0, 1)


def r2_from_map(drawn: EffectMap, seed: int = 0) -> Float[np.ndarray, " parameter"]:
    """R² of each parameter read from places on the map by 15 nearest neighbours, five-fold."""
    position, normalized = drawn.position[drawn.cloud], drawn.normalized[drawn.cloud]
    folds = KFold(5, shuffle=True, random_state=seed)
    predicted = cross_val_predict(KNeighborsRegressor(probes.NEIGHBOURS), position, normalized, cv=folds)
    error = np.mean((predicted.reshape(normalized.shape) - normalized) ** 2, axis=0)
    return 1 - error / normalized.var(axis=0)


def plot(drawn: EffectMap) -> Figure:
    """The pair grid, the coloured map, and R² of each parameter from the map and from the latent space.

    Raises:
        ValueError: the effect has one parameter, so no pairs.
    """
    parameters = drawn.effect.parameters
    if len(parameters) < 2:
        raise ValueError(f"{drawn.effect.name} has one parameter; a pair plot needs two (see analysis.interpolate)")
    size = len(parameters) - 1
    cloud = np.flatnonzero(drawn.cloud)
    colours = style.plane_colours(unit_square(drawn.position[cloud]))
    grid_width = max(3.4, 1.6 * size)
    with style.new(grid_width + 2.9, max(4.4, 1.6 * size + 0.4)) as drawing:
        left, right = drawing.subfigures(1, 2, width_ratios=[grid_width, 2.9])
        grid = left.subplots(size, size, squeeze=False, sharex="col", sharey="row")
        for row, column in itertools.product(range(size), repeat=2):
            axes, vertical = grid[row, column], row + 1
            if column > row:
                axes.remove()
                continue
            axes.scatter(drawn.physical(column, cloud), drawn.physical(vertical, cloud), c=colours, s=10, linewidths=0)
            _scale(axes, parameters[column], parameters[vertical])
            if column == 0:
                axes.set_ylabel(style.axis_label(parameters[vertical]))
            if row == size - 1:
                axes.set_xlabel(style.axis_label(parameters[column]))
        above, below = right.subplots(2, 1, height_ratios=[1.5, 1])
        above.scatter(*drawn.position[cloud].T, c=colours, s=9, linewidths=0)
        above.set_title("UMAP: each place has a colour")
        style.plain_map(above)
        _draw_r2(below, drawn)
        drawing.suptitle(f"{drawn.effect.name}: {len(cloud)} random settings of one unseen clip", fontsize=10)
    return drawing


def _scale(axes: Axes, horizontal: effects.Parameter, vertical: effects.Parameter) -> None:
    axes.set_xscale(horizontal.scale)
    axes.set_yscale(vertical.scale)
    axes.set_xlim(horizontal.minimum, horizontal.maximum)
    axes.set_ylim(vertical.minimum, vertical.maximum)


def _draw_r2(axes: Axes, drawn: EffectMap) -> None:
    names = [style.parameter_name(parameter) for parameter in drawn.effect.parameters]
    latent = probes.settings_one_clip(drawn.latent[drawn.cloud], drawn.normalized[drawn.cloud])
    bars = {
        "map, kNN-15": (r2_from_map(drawn), style.COLOURS[1]),
        "latent, ridge": (np.array([score.r2 for score in latent]), style.COLOURS[0]),
    }
    for offset, (label, (values, colour)) in zip((0.2, -0.2), bars.items(), strict=True):
        places = np.arange(len(names)) + offset
        axes.barh(places, np.clip(values, 0, 1), height=0.38, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            axes.text(max(value, 0) + 0.02, place, f"{value:.2f}", va="center", fontsize=7)
    axes.set(yticks=np.arange(len(names)), yticklabels=names, xlim=(0, 1.15), xlabel="R², five-fold")
    axes.invert_yaxis()
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.32), ncols=2, handlelength=1, columnspacing=1)
