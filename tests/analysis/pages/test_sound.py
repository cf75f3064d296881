"""Sounds inside pages: loudness and what a player gets of them."""

import base64
import io

import numpy as np
import pyloudnorm
import pytest
import soundfile
import soxr

from analysis.pages import sound
from jaxvae.data.audio_file import AudioError


def decode(address):
    kind, _, content = address.partition("base64,")
    assert kind == "data:audio/flac;"
    return soundfile.read(io.BytesIO(base64.b64decode(content)))


def made(rate):
    """A tone, noise, a click in noise and sparse bursts, at levels 60 dB apart."""
    rng, time = np.random.default_rng(0), np.arange(rate) / rate
    click = 1e-2 * rng.normal(size=rate)
    click[rate // 2] = 1
    tone = np.sin(2 * np.pi * 997 * time)
    return np.stack([tone, 1e-3 * rng.normal(size=rate), click, tone * (time % 0.5 < 0.02)]).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100])
def test_sounds_are_equally_loud_and_below_full_scale_once_they_are_written(rate):
    meter = pyloudnorm.Meter(rate)
    sounds = sound.equally_loud(made(rate), rate)
    written = [decode(sound.lossless_address(one, rate)) for one in sounds]
    assert {heard_rate for _, heard_rate in written} == {rate}
    loudness = [meter.integrated_loudness(heard) for heard, _ in written]
    assert np.ptp(loudness) < 0.1 and max(loudness) < -22.95
    peaks = [np.abs(soxr.resample(heard, rate, 16 * rate)).max() for heard, _ in written]
    assert 20 * np.log10(max(peaks)) < -1.0
    assert 20 * np.log10(max(peaks)) > -1.5, "not quieter than the click needs"


def test_sounds_that_can_be_are_at_the_loudness_of_broadcast():
    """A tone of 997 Hz at 0 dBFS is of -3.01 LUFS in one channel (BS.1770, annex 1)."""
    tones = made(48_000)[:1].repeat(2, axis=0)
    heard = sound.equally_loud(tones, 48_000)
    assert 20 * np.log10(np.abs(heard).max()) == pytest.approx(-23 + 3.01, abs=0.05)


def test_what_has_no_loudness_is_refused():
    with pytest.raises(ValueError, match=r"0\.30 s have no loudness.*longer"):
        sound.equally_loud(np.ones((2, 2_400), np.float32), 8_000)
    with pytest.raises(AudioError, match="silent"):
        sound.equally_loud(np.zeros((1, 8_000), np.float32), 8_000)
