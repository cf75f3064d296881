"""What a moving parameter draws in the space, and the cloud of all settings of an effect on one clip."""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import PCA

from analysis.metrics import layout, paths
from analysis.models.representations import Representation
from analysis.renders.plan import Plan
from analysis.sections.outline import Contents, Outline, columns
from analysis.sections.score import LEAST_CLIPS, Ceiling, Figure, Score, Study, means, of_clips
from analysis.sections.section import Section
from jaxvae.data import audibility

OF_PATH = {
    "monotonicity": Figure("monotone |ρ|", 2),
    "smoothness": Figure("smooth", 2),
    "straightness": Figure("straight", 2),
    "closure": Figure("open", 2),
    "length_per_step": Figure("length per audible step", 2, ""),
}
FIGURES = OF_PATH | {
    "ring_pca": Figure("centre occupancy, PCA", 2, ""),
    "ring_umap": Figure("centre occupancy, UMAP", 2, ""),
    "rings_pca": Figure("rings, PCA", 0, "less"),
    "rings_umap": Figure("rings, UMAP", 0, "less"),
}
_LEAST_SETTINGS = 4  # along a path, of which a curve can be fitted


def along(
    features: Float[np.ndarray, "clip feature"],
    plan: Plan,
    steps_db: Float[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
    ceiling: Ceiling,
) -> list[Score]:
    """Figures of the path of each parameter of a sweep, means over its dry clips, and means over parameters.

    `steps_db` is the log-spectral distance of each render from the one before it on its path; the first of a path has
    none that counts. The means over parameters leave out those that move nothing.
    """
    clips, first = np.unique(plan.dry, return_index=True)
    moved = [(index, moving) for index, kind in enumerate(plan.effects) for moving in range(len(kind.parameters))]
    values = np.full((len(moved), len(clips), len(OF_PATH)), np.nan)
    for place, (index, moving) in enumerate(moved):
        for column, clip in enumerate(clips):
            rows = np.flatnonzero((plan.effect == index) & (plan.moving == moving) & (plan.dry == clip))
            if len(rows) >= _LEAST_SETTINGS:
                values[place, column] = _path(features[rows], float(steps_db[rows[1:]].sum()) / audibility.INAUDIBLE_DB)
    scores = [
        Score(figure, f"{plan.effects[index].name}/{plan.effects[index].parameters[moving].name}", _mean(found))
        for (index, moving), by_clip in zip(moved, values, strict=True)
        for figure, found in zip(OF_PATH, by_clip.T, strict=True)
    ]
    for item, chosen in means(plan.effects, ceiling).items():
        own = [
            [chosen[index][moving] and index == kind for index, moving in moved] for kind in range(len(plan.effects))
        ]
        for column, figure in enumerate(OF_PATH):
            of_clip = [_mean([_mean(clip[mask]) for mask in own]) for clip in values[:, :, column].T]
            if None in of_clip:  # nothing moves on some clip, so the others do not compare
                scores.append(Score(figure, item, _mean(of_clip)))
            else:
                scores.append(of_clips(figure, item, np.array(of_clip), recording[first]))
    return scores


def _path(path: np.ndarray, audible_steps: float) -> tuple[float, ...]:
    """In the order of `OF_PATH`."""
    return (
        paths.monotonicity(path),
        paths.smoothness(path),
        paths.straightness(path),
        paths.closure(path),
        paths.length_per_step(path, audible_steps),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that there are."""
    finite = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def ring(
    features: Float[np.ndarray, "clip feature"],
    plan: Plan,
    figure: str,
    place: Callable[[Float[np.ndarray, "clip feature"]], Float[np.ndarray, "clip 2"]],
) -> list[Score]:
    """Centre occupancy of the cloud of each effect's settings on one clip, placed on a plane, and the least of them.

    And how many of the clouds are rings (`paths.is_ring`). An effect of one parameter draws a curve, of which the
    figures say nothing.
    """
    scores, rings = [], []
    for index, kind in enumerate(plan.effects):
        rows = plan.effect == index
        if len(kind.parameters) > 1 and np.sum(rows) >= LEAST_CLIPS and features[rows].std(axis=0).max() > 0:
            cloud = place(features[rows])
            scores.append(Score(figure, kind.name, paths.centre_occupancy(cloud)))
            rings.append(paths.is_ring(cloud))
    least = min((score.value for score in scores), default=None)
    count = Score(figure.replace("ring", "rings"), "all", float(sum(rings)) if rings else None)
    return [*scores, Score(figure, "least", least), count]


def _flatten(features: Float[np.ndarray, "clip feature"]) -> Float[np.ndarray, "clip 2"]:
    """The two first principal components."""
    return PCA(2, random_state=0).fit_transform(features)


def of_row(study: Study, row: Representation) -> list[Score]:
    """Paths and clouds, those on a UMAP for the first model only."""
    made = study.made
    # Lengths are in units of the whole cloud, so that spaces of any scale compare.
    size = np.sqrt(made.held.features[row.name].var(axis=0).sum()) or 1.0
    moved = made.paths.features[row.name] / size
    scores = along(moved, made.paths.plan, made.paths.distance_db, made.paths.recording, study.ceiling)
    if not study.sizes.settings:
        return scores
    cloud = made.cloud.features[row.name]
    scores += ring(cloud, made.cloud.plan, "ring_pca", _flatten)
    if row.encoder is study.encoder:
        scores += ring(cloud, made.cloud.plan, "ring_umap", layout.fit)
    return scores


def _note(contents: Contents) -> str:
    sizes = contents.about["sizes"]
    return (
        f"One parameter moves over {sizes['path_steps']} settings, the others rest in the middle; means "
        f"over {sizes['path_clips']} clips of {contents.about['clips']['paths']['recordings']} unseen recordings. "
        "|ρ|: Spearman of the setting with arc length along the principal curve; smooth: 1 straight and even, 0 a "
        "random walk; straight: distance of the ends over the length; open: 0 for a closed ring; length: in sizes "
        f"of the cloud of all clips, per step of {audibility.INAUDIBLE_DB:g} dB of log-spectral distance. Centre "
        f"occupancy of the cloud of {sizes['settings']} settings of each effect on one clip: disc 1, "
        "Gaussian 1.27, ring 0; low also for a thin bent band, the map of an effect that one parameter dominates. "
        f"Rings: clouds of an occupancy below {paths.RING_OCCUPANCY:g} that leave no angle of "
        f"{paths.RING_GAP:g}° open."
    )


def _outlines(contents: Contents) -> list[Outline]:
    over_parameters = [
        Outline(f"Mean over {item} parameters", contents.rows, columns(FIGURES, OF_PATH, section="paths", item=item))
        for item in contents.means
    ]
    by_parameter = [
        Outline(
            f"{row}, each parameter", contents.parameters, columns(FIGURES, OF_PATH, section="paths", row=row), "line"
        )
        for row in contents.ours
    ]
    clouds = columns(FIGURES, ("rings_pca", "rings_umap"), section="paths", item="all") | {
        f"{words}: {short}": {"section": "paths", "item": item, "figure": name}
        for name, words in (("ring_pca", "PCA"), ("ring_umap", "UMAP"))
        for item, short in ({"least": "least"} | contents.short_names).items()
    }
    return [
        *over_parameters,
        *by_parameter,
        Outline("Centre occupancy of the cloud on a plane", contents.rows, clouds),
    ]


SECTION = Section(
    name="paths",
    title="Paths",
    figures=FIGURES,
    of_row=of_row,
    note=_note,
    outlines=_outlines,
    compared=("monotonicity", "smoothness"),
)
