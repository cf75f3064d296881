"""What a parameter draws in the latent space: is its path monotone, straight, large, and is a cloud a ring?

Conventions
    A path is an array (setting, dimension): the positions of one clip while one parameter moves and the others rest,
    in the order of that parameter. A cloud is an array (point, 2) without order.

Figures
    monotonicity      |Spearman| between the parameter and the position along the path's first principal component.
                      The component knows nothing of the order, so a path that folds back scores low.
    straightness      distance between the ends over the length of the path: 1 is a line, 0 comes back to its start.
    extent            size of the path relative to a cloud: a path can be monotone and still too small to matter.
    centre_occupancy  1 for a disc, 1.27 for a Gaussian, 0 for a ring (the seed's "doughnut").
"""

import numpy as np
from jaxtyping import Float
from scipy import stats


def monotonicity(path: Float[np.ndarray, "setting dimension"]) -> float:
    """|Spearman| of the settings' order and the position along the first principal component; NaN if nothing moves.

    Points in random order have about 0.8 / sqrt(settings - 1), 0.21 for 15 settings.
    """
    if len(path) < 3:
        raise ValueError(f"a path of {len(path)} settings has no direction; use at least 3")
    if not _moves(path):
        return float("nan")
    centred = path - path.mean(axis=0)
    direction = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][0]
    return float(abs(stats.spearmanr(np.arange(len(path)), centred @ direction).statistic))


def straightness(path: Float[np.ndarray, "setting dimension"]) -> float:
    """Distance from the first to the last point over the length of the path, in [0, 1]; NaN if nothing moves."""
    if not _moves(path):
        return float("nan")
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    return float(np.linalg.norm(path[-1] - path[0]) / length)


def extent(path: Float[np.ndarray, "setting dimension"], cloud: Float[np.ndarray, "point dimension"]) -> float:
    """Root-mean-square distance of the path's points to their centre, relative to that of the cloud's points."""
    return float(np.sqrt(path.var(axis=0).sum() / cloud.var(axis=0).sum()))


def centre_occupancy(cloud: Float[np.ndarray, "point 2"]) -> float:
    """Share of the whitened points nearer the centre than half the median, relative to that of a uniform disc.

    Whitening makes it blind to position, scale, rotation and stretch. The centre is the mean.

    Raises:
        ValueError: the cloud is not two-dimensional, or lies on a line.
    """
    if cloud.ndim != 2 or cloud.shape[1] != 2:
        raise ValueError(f"the cloud has shape {cloud.shape}; use (point, 2)")
    centred = cloud.astype(np.float64) - cloud.mean(axis=0)
    axes, spread, _ = np.linalg.svd(centred, full_matrices=False)
    if spread[1] <= 1e-6 * spread[0]:
        raise ValueError("the cloud lies on a line, which cannot be whitened; draw settings of more than one parameter")
    radius = np.linalg.norm(axes, axis=1)
    return float(np.mean(radius < 0.5 * np.median(radius)) / 0.125)


def _moves(path) -> bool:
    # Two encodings of the same audio differ by rounding only.
    return bool(np.abs(path - path[0]).max() > 1e-5 * max(1.0, np.abs(path).max()))
