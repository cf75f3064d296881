"""How sure a score is, and whether one representation scores higher than another, judged over recordings.

Clips of one recording succeed and fail together, so an interval over clips would be too narrow. The standard error is
that of the jackknife over recordings (Efron & Stein 1981), each left out once with all its clips; the interval is
Student's, with as many degrees of freedom as there would be recordings of equal size (Carter, Schnepel & Steigerwald
2017), less one. Shares between 0 and 1 are judged by their log odds, whose distribution is nearer to Student's. In 95 %
of simulated studies of 6 to 60 recordings such an interval holds the truth; percentiles of the bootstrap do so in 74 to
93 %.

In a difference both scores are those of the same clips, so what they share cancels. A score of pairs of recordings
depends on both, and one recording is in several pairs: it is left out with all of these (Aronow, Samii & Assenova
2015).

What is judged is the score of a representation and of the probe as it was fitted, on other recordings like those it was
scored on. Another choice of the recordings that the probe was fitted on moves scores as well; that is not in it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import special, stats

_LEVEL = 0.95
_LEAST_RECORDINGS = 6  # of fewer, the effective number and the standard error are too rough

Score = Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]]
"""What is made of means over clips, such as the root of a mean square; it does not fall where the mean rises."""
Recordings = Int[np.ndarray, " clip"] | Int[np.ndarray, "clip 2"]
"""Of each clip, or of both clips of each pair."""


class Interval(NamedTuple):
    """A score, or one minus another on the same clips, with its 95 % interval."""

    value: float
    low: float | None
    """None, as `high`, where there are fewer than 6 recordings: too few for an interval."""
    high: float | None
    recordings: int


class _Means(NamedTuple):
    """Means over clips, whole and without each recording."""

    whole: Float[np.ndarray, " column"]
    without: Float[np.ndarray, "column recording"]
    deviations: Float[np.ndarray, "column clip"]
    """Of each clip from the mean, where clips are pairs, which two recordings are left out with; else none."""
    effective: float
    """Recordings of equal size that would say as much."""
    clips: int


def interval(scores: Shaped[np.ndarray, " clip"], recording: Recordings, score: Score = np.asarray) -> Interval:
    """The `score` of a mean over clips."""
    means, count = _means([scores], recording)
    value = float(score(means.whole[0]))
    if count < _LEAST_RECORDINGS:
        return Interval(value, None, None, count)
    if scores.min() < 0 or scores.max() > 1:
        spread = _spread(means, lambda mean: score(mean[0]))
        return Interval(value, value - spread, value + spread, count)
    mean = means.whole[0]
    if mean in (0, 1):  # no recording differs, so that there is no spread to judge by: Clopper & Pearson (1934)
        beyond = float(((1 - _LEVEL) / 2) ** (1 / means.effective))
        ends = (beyond, 1.0) if mean else (0.0, 1 - beyond)
    else:
        # Half a clip more on either side, because a recording may hold all that fail.
        def odds(mean):
            return special.logit((mean[0] * means.clips + 0.5) / (means.clips + 1))

        centre, spread = special.logit(mean), _spread(means, odds)
        ends = special.expit([centre - spread, centre + spread])
    low, high = (float(score(np.float64(end))) for end in ends)
    return Interval(value, low, high, count)


def difference(
    ours: Shaped[np.ndarray, " clip"],
    theirs: Shaped[np.ndarray, " clip"],
    recording: Recordings,
    score: Score = np.asarray,
) -> Interval:
    """Difference of the `score` of two means over the same clips."""
    means, count = _means([ours, theirs], recording)

    def compare(mean):
        return score(mean[0]) - score(mean[1])

    value = float(compare(means.whole))
    if count < _LEAST_RECORDINGS:
        return Interval(value, None, None, count)
    spread = _spread(means, compare)
    return Interval(value, value - spread, value + spread, count)


def _means(columns: list[np.ndarray], recording: np.ndarray) -> tuple[_Means, int]:
    names, group = np.unique(recording, return_inverse=True)
    group = group.reshape(recording.shape)
    pairs = recording.ndim == 2
    count, clips = len(names), len(recording)
    scores = np.asarray(columns, np.float64)
    if pairs:
        alone = group[:, 0] == group[:, 1]  # a recording with itself is in one group only
        sums = np.stack([np.bincount(group[:, 0], of, count) for of in scores])
        sums += np.stack([np.bincount(group[:, 1], of * ~alone, count) for of in scores])
        sizes = np.bincount(group[:, 0], minlength=count) + np.bincount(group[:, 1], ~alone, count)
    else:
        sums = np.stack([np.bincount(group, of, count) for of in scores])
        sizes = np.bincount(group, minlength=count)
    left = np.maximum(clips - sizes, 1)
    return (
        _Means(
            scores.mean(axis=1),
            (scores.sum(axis=1, keepdims=True) - sums) / left,
            scores - scores.mean(axis=1, keepdims=True) if pairs else np.empty((len(scores), 0)),
            float(sizes.sum() ** 2 / (sizes**2).sum()),
            clips,
        ),
        count,
    )


def _spread(means: _Means, score: Callable[[np.ndarray], np.ndarray]) -> float:
    """Half the width of the interval."""
    whole, without = score(means.whole), score(means.without)
    count = len(without)
    variance = (count - 1) / count * np.sum((without - whole) ** 2)
    if means.deviations.size:
        # A pair is left out with either of its recordings, so that what is its own is counted twice.
        own = np.sum((score(means.whole[:, None] + means.deviations / means.clips) - whole) ** 2)
        variance = max(variance - own, own)
    return float(stats.t.ppf((1 + _LEVEL) / 2, max(1.0, means.effective - 1)) * np.sqrt(variance))
