"""Settings between points, and where a sound belongs."""

import numpy as np
import pytest

from analysis.latent_map.blend import Surface


@pytest.fixture(scope="module")
def surface():
    """400 points of one effect, whose settings are smooth over the plane but for some noise."""
    rng = np.random.default_rng(0)
    place = rng.uniform(-1, 1, (400, 2)).astype(np.float32)
    smooth = 0.5 + 0.3 * np.stack([place[:, 0], place[:, 0] * place[:, 1], np.sin(place[:, 1])], axis=1)
    predicted = (smooth + rng.normal(size=smooth.shape) * 0.02).astype(np.float32)
    latent = np.concatenate([place, place**2], axis=1).astype(np.float32)
    settings = rng.random((400, 3)).astype(np.float32)
    return Surface(place, np.zeros(400, np.uint8), settings, predicted, latent, np.hypot(*(place + 1).T))


def test_at_a_point_the_blend_is_its_own(surface):
    for point in range(0, 400, 7):
        found = surface.blend(*surface.place[point].tolist())
        assert found.nearest == point
        np.testing.assert_allclose(found.settings, surface.predicted[point], atol=1e-6)


def test_between_points_the_blend_is_within_them_and_does_not_jump(surface):
    start, end = np.array([-0.9, -0.8]), np.array([0.9, 0.7])
    steps = 20_000
    path = [surface.blend(*(start + (end - start) * share)).settings for share in np.linspace(0, 1, steps)]
    path = np.array(path)
    assert path.min() >= surface.predicted.min() and path.max() <= surface.predicted.max()
    moved = np.abs(np.diff(path, axis=0)).max()
    length = np.hypot(*(end - start)) / steps
    assert moved / length < 5  # a setting per unit of the map; a jump of .001 would be 8


def test_amount_goes_from_the_least_effected_point_through_the_prediction_and_stays_in_range(surface):
    neutral = surface.settings[surface.neutral[0]]
    assert surface.neutral[0] == np.hypot(*(surface.place + 1).T).argmin()
    predicted = surface.predicted[5].astype(np.float64)
    np.testing.assert_allclose(surface.moved(0, predicted, 0.0), neutral, atol=1e-7)
    np.testing.assert_allclose(surface.moved(0, predicted, 1.0), predicted, atol=1e-7)
    np.testing.assert_allclose(surface.moved(0, predicted, 0.5), (neutral + predicted) / 2, atol=1e-7)
    beyond = surface.moved(0, np.ones(3), 1.5)
    np.testing.assert_array_equal(beyond, 1)
    for amount in (-0.1, 1.6, np.nan):
        with pytest.raises(ValueError, match=r"use 0 to 1\.5"):
            surface.moved(0, predicted, amount)


def test_a_latent_vector_of_a_point_belongs_there_and_one_between_two_in_between(surface):
    for point in range(0, 400, 50):
        found = surface.locate(surface._latent[point])
        assert found.neighbours[0] == point
        np.testing.assert_allclose(found.place, surface.place[point], atol=1e-5)
        assert found.radius < 1e-3
    found = surface.locate(np.array([0.1, 0.2, 0.01, 0.04], np.float32))
    np.testing.assert_allclose(found.place, [0.1, 0.2], atol=0.1)
    assert 0 < found.radius < 0.3


def test_of_several_effects_the_nearest_is_chosen_and_only_its_points_are_blended():
    place = np.array([[0, 0], [0.1, 0], [0.2, 0], [0.3, 0]], np.float32)
    effect = np.array([0, 1, 0, 1], np.uint8)
    predicted = np.array([[0.2, np.nan], [0.9, 0.9], [0.4, np.nan], [0.7, 0.5]], np.float32)
    surface = Surface(place, effect, predicted, predicted, place, np.arange(4.0))
    found = surface.blend(0.01, 0.0)
    assert found.effect == 0 and np.isnan(found.settings[1])
    expected = (0.2 / 0.01 + 0.4 / 0.19) / (1 / 0.01 + 1 / 0.19)
    assert found.settings[0] == pytest.approx(expected, rel=1e-4)
    assert surface.neutral == {0: 0, 1: 1}
