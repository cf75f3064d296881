"""Which effect it was, of features that tell it."""

import numpy as np
import pytest

from analysis.sections import effect

from .labelled import KINDS, clips, told, value


def test_accuracy_of_audible_clips_leaves_the_inaudible_out():
    fit, held = told(clips(200)), told(clips(200, seed=1))
    inaudible = np.arange(200) % 4 == 0  # of effect 0, and these all look like effect 1
    held.features[inaudible, 0] = 1
    scores = effect.probed(fit, held, ~inaudible, KINDS, "random", 0)
    assert value(scores, "accuracy_logistic", "random") == pytest.approx(0.75)
    assert value(scores, "accuracy_audible", "random") == 1.0
    (confusion,) = [score.confusion for score in scores if score.figure == "accuracy_logistic"]
    assert confusion.effects == [kind.name for kind in KINDS]
    np.testing.assert_array_equal(confusion.counts, [[50, 50], [0, 100]])


def test_the_head_is_right_where_its_largest_probability_is():
    held = told(clips(8))
    probabilities = np.eye(2)[np.array([0, 1, 0, 1, 1, 0, 0, 1])]
    audible = np.arange(8) < 5
    scores = effect.of_head(probabilities, held, audible, "fixed")
    assert value(scores, "accuracy_head", "fixed") == 6 / 8
    assert value(scores, "accuracy_audible_head", "fixed") == 4 / 5
