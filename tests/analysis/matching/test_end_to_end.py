"""A controller trained through a black box by an audio loss: it gets nearer, and what it renders is reported."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analysis import audio_loss
from analysis.matching import end_to_end, items
from analysis.matching.end_to_end import Training
from analysis.models import members
from jaxvae import inference

DISTORTION = "pedalboard/Distortion"
TRAINING = Training(steps=40, batch_size=8, learning_rate=3e-3, method="central", pairs=1, seed=0)


@pytest.fixture(scope="module")
def matcher(matched):
    return inference.load_matcher(matched)


@pytest.fixture(scope="module")
def data(matcher):
    return members.data([matcher], None)


def test_a_controller_that_knows_nothing_learns_from_the_audio_alone(matcher, data):
    index, losses = matcher.effects.index(DISTORTION), []
    begun = end_to_end.fresh(matcher, 0)
    trained = end_to_end.train(matcher, begun, data.split("train"), index, TRAINING, losses.append)
    assert len(losses) == TRAINING.steps and np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    again = end_to_end.train(matcher, begun, data.split("train"), index, TRAINING._replace(steps=3))
    other = end_to_end.train(matcher, begun, data.split("train"), index, TRAINING._replace(steps=3))
    jax.tree.map(np.testing.assert_array_equal, again.params, other.params)
    moved = jax.tree.map(lambda old, new: bool(np.any(old != new)), begun.params, trained.params)
    assert moved["to_velocity"]["kernel"] and not moved["effect_logits"]["kernel"], "settings are trained, not effects"


def test_shares_are_one_at_the_true_settings(matcher, data, monkeypatch):
    index = matcher.effects.index(DISTORTION)
    drawn = items.draw(data.split("test"), [matcher.kinds[index]], 4, 8_000, 0)
    truth, begun = drawn.normalized[:, :1], end_to_end.fresh(matcher, 0)

    def point(matcher, weights, wet, index):
        return jnp.where(weights.step == 0, truth, 1 - truth)

    monkeypatch.setattr(end_to_end, "point", point)
    rows = {"true": begun, "wrong": begun._replace(step=begun.step + 1)}
    found = end_to_end.shares(matcher, rows, drawn, index)
    np.testing.assert_allclose(found["true"]["distance"], 1, atol=0.02)
    assert found["wrong"]["distance"].mean() < 0.8
    assert set(found) == set(rows) and {"distance", "MR-STFT"} <= set(found["true"])


def test_the_command_writes_a_row_for_each_way(matched, tmp_path, capsys):
    options = audio_loss.Options(matched, tmp_path / "out", (DISTORTION,), steps=2, batch_size=4, items=3)
    written = audio_loss.main(options)
    assert [path.name for path in written] == ["audio_loss.md", "audio_loss.json"]
    found = json.loads(written[1].read_text())[DISTORTION]
    assert list(found["rows"]) == ["posterior", "posterior, then audio loss", "audio loss alone"]
    gain, share, first = (
        found["rows"][row]["distance"][part][0]
        for row, part in (("audio loss alone", "gain"), ("audio loss alone", "share"), ("posterior", "share"))
    )
    assert gain == pytest.approx(share - first)
    assert "audio loss alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [({"steps": 0}, "steps is 0"), ({"learning_rate": 0.0}, "learning_rate is 0"), ({"items": 0}, "items is 0")],
)
def test_numbers_that_make_no_training_are_refused(matched, change, message):
    with pytest.raises(ValueError, match=message):
        audio_loss.Options(matched, **change)


def test_an_effect_that_the_run_does_not_know_is_refused(matched, tmp_path):
    with pytest.raises(ValueError, match=r"knows no mda/Leslie; it knows pedalboard/Distortion"):
        audio_loss.main(audio_loss.Options(matched, tmp_path, ("mda/Leslie",)))
