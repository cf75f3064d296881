"""What is played and what is kept: loudness, peaks, and that both are the same."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pyloudnorm
import pytest
import soundfile

from analysis.latent_map import source
from analysis.latent_map.audition import Audition
from jaxvae import effects
from jaxvae.effects import EffectError

HIGHEST = 10 ** (-1 / 20)


@pytest.fixture
def audition(encoder):
    return Audition(encoder.experiment)


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """A loud mono file of twelve seconds, the middle of which is loudest."""
    rng = np.random.default_rng(5)
    audio = 0.2 * rng.normal(size=12 * 16_000).clip(-3, 3)
    audio[4 * 16_000 : 8 * 16_000] *= 1.4
    path = tmp_path_factory.mktemp("loud") / "loud.wav"
    soundfile.write(path, audio, 16_000, "FLOAT")
    return source.of_file(path, "loud", "loud")


def loudness(audio, rate):
    return pyloudnorm.Meter(rate).integrated_loudness(audio.T.astype(np.float64))


@pytest.mark.parametrize("name", ["pedalboard/Delay", "pedalboard/Distortion", "pedalboard/Compressor"])
def test_renders_are_as_loud_as_the_dry_recording_and_never_above_the_limit(audition, chirp_source, loud, name):
    kind, rng = effects.get(name), np.random.default_rng(0)
    for recording in (chirp_source, loud):
        dry = audition.dry(recording)
        assert dry.audio.shape == recording.window.shape and np.abs(dry.audio).max() <= HIGHEST
        assert loudness(dry.audio, dry.sample_rate) <= source.MOST_LUFS + 0.01
        for _ in range(12):
            sound = audition.wet(recording, kind, kind.settings(rng.random(len(kind.parameters))))
            assert sound.audio.dtype == np.float32 and np.abs(sound.audio).max() <= HIGHEST
            apart = loudness(sound.audio, sound.sample_rate) - loudness(dry.audio, dry.sample_rate)
            assert abs(apart + sound.short_db) < 0.1
            if name == "pedalboard/Compressor":  # which lets the onset of noise pass before it attacks
                assert not sound.short_db or np.abs(sound.audio).max() == pytest.approx(HIGHEST, rel=1e-5)
            else:
                assert sound.short_db < 1


def test_a_render_whose_peaks_are_too_high_is_quieter_and_tells_by_how_much(audition, tmp_path):
    # Loud, and hardly anything but the peaks is left by the effect.
    audio = 0.001 * np.random.default_rng(0).normal(size=5 * 16_000)
    audio[::1_600] = 0.9
    soundfile.write(tmp_path / "clicks.wav", audio, 16_000, "FLOAT")
    clicks = source.of_file(tmp_path / "clicks.wav", "clicks", "clicks")
    kind = effects.get("pedalboard/LowpassFilter")

    def process(dry, settings, rate):
        return dry**5

    peaky = dataclasses.replace(kind, process=process, open=None)
    quiet = dataclasses.replace(clicks, window=clicks.window)
    quiet.__dict__["loudness"] = -5.0  # as if it were that loud: then only 18 dB are left for peaks
    sound = audition.wet(quiet, peaky, {})
    assert sound.short_db > 0 and np.abs(sound.audio).max() == pytest.approx(HIGHEST, rel=1e-5)
    apart = loudness(sound.audio, sound.sample_rate) - source.MOST_LUFS
    assert apart == pytest.approx(-sound.short_db, abs=0.1)


def test_what_is_kept_is_what_was_played(audition, chirp_source, tmp_path):
    kind = effects.get("pedalboard/Delay")
    settings = {"delay_seconds": 0.11, "feedback": 0.4, "mix": 0.5}
    sound = audition.wet(chirp_source, kind, settings)
    assert chirp_source.play_db == 0  # it is quiet
    assert audition.write(chirp_source, kind, settings, tmp_path / "wet.wav") == 0
    kept, rate = soundfile.read(tmp_path / "wet.wav", always_2d=True)
    assert rate == 22_050 and kept.shape == sound.audio.T.shape
    np.testing.assert_allclose(kept, sound.audio.T, atol=1e-4)
    assert not np.allclose(kept, chirp_source.window.T, atol=1e-2)


def test_a_long_file_is_kept_whole_at_its_own_loudness(audition, loud, tmp_path):
    kind = effects.get("pedalboard/Distortion")  # which has no memory, so a part of it is the same
    sound = audition.wet(loud, kind, {"drive_db": 12.0})
    short_db = audition.write(loud, kind, {"drive_db": 12.0}, tmp_path / "wet.wav")
    kept, _ = soundfile.read(tmp_path / "wet.wav", always_2d=True)
    assert kept.shape == (12 * 16_000, 1)
    part = kept[loud.start : loud.start + loud.window.shape[1]].T
    gain = 10 ** ((loud.play_db + short_db) / 20)
    # Where it is played, the render is brought from its rate to the file's, whose filter rings at the ends of the part.
    np.testing.assert_allclose((gain * part)[:, 200:-200], sound.audio[:, 200:-200], atol=1e-4)
    assert loudness(part, 16_000) + short_db == pytest.approx(loudness(loud.window, 16_000), abs=0.1)


def test_settings_and_program_make_the_file_again(audition, chirp_source, chirp, tmp_path):
    kind, settings = effects.get("pedalboard/Delay"), {"delay_seconds": 0.2, "feedback": 0.3, "mix": 0.7}
    audition.write(chirp_source, kind, settings, tmp_path / "kept.wav")
    kept, _ = soundfile.read(tmp_path / "kept.wav", dtype="float32")
    record = json.loads(audition.json(chirp_source, kind, settings))
    assert record["effect"] == "pedalboard/Delay" and record["settings"] == settings
    assert record["units"]["delay_seconds"] == "s" and record["render_rate"] == 22_050
    dry, rate = soundfile.read(chirp, dtype="float32")
    entering = (dry * 10 ** (record["input_gain_db"] / 20)).astype(np.float32)
    wet = [kind.render(channel, record["settings"], rate) for channel in np.ascontiguousarray(entering.T)]
    np.testing.assert_allclose(np.stack(wet, 1) * 10 ** (record["output_gain_db"] / 20), kept, atol=1e-4)
    (tmp_path / "dry.wav").write_bytes(chirp.read_bytes())
    (tmp_path / "render.py").write_text(audition.snippet(chirp_source, kind, settings))
    subprocess.run([sys.executable, "render.py"], cwd=tmp_path, check=True, env={"PYTHONPATH": sys.path[0] or "."})
    np.testing.assert_allclose(soundfile.read(tmp_path / "wet.wav")[0], kept, atol=1e-4)


def test_the_same_render_is_remembered_and_the_oldest_forgotten(audition, chirp_source, monkeypatch):
    kind = effects.get("pedalboard/Distortion")
    first = audition.wet(chirp_source, kind, {"drive_db": 1.0})
    again = audition.wet(chirp_source, kind, {"drive_db": 1.0})
    assert again.audio is first.audio and first.render_ms > 0 and again.render_ms == 0
    for drive in range(2, 70):
        audition.wet(chirp_source, kind, {"drive_db": drive / 2})
    assert audition.wet(chirp_source, kind, {"drive_db": 1.0}).audio is not first.audio


def test_a_recording_of_a_lower_rate_is_rendered_at_that_of_training(audition, encoder, tmp_path):
    soundfile.write(tmp_path / "low.wav", 0.1 * np.random.default_rng(0).normal(size=16_000), 4_000)
    low = source.of_file(tmp_path / "low.wav", "low", "low")
    kind = effects.get("pedalboard/Distortion")
    assert audition.rate(low, kind) == 8_000
    assert audition.wet(low, kind, {"drive_db": 3.0}).audio.shape == (1, 16_000)


def test_settings_out_of_range_and_renders_that_cannot_be_used_are_errors(audition, chirp_source):
    kind = effects.get("pedalboard/Delay")
    with pytest.raises(ValueError, match=r"feedback of pedalboard/Delay is 7; use"):
        audition.wet(chirp_source, kind, {"feedback": 7.0})
    broken = dataclasses.replace(kind, process=lambda dry, settings, rate: dry * np.nan, open=None)
    with pytest.raises(EffectError, match="gives nothing that can be used"):
        audition.wet(chirp_source, broken, {})
