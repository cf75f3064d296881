"""Settings that features and heads tell, and those that they do not."""

import numpy as np
import pytest

from analysis.metrics.probes import Labelled
from analysis.sections import settings, table

from .labelled import KINDS, clips, featured, told, value


def test_settings_that_are_in_the_features_are_recovered_and_others_are_not():
    fit, held = told(clips(400)), told(clips(400, seed=1))
    for one in (fit, held):
        one.features[:, 3] = 0  # the last parameter of the second effect is not told
    scores = settings.of_recovered(settings.regressions(fit, held), held, KINDS, {})
    names = [f"{kind.name}/{parameter.name}" for kind in KINDS for parameter in kind.parameters]
    r2 = [value(scores, "r2", name) for name in names]
    np.testing.assert_allclose(r2[:3], 1, atol=1e-3)
    assert abs(r2[3]) < 0.05
    # The mean is over effects of the mean over parameters.
    assert value(scores, "r2", "all") == pytest.approx((r2[0] + np.mean(r2[1:])) / 2)
    assert value(scores, "mae", names[3]) == pytest.approx(0.25, abs=0.02)
    assert not any(score.item == "identifiable" or score.figure == "share_of_ceiling" for score in scores)


def test_a_ceiling_sets_apart_what_cannot_be_told():
    fit, held = told(clips(400)), told(clips(400, seed=1))
    fit.features[:, 3] = held.features[:, 3] = 0
    delay = [parameter.name for parameter in KINDS[1].parameters]
    ceiling = {KINDS[1].name: dict(zip(delay, (1.0, 0.5, 0.0), strict=True))}
    scores = settings.of_recovered(settings.regressions(fit, held), held, KINDS, ceiling)
    assert value(scores, "r2", "identifiable") == pytest.approx(1, abs=1e-3)
    assert value(scores, "r2", "all") < 0.9
    assert value(scores, "share_of_ceiling", "all") == pytest.approx(1, abs=1e-3)  # of two parameters, held to 1


def test_the_interval_of_a_mean_over_effects_is_around_the_mean():
    fit, held = told(clips(400)), told(clips(400, seed=1))
    held = Labelled(*(field[(held.effect == 0) | (np.arange(400) < 100)] for field in held))  # fewer of one effect
    noisy = np.random.default_rng(0).normal(0, 0.3, held.features.shape)
    held = featured(held, held.features + noisy)
    (score,) = [
        score
        for score in settings.of_recovered(settings.regressions(fit, held), held, KINDS, {})
        if (score.figure, score.item) == ("r2", "all")
    ]
    assert score.clips.mean() == pytest.approx(score.value)
    by_effect = [np.mean(one.explained) for one in settings.regressions(fit, held).values()]
    assert score.value == pytest.approx(np.mean(by_effect))
    found = table.entry("settings", "row", score)
    assert found.low < found.value < found.high and found.recordings == 8


def heads(labelled, bins, spread):
    """Probabilities of settings around the truth: all in its bin, or all over."""
    probabilities = []
    for index, kind in enumerate(KINDS):
        truth = np.nan_to_num(labelled.normalized[:, : len(kind.parameters)]) * (labelled.effect == index)[:, None]
        exact = np.eye(bins)[np.minimum((truth * bins).astype(int), bins - 1)]
        probabilities.append((1 - spread) * exact + spread / bins)
    return probabilities


def test_heads_that_know_are_scored_by_what_their_bins_leave_open():
    held = told(clips(4_000))
    sure, unsure = heads(held, 16, 0.0), heads(held, 16, 1.0)
    scores = settings.of_recovered(settings.head(sure, held), held, KINDS, {}, "_head")
    # A uniform error within a bin: its variance against that of the setting, and its mean size.
    assert value(scores, "r2_head", "all") == pytest.approx(1 - 1 / 256, abs=1e-3)
    assert value(scores, "mae_head", "all") == pytest.approx(1 / 64, rel=0.05)
    nothing = settings.of_recovered(settings.head(unsure, held), held, KINDS, {}, "_head")
    assert value(nothing, "r2_head", "all") == pytest.approx(0, abs=0.01)
    for probabilities, nats in ((sure, -np.log(16)), (unsure, 0.0)):
        calibrated = settings.calibrated(probabilities, held, KINDS)
        assert value(calibrated, "nll", "pedalboard/Distortion/drive_db") == pytest.approx(nats, abs=1e-6)
        assert value(calibrated, "nll", "all") == pytest.approx(2 * nats, abs=1e-6)  # of 1 and of 3 parameters
        assert value(calibrated, "coverage_80", "all") == pytest.approx(0.8, abs=0.03)


def test_heads_of_effects_that_are_never_heard_have_no_calibration():
    nothing = told(clips(0))
    assert settings.calibrated([np.empty((0, 1, 4)), np.empty((0, 3, 4))], nothing, KINDS) == []
