"""What was done to a recording: readouts of a run, and the answer in words and as JSON."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import soundfile

from analysis.models import representations
from jaxvae import effects, inference, readouts
from jaxvae.answer import NO_EFFECT, Identification, answer
from launch import identify

RATE, CLIP = 8_000, 8_192
KINDS = [effects.get(name) for name in ("pedalboard/Distortion", "pedalboard/Delay")]


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A run with its readout."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("identified") / "run")
    assert [path.name for path in readouts.complete(folder)] == ["readout.npz"]
    return folder


@pytest.fixture(scope="module")
def encoder(run):
    return inference.load(run)


@pytest.fixture(scope="module")
def song():
    """Three windows, of which the second is silent."""
    rng = np.random.default_rng(0)
    return np.concatenate([0.3 * rng.normal(size=CLIP), np.zeros(CLIP), 0.1 * rng.normal(size=CLIP)]).astype(np.float32)


def test_readouts_are_fitted_once_and_of_the_weights_that_are_loaded(run, trained, encoder):
    assert set(encoder.readouts) == {"blind", "source_aware", "dry_aware"}
    assert readouts.complete(run) == []
    assert inference.load(trained).readouts == {}  # as runs are that were trained before there were readouts
    assert inference.load(run, step=int(inference.load(run, step=30).weights.step)).readouts == {}


def test_members_of_a_sweep_have_readouts_of_their_own(swept, tmp_path, monkeypatch):
    folder = shutil.copytree(swept, tmp_path / "sweep")
    asked = []

    def fit(encoder, material):
        asked.append((encoder.latent_dim, id(material)))
        return {"blind": inference.Readout(np.zeros((encoder.latent_dim, 3)), np.zeros(3), 2.0)}

    monkeypatch.setattr(readouts, "fit", fit)
    written = readouts.complete(folder)
    assert [int(path.parent.name.partition(",")[0]) for path in written] == [0, 1, 2, 3]
    assert [dim for dim, _ in asked] == [4, 4, 8, 8] and len({material for _, material in asked}) == 1
    assert inference.load(folder, member=2).readouts["blind"].temperature == 2.0


def test_reading_is_of_effects_only_and_no_effect_stands_beside_it(encoder, song):
    reading = encoder.read(song, RATE)
    assert reading.effects == ("pedalboard/Distortion", "pedalboard/Delay")
    np.testing.assert_allclose(reading.effect.sum(axis=1), 1.0, rtol=1e-5)
    assert reading.no_effect.shape == (1,) and 0 < reading.no_effect[0] < 1
    mean = encoder.embed(song, RATE)
    assert (encoder.read_by_heads(mean).effect != reading.effect).any()
    for mode in ("source_aware", "dry_aware"):
        assert (encoder.read_mean(mean, mode).effect != reading.effect).any()


def test_scoreboard_reads_by_the_readout_of_the_mode_of_a_row(encoder, song):
    mean = encoder.embed(song, RATE)
    for hears, mode in (("wet", "blind"), ("wet and source", "source_aware"), ("wet and dry", "dry_aware")):
        reading = encoder.read_mean(mean, mode)
        effect, settings = representations.answers(representations.read(encoder, mean, hears), encoder.parameters)
        np.testing.assert_allclose(effect, reading.effect, atol=1e-6)
        for found, expected in zip(settings, reading.settings, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("known", [False, True], ids=["blind", "dry_aware"])
def test_identification_tells_effects_none_and_settings_of_the_file_and_of_its_windows(encoder, song, known):
    told = encoder.identify(song, RATE, song[: 2 * CLIP + 5_000] if known else None)
    names = {*encoder.effects, NO_EFFECT}
    for part in (told.whole, *told.windows):
        assert set(part.probabilities) == names and sum(part.probabilities.values()) == pytest.approx(1.0)
        assert list(part.probabilities.values()) == sorted(part.probabilities.values(), reverse=True)
        for candidate in part.candidates:
            assert [s.name for s in candidate.settings] == [p.name for p in effects.get(candidate.effect).parameters]
    assert told.mode == ("dry_aware" if known else "blind")
    assert [window.start_s for window in told.windows] == ([0.0] if known else [0.0, 2 * CLIP / RATE])
    text = str(told)
    assert "1 silent of" in text and told.whole.best in text
    assert ("left out: the other ends there" in text) == known
    assert json.loads(json.dumps(told.to_dict()))["whole"]["probabilities"] == told.whole.probabilities


def test_identification_of_one_window_is_what_is_read_of_it(encoder, song):
    told, reading = encoder.identify(song[:CLIP], RATE), encoder.read(song[:CLIP], RATE)
    share = 1 - reading.no_effect[0]
    expected = dict(zip(encoder.effects, (reading.effect[0] * share).tolist(), strict=True))
    for name, probability in expected.items():
        assert told.whole.probabilities[name] == pytest.approx(probability, rel=1e-4)
    assert told.whole.probabilities[NO_EFFECT] == pytest.approx(float(reading.no_effect[0]), rel=1e-4)


def test_median_and_interval_are_quantiles_of_the_density_in_the_unit_of_the_parameter():
    """A density on one bin of twenty of a linear and of a logarithmic range."""
    density = [np.zeros((1, 1, 20)), np.zeros((1, 3, 20))]
    density[0][0, 0, 10] = density[1][0, :, 4] = 1.0
    told = answer(KINDS, np.array([[0.6, 0.4]]), np.array([0.1]), density, 0.0, 1.0)
    assert list(told.probabilities) == ["pedalboard/Distortion", "pedalboard/Delay", NO_EFFECT]
    drive = told.candidates[0].settings[0]
    assert (drive.name, drive.unit) == ("drive_db", "dB")
    np.testing.assert_allclose([drive.low, drive.median, drive.high], [20.2, 21.0, 21.8], atol=1e-6)
    seconds = told.candidates[1].settings[0]
    expected = 0.02 * 50 ** (np.array([4.1, 4.5, 4.9]) / 20)
    np.testing.assert_allclose([seconds.low, seconds.median, seconds.high], expected, rtol=1e-6)
    assert str(seconds) == "delay_seconds 0.0482 s (0.0446 to 0.0522)"


def test_windows_that_differ_make_the_answer_less_sure_and_those_that_agree_no_surer():
    sure, other = [[0.9, 0.1]], [[0.1, 0.9]]
    density = [np.full((2, 1, 20), 0.05), np.full((2, 3, 20), 0.05)]
    agreed = answer(KINDS, np.array(sure + sure), None, density, 0.0, 1.0)
    assert agreed.probabilities == pytest.approx({"pedalboard/Distortion": 0.9, "pedalboard/Delay": 0.1})
    assert NO_EFFECT not in agreed.probabilities
    torn = answer(KINDS, np.array(sure + other), None, density, 0.0, 1.0)
    assert torn.probabilities == pytest.approx({"pedalboard/Distortion": 0.5, "pedalboard/Delay": 0.5})


def test_command_prints_text_and_json_of_stereo_files_at_another_rate(run, song, tmp_path, capsys):
    paths = tuple(tmp_path / name for name in ("one.wav", "two.wav"))
    for path in paths:
        soundfile.write(path, np.stack([song, song], axis=1), 16_000)
    identify.main(identify.Options(paths, run, windows=True))
    printed = capsys.readouterr().out
    assert printed.count("from the wet recording alone, 1.5 s in 1 window") == 2 and "two.wav: tiny" in printed
    identify.main(identify.Options(paths[:1], run, dry=paths[1], json=True))
    (told,) = json.loads(capsys.readouterr().out).values()
    assert told["mode"] == "dry_aware" and NO_EFFECT in told["whole"]["probabilities"] and "windows" not in told
    identify.main(identify.Options(paths[:1], run, source=paths[1], json=True))
    (told,) = json.loads(capsys.readouterr().out).values()
    assert told["mode"] == "source_aware" and NO_EFFECT in told["whole"]["probabilities"]


def test_command_refuses_what_it_cannot_read_before_it_loads_a_model(tmp_path):
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    with pytest.raises(ValueError, match=r"song.m4a cannot be read as audio .*ffmpeg -i song.m4a song.wav"):
        identify.main(identify.Options((tmp_path / "song.m4a",), tmp_path / "no run"))
    with pytest.raises(ValueError, match="2 files are named with one dry file"):
        identify.Options((tmp_path, tmp_path), dry=tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(lambda song: 0 * song, "song.wav: the recording is silent in every window"), (lambda song: song / 0, "NaN or")],
)
def test_file_that_turns_out_unusable_while_it_is_read_is_named_once(encoder, song, tmp_path, spoil, message):
    with np.errstate(all="ignore"):
        soundfile.write(tmp_path / "song.wav", spoil(song), RATE, "FLOAT")
    with pytest.raises(ValueError, match=message) as refused:
        encoder.identify_file(tmp_path / "song.wav")
    assert str(refused.value).count("song.wav") == 1


def test_several_recordings_and_runs_without_heads_are_refused(encoder, song):
    with pytest.raises(ValueError, match="audio holds 2 recordings; identify them one by one"):
        encoder.identify([song, song], RATE)
    with pytest.raises(ValueError, match="trained without heads"):
        dataclasses.replace(encoder, parameters=()).identify(song, RATE)
    old = dataclasses.replace(encoder, readouts={}).identify(song, RATE)
    assert NO_EFFECT not in old.whole.probabilities and "this run has no readout yet" in str(old)


def test_a_text_sums_up_effects_that_are_unlikely():
    """Of three effects, one likely, and one that is not: what is named and what is summed up make 100 %."""
    kinds = [*KINDS, effects.get("pedalboard/Chorus"), effects.get("pedalboard/Phaser")]
    density = [np.full((1, len(kind.parameters), 20), 0.05) for kind in kinds]
    whole = answer(kinds, np.array([[0.9, 0.07, 0.02, 0.01]]), np.array([0.01]), density, 0.0, 1.0)
    lines = Identification("run", "blind", whole, (whole,), ()).text().splitlines()
    shares = {line[7:].strip(): line[:6].strip() for line in lines[1:] if line[5:6] == "%"}
    assert list(shares) == ["pedalboard/Distortion", "pedalboard/Delay", NO_EFFECT, "2 other effects, each below 3%"]
    assert list(shares.values()) == ["89%", "7%", "1%", "3%"]
