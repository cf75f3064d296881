"""Path and ring figures on shapes whose values are known."""

import numpy as np
import pytest

from analysis import paths

RNG = np.random.default_rng(0)
ROTATION = np.linalg.qr(RNG.normal(size=(64, 64)))[0]


def in_latent_space(plane, noise=0.0):
    """A plane shape, rotated into 64 dimensions, far from the origin."""
    latent = np.zeros((len(plane), 64))
    latent[:, : plane.shape[1]] = plane
    return latent @ ROTATION + 7.0 + noise * RNG.normal(size=latent.shape)


def along(shape, settings=15):
    t = np.linspace(0, 1, settings)
    return in_latent_space(np.stack(shape(t), axis=-1))


def test_a_bent_path_that_never_turns_back_is_monotone():
    for shape in (
        lambda t: (t, 0 * t),
        lambda t: (t**3, 0 * t),
        lambda t: (t, 0.4 * np.sin(3 * t)),
        lambda t: (np.cos(np.pi * t), np.sin(np.pi * t)),
    ):
        assert paths.monotonicity(along(shape)) == pytest.approx(1.0)


def test_a_path_that_returns_is_not_monotone():
    assert paths.monotonicity(along(lambda t: (np.abs(t - 0.5), 0.01 * t))) < 0.1
    assert paths.monotonicity(along(lambda t: (np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)))) < 0.75


def test_random_order_scores_as_the_docstring_says():
    scores = [paths.monotonicity(RNG.normal(size=(15, 64))) for _ in range(400)]
    assert np.mean(scores) == pytest.approx(0.8 / np.sqrt(14), abs=0.03)


def test_monotonicity_ignores_direction_and_survives_noise():
    path = in_latent_space(np.stack([np.linspace(0, 1, 20), np.zeros(20)], axis=-1), noise=0.01)
    assert paths.monotonicity(path) > 0.98
    assert paths.monotonicity(path) == pytest.approx(paths.monotonicity(path[::-1]))


def test_a_parameter_that_moves_nothing_has_no_score():
    still = np.tile(RNG.normal(size=64), (15, 1)) + 1e-7 * RNG.normal(size=(15, 64))
    assert np.isnan(paths.monotonicity(still))
    assert np.isnan(paths.straightness(still))


def test_straightness_of_line_semicircle_and_return():
    assert paths.straightness(along(lambda t: (t, 2 * t))) == pytest.approx(1.0)
    assert paths.straightness(along(lambda t: (np.cos(np.pi * t), np.sin(np.pi * t)), 200)) == pytest.approx(
        2 / np.pi, rel=1e-3
    )
    assert paths.straightness(along(lambda t: (np.abs(t - 0.5), 0 * t))) == pytest.approx(0.0, abs=1e-6)


def test_extent_is_the_ratio_of_sizes():
    cloud = RNG.normal(size=(500, 64))
    assert paths.extent(cloud, cloud) == pytest.approx(1.0)
    assert paths.extent(0.1 * cloud + 5.0, cloud) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("radius", "expected"),
    [
        (lambda n: np.sqrt(RNG.uniform(size=n)), 1.0),
        (lambda n: np.sqrt(-2 * np.log(RNG.uniform(size=n))), (1 - 2**-0.25) / 0.125),  # Rayleigh: closed form
        (lambda n: 1 + 0.1 * RNG.normal(size=n), 0.0),
    ],
    ids=["disc", "gaussian", "ring"],
)
def test_centre_occupancy_of_known_clouds_however_stretched(radius, expected):
    r, angle = radius(40_000), RNG.uniform(0, 2 * np.pi, 40_000)
    cloud = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)
    assert paths.centre_occupancy(cloud) == pytest.approx(expected, abs=0.03)
    sheared = cloud @ np.array([[9.0, 2.0], [0.0, 0.3]]) - 40.0
    assert paths.centre_occupancy(sheared) == pytest.approx(paths.centre_occupancy(cloud), abs=0.002)


def test_shapes_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="lies on a line"):
        paths.centre_occupancy(np.outer(np.arange(10.0), [1.0, 2.0]))
    with pytest.raises(ValueError, match=r"shape \(10, 3\)"):
        paths.centre_occupancy(np.ones((10, 3)))
    with pytest.raises(ValueError, match="at least 3"):
        paths.monotonicity(np.ones((2, 4)))
