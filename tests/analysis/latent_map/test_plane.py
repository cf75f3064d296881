"""Places of points: laws of means over neighbours, of the turn of a map, and of points placed among others."""

import numpy as np
import pytest

from analysis.latent_map import plane


def test_a_point_keeps_its_own_value_and_weights_are_shares():
    distance = np.array([[0.0, 0.3, 0.5, 0.9], [0.1, 0.2, 0.4, 0.4]])
    found = plane.weights(distance)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], [1, 0, 0], atol=1e-9)
    expected = np.array([1 / 0.1 - 1 / 0.4, 1 / 0.2 - 1 / 0.4, 0])
    np.testing.assert_allclose(found[1], expected / expected.sum(), rtol=1e-6)


def test_weights_are_inverse_distances_where_no_point_is_beyond_and_shares_where_all_are_as_far():
    found = plane.weights(np.array([1.0, 2.0, 4.0, np.inf]))
    np.testing.assert_allclose(found, np.array([4, 2, 1]) / 7, rtol=1e-6)
    np.testing.assert_allclose(plane.weights(np.full(4, 0.7)), np.full(3, 1 / 3))


def test_neighbours_are_those_of_an_exhaustive_search_across_blocks(monkeypatch):
    monkeypatch.setattr(plane, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    points, query = (rng.normal(size=(count, 5)).astype(np.float32) for count in (40, 6))
    distance, index = plane.neighbours(query, points, 11)
    every = np.linalg.norm(query[:, None] - points[None], axis=2)
    np.testing.assert_array_equal(index, np.argsort(every, axis=1)[:, :11])
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :11], rtol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 1.0, 2.5, 4.0])
def test_a_turned_and_mirrored_cloud_is_turned_back(angle, mirrored):
    rng = np.random.default_rng(1)
    upright = rng.uniform(-1, 1, (2_000, 2)) * (1.0, 0.6)
    strength, octave = upright[:, 1] + 1, 3 * upright[:, 0]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    given = (upright * ((-1, 1) if mirrored else (1, 1))) @ turn.T * 7 + (30, -5)
    found = plane.oriented(given, strength, octave)
    assert np.abs(found).max() == pytest.approx(1)
    np.testing.assert_allclose(found, plane.oriented(upright, strength, octave), atol=1e-9)
    # Not 1: the 2 % with the least effect are 40 points, whose mean is not quite below the middle.
    assert np.corrcoef(found[:, 1], strength)[0, 1] > 0.95
    assert np.corrcoef(found[:, 0], octave)[0, 1] > 0.95
    # Distances keep their proportions: one scale for both axes.
    ratio = np.linalg.norm(found[1:] - found[:-1], axis=1) / np.linalg.norm(upright[1:] - upright[:-1], axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_points_beyond_the_fitted_ones_and_the_dry_clip_are_placed_among_their_neighbours():
    rng = np.random.default_rng(2)
    latent = rng.normal(size=(150, 4)).astype(np.float32)
    latent[120:] = latent[:30]
    strength = np.linalg.norm(latent, axis=1)
    found = plane.lay_out(latent, strength, 500 * np.exp(latent[:, 0]), latent[7], 0, fitted=120)
    np.testing.assert_allclose(found.place[120:], found.place[:30], atol=1e-5)
    np.testing.assert_allclose(found.dry_place, found.place[7], atol=1e-5)
    assert np.abs(found.place).max() <= 1
    again = plane.lay_out(latent, strength, 500 * np.exp(latent[:, 0]), latent[7], 0, fitted=120)
    np.testing.assert_array_equal(found.place, again.place)
    assert found.figures.strength_up == pytest.approx(np.corrcoef(found.place[:, 1], strength)[0, 1], abs=1e-5)
