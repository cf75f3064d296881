"""Choice by minimum expected distance: by enumeration, and what alternatives are for."""

import itertools

import numpy as np
import pytest

from jaxvae.matching import choice


def test_the_answer_has_the_least_expected_distance():
    rng = np.random.default_rng(0)
    for _ in range(20):
        distance, weight = rng.random((9, 7)), rng.dirichlet(np.ones(7))
        found = choice.choose(distance, weight)
        expected = [sum(distance[row, column] * weight[column] for column in range(7)) for row in range(9)]
        assert found.candidate.tolist() == [int(np.argmin(expected))]
        np.testing.assert_allclose(found.expected, [min(expected)])
        np.testing.assert_allclose(found.weight, [1.0])


def test_alternatives_cover_what_the_answer_leaves():
    places = np.concatenate([np.full(6, 0.0), np.full(3, 10.0), [20.0]])  # three sounds, of which one is likely
    distance = np.abs(places[:, None] - places[None])
    found = choice.choose(distance, np.full(10, 0.1), answers=3)
    assert places[found.candidate].tolist() == [0.0, 10.0, 20.0]
    np.testing.assert_allclose(found.weight, [0.6, 0.3, 0.1])
    best = min(
        distance[list(pair)].min(axis=0).mean() for pair in itertools.combinations(range(10), 2)
    )  # two answers leave no more than any two could
    assert distance[choice.choose(distance, np.full(10, 0.1), 2).candidate].min(axis=0).mean() == pytest.approx(best)


def test_there_are_no_alternatives_where_all_sounds_alike():
    assert len(choice.choose(np.full((5, 5), 1e-9), np.full(5, 0.2), answers=3).candidate) == 1


def test_a_distance_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        choice.choose(np.array([[0.0, np.nan]]), np.array([0.5, 0.5]))


def test_candidates_are_shared_out_by_probability():
    assert choice.allocate(np.array([0.5, 0.25, 0.25]), 16).tolist() == [8, 4, 4]
    assert choice.allocate(np.array([0.98, 0.01, 0.01]), 16).tolist() == [16, 0, 0]
    for probability in np.random.default_rng(0).dirichlet(np.ones(7), 50):
        counts = choice.allocate(probability, 16)
        assert counts.sum() == 16 and np.abs(counts - 16 * probability).max() < 1
