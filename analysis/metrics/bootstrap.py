"""How sure a score is, and whether one representation scores higher than another, judged over recordings.

Clips of one recording succeed and fail together, so the recordings are drawn again, not the clips: an interval over
clips would be too narrow. In a difference both scores are those of the same clips, so what they share cancels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

_RESAMPLES = 1_000
_LEAST_RECORDINGS = 6  # all of fewer point the same way by chance in more than 5 % of cases (2 / 2 ** 5)

Score = Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]]
"""What is made of means over clips, such as the root of a mean square."""


class Interval(NamedTuple):
    """A score, or one minus another on the same clips, with its 95 % interval."""

    value: float
    low: float | None
    """None, as `high`, where there are fewer than 6 recordings: too few for an interval."""
    high: float | None
    recordings: int


def interval(
    scores: Shaped[np.ndarray, " clip"], recording: Int[np.ndarray, " clip"], score: Score = np.asarray, seed: int = 0
) -> Interval:
    """The `score` of a mean over clips, by the percentiles of 1,000 draws of the recordings."""
    return _percentiles(score, [scores], recording, seed)


def difference(
    ours: Shaped[np.ndarray, " clip"],
    theirs: Shaped[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
    score: Score = np.asarray,
    seed: int = 0,
) -> Interval:
    """Difference of the `score` of two means over clips, by the percentiles of 1,000 draws of the recordings."""
    return _percentiles(lambda our, their: score(our) - score(their), [ours, theirs], recording, seed)


def _percentiles(compare: Callable, columns: Sequence[np.ndarray], recording: np.ndarray, seed: int) -> Interval:
    names, group = np.unique(recording, return_inverse=True)
    count = len(names)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    weights = np.concatenate([np.ones((1, count)), draws])  # the first is what was measured
    sums = np.stack([np.bincount(group, column) for column in columns])
    value, *drawn = compare(*(sums @ weights.T / (weights @ np.bincount(group))))
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist() if count >= _LEAST_RECORDINGS else (None, None)
    return Interval(float(value), low, high, count)
