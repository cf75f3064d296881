"""Rendered settings to features."""

import numpy as np
import pytest

from analysis.renders import chunks
from analysis.renders.plan import fixed_settings, random_settings
from jaxvae import effects
from jaxvae.data import audio, clips


def test_features_belong_to_the_rendered_settings(data, kinds, monkeypatch):
    monkeypatch.setattr(chunks, "_CHUNK", 3)  # several chunks, the last one short
    split, rate = data.split("test"), data.experiment.audio.sample_rate
    plan = random_settings(kinds, np.array([2, 0, 5, 2]), seed=1)
    functions = {"first": lambda wet, dry: wet[:, 200:210], "dry": lambda wet, dry: dry[:, :9]}
    of_source = {"source": lambda wet, dry: dry[:, :9]}
    kept, features = chunks.evaluate(plan, split, rate, chunks.Functions(functions, of_source))
    np.testing.assert_array_equal(features["source"], split.other_dry(plan.dry)[:, :9])
    assert len(kept.effect) == len(plan.effect)
    for row in range(len(plan.effect)):
        kind = kinds[plan.effect[row]]
        wet = kind.render(split.dry(plan.dry[row : row + 1])[0], kind.settings(plan.normalized[row]), rate)
        expected = audio.set_peak(wet, clips.WET_PEAK_DBFS)
        np.testing.assert_array_equal(features["first"][row], expected[200:210])
        np.testing.assert_array_equal(features["dry"][row], split.dry(plan.dry[row : row + 1])[0, :9])
    labelled = kept.labelled(features["first"], split)
    np.testing.assert_array_equal(labelled.recording, split.recording[[2, 0, 5, 2] * 2])


def test_renders_that_cannot_be_used_are_left_out_and_counted(data, kinds, monkeypatch, caplog):
    def some_unusable(chosen, dry, normalized, sample_rate, workers):
        wet = dry.copy()
        wet[0], wet[1, 5], wet[2] = 0.0, np.nan, 1e6
        return wet

    monkeypatch.setattr(effects, "render_many", some_unusable)
    plan = fixed_settings(kinds, np.arange(4))
    peak = {"peak": lambda wet, dry: np.abs(wet).max(1)[:, None]}
    kept, features = chunks.evaluate(plan, data.split("test"), 8_000, chunks.Functions(peak))
    assert len(kept.effect) == len(features["peak"]) == 5
    np.testing.assert_array_equal(kept.dry, [3, 0, 1, 2, 3])
    np.testing.assert_allclose(features["peak"], audio.gain(clips.WET_PEAK_DBFS), rtol=1e-6)  # all the same level
    assert "3 of 8 renders left out" in caplog.text


def test_nothing_usable_is_an_error(data, kinds, monkeypatch):
    monkeypatch.setattr(effects, "render_many", lambda chosen, dry, normalized, sample_rate, workers: 0 * dry)
    with pytest.raises(ValueError, match="all 4 renders are silent"):
        chunks.evaluate(fixed_settings(kinds, np.arange(2)), data.split("test"), 8_000, chunks.Functions({}))
