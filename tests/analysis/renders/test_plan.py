"""Plans: which dry clips and settings are rendered."""

import dataclasses

import numpy as np
import pytest

from analysis.renders.plan import (
    draw_dry,
    fixed_settings,
    pair_settings,
    pairs,
    random_settings,
    spread_dry,
    sweep_settings,
)


def test_every_effect_meets_the_same_dry_clips(data, kinds):
    dry = draw_dry(data.split("test"), 5, seed=0)
    for plan in (random_settings(kinds, dry, seed=0), fixed_settings(kinds, dry)):
        for index, kind in enumerate(kinds):
            own = plan.effect == index
            np.testing.assert_array_equal(plan.dry[own], dry)
            assert np.isfinite(plan.normalized[own, : len(kind.parameters)]).all()
            assert np.isnan(plan.normalized[own, len(kind.parameters) :]).all()


def test_dry_clips_repeat_only_after_all_have_come(data):
    split = data.split("test")
    crops = len(np.unique(split.start))
    drawn = split.start[draw_dry(split, 2 * crops, seed=3)]
    assert sorted(drawn[:crops]) == np.unique(split.start).tolist() == sorted(drawn[crops:])
    assert (draw_dry(split, 5, seed=3) == draw_dry(split, 5, seed=3)).all()


@pytest.fixture
def split(data):
    """Clips of three recordings, of which one has most."""
    test = data.split("test")
    recording, start = np.array([4, 4, 4, 4, 4, 7, 7, 9], np.int32), 1_000 * np.arange(8)
    return dataclasses.replace(test, recipe=test.recipe._replace(recording=recording, start=start))


def test_dry_clips_are_spread_over_recordings(split):
    drawn = spread_dry(split, 6, seed=0)
    assert sorted(split.recording[drawn[:3]]) == [4, 7, 9]
    assert sorted(split.recording[drawn[3:5]]) == [4, 7]
    assert sorted(spread_dry(split, 99, seed=0)) == list(range(8))


def test_pairs_differ_in_the_recording_only(split, kinds):
    plan = pair_settings(kinds, split, 30, seed=0)
    first, second = pairs(plan)
    np.testing.assert_array_equal(first, 2 * np.arange(30))
    np.testing.assert_array_equal(second, first + 1)
    np.testing.assert_array_equal(plan.normalized[first], plan.normalized[second])
    np.testing.assert_array_equal(plan.effect[first], plan.effect[second])
    assert (split.recording[plan.dry[first]] != split.recording[plan.dry[second]]).all()
    assert np.bincount(plan.effect).tolist() == [30, 30]
    assert len(np.unique(plan.normalized[first, 0])) == 30
    kept = np.setdiff1d(np.arange(60), [4, 9])  # of pairs 2 and 4 one cannot be used
    first, second = pairs(plan.select(kept))
    np.testing.assert_array_equal(kept[first], np.setdiff1d(2 * np.arange(30), [4, 8]))


def test_fixed_settings_are_the_middle_and_random_ones_fill_the_range(kinds):
    fixed = fixed_settings(kinds, np.arange(4)).normalized
    drawn = random_settings(kinds, np.arange(500), seed=0).normalized
    assert (fixed[~np.isnan(fixed)] == 0.5).all()
    assert np.nanmean(drawn) == pytest.approx(0.5, abs=0.03)
    assert np.nanmin(drawn) < 0.01 and np.nanmax(drawn) > 0.99


def test_a_sweep_moves_one_parameter_over_its_whole_range(kinds):
    plan = sweep_settings(kinds, np.array([3, 1]), steps=7)
    assert len(plan.effect) == sum(len(kind.parameters) for kind in kinds) * 2 * 7
    for index, kind in enumerate(kinds):
        for moving in range(len(kind.parameters)):
            for clip in (3, 1):
                rows = (plan.effect == index) & (plan.moving == moving) & (plan.dry == clip)
                np.testing.assert_allclose(plan.normalized[rows, moving], np.linspace(0, 1, 7), atol=1e-6)
                others = np.delete(plan.normalized[rows, : len(kind.parameters)], moving, axis=1)
                assert (others == 0.5).all()
