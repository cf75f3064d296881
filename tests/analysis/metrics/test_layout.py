"""Maps by UMAP and their figures."""

import numpy as np

from analysis.metrics import layout


def test_a_map_of_one_recording_has_no_neighbour_figure():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3))
    scores = layout.figures(features[:, :2], features, np.arange(40) % 2, np.zeros(40, int))
    assert scores.knn is None
    assert scores.trustworthiness > 0.5


def test_a_seeded_map_is_reproducible_and_keeps_groups_apart():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 40)
    features = (rng.normal(size=(120, 8)) + 20 * np.eye(8)[group]).astype(np.float32)
    first = layout.fit(features, seed=1)
    np.testing.assert_array_equal(first, layout.fit(features, seed=1))
    scores = layout.figures(first, features, group, np.arange(120) % 6)
    assert scores.knn == 1.0
    assert scores.silhouette > 0.5
    assert scores.trustworthiness > 0.8
    shuffled = layout.figures(first, features, rng.permutation(group), np.arange(120) % 6)
    assert shuffled.knn < 0.6
