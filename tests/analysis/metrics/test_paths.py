"""Path and ring figures on shapes whose values are known."""

import numpy as np
import pytest
from scipy import interpolate

from analysis.metrics import paths

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


def line(t):
    return t, 2 * t


def arc(turns, growth=0.0):
    """An arc of so many turns, whose radius grows from 1 to 1 + growth."""
    return lambda t: tuple((1 + growth * t) * f(2 * np.pi * turns * t) for f in (np.cos, np.sin))


def oriented(position):
    """Positions along a curve, turned so that the last setting is further than the first."""
    return position if position[0] < position[-1] else position.max() - position


def walk(settings=15):
    return np.cumsum(RNG.normal(size=(settings, 64)), axis=0)


def test_a_bent_path_that_never_turns_back_is_monotone():
    for shape in (
        line,
        lambda t: (t**3, 0 * t),
        lambda t: (t, 0.4 * np.sin(6 * t)),
        arc(0.5),
        arc(0.75),
        arc(0.75, growth=2.0),  # a spiral
        arc(0.9),
        arc(0.9, growth=1.0),
    ):
        assert paths.monotonicity(along(shape)) == pytest.approx(1.0)


def test_a_path_that_returns_is_not_monotone():
    assert paths.monotonicity(along(lambda t: (np.abs(t - 0.5), 0.01 * t))) < 0.1
    assert paths.monotonicity(along(arc(1.0))) < 0.75


@pytest.mark.parametrize(
    ("shape", "length", "tolerance"),
    [(line, np.sqrt(5), 0.001), (arc(0.5), np.pi, 0.03), (arc(0.75), 1.5 * np.pi, 0.07), (arc(0.9), 1.8 * np.pi, 0.12)],
    ids=["line", "half circle", "three quarters", "nine tenths"],
)
def test_arc_length_is_the_length_walked_whatever_the_order(shape, length, tolerance):
    path = along(shape, 20)
    order = RNG.permutation(20)
    found = oriented(paths.arc_length(path))
    np.testing.assert_allclose(oriented(paths.arc_length(path[order])[np.argsort(order)]), found, atol=3e-4)
    np.testing.assert_allclose(found, np.linspace(0, length, 20), atol=tolerance * length)


def test_points_off_the_curve_take_the_nearest_place_on_it():
    path = in_latent_space(np.stack([np.linspace(0, 1, 30), 0.02 * (-1.0) ** np.arange(30)], axis=-1))
    np.testing.assert_allclose(oriented(paths.arc_length(path)), np.linspace(0, 1, 30), atol=0.01)


def test_smoothing_spline_is_that_of_scipy():
    place, values = np.sort(RNG.uniform(size=12)), RNG.normal(size=(12, 3))
    weight, fine = RNG.integers(1, 4, size=12), np.linspace(place[0], place[-1], 50)
    expected = interpolate.make_smoothing_spline(place, values, w=weight.astype(float), lam=1e-3)(fine)
    np.testing.assert_allclose(paths._smoothing_spline(place, values, weight, 1e-3)(fine), expected, atol=1e-8)


