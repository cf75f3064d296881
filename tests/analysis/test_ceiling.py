"""The search for settings, on effects of which it is known what can be recovered."""

import json
import sys

import numpy as np
import pytest
import scipy.signal

from analysis import ceiling as command
from analysis.metrics import ceiling
from jaxvae import command_line, config_file, effects, inference
from jaxvae.data import audio, dataset
from jaxvae.effects import Effect, Parameter

RATE = 24_000


def noise(samples: int = 16_384, seed: int = 0) -> np.ndarray:
    return audio.set_peak(np.random.default_rng(seed).normal(size=samples).astype(np.float32), -12.0)


def made(process, count: int = 1) -> Effect:
    """An effect of `count` settings on [0, 1], given to `process` after the dry clip."""
    parameters = tuple(Parameter(f"p{index}", 0.0, 1.0, "", "linear", 0.5) for index in range(count))
    names = [parameter.name for parameter in parameters]
    return Effect("made", parameters, (), lambda dry, settings, rate: process(dry, *(settings[name] for name in names)))


def echo(dry: np.ndarray, delay: int) -> np.ndarray:
    wet = dry.copy()
    wet[delay:] += 0.7 * dry[:-delay]
    return wet


@pytest.mark.parametrize(
    ("name", "truth"), [("pedalboard/LowpassFilter", [0.37]), ("pedalboard/LadderFilter", [0.62, 0.7, 0.4])]
)
def test_settings_of_a_filter_are_recovered_from_noise(name, truth):
    effect, dry = effects.get(name), noise()
    wet = effect.render(dry, effect.settings(np.array(truth)), RATE)
    # Any level will do: that of a data set's clips is no clue.
    found = ceiling.search(effect, dry, audio.set_peak(wet, -1.0), RATE, 1_000)
    np.testing.assert_allclose(found.best, truth, atol=0.01)
    np.testing.assert_allclose(found.mean, truth, atol=0.02)


def test_a_search_is_deterministic_and_keeps_to_its_evaluations():
    rendered = []

    def process(dry, gain, tilt):
        rendered.append(gain)
        return scipy.signal.lfilter([1.0, gain], [1.0, -0.9 * tilt], dry).astype(np.float32)

    effect, dry = made(process, 2), noise(4_096)
    wet = process(dry, 0.3, 0.6)
    first = ceiling.search(effect, dry, wet, RATE, 200, seed=3)
    assert 150 < len(rendered) - 1 <= 200
    second = ceiling.search(effect, dry, wet, RATE, 200, seed=3, workers=1)
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_settings_that_sound_alike_are_found_side_by_side_and_answered_by_their_mean():
    # The sound depends on the distance from .5 alone; the second setting is not heard at all.
    effect = made(lambda dry, x, _: scipy.signal.lfilter([1], [1, -1.8 * abs(x - 0.5)], dry).astype(np.float32), 2)
    dry, rng = noise(4_096), np.random.default_rng(0)
    truth = rng.uniform(size=(12, 2))
    truth[:, 0] = 0.5 + np.where(np.arange(12) % 2, 1, -1) * rng.uniform(0.25, 0.45, 12)  # half on either side
    found = [ceiling.search(effect, dry, effect.render(dry, effect.settings(t), RATE), RATE, 300) for t in truth]
    assert all(np.sort(each.distance)[1] < 0.02 for each in found)
    heard, unheard = ceiling.score(effect, truth, found).values()
    np.testing.assert_allclose([abs(each.best[0] - 0.5) for each in found], np.abs(truth[:, 0] - 0.5), atol=0.01)
    assert heard["spread"] > 0.1 and unheard["spread"] > 0.1
    assert heard["r2"] < 0.5 and unheard["r2"] < 0.3
    assert heard["hit"] < 0.9


def test_a_start_counts_by_the_inverse_square_of_its_distance():
    settings = np.array([[0.0], [1.0]])
    assert ceiling.Found(settings, np.array([0.1, 0.2])).mean == pytest.approx(0.2)
    assert ceiling.Found(settings, np.array([0.1, 0.2])).spread == pytest.approx(0.4)
    assert ceiling.Found(settings, np.array([0.0, 0.2])).mean == pytest.approx(0.001**2 / (0.001**2 + 0.2**2))
    assert ceiling.Found(settings, np.array([0.0, 0.0])).mean == pytest.approx(0.5)


