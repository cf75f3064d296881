"""A map of the latent space: unseen recordings through each effect at random settings, coloured by effect.

    python -m analysis.umap_plot runs/base --out effects.png
    python -m analysis.umap_plot runs/base --out four.png --effects 4
    python -m analysis.umap_plot runs/latent_sweep --out sizes.png --members 0 4 8 12

UMAP of posterior means, blind and dry-aware, each beside UMAP of the principal components of the same spectrograms,
which a latent space has to beat; or of several members of a sweep side by side, dry-aware if they can be. UMAP is
seeded; its distances between far groups mean little, so figures are printed beside the picture.
"""

import dataclasses
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from analysis import command_line, embed
from analysis.metrics.probes import NEIGHBOURS, Labelled
from analysis.models import members, representations
from analysis.pictures import style
from analysis.renders import material
from analysis.renders.material import Sizes
from jaxvae import effects

_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2}
_MOST_COLUMNS = 4


def fit(features: Float[np.ndarray, "clip feature"], seed: int = 0) -> Float[np.ndarray, "clip 2"]:
    """Places of the clips on a plane by UMAP (McInnes et al. 2018); the same seed gives the same places."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it says that its TensorFlow part is not installed
        from umap import UMAP  # here, because the import takes seconds and some analyses draw no map
    # One thread: what a seeded fit uses anyway, said first so that UMAP does not warn.
    return UMAP(n_neighbors=min(15, len(features) - 1), n_jobs=1, random_state=seed).fit_transform(features)


class MapFigures(NamedTuple):
    """How a map relates to the effects and to the space that it was made from."""

    knn: float | None
    """Accuracy of 15 nearest neighbours on the map, by cross-validation that keeps recordings whole; None for one."""
    trustworthiness: float
    """Share of neighbours on the map that are neighbours in the space as well, weighted (Venna & Kaski 2001)."""
    silhouette: float


def figures(
    position: Float[np.ndarray, "clip 2"],
    features: Float[np.ndarray, "clip feature"],
    effect: Int[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
) -> MapFigures:
    """Figures of one map."""
    groups = len(np.unique(recording))
    knn = None
    if groups > 1:
        folds = GroupKFold(min(5, groups))
        neighbours = KNeighborsClassifier(NEIGHBOURS)
        knn = float(cross_val_score(neighbours, position, effect, groups=recording, cv=folds).mean())
    return MapFigures(
        knn=knn,
        trustworthiness=float(trustworthiness(features, position, n_neighbors=NEIGHBOURS)),
        silhouette=float(silhouette_score(position, effect)),
    )


def draw(panels: Mapping[str, Labelled], names: tuple[str, ...], seed: int = 0) -> tuple[Figure, dict[str, MapFigures]]:
    """One map for each representation of the same clips, side by side, and the figures of each."""
    scores = {}
    with style.new_grid(len(panels), _COLUMNS.get(len(panels), _MOST_COLUMNS), 3.6, 3.7, margin=0.5) as (
        drawing,
        grid,
    ):
        for axes, (title, clips) in zip(grid, panels.items(), strict=True):
            position = fit(clips.features, seed)
            scores[title] = score = figures(position, clips.features, clips.effect, clips.recording)
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


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run."""
    out: Path
    """The .png file to write."""
    effects: int = 0
    """Draw the first so many of the run's effects; 0 means all."""
    clips: int = 200
    """Unseen dry clips; each meets every effect."""
    seed: int = 0
    members: command_line.Members = ()


def main(options: Options) -> None:
    """Draw and write the picture."""
    chosen = members.load(options.run, options.members)
    encoder = chosen[0].encoder
    names = encoder.effects[: options.effects or None]
    if len(names) < 2:
        raise ValueError(
            f"a map of effects needs two, but of {', '.join(encoder.effects)} it would show {len(names)}; "
            "raise --effects, or draw one effect with analysis.interpolate or analysis.pair_plot"
        )
    data = members.data([member.encoder.experiment for member in chosen])
    test, rate = data.split("test"), encoder.experiment.audio.sample_rate
    kinds = [effects.get(name) for name in names]
    plan = embed.random_settings(kinds, embed.draw_dry(test, options.clips, options.seed), options.seed)
    if len(chosen) == 1:
        rows, _ = representations.rows({"latent space": encoder}, data.split("train"), Sizes().components, options.seed)
        mapped = [row for row in rows if row.mapped]
        seen = material.represent(plan, test, rate, mapped, "random settings")
        panels = {
            f"{row.name} ({seen.features[row.name].shape[1]} dimensions)": seen.labelled(row.name) for row in mapped
        }
    else:
        functions = {member.title: embed.knowing(member.encoder) for member in chosen}
        plan, features = embed.represent(plan, test, rate, functions)
        panels = {title: plan.labelled(values, test) for title, values in features.items()}
    drawing, scores = draw(panels, tuple(kind.name for kind in kinds), options.seed)
    style.save(drawing, options.out)
    for title, score in scores.items():
        print(title, score._asdict())
    print(f"wrote {options.out}")


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
