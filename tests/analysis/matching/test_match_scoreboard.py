"""The scoreboard of a matcher: what is asked is what it says, and rows are measured as what they are."""

import json

import numpy as np
import pytest

from analysis import match_scoreboard
from analysis.matching import items, measure, rows
from analysis.matching.items import PAIRINGS
from analysis.matching.rows import NOTHING, Answer
from analysis.models import members
from jaxvae import effects, inference
from jaxvae.data import audibility
from jaxvae.matching.search import Posterior

RATE = 8_000


@pytest.fixture(scope="module")
def matcher(matched):
    return inference.load_matcher(matched)


@pytest.fixture(scope="module")
def data(matcher):
    return members.data([matcher])


@pytest.fixture(scope="module")
def drawn(matcher, data):
    return items.draw(data.split("test"), matcher.kinds, 4, RATE, seed=0)


@pytest.fixture(scope="module")
def fitted(matcher, data):
    return rows.fit(matcher, data.split("train"), data.split("validation"), each=12, pool=4, seed=0)


def test_a_target_is_the_dry_clip_at_the_true_settings(matcher, drawn):
    assert set(np.unique(drawn.pairing)) <= {0, 1} and len(drawn.effect) <= 16
    for row in range(len(drawn.effect)):
        kind = matcher.kinds[drawn.effect[row]]
        settings = kind.settings(drawn.normalized[row])
        np.testing.assert_allclose(drawn.target[row], kind.render(drawn.dry[row], settings, RATE), atol=1e-6)
    audible = audibility.log_spectral_distance(drawn.target, drawn.dry, RATE) >= 1.0
    np.testing.assert_array_equal(drawn.audible, audible)


def test_a_reference_of_the_same_recording_is_another_passage_and_others_are_of_another_recording(data, drawn, matcher):
    split = data.split("test")
    every = split.dry(np.arange(split.clips))
    for row in range(len(drawn.effect)):
        kind = matcher.kinds[drawn.effect[row]]
        settings = kind.settings(drawn.normalized[row])
        heard = {
            int(split.recording[clip])
            for clip in range(split.clips)
            if np.allclose(kind.render(every[clip], settings, RATE), drawn.reference[row], atol=1e-6)
        }
        if PAIRINGS[drawn.pairing[row]] == "same recording":
            own = np.flatnonzero(split.recording == drawn.recording[row])
            passages = [kind.render(clip, settings, RATE) for clip in split.other_dry(own)]
            assert any(np.allclose(passage, drawn.reference[row], atol=1e-6) for passage in passages)
        elif len(np.unique(split.recording)) > 1:
            assert heard and drawn.recording[row] not in heard


def test_the_same_seed_draws_the_same_items(matcher, data, drawn):
    again = items.draw(data.split("test"), matcher.kinds, 4, RATE, seed=0)
    for first, second in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(first, second)
    other = items.draw(data.split("test"), matcher.kinds, 4, RATE, seed=1)
    assert not np.array_equal(drawn.normalized, other.normalized, equal_nan=True)


def test_the_truth_closes_all_of_the_distance_and_nothing_closes_none(matcher, drawn, fitted, monkeypatch):
    def answers(matcher, fitted, drawn, row, *_):
        kind = matcher.kinds[drawn.effect[row]]
        truth = drawn.normalized[row][: len(kind.parameters)]
        other = next(kind for kind in matcher.kinds if kind != matcher.kinds[drawn.effect[row]])
        wrong = np.full(len(other.parameters), 0.5, np.float32)
        return {"truth": Answer(kind, truth), "nothing": NOTHING, "other": Answer(other, wrong)}

    monkeypatch.setattr(rows, "answers", answers)
    found = measure.measure(matcher, fitted, drawn, 2, 2, 4, 0)
    heard = drawn.audible
    for what, share in found.share["truth"].items():
        assert (share[heard] > 0.98).all(), what
    assert all((share == 0).all() for share in found.share["nothing"].values())
    assert not found.worse["truth"][heard].any() and not found.worse["nothing"].any()
    assert found.right["truth"].all() and not found.right["other"].any()
    assert np.isnan(found.settings["other"]).all()
    np.testing.assert_array_equal(found.settings["truth"], drawn.normalized)


def test_rows_without_a_network_answer_with_what_they_were_fitted_on(matcher, data, fitted):
    train = data.split("train")
    for index, kind in enumerate(matcher.kinds):
        assert fitted.settings[index].shape == (12, len(kind.parameters))
        assert fitted.constant[index].shape == (len(kind.parameters),)
        for row in (0, 5):
            heard = np.stack([fitted.fine[index][row], fitted.passage[index][row]])
            assert rows._nearest(fitted, index, heard, same=True) == row
        own = train.normalized[train.effect == index][:, : len(kind.parameters)]
        assert {tuple(some) for some in fitted.settings[index].tolist()} <= {tuple(some) for some in own.tolist()}


def test_a_forest_has_samples_of_the_leaves_that_it_comes_to(matcher, fitted):
    posterior = Posterior(np.array([0.0, 1.0, 0.0]), (np.zeros((4, 1)), np.zeros((4, 3))))
    seen = fitted.fine[1][:1]
    rng = np.random.default_rng(0)
    found = rows._of_forest(matcher, posterior, fitted, 1, fitted.blind[1], seen, rng).settings[1]
    own = np.abs(found - fitted.settings[1][0]).max(axis=1) < 1e-6
    assert 1 / 12 < own.mean() < 1.0, "the clip itself more often than others"
    np.testing.assert_array_equal(found.shape, (256, 3))


def test_the_best_of_a_pool_is_the_target_where_it_is_among_them(matcher, drawn):
    row = int(np.flatnonzero(drawn.audible)[0])
    kind = matcher.kinds[drawn.effect[row]]
    pool = np.random.default_rng(0).random((6, len(kind.parameters))).astype(np.float32)
    pool[4] = drawn.normalized[row][: len(kind.parameters)]
    assert rows._best(kind, pool, drawn.dry[row], drawn.target[row], RATE) == 4


def test_the_constant_is_in_the_middle_of_what_it_hears(data):
    """Of a gain-like scale the ends are further from the rest than the middle is."""
    kind = effects.get("pedalboard/Distortion")
    found = rows._constant(kind, data.split("validation"), RATE, 24, np.random.default_rng(0))
    assert 0.15 < found[0] < 0.85


def test_the_command_measures_prints_and_writes(matched, tmp_path, capsys):
    options = match_scoreboard.Options(matched, tmp_path, items=2, candidates=3, refine=6, pool=4, fit_clips=20)
    assert match_scoreboard.main(options) == [tmp_path / "scoreboard.md", tmp_path / "scoreboard.json"]
    found = json.loads((tmp_path / "scoreboard.json").read_text())
    same = found["pairings"]["same recording"]
    assert same["rows"]["nothing"]["share"][0] == 0.0
    assert {"matcher, 3 renders", "matcher, 3 + 6 renders", "forest, chosen", "best of the pool"} <= set(same["rows"])
    assert set(same["effects"]) == {"pedalboard/Distortion", "pedalboard/Delay"}
    text = (tmp_path / "scoreboard.md").read_text()
    assert "### Same recording" in text and text in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"items": 0}, {"refine": 0}, {"fit_clips": 5}])
def test_sizes_that_measure_nothing_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match="or more"):
        match_scoreboard.Options(tmp_path, **change)
