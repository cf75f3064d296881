"""Retrieval on made representations whose ranks are known."""

import numpy as np
import pytest

from analysis.metrics import retrieval

RNG = np.random.default_rng(0)


def noisy(clips, noise):
    gallery = RNG.normal(size=(clips, 16))
    return gallery + noise * RNG.normal(size=gallery.shape), gallery


def test_what_only_depends_on_the_setting_is_always_found():
    gallery = RNG.normal(size=(700, 16)).astype(np.float32)
    found = retrieval.retrieve(3 * gallery, gallery, 64)  # more clips than a chunk; length does not count
    assert (found.ways, found.r1, found.r10, found.mean_rank) == (64, 1.0, 1.0, 0.0)
    assert np.all(found.ranks == 1)


def test_ranks_are_counted_by_angle_from_the_mean_of_the_gallery():
    angle = np.deg2rad([0, 90, 180, 270])
    gallery = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 50.0
    ahead = np.deg2rad([10, 260, 210, 260])  # their order: 0 1 3 2, 3 2 0 1, 2 3 1 0, 3 2 0 1
    query = np.stack([np.cos(ahead), np.sin(ahead)], axis=1) + 50.0
    np.testing.assert_array_equal(retrieval.rank(query, gallery), [1, 4, 1, 1])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_constant_representation_scores_exactly_chance(value):
    same = np.full((601, 7), value, np.float32)
    found = retrieval.retrieve(same, same, 50)
    assert (found.r1, found.r10, found.mean_rank) == pytest.approx((1 / 50, 10 / 50, 0.5))
    assert np.all(found.ranks == 301)
    rounded = same * (1 + 1e-7 * RNG.normal(size=same.shape).astype(np.float32))  # differs by rounding only
    assert retrieval.retrieve(rounded, rounded, 50).r1 == pytest.approx(1 / 50)


def test_unrelated_clips_score_chance_within_its_error():
    query, gallery = RNG.normal(size=(2, 1_500, 32))
    found = retrieval.retrieve(query, gallery, 100)
    assert found.r1 == pytest.approx(0.01, abs=0.006)  # standard errors: .0018, .006, .0075
    assert found.r10 == pytest.approx(0.1, abs=0.02)
    assert found.mean_rank == pytest.approx(0.5, abs=0.03)


def test_ties_share_their_places():
    gallery = np.eye(6)[[0, 0, 0, 1, 2, 3]]
    found = retrieval.retrieve(gallery, gallery, 6)
    np.testing.assert_array_equal(found.ranks, [2, 2, 2, 1, 1, 1])
    np.testing.assert_array_equal(retrieval.rank(gallery, gallery), found.ranks)
    assert found.hit1 == pytest.approx([1 / 3] * 3 + [1] * 3)
    assert found.r10 == 1.0


def test_expected_hits_equal_the_mean_over_drawn_galleries():
    clips, ways = 60, 15
    query, gallery = noisy(clips, 1.5)
    mean = gallery.mean(axis=0)
    unit = [(x - mean) / np.linalg.norm(x - mean, axis=1, keepdims=True) for x in (query, gallery)]
    cosine = unit[0] @ unit[1].T
    places = np.empty((500, clips))
    for clip in range(clips):
        nearer = np.delete(cosine[clip] > cosine[clip, clip], clip)
        places[:, clip] = RNG.permuted(np.tile(nearer, (500, 1)), axis=1)[:, : ways - 1].sum(axis=1)
    found = retrieval.retrieve(query, gallery, ways)
    assert 0.2 < found.r1 < 0.9
    np.testing.assert_allclose(found.hit1, np.mean(places < 1, axis=0), atol=0.09)  # 4 standard errors of .022
    np.testing.assert_allclose(found.hit10, np.mean(places < 10, axis=0), atol=0.09)
    assert found.r1 == pytest.approx(np.mean(places < 1), abs=0.01)
    assert found.mean_rank == pytest.approx(np.mean(places) / (ways - 1), abs=0.005)


def test_all_ways_are_the_whole_gallery_and_fewer_are_easier():
    query, gallery = noisy(300, 2.0)
    whole, part = retrieval.retrieve(query, gallery, 300), retrieval.retrieve(query, gallery, 30)
    assert whole.r1 == pytest.approx(np.mean(whole.ranks == 1))
    assert whole.r10 == pytest.approx(np.mean(whole.ranks <= 10))
    assert part.r1 > whole.r1 + 0.1
    assert part.mean_rank == whole.mean_rank


def test_what_cannot_be_ranked_is_refused():
    gallery = np.eye(5)
    with pytest.raises(ValueError, match="6-way retrieval from 5 clips; use 2 to 5"):
        retrieval.retrieve(gallery, gallery, 6)
    with pytest.raises(ValueError, match="not finite"):
        retrieval.rank(gallery, np.where(gallery > 0, np.nan, gallery))
    with pytest.raises(ValueError, match="row i of both"):
        retrieval.rank(gallery, gallery[:4])
