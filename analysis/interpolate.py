"""Paths of an effect's parameters on its map, one panel for each parameter and one for all.

    python -m analysis.interpolate runs/base --effect pedalboard/Delay --out delay.png

Each parameter takes 15 settings over its range while the others rest at the middle of theirs; the grey cloud is the
same dry clip at random settings. A map is useful to a player when paths are monotone, straight and apart.
"""

import dataclasses
from pathlib import Path

import matplotlib.colors
import numpy as np
import tyro
from matplotlib.figure import Figure

from analysis import command_line, effect_map, embed, figure, paths
from analysis.effect_map import EffectMap
from jaxvae import dataset, effects, inference

_COLUMNS = 3


def draw_separate(drawn: EffectMap) -> Figure:
    """A panel for each parameter: its path over the grey cloud, coloured by setting in physical units."""
    parameters = drawn.effect.parameters
    columns = min(_COLUMNS, len(parameters))
    rows = -(-len(parameters) // columns)
    with figure.new(max(2.5 * columns, 4.6), 3.2 * rows + 0.35) as drawing:
        grid = drawing.subplots(rows, columns, squeeze=False).ravel()
        for spare in grid[len(parameters) :]:
            spare.remove()
        for index, (axes, parameter) in enumerate(zip(grid, parameters, strict=False)):
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
            bar.set_label(figure.axis_label(parameter))
            latent, place = drawn.latent[path], drawn.position[path]
            axes.set_title(
                f"|ρ| {paths.monotonicity(latent):.2f} latent, {paths.monotonicity(place):.2f} map\n"
                f"straight {paths.straightness(latent):.2f} latent, {paths.straightness(place):.2f} map"
            )
            figure.plain_map(axes)
        drawing.suptitle(
            f"{drawn.effect.name}: one parameter moves, the others rest\n(UMAP, one unseen clip)", fontsize=9.5
        )
    return drawing


def draw_joint(drawn: EffectMap) -> Figure:
    """All parameters' paths over the grey cloud; a path's points grow with its setting."""
    with figure.new(5.4, 4.2) as drawing:
        axes = drawing.subplots()
        _draw_cloud(axes, drawn)
        for index, parameter in enumerate(drawn.effect.parameters):
            path = drawn.path(index)
            place, style = drawn.position[path], figure.effect_style(index)
            axes.plot(*place.T, color=style["color"], linewidth=1.0, zorder=2)
            axes.scatter(
                *place.T,
                s=np.linspace(6, 42, len(path)),
                color=style["color"],
                marker=style["marker"],
                edgecolors="white",
                linewidths=0.4,
                zorder=3,
                label=f"{figure.parameter_name(parameter)}\n"
                f"{parameter.minimum:g} to {parameter.maximum:g} {parameter.unit}".rstrip(),
            )
        figure.plain_map(axes)
        drawing.suptitle(  # over the legend as well: a long name would not fit above the map alone
            f"{drawn.effect.name}: all paths on the UMAP of one unseen clip\n"
            "small marks are low settings, large ones high"
        )
        drawing.legend(loc="outside right center")
    return drawing


def _draw_cloud(axes, drawn: EffectMap) -> None:
    axes.scatter(*drawn.position[drawn.cloud].T, s=5, color="0.82", linewidths=0, zorder=1)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run."""
    effect: str
    """Name of the effect, trained on or not."""
    out: Path
    """The .png file to write; the joint panel goes beside it as NAME_joint.png."""
    steps: int = 15
    """Settings along each path, 10 to 20 for a readable picture."""
    clip: int | None = None
    """Dry clip of the test split; none means one drawn by the seed."""
    seed: int = 0


def main(options: Options) -> None:
    """Draw and write both pictures."""
    encoder = inference.load(options.run)
    test = dataset.render(encoder.experiment).split("test")
    clip = int(embed.draw_dry(test, 1, options.seed)[0]) if options.clip is None else options.clip
    (drawn,) = effect_map.fit(
        encoder, test, [effects.get(options.effect)], clip, steps=options.steps, seed=options.seed
    )
    joint = options.out.with_name(f"{options.out.stem}_joint{options.out.suffix}")
    figure.save(draw_separate(drawn), options.out)
    figure.save(draw_joint(drawn), joint)
    print(f"wrote {options.out} and {joint}: dry clip {clip} of the test split")


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
