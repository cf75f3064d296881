"""Whether a predicted distribution of a setting is as sure as it is right.

Conventions
    probabilities  (clip, bin): of equal bins on [0, 1], each row sums to 1; the density within a bin is constant.
    truth          (clip,): the normalised setting, in [0, 1].

Figures
    negative_log_likelihood  nats; 0 is what a uniform density scores, less is better.
    mean                     the point estimate with the least squared error.
    cumulative               predicted probability of a value below the truth: uniform on [0, 1] when calibrated
                             (the probability integral transform, Dawid 1984; Gneiting, Balabdaoui & Raftery 2007).
    coverage                 share of clips whose central interval holds the truth: the level itself when calibrated.
    expected_calibration     how far coverage is from the level, over levels.
"""

import numpy as np
from jaxtyping import Float

LEVELS = np.arange(1, 10) / 10


def negative_log_likelihood(
    probabilities: Float[np.ndarray, "clip bin"], truth: Float[np.ndarray, " clip"]
) -> Float[np.ndarray, " clip"]:
    """Minus the log density at the truth, in nats; 0 for a uniform density, infinite where the bin was ruled out."""
    density = probabilities.shape[1] * np.take_along_axis(probabilities, _bin(probabilities, truth)[:, None], axis=1)
    with np.errstate(divide="ignore"):
        return -np.log(density[:, 0].astype(np.float64))


def mean(probabilities: Float[np.ndarray, "clip bin"]) -> Float[np.ndarray, " clip"]:
    """Expected setting of each clip."""
    bins = probabilities.shape[1]
    return probabilities @ ((np.arange(bins) + 0.5) / bins)


def cumulative(
    probabilities: Float[np.ndarray, "clip bin"], truth: Float[np.ndarray, " clip"]
) -> Float[np.ndarray, " clip"]:
    """Predicted probability of a setting below the truth, linear within a bin."""
    place = _bin(probabilities, truth)[:, None]
    own = np.take_along_axis(probabilities, place, axis=1).astype(np.float64)
    below = np.take_along_axis(probabilities.cumsum(axis=1, dtype=np.float64), place, axis=1) - own
    return (below + own * (truth[:, None] * probabilities.shape[1] - place))[:, 0]


def coverage(probabilities: Float[np.ndarray, "clip bin"], truth: Float[np.ndarray, " clip"], level: float) -> float:
    """Share of clips whose truth is between the quantiles (1 - level) / 2 and (1 + level) / 2.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; use a probability between 0 and 1, such as 0.9")
    return float(np.mean(np.abs(2 * cumulative(probabilities, truth) - 1) <= level))


def expected_calibration(probabilities: Float[np.ndarray, "clip bin"], truth: Float[np.ndarray, " clip"]) -> float:
    """Mean |coverage - level| over the levels .1 to .9 (Kuleshov, Fenner & Ermon 2018): 0 is best.

    Knowing nothing and saying so is calibrated as well: read it beside the likelihood.
    """
    return float(np.mean([abs(coverage(probabilities, truth, level) - level) for level in LEVELS]))


def _bin(probabilities, truth) -> np.ndarray:
    """Bin of each truth, the last for 1."""
    if not (np.all(probabilities >= 0) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("the probabilities of some clip are negative, not finite, or do not sum to 1; use a softmax")
    if not np.all((truth >= 0) & (truth <= 1)):
        raise ValueError("some true setting is not in [0, 1]; give the normalised settings of clips that have them")
    return np.minimum((truth * probabilities.shape[1]).astype(np.int64), probabilities.shape[1] - 1)
