"""The rows of the scoreboard: what they remember of clips that come again."""

import numpy as np

from analysis.models import representations


def test_a_function_is_called_once_for_the_wet_clips_of_a_chunk():
    called = []
    remembered = representations.Remembered(lambda clips: called.append(1) or clips + 1)
    wet = np.zeros((2, 3))
    for _ in range(3):
        np.testing.assert_array_equal(remembered(wet), 1)
    assert len(called) == 1
    np.testing.assert_array_equal(remembered(np.zeros((2, 3))), 1)
    assert len(called) == 2  # equal clips are not the same clips


def test_a_function_is_called_once_for_each_dry_clip_however_often_it_comes():
    seen = []
    remembered = representations.RememberedByClip(lambda clips: seen.extend(clips[:, 0]) or clips[:, :1] + 1, 5)
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    for chosen in ([0, 1, 0, 0], [1, 2, 3], [3, 3, 1], [0]):
        np.testing.assert_array_equal(remembered(rows[chosen]), rows[chosen, :1] + 1)
    np.testing.assert_array_equal(seen, rows[:4, 0])
    many = [4, 5, 6, 7, 8, 0]  # more than are kept
    np.testing.assert_array_equal(remembered(rows[many]), rows[many, :1] + 1)
    seen.clear()
    np.testing.assert_array_equal(remembered(rows[many]), rows[many, :1] + 1)
    assert 0 < len(seen) <= 2
