"""How right the answers of a model are, as its users get them: effect, settings and "no effect".

Conventions
    Probabilities of effects are those if there was one; settings are those of the true effect. NLL is in nats, less is
    better: log(effects) is a guess at an effect, 0 a uniform density of a setting. Intervals are over recordings
    (`analysis.metrics.confidence`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.metrics import calibration, confidence
from analysis.metrics.confidence import Interval

COVERED = 0.9
"""Level of the intervals whose coverage is told."""
_LEAST = 1e-12


class Answers(NamedTuple):
    """What was said of clips, and what is true."""

    effect: Float[np.ndarray, "clip effect"]
    settings: tuple[Float[np.ndarray, "clip parameter bin"], ...]
    """Of each effect, were the clip of it."""
    no_effect: Float[np.ndarray, " clip"]
    no_effect_of_dry: Float[np.ndarray, " clip"]
    """The same of the clips before the effect."""
    truth: Int[np.ndarray, " clip"]
    normalized: Float[np.ndarray, "clip some"]
    """Settings of the true effect, then NaN."""
    audible: Bool[np.ndarray, " clip"]
    recording: Int[np.ndarray, " clip"]

    def select(self, chosen: Bool[np.ndarray, " clip"]) -> "Answers":
        """Of some clips."""
        return Answers(*(tuple(s[chosen] for s in part) if isinstance(part, tuple) else part[chosen] for part in self))


def accuracy(answers: Answers) -> Interval:
    """Share of clips whose likeliest effect is the right one."""
    return confidence.interval((answers.effect.argmax(axis=1) == answers.truth).astype(float), answers.recording)


def accuracy_if_audible(answers: Answers) -> Interval:
    """The same of the clips that can be told from the clips before the effect."""
    return accuracy(answers.select(answers.audible))


def effect_nll(answers: Answers) -> Interval:
    """Negative log-likelihood of the effect."""
    found = answers.effect[np.arange(len(answers.truth)), answers.truth]
    return confidence.interval(-np.log(found + _LEAST), answers.recording)


def settings_r2(answers: Answers) -> float:
    """R² of the expected value of each setting, averaged over the settings of all effects; 0 is a constant."""
    found = []
    for densities, own, values in _of_settings(answers):
        if own.sum() > 1:
            found.append(1 - np.mean((values - calibration.mean(densities)) ** 2) / values.var())
    return float(np.mean(found))


def settings_nll(answers: Answers) -> Interval:
    """Negative log-likelihood of one setting."""
    nll, recording = [], []
    for densities, own, values in _of_settings(answers):
        nll.append(calibration.negative_log_likelihood(np.maximum(densities, _LEAST), values))
        recording.append(answers.recording[own])
    return confidence.interval(np.concatenate(nll), np.concatenate(recording))


def coverage(answers: Answers) -> float:
    """Share of settings that are in their interval of `COVERED`."""
    shares, counts = [], []
    for densities, _, values in _of_settings(answers):
        shares.append(calibration.coverage(densities, values, COVERED))
        counts.append(len(values))
    return float(np.average(shares, weights=counts))


def no_effect_of_dry(answers: Answers) -> Interval:
    """Share of the clips before the effect of which "no effect" is the likelier answer."""
    return confidence.interval((answers.no_effect_of_dry > 0.5).astype(float), answers.recording)


def no_effect_if_inaudible(answers: Answers) -> Interval | None:
    """The same of clips whose effect cannot be heard; None where there are none."""
    return _no_effect(answers.select(~answers.audible))


def no_effect_if_audible(answers: Answers) -> Interval | None:
    """The same of clips whose effect can be heard: false alarms."""
    return _no_effect(answers.select(answers.audible))


def _no_effect(answers: Answers) -> Interval | None:
    if not len(answers.truth):
        return None
    return confidence.interval((answers.no_effect > 0.5).astype(float), answers.recording)


def _of_settings(answers: Answers) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Densities, mask of the clips and values of each setting of each effect that there are clips of."""
    for index, densities in enumerate(answers.settings):
        own = answers.truth == index
        for parameter in range(densities.shape[1] if own.any() else 0):
            yield densities[own, parameter], own, answers.normalized[own, parameter].astype(np.float64)
