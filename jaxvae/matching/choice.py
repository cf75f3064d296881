"""Choice among renders by minimum expected distance: the one that is nearest to what the answer may be.

Samples of a posterior, rendered, stand for what the target may sound like. The best answer is the candidate whose mean
distance to them is the least (minimum Bayes risk, Kumar & Byrne 2004). All are renders of the recording that is to
sound like the target, so nothing of what the reference plays is in them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Choice(NamedTuple):
    """Candidates that sound different, the answer first."""

    candidate: Int[np.ndarray, " answer"]
    weight: Float[np.ndarray, " answer"]
    """Probability of the samples that are nearer to it than to the others; the sum is 1."""
    expected: Float[np.ndarray, " answer"]
    """Mean distance of each to all samples."""


def choose(
    distance: Float[np.ndarray, "candidate sample"], weight: Float[np.ndarray, " sample"], answers: int = 1
) -> Choice:
    """The candidate of least expected distance, and others that bring the most samples nearer to one of all chosen.

    Weights of samples sum to 1. There are fewer answers where no other candidate brings anything nearer.

    Raises:
        ValueError: a distance is not finite.
    """
    if not np.isfinite(distance).all():
        raise ValueError("a distance between renders is not finite; leave out renders that cannot be used")
    expected = distance @ weight
    chosen = [int(np.argmin(expected))]
    while len(chosen) < answers:
        nearest = distance[chosen].min(axis=0)
        left = np.minimum(distance, nearest[None]) @ weight
        best = int(np.argmin(left))
        if best in chosen or left[best] >= (1 - _LEAST_GAIN) * (nearest @ weight):
            break
        chosen.append(best)
    owner = distance[chosen].argmin(axis=0)
    shares = np.bincount(owner, weight, len(chosen))
    return Choice(np.array(chosen), shares, expected[chosen])


_LEAST_GAIN = 0.05
"""Share of the expected distance that a further answer has to take away."""


def allocate(probability: Float[np.ndarray, " effect"], samples: int) -> Int[np.ndarray, " effect"]:
    """How many of so many samples each effect has, by its probability: the largest remainders are rounded up."""
    quota = probability / probability.sum() * samples
    counts = np.floor(quota).astype(int)
    order = np.argsort(-(quota - counts), kind="stable")
    counts[order[: samples - counts.sum()]] += 1
    return counts
