"""Calibration figures on distributions whose scores have a closed form."""

import numpy as np
import pytest
from scipy import stats

from analysis.metrics import calibration

RNG = np.random.default_rng(0)
UNIFORM = np.full((2_000, 32), 1 / 32, np.float32)
HALF = np.repeat([[0, 1 / 16, 0]], 2_000, axis=0).repeat([8, 16, 8], axis=1).astype(np.float32)  # [.25, .75] of 32 bins
EVERYWHERE = ((np.arange(2_000) + 0.5) / 2_000).astype(np.float32)  # uniform truth without luck
CENTRAL = 0.25 + EVERYWHERE / 2


def test_likelihood_of_a_uniform_density_is_zero_and_of_half_of_it_log_two():
    truth = np.array([0.0, 0.3, 1.0], np.float32)
    np.testing.assert_allclose(calibration.negative_log_likelihood(UNIFORM[:3], truth), 0, atol=1e-6)
    scores = calibration.negative_log_likelihood(HALF[:3], truth)
    assert scores == pytest.approx([np.inf, -np.log(2), np.inf])


def test_likelihood_is_the_density_of_a_beta_distribution_in_the_limit_of_fine_bins():
    shape = stats.beta(2.5, 4)
    probabilities = np.diff(shape.cdf(np.linspace(0, 1, 4_001)))[None].repeat(50, axis=0)
    truth = RNG.uniform(0.05, 0.95, 50)
    np.testing.assert_allclose(
        calibration.negative_log_likelihood(probabilities, truth), -shape.logpdf(truth), atol=2e-2
    )
    np.testing.assert_allclose(calibration.cumulative(probabilities, truth), shape.cdf(truth), atol=1e-6)
    np.testing.assert_allclose(calibration.mean(probabilities), 2.5 / 6.5, atol=1e-6)


def test_expected_negative_log_likelihood_is_least_for_the_true_probabilities():
    probabilities = RNG.dirichlet(np.ones(8), size=1)
    truth = (RNG.choice(8, size=4_000, p=probabilities[0]) + RNG.uniform(size=4_000)) / 8
    score = {
        power: calibration.negative_log_likelihood(
            (probabilities**power / np.sum(probabilities**power)).repeat(4_000, axis=0), truth
        ).mean()
        for power in (0.5, 1.0, 2.0)
    }
    assert score[1.0] == min(score.values())
    entropy = -np.sum(probabilities * np.log(8 * probabilities))
    assert score[1.0] == pytest.approx(entropy, abs=0.05)


def test_coverage_is_the_level_where_truths_are_drawn_from_the_prediction():
    probabilities = RNG.dirichlet(np.full(16, 0.5), size=4_000)
    chosen = (probabilities.cumsum(axis=1) > RNG.uniform(size=(4_000, 1))).argmax(axis=1)
    truth = (chosen + RNG.uniform(size=4_000)) / 16
    for level in (0.5, 0.8, 0.9):
        assert calibration.coverage(probabilities, truth, level) == pytest.approx(level, abs=0.03)
    assert calibration.expected_calibration(probabilities, truth) < 0.02
    assert stats.kstest(calibration.cumulative(probabilities, truth), "uniform").pvalue > 0.01


def test_too_sure_covers_half_of_the_level_and_too_timid_twice_the_level():
    for level in (0.2, 0.5, 0.8):
        assert calibration.coverage(UNIFORM, EVERYWHERE, level) == pytest.approx(level, abs=0.002)
        assert calibration.coverage(HALF, EVERYWHERE, level) == pytest.approx(level / 2, abs=0.002)
        assert calibration.coverage(UNIFORM, CENTRAL, level) == pytest.approx(min(1, 2 * level), abs=0.002)
    assert calibration.expected_calibration(UNIFORM, EVERYWHERE) == pytest.approx(0, abs=0.002)
    assert calibration.expected_calibration(HALF, EVERYWHERE) == pytest.approx(0.25, abs=0.002)
    assert calibration.expected_calibration(UNIFORM, CENTRAL) == pytest.approx(2.5 / 9, abs=0.002)


def test_mean_of_a_sure_clip_is_the_centre_of_its_bin():
    assert calibration.mean(np.eye(4)) == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_what_is_no_distribution_or_no_setting_is_refused():
    truth = np.full(3, 0.5)
    with pytest.raises(ValueError, match="sum to 1"):
        calibration.negative_log_likelihood(np.ones((3, 4)), truth)
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        calibration.cumulative(UNIFORM[:3], np.array([0.5, np.nan, 0.5]))
    with pytest.raises(ValueError, match="level is 90"):
        calibration.coverage(UNIFORM[:3], truth, 90.0)