def test_distance_is_zero_for_the_wet_clip_at_any_level_and_no_other():
    dry = noise()
    wet = scipy.signal.lfilter([0.2], [1, -0.8], dry).astype(np.float32)
    same, louder, other, untouched = ceiling.Target(dry, wet)(np.stack([wet, 4 * wet, wet[::-1], dry]))
    assert same == 0
    assert louder == pytest.approx(0, abs=1e-5)
    assert min(other, untouched) > 0.1


def test_clips_that_a_data_set_would_not_keep_are_the_farthest():
    dry = noise(4_096)
    unusable = np.stack([0 * dry, np.full_like(dry, np.nan), 1e4 * dry, np.full_like(dry, np.inf)])
    distance = ceiling.Target(dry, dry)(np.concatenate([unusable, noise(4_096, 1)[None]]))
    assert (distance[:4] > 2 * distance[4]).all() and np.isfinite(distance).all()


def test_distance_falls_towards_the_true_delay_from_far_away():
    dry = noise()
    target = ceiling.Target(dry, echo(dry, 3_000))
    for delays in ([400, 1_000, 1_800, 2_500, 2_900, 3_000], [7_000, 6_000, 5_000, 4_000, 3_300, 3_000]):
        assert (np.diff(target(np.stack([echo(dry, delay) for delay in delays]))) < 0).all()


def test_decay_curve_is_that_of_the_impulse_response():
    rng = np.random.default_rng(1)
    dry = np.fft.irfft(np.exp(2j * np.pi * rng.uniform(size=2_049)), 4_096).astype(np.float32)  # a flat spectrum
    response = rng.normal(size=4_096) * 10 ** (-np.arange(4_096) / 1_000)
    response[2_000:] = 0
    wet = np.fft.irfft(np.fft.rfft(dry) * np.fft.rfft(response), 4_096).astype(np.float32)
    decay = ceiling.Target(dry, wet)._features[-1][0]
    expected = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1][::16] / np.sum(response**2) + 1e-12)
    np.testing.assert_allclose(decay, np.maximum(expected, -40), atol=0.1)


def test_scores_of_known_answers():
    effect, truth = made(lambda dry, *_: dry, 3), np.tile(np.linspace(0, 1, 11)[:, None], 3)
    answers = np.stack([truth[:, 0], np.full(11, 0.5), 1 - truth[:, 2]], axis=1)
    found = [ceiling.Found(answer[None], np.zeros(1)) for answer in answers]
    right, constant, inverted = ceiling.score(effect, truth, found).values()
    assert (right["r2"], right["r2_error"], right["mae"], right["hit"]) == (1, 0, 0, 1)
    assert constant["r2"] == pytest.approx(0) and constant["hit"] == pytest.approx(1 / 11)
    assert constant["mae"] == pytest.approx(np.abs(truth[:, 1] - 0.5).mean())
    assert inverted["r2"] == pytest.approx(-3) and inverted["r2_clipped"] == 0


def test_a_killed_search_continues_with_the_same_result(tiny, tmp_path, monkeypatch):
    data = dataset.render(tiny, progress=False)
    kinds = [effects.get("pedalboard/Bitcrush"), effects.get("pedalboard/Limiter")]
    whole = ceiling.measure(data, kinds, 3, 100, tmp_path / "whole.json")
    search, calls = ceiling.search, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return search(*arguments)

    monkeypatch.setattr(ceiling, "search", killed)
    for _ in range(2):  # killed, then continued
        try:
            parts = ceiling.measure(data, kinds, 3, 100, tmp_path / "parts.json")
        except KeyboardInterrupt:
            assert len(json.loads((tmp_path / "parts.json").read_text())["searches"]) == 2
    assert len(calls) == 3 + 4  # none is repeated but the killed one
    assert parts == whole
    with pytest.raises(ValueError, match="delete it or use another --out"):
        ceiling.measure(data, kinds, 3, 200, tmp_path / "parts.json")


