"""What a parameter draws in the latent space: is its path monotone, smooth, large, and is a cloud a ring?

Conventions
    A path is an array (setting, dimension): the positions of one clip while one parameter moves and the others rest,
    in the order of that parameter. A cloud is an array (point, 2) without order. A path on which nothing moves has no
    score: NaN.

Figures
    monotonicity      |Spearman| between the parameter and the arc length along the principal curve of the points. The
                      curve knows nothing of the order, so a path that folds back scores low, while a bend is no fault.
    smoothness        1 for even steps in one direction, 0 for a random walk, -0.5 for noise around a point.
    straightness      distance between the ends over the length of the path: 1 is a line, 0 comes back to its start.
    closure           distance between the ends over the largest of any two points: 0 is a closed ring.
    length_per_step   length of the path for each difference that can just be heard.
    centre_occupancy  1 for a disc, 1.27 for a Gaussian, 0 for a ring (Grant 2023's "doughnut"), and for a bent band.
    angular_gap       the widest angle without points, seen from the centre: small for a ring, large for a bent band.
    is_ring           both: an empty centre that points surround.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import interpolate, stats
from scipy.sparse import csgraph
from scipy.spatial import distance

RING_OCCUPANCY = 0.5
"""A disc of 240 points has less in 3 draws of 1,000."""
RING_GAP = 45.0
"""Degrees. A cloud is a ring if its centre is emptier than the one and no gap is wider than the other."""

_STRAY = 0.02  # share of the points that a gap may hold
_ROUNDS = 10
_CURVE_POINTS = 200
_ROUGHNESS = 1e-4  # penalty for each point, on [0, 1]: splines of about 5 degrees of freedom


def arc_length(path: Float[np.ndarray, "setting dimension"]) -> Float[np.ndarray, " setting"]:
    """Position of each point along the principal curve of all (Hastie & Stuetzle 1989), from 0, in units of the path.

    The curve starts as the first principal component, and again as the order of the points along their minimum
    spanning tree, which unrolls bends; then smoothing splines through the points and the projection of the points take
    turns, until no point moves by more than 1 %. The start that ends nearer the points counts. Nothing depends on the
    order of the points, so which end is 0 is arbitrary. The curve follows bends up to nine tenths of a circle, which
    smoothing shortens; rings and spirals of a turn or more fold onto a line.
    """
    centred = path.astype(np.float64) - path.mean(axis=0, dtype=np.float64)
    axes, spread, _ = np.linalg.svd(centred, full_matrices=False)
    points = axes * spread  # turned: the same distances in no more dimensions than settings
    fitted = [_principal_curve(points, start, _resolution(path)) for start in (points[:, 0], _along_tree(points))]
    return min(fitted, key=lambda each: each[1])[0]


def _principal_curve(
    points: Float[np.ndarray, "point dimension"], start: Float[np.ndarray, " point"], resolution: float
) -> tuple[Float[np.ndarray, " point"], float]:
    """Positions along the curve that grows from those of `start`, and the squared distances to it in sum."""
    position, squares = _from_zero(start, resolution), np.inf
    for _ in range(_ROUNDS):
        place, group, count = np.unique(position, return_inverse=True, return_counts=True)
        if len(place) == 1:
            break
        place /= place[-1]
        means = np.stack([np.bincount(group, column) for column in points.T], axis=1) / count[:, None]
        smooth = _smoothing_spline(place, means, count, _ROUGHNESS * len(points))
        position, squares = _project(points, smooth(np.linspace(0, 1, _CURVE_POINTS)))
        position = _from_zero(position, resolution)
        if np.abs(position / position.max() - place[group]).max() < 0.01:
            break
    return position, squares


def _along_tree(points: Float[np.ndarray, "point dimension"]) -> Float[np.ndarray, " point"]:
    """Positions on a line that agree best with the distances along the minimum spanning tree.

    Classical scaling of those distances, as Isomap does with a graph of neighbours (Tenenbaum et al. 2000).
    """
    apart = distance.squareform(distance.pdist(points))
    apart += 1e-12 * apart.max()  # 0 would be no edge
    steps = csgraph.shortest_path(csgraph.minimum_spanning_tree(apart), directed=False)
    squares = steps**2
    inner = squares.mean(axis=0) + squares.mean(axis=1)[:, None] - squares - squares.mean()
    variance, axes = np.linalg.eigh(inner / 2)
    return axes[:, -1] * np.sqrt(variance[-1])


def _resolution(path: np.ndarray) -> float:
    # Two encodings of the same audio differ by rounding only.
    return 1e-5 * max(1.0, float(np.abs(path).max()))


def _from_zero(position: np.ndarray, resolution: float) -> np.ndarray:
    return resolution * np.round((position - position.min()) / resolution)  # what rounding alone sets apart is a tie


def _smoothing_spline(place: np.ndarray, values: np.ndarray, weight: np.ndarray, penalty: float) -> Callable:
    """The natural cubic spline with the least weighted squares plus `penalty` times its squared second derivative.

    By Green & Silverman (1994, section 2.3.3). SciPy's make_smoothing_spline is the same and takes ten times as long.
    """
    gap = np.diff(place)
    bend = np.diff(np.diff(np.eye(len(place)), axis=0) / gap[:, None], axis=0)  # change of slope at each inner place
    inner = np.diag((gap[:-1] + gap[1:]) / 3) + np.diag(gap[1:-1] / 6, 1) + np.diag(gap[1:-1] / 6, -1)
    roughness = bend.T @ np.linalg.solve(inner, bend)
    fitted = np.linalg.solve(np.diag(weight) + penalty * roughness, weight[:, None] * values)
    return interpolate.CubicSpline(place, fitted, bc_type="natural")


def _project(points: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, float]:
    """Arc length of the nearest place on a polyline, whose first and last piece have no end, and the squared distances
    in sum."""
    start, step = curve[:-1], np.diff(curve, axis=0)
    length = np.linalg.norm(step, axis=1)
    onto = points @ step.T - np.sum(start * step, axis=1)
    low, high = np.zeros(len(step)), np.ones(len(step))
    low[0], high[-1] = -np.inf, np.inf
    along = np.clip(onto / length**2, low, high)
    squares = np.sum(start**2, axis=1) - 2 * points @ start.T + along**2 * length**2 - 2 * along * onto
    nearest = squares.argmin(axis=1)
    rows = np.arange(len(points))
    return (np.cumsum(length) - length + along * length)[rows, nearest], float(squares[rows, nearest].sum())


def monotonicity(path: Float[np.ndarray, "setting dimension"]) -> float:
    """|Spearman| of the settings' order and the arc length along the principal curve; NaN if nothing moves.

    Points in random order have about 0.8 / sqrt(settings - 1), 0.21 for 15 settings and 0.18 for 20; a random walk
    has nearly 1: it is a path, if not a smooth one.
    """
    if len(path) < 3:
        raise ValueError(f"a path of {len(path)} settings has no direction; use at least 3")
    if not _moves(path):
        return float("nan")
    return float(abs(stats.spearmanr(np.arange(len(path)), arc_length(path)).statistic))


def smoothness(path: Float[np.ndarray, "setting dimension"]) -> float:
    """Lag-1 autocorrelation of the steps along the path, in [-1, 1]; NaN if nothing moves.

    The mean product of successive steps over their mean square: 1 only where all steps are equal, 0 for a random walk,
    -0.5 for independent noise around a point, -1 for hopping between two.
    """
    if len(path) < 3:
        raise ValueError(f"a path of {len(path)} settings has no successive steps; use at least 3")
    if not _moves(path):
        return float("nan")
    step = np.diff(path.astype(np.float64), axis=0)
    return float(2 * np.sum(step[1:] * step[:-1]) / np.sum(step[1:] ** 2 + step[:-1] ** 2))


def closure(path: Float[np.ndarray, "setting dimension"]) -> float:
    """Distance of the two ends over the largest distance of any two points: 0 closed, 1 open; NaN if nothing moves."""
    if not _moves(path):
        return float("nan")
    return float(np.linalg.norm(path[-1] - path[0]) / distance.pdist(path).max())


def length_per_step(path: Float[np.ndarray, "setting dimension"], audible_steps: float) -> float:
    """Length of the path over the just-audible steps along it (`audibility.audible_steps`), NaN if there are none.

    In units of the representation: compare parameters in one, or divide by the size of a cloud.
    """
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum(dtype=np.float64)
    return float(length / audible_steps) if audible_steps > 0 else float("nan")


def straightness(path: Float[np.ndarray, "setting dimension"]) -> float:
    """Distance from the first to the last point over the length of the path, in [0, 1]; NaN if nothing moves."""
    if not _moves(path):
        return float("nan")
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    return float(np.linalg.norm(path[-1] - path[0]) / length)


def centre_occupancy(cloud: Float[np.ndarray, "point dimension"]) -> float:
    """Share of the whitened points nearer the centre than half the median, relative to that of a uniform disc.

    Whitening makes it blind to position, scale, rotation and stretch. The centre is the mean.

    Raises:
        ValueError: the cloud is not two-dimensional, or lies on a line.
    """
    radius = np.linalg.norm(_whitened(cloud), axis=1)
    return float(np.mean(radius < 0.5 * np.median(radius)) / 0.125)


def angular_gap(cloud: Float[np.ndarray, "point dimension"]) -> float:
    """The widest angle, in degrees, that holds no more than 2 % of the whitened points, seen from their mean.

    A ring of many points has 7 degrees, three quarters of one 53, a half 69: whitening draws the ends together.

    Raises:
        ValueError: as `centre_occupancy`.
    """
    x, y = _whitened(cloud).T
    angle = np.sort(np.degrees(np.arctan2(y, x)))
    stray = int(_STRAY * len(angle))
    return float(min(360.0, np.max(np.roll(np.append(angle, angle + 360), -stray - 1)[: len(angle)] - angle)))


def is_ring(cloud: Float[np.ndarray, "point dimension"]) -> bool:
    """Whether the centre is empty, and points surround it.

    Raises:
        ValueError: as `centre_occupancy`.
    """
    return centre_occupancy(cloud) < RING_OCCUPANCY and angular_gap(cloud) < RING_GAP


def _whitened(cloud: np.ndarray) -> np.ndarray:
    if cloud.ndim != 2 or cloud.shape[1] != 2:
        raise ValueError(f"the cloud has shape {cloud.shape}; use (point, 2)")
    axes, spread, _ = np.linalg.svd(cloud.astype(np.float64) - cloud.mean(axis=0), full_matrices=False)
    if spread[1] <= 1e-6 * spread[0]:
        raise ValueError("the cloud lies on a line, which cannot be whitened; draw settings of more than one parameter")
    return axes


def _moves(path: np.ndarray) -> bool:
    return bool(np.abs(path - path[0]).max() > _resolution(path))
