"""Clips of two effects whose features tell as much as a test wants them to."""

import numpy as np

from analysis.metrics.probes import Labelled
from jaxvae import effects

KINDS = [effects.get("pedalboard/Distortion"), effects.get("pedalboard/Delay")]


def clips(count=400, seed=0, recordings=8):
    """Clips of two effects, with one and three parameters, whose features are yet to be made."""
    rng = np.random.default_rng(seed)
    effect = np.arange(count, dtype=np.int32) % 2
    normalized = rng.uniform(size=(count, 3)).astype(np.float32)
    normalized[effect == 0, 1:] = np.nan
    recording = (np.arange(count) // 2 % recordings + 100 * seed).astype(np.int32)
    return Labelled(np.zeros((count, 1), np.float32), effect, normalized, recording)


def featured(labelled, features):
    return labelled._replace(features=features.astype(np.float32))


def told(labelled):
    """Features that tell everything: effect and settings."""
    return featured(labelled, np.column_stack([labelled.effect, np.nan_to_num(labelled.normalized)]))


def value(scores, figure, item):
    (found,) = [score.value for score in scores if (score.figure, score.item) == (figure, item)]
    return found