def test_clips_that_cannot_be_used_are_left_out_and_counted(tiny, tmp_path):
    data = dataset.render(tiny, progress=False)
    effect = made(lambda dry, x: dry * np.float32(x > 0.5))  # silent below .5
    figures = ceiling.measure(data, [effect], 4, 100, tmp_path / "half.json")
    assert figures["searches"]["made"]["clips"] == 2
    with pytest.raises(ValueError, match="0 of 4 renders of made can be used"):
        ceiling.measure(data, [made(lambda dry, x: 0 * dry)], 4, 100, tmp_path / "none.json")
    with pytest.raises(ValueError, match="clips is 99; use 2 to"):
        ceiling.measure(data, [effect], 99, 100, tmp_path / "many.json")


def test_the_command_writes_figures_of_every_parameter(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config_file, "load", lambda path: tiny)
    out = tmp_path / "ceiling.json"
    arguments = ["ceiling", "tiny.py", "--out", str(out), "--clips", "2", "--evaluations", "100"]
    monkeypatch.setattr(sys, "argv", arguments)
    command_line.run_experiment(command.main, command.Options, command.__doc__)
    figures = json.loads(out.read_text())
    assert (figures["experiment"], figures["clips"], figures["evaluations"]) == ("tiny", 2, 100)
    assert set(figures["effects"]) == set(tiny.data.effects)
    for name, parameters in figures["effects"].items():
        assert list(parameters) == [parameter.name for parameter in effects.get(name).parameters]
        for scores in parameters.values():
            assert scores["r2"] <= 1 and 0 <= scores["hit"] <= 1 and scores["r2_clipped"] >= 0
    assert "drive_db" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*arguments[:-1], "50"])
    with pytest.raises(SystemExit):
        command_line.run_experiment(command.main, command.Options, command.__doc__)


def test_a_network_that_knows_a_setting_reaches_1_and_one_that_guesses_0(tiny):
    test = dataset.render(tiny, progress=False).split("test")
    kinds = [effects.get(name) for name in tiny.data.effects]
    known = test.normalized[:, 0]

    class Knowing(inference.SpectrogramEncoder):
        """Reads the first setting of every effect to a twentieth, and nothing of the others."""

        experiment = tiny

        def __init__(self):
            """It needs no weights."""

        def read(self, wet, rate, dry):
            assert wet.shape == dry.shape
            # The order of the clips is kept, so what comes next is known.
            rows = np.array([np.flatnonzero((clips == one).all(axis=1))[0] for one in wet])
            sharp = np.eye(20)[np.minimum((known[rows] * 20).astype(int), 19)]
            settings = [
                np.stack([sharp, *np.full((len(kind.parameters) - 1, len(rows), 20), 0.05)], axis=1) for kind in kinds
            ]
            return inference.Reading(self.effects, np.zeros((len(rows), 2)), None, tuple(settings))

    clips = audio.to_float(test.audio(np.arange(test.clips)))
    figures = ceiling.supervised(Knowing(), test)
    for kind in kinds:
        first, *others = figures["effects"][kind.name].values()
        assert first["r2"] > 0.98 and first["mae"] < 0.025
        for other in others:
            assert other["r2"] <= 0 == other["r2_clipped"]


def test_the_command_asks_a_network(tiny, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config_file, "load", lambda path: tiny)
    out = tmp_path / "supervised.json"
    monkeypatch.setattr(sys, "argv", ["ceiling", "tiny.py", "--out", str(out), "--supervised", str(trained)])
    command_line.run_experiment(command.main, command.Options, command.__doc__)
    figures = json.loads(out.read_text())
    assert figures["source"] == "supervised network tiny, dry-aware, 8 clips"
    assert set(figures["effects"]) == set(tiny.data.effects)
    assert "drive_db" in capsys.readouterr().out
    with pytest.raises(ValueError, match="leave it out"):
        command.Options(out, effects=("pedalboard/Delay",), supervised=trained)