def test_settings_that_sound_the_same_share_a_place():
    path = along(lambda t: (np.maximum(t - 0.5, 0), 0 * t), 21)
    assert np.ptp(paths.arc_length(path)[:11]) == pytest.approx(0, abs=1e-9)
    # 11 of 21 ranks tie: Spearman is sqrt(1 - (11^3 - 11) / (21^3 - 21))
    assert paths.monotonicity(path) == pytest.approx(np.sqrt(1 - 1_320 / 9_240))
    for places in (2, 3, 5):
        switch = in_latent_space(np.repeat(np.arange(places)[:, None] ** 1.5, 15 // places, axis=0))
        ties = places * ((15 // places) ** 3 - 15 // places) / (len(switch) ** 3 - len(switch))
        assert paths.monotonicity(switch) == pytest.approx(np.sqrt(1 - ties))


def test_points_without_order_score_as_ranks_by_chance():
    found = [paths.monotonicity(RNG.normal(size=(20, 64))) for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.8 / np.sqrt(19), abs=0.03)


def test_a_random_walk_is_ordered_and_not_smooth():
    assert np.mean([paths.monotonicity(walk()) for _ in range(20)]) > 0.9
    assert np.mean([paths.smoothness(walk()) for _ in range(200)]) == pytest.approx(0, abs=0.02)


def test_smoothness_of_even_steps_noise_hops_and_bends():
    assert paths.smoothness(along(line)) == pytest.approx(1.0)
    assert paths.smoothness(along(arc(0.5), 19)) == pytest.approx(np.cos(np.pi / 18))  # each step turns by 10 degrees
    noise = RNG.normal(size=(200, 15, 64))
    assert np.mean([paths.smoothness(path) for path in noise]) == pytest.approx(-0.5, abs=0.02)
    assert paths.smoothness(in_latent_space(np.arange(12)[:, None] % 2.0)) == pytest.approx(-1.0)
    uneven = along(lambda t: (np.cumsum(1.0 + np.arange(15) % 2), 0 * t))  # steps 2 1 2 1 ...: 2 x 2 / (4 + 1)
    assert paths.smoothness(uneven) == pytest.approx(0.8)


def test_closure_of_ring_line_and_arcs():
    assert paths.closure(along(arc(1.0))) == pytest.approx(0, abs=1e-6)
    assert paths.closure(along(line)) == pytest.approx(1.0)
    assert paths.closure(along(arc(0.5))) == pytest.approx(1.0)
    assert paths.closure(along(arc(0.75), 49)) == pytest.approx(np.sqrt(0.5))  # ends a right angle apart, on a diameter
    assert paths.closure(along(lambda t: (np.abs(t - 0.5), 0 * t))) == pytest.approx(0, abs=1e-6)


def test_length_per_step_of_a_half_circle():
    assert paths.length_per_step(along(arc(0.5), 200), 10.0) == pytest.approx(np.pi / 10, rel=1e-3)
    assert np.isnan(paths.length_per_step(along(line), 0.0))


def test_random_order_scores_as_the_docstring_says():
    scores = [paths.monotonicity(RNG.normal(size=(15, 64))) for _ in range(100)]
    assert np.mean(scores) == pytest.approx(0.8 / np.sqrt(14), abs=0.05)  # standard error .015


def test_monotonicity_ignores_direction_and_survives_noise():
    path = in_latent_space(np.stack([np.linspace(0, 1, 20), np.zeros(20)], axis=-1), noise=0.01)
    assert paths.monotonicity(path) > 0.98
    assert paths.monotonicity(path) == pytest.approx(paths.monotonicity(path[::-1]))


def test_a_parameter_that_moves_nothing_has_no_score():
    still = np.tile(RNG.normal(size=64), (15, 1)) + 1e-7 * RNG.normal(size=(15, 64))
    assert np.isnan(paths.monotonicity(still))
    assert np.all(paths.arc_length(still) == 0)
    for score in (paths.straightness, paths.smoothness, paths.closure):
        assert np.isnan(score(still))


def test_straightness_of_line_semicircle_and_return():
    assert paths.straightness(along(lambda t: (t, 2 * t))) == pytest.approx(1.0)
    assert paths.straightness(along(lambda t: (np.cos(np.pi * t), np.sin(np.pi * t)), 200)) == pytest.approx(
        2 / np.pi, rel=1e-3
    )
    assert paths.straightness(along(lambda t: (np.abs(t - 0.5), 0 * t))) == pytest.approx(0.0, abs=1e-6)


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


@pytest.mark.parametrize(
    ("radius", "turn", "gap", "ring"),
    [
        (lambda n: 1 + 0.05 * RNG.normal(size=n), 360, 360 * 0.02, True),
        (lambda n: 1 + 0.05 * RNG.normal(size=n), 180, 68.6, False),  # ends at (1.41, -2.07) when whitened
        (lambda n: 1 + 0.05 * RNG.normal(size=n), 270, 52.8, False),  # ends at (-1.83, 0.91)
        (lambda n: np.sqrt(RNG.uniform(size=n)), 360, 360 * 0.02, False),
        (lambda n: np.sqrt(-2 * np.log(RNG.uniform(size=n))), 360, 360 * 0.02, False),
    ],
    ids=["ring", "half", "three quarters", "disc", "gaussian"],
)
def test_rings_are_told_from_bent_bands_and_full_clouds(radius, turn, gap, ring):
    count = 10_000
    r, angle = radius(count), np.deg2rad(turn * RNG.uniform(size=count))
    cloud = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)
    cloud[:50] = RNG.normal(size=(50, 2))  # strays
    sheared = cloud @ np.array([[3.0, 1.0], [0.0, 0.3]]) + 7.0
    assert paths.is_ring(cloud) == paths.is_ring(sheared) == ring
    assert paths.angular_gap(cloud) == pytest.approx(gap, abs=6)


def test_shapes_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="lies on a line"):
        paths.centre_occupancy(np.outer(np.arange(10.0), [1.0, 2.0]))
    with pytest.raises(ValueError, match=r"shape \(10, 3\)"):
        paths.centre_occupancy(np.ones((10, 3)))
    with pytest.raises(ValueError, match="at least 3"):
        paths.monotonicity(np.ones((2, 4)))
    with pytest.raises(ValueError, match="no successive steps"):
        paths.smoothness(np.ones((2, 4)))
