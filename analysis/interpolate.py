"""Paths of an effect's parameters on its map, one panel for each parameter and one for all.

    python -m analysis.interpolate runs/base --effect pedalboard/Delay --out delay.png
    python -m analysis.interpolate runs/latent_sweep --effect pedalboard/Delay --out sizes.png --members all

Each parameter takes 15 settings over its range while the others rest at the middle of theirs; the grey cloud is the
same dry clip at random settings. Of several members of a sweep there is a panel each, with all paths. A map is useful
to a player when paths are monotone, straight and apart.
"""

import dataclasses
import textwrap
from collections.abc import Mapping
from pathlib import Path

import matplotlib.colors
import numpy as np
import tyro
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import command_line, embed
from analysis.metrics import paths
from analysis.models import members
from analysis.pictures import effect_map, style
from analysis.pictures.effect_map import EffectMap
from jaxvae import effects

_COLUMNS = 3


def draw_separate(drawn: EffectMap) -> Figure:
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


def draw_joint(maps: Mapping[str, EffectMap]) -> Figure:
    """All parameters' paths of one effect over the grey cloud, a panel for each model; points grow with the setting."""
    effect = next(iter(maps.values())).effect
    columns = min(4, len(maps))
    with style.new_grid(len(maps), columns, 5.4 if columns == 1 else 3.4, 3.4, margin=0.8) as (drawing, grid):
        for axes, (title, drawn) in zip(grid, maps.items(), strict=True):
            _draw_cloud(axes, drawn)
            for index, parameter in enumerate(effect.parameters):
                _draw_path(axes, drawn.position[drawn.path(index)], index, parameter)
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


def _draw_path(axes: Axes, place: Float[np.ndarray, "setting 2"], index: int, parameter: effects.Parameter) -> None:
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


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run."""
    effect: str
    """Name of the effect, trained on or not."""
    out: Path
    """The .png file to write; of one model, all paths in one panel go beside it as NAME_joint.png."""
    steps: int = 15
    """Settings along each path, 10 to 20 for a readable picture."""
    clip: int | None = None
    """Dry clip of the test split; none means one drawn by the seed."""
    seed: int = 0
    members: command_line.Members = ()


def main(options: Options) -> None:
    """Draw and write the pictures."""
    chosen = members.load(options.run, options.members)
    test = members.data([member.encoder.experiment for member in chosen]).split("test")
    clip = int(embed.draw_dry(test, 1, options.seed)[0]) if options.clip is None else options.clip
    maps = {}
    for member in chosen:
        (maps[member.title],) = effect_map.fit(
            member.encoder, test, [effects.get(options.effect)], clip, steps=options.steps, seed=options.seed
        )
    joint = options.out
    if len(maps) == 1:
        joint = options.out.with_name(f"{options.out.stem}_joint{options.out.suffix}")
        style.save(draw_separate(*maps.values()), options.out)
        print(f"wrote {options.out}: dry clip {clip} of the test split")
    style.save(draw_joint(maps), joint)
    print(f"wrote {joint}: dry clip {clip} of the test split")


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
