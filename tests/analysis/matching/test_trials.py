"""Trials of a listening test: they are spread, and their sounds are what their conditions say."""

import numpy as np
import pytest

from analysis.matching import items, rows, trials
from analysis.matching.items import PAIRINGS, Items
from analysis.matching.trials import ANCHOR, CONDITIONS, MATCHER, REFERENCE
from analysis.models import members
from jaxvae import inference

RATE = 8_000


def drawn(each, audible, kinds=6):
    effect, pairing = (grid.ravel() for grid in np.meshgrid(np.arange(kinds), np.arange(3), indexing="ij"))
    effect, pairing = np.repeat(effect, each), np.repeat(pairing, each)
    count = len(effect)
    clips = np.zeros((count, 4), np.float32)
    settings = np.zeros((count, 1), np.float32)
    heard = np.zeros(count, bool) | audible(effect)
    return Items(effect, settings, clips, clips, clips, pairing, np.arange(count) % 7, heard)


def test_items_are_spread_over_effects_pairings_and_recordings():
    many = drawn(4, lambda effect: True)
    chosen = trials.choose(many, 12)
    assert len(set(chosen.tolist())) == 12
    assert np.bincount(many.effect[chosen]).tolist() == [2] * 6
    assert np.bincount(many.pairing[chosen]).tolist() == [4] * 3
    assert np.bincount(many.recording[chosen], minlength=7).max() <= 3
    both = set(zip(many.effect[chosen].tolist(), many.pairing[chosen].tolist(), strict=True))
    assert len(both) == 12


def test_only_what_can_be_heard_is_chosen():
    many = drawn(2, lambda effect: effect != 5)
    chosen = trials.choose(many, 12)
    assert len(chosen) == 12 and 5 not in many.effect[chosen]
    assert np.bincount(many.effect[chosen]).max() <= 3
    few = drawn(1, lambda effect: effect == 2)
    assert trials.choose(few, 12).tolist() == np.flatnonzero(few.effect == 2).tolist()
    assert len(trials.choose(drawn(1, lambda effect: False), 12)) == 0


@pytest.fixture(scope="module")
def made(matched):
    matcher = inference.load_matcher(matched)
    data = members.data([matcher])
    asked = items.draw(data.split("test"), matcher.kinds, 1, RATE, seed=0)
    fitted = rows.fit(matcher, data.split("train"), data.split("validation"), each=12, pool=4, seed=0)
    return asked, list(trials.answer(matcher, fitted, asked, candidates=3, refine=6, seed=0))


def test_sounds_are_the_dry_clip_at_the_settings_of_their_condition(made):
    asked, answered = made
    assert len(answered) == len(asked.effect)
    for row, trial in enumerate(answered):
        assert set(trial.sounds) == set(CONDITIONS) and trial.pairing == PAIRINGS[asked.pairing[row]]
        np.testing.assert_array_equal(trial.sounds[ANCHOR], asked.dry[row])
        np.testing.assert_array_equal(trial.style, asked.reference[row])
        wanted = {REFERENCE: trial.settings} | {name: of.settings for name, of in trial.answers.items() if of.kind}
        for name, settings in wanted.items():
            wet = trial.effect.render(asked.dry[row], trial.effect.settings(settings), RATE)
            np.testing.assert_allclose(trial.sounds[name], wet, atol=1e-6)


def test_shares_are_those_of_the_scoreboard(made):
    _, answered = made
    for trial in answered:
        for name, of in trial.shares.items():
            assert {"distance", "spectrum", "colour", "modulation", "decay"} <= set(of)
            assert all(-1 <= share <= 1 for share in of.values())
            if not trial.answers[name].kind:
                assert set(of.values()) == {0.0}
        assert MATCHER in trial.shares and REFERENCE not in trial.shares
