"""Paths and clouds of known shape."""

import numpy as np
import pytest

from analysis.renders import material
from analysis.renders.plan import random_settings, sweep_settings
from analysis.sections import paths
from jaxvae.data import audio, dataset

from .labelled import KINDS, value


def plan_of(steps, dry):
    return sweep_settings(KINDS, np.array(dry), steps)


def test_straight_paths_score_one_and_a_parameter_that_does_nothing_scores_nothing():
    plan = plan_of(20, [3, 5])
    features = np.nan_to_num(plan.normalized) * (plan.moving != 2)[:, None]  # the third parameter of Delay does nothing
    recording = np.where(plan.dry == 3, 7, 9)
    scores = paths.along(features, plan, np.full(len(features), 2.0, np.float32), recording, {})
    for figure in ("monotonicity", "smoothness", "straightness", "closure"):
        assert value(scores, figure, "pedalboard/Delay/feedback") == pytest.approx(1, abs=1e-4)
        assert value(scores, figure, "pedalboard/Delay/mix") is None
        assert value(scores, figure, "all") == pytest.approx(1, abs=1e-4)
    # 19 steps of 2 dB are 38 just-audible ones, along a path of length 1.
    assert value(scores, "length_per_step", "pedalboard/Delay/feedback") == pytest.approx(1 / 38, rel=1e-4)


def test_a_mean_over_paths_keeps_its_clips():
    plan = plan_of(8, [3, 5])
    still = np.where(plan.dry == 5, np.random.default_rng(0).normal(size=len(plan.dry)), 0)[:, None]
    features = np.concatenate([np.nan_to_num(plan.normalized), 5 * still], axis=1)
    recording = np.where(plan.dry == 3, 7, 9)
    scores = paths.along(features, plan, np.ones(len(features), np.float32), recording, {})
    (mean,) = [score for score in scores if (score.figure, score.item) == ("straightness", "all")]
    assert mean.clips[0] == pytest.approx(1, abs=1e-4) and mean.clips[1] < 0.5
    np.testing.assert_array_equal(mean.recording, [7, 9])


def test_rings_are_found_in_the_cloud_of_their_effect():
    rng = np.random.default_rng(0)
    plan = random_settings(KINDS, np.zeros(400, int), 0)
    angle = rng.uniform(0, 2 * np.pi, len(plan.effect))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.02, (len(angle), 2))
    disc = ring * np.sqrt(rng.uniform(size=(len(angle), 1)))
    for cloud, expected in ((ring, 0.0), (disc, 1.0)):
        scores = paths.ring(cloud, plan, "ring_pca", lambda features: features)
        assert value(scores, "ring_pca", "pedalboard/Delay") == pytest.approx(expected, abs=0.35)
        assert value(scores, "ring_pca", "least") == value(scores, "ring_pca", "pedalboard/Delay")
        assert value(scores, "rings_pca", "all") == (expected == 0)
        assert len(scores) == 3  # one parameter draws a curve


def test_distances_along_a_path_do_not_stop_at_the_end_of_a_chunk(tiny):
    data = dataset.render(tiny, progress=False)
    rate = data.experiment.audio.sample_rate
    wet = audio.to_float(data.split("test").audio(np.arange(8)))
    whole, parts = material.Steps(rate), material.Steps(rate)
    expected = whole(wet, wet)
    found = np.concatenate([parts(part, part) for part in np.array_split(wet, 3)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert expected[0] == 0 and (expected[1:] > 0).all()
