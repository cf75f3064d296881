"""How right answers are: of made-up answers whose figures are known in closed form."""

import numpy as np
import pytest

from analysis.metrics import answers
from analysis.metrics.answers import Answers

CLIPS = 2_000


def made(seed=0):
    """Two effects of one and two settings; the effect is said with .8, and right so often; settings are known well."""
    rng = np.random.default_rng(seed)
    truth = np.arange(CLIPS) % 2
    said = np.where(rng.random(CLIPS) < 0.8, truth, 1 - truth)
    effect = np.full((CLIPS, 2), 0.2)
    effect[np.arange(CLIPS), said] = 0.8
    normalized = rng.random((CLIPS, 2))
    normalized[truth == 0, 1] = np.nan
    settings = []
    for count in (1, 2):
        place = (np.nan_to_num(normalized[:, :count, None]) * 10).astype(np.int64)
        settings.append((np.arange(10)[None, None] == place).astype(np.float64))
    audible = rng.random(CLIPS) < 0.75
    none = np.where(audible, 0.1, 0.9)
    return Answers(
        effect, tuple(settings), none, np.full(CLIPS, 0.7), truth, normalized, audible, np.arange(CLIPS) // 20
    )


def test_effects_are_judged_by_the_likeliest_and_by_likelihood():
    found = made()
    right = (found.effect.argmax(axis=1) == found.truth).mean()
    accuracy = answers.accuracy(found)
    assert accuracy.value == pytest.approx(right) and accuracy.low < 0.8 < accuracy.high
    expected = -(right * np.log(0.8) + (1 - right) * np.log(0.2))
    assert answers.effect_nll(found).value == pytest.approx(expected)
    inaudible = found._replace(audible=found.effect.argmax(axis=1) == found.truth)
    assert answers.accuracy_if_audible(inaudible).value == 1


def test_settings_that_are_known_to_a_tenth():
    """Within a bin of a tenth the variance is 1/1200 of 1/12, and the density is 10."""
    found = made()
    assert answers.settings_r2(found) == pytest.approx(1 - 1 / 100, abs=2e-3)
    assert answers.settings_nll(found).value == pytest.approx(-np.log(10))
    assert answers.coverage(found) == pytest.approx(0.9, abs=0.02)


def test_uniform_densities_know_nothing_and_cover_what_they_say():
    found = made()
    flat = found._replace(settings=tuple(np.full_like(densities, 0.1) for densities in found.settings))
    assert answers.settings_nll(flat).value == pytest.approx(0)
    assert answers.settings_r2(flat) == pytest.approx(0, abs=0.02)
    assert answers.coverage(flat) == pytest.approx(0.9, abs=0.02)
    sure = found._replace(settings=tuple(np.roll(densities, 3, axis=2) for densities in found.settings))
    assert answers.settings_nll(sure).value > 10 and answers.settings_r2(sure) < 0
    assert answers.coverage(sure) == 0


def test_no_effect_is_counted_by_what_can_be_heard():
    found = made()
    assert answers.no_effect_of_dry(found).value == 1
    assert answers.no_effect_if_inaudible(found).value == 1
    assert answers.no_effect_if_audible(found).value == 0
    assert answers.no_effect_if_inaudible(found._replace(audible=np.ones(CLIPS, bool))) is None


def test_a_selection_is_of_all_parts():
    part = made().select(np.arange(CLIPS) < 40)
    assert {len(values) for values in (*part.settings, *(x for x in part if not isinstance(x, tuple)))} == {40}
