"""Degradations against what they are said to do, in dB."""

import numpy as np
import pytest
from scipy import signal

from jaxvae.data import degradation
from jaxvae.data.degradation import DEGRADATIONS

RATE = 24_000


@pytest.fixture(scope="module")
def clips():
    """Two chords of sines below 8 kHz and one above."""
    time = np.arange(65_536) / RATE
    low = sum(np.sin(2 * np.pi * frequency * time) for frequency in (220, 1_000, 6_100))
    high = np.sin(2 * np.pi * 10_000 * time)
    return np.stack([0.25 * low, 0.2 * low + 0.2 * high]).astype(np.float32)


def level(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_degraded_clip_is_as_long_aligned_and_the_same_each_time(clips, name):
    found = DEGRADATIONS[name](clips, RATE)
    assert found.shape == clips.shape and found.dtype == np.float32
    np.testing.assert_array_equal(found, DEGRADATIONS[name](clips, RATE))
    middle = slice(2_000, -2_000)
    lags = signal.correlate(found[0, middle], clips[0, middle], "same", "fft")
    assert abs(lags.argmax() - len(lags) // 2) <= 1
    assert not np.array_equal(found, clips)


def test_errors_are_those_of_16_bits_of_the_noise_and_of_a_coder(clips):
    change = {name: level((change(clips, RATE) - clips)[0]) for name, change in DEGRADATIONS.items()}
    assert change["16 bits"] == pytest.approx(-20 * np.log10(32_768) - 10 * np.log10(12), abs=1)  # a step / sqrt(12)
    assert change["noise at −60 dBFS"] == pytest.approx(-60, abs=0.1)
    assert -70 < change["MP3, 128 kbit/s"] < level(clips[0]) - 20


def test_nothing_is_left_above_8_khz_at_16_khz(clips):
    found = DEGRADATIONS["16 kHz and back"](clips, RATE)
    frequency, density = signal.welch(found[1], RATE, nperseg=8_192)
    _, before = signal.welch(clips[1], RATE, nperseg=8_192)
    high, low = frequency > 8_500, (frequency > 100) & (frequency < 7_000)
    assert 10 * np.log10(density[high].sum() / before[high].sum()) < -60
    assert 10 * np.log10(density[low].sum() / before[low].sum()) == pytest.approx(0, abs=0.1)
    assert DEGRADATIONS["16 kHz and back"](clips, 8_000).shape == clips.shape


def test_an_equaliser_changes_octaves_by_some_decibels_without_delay(clips):
    noise = np.random.default_rng(0).standard_normal(2**17).astype(np.float32)
    gains = []
    for seed in range(60):
        found = degradation.equalised(noise, RATE, np.random.default_rng(seed))
        _, cross = signal.csd(noise, found, RATE, nperseg=4_096)
        frequency, density = signal.welch(noise, RATE, nperseg=4_096)
        response = (cross / density)[np.searchsorted(frequency, (160, 1_280, 5_120))]
        assert np.abs(np.angle(response)).max() < 0.05
        gains.append(20 * np.log10(np.abs(response)))
    assert np.std(gains, axis=0) == pytest.approx(degradation.EQUALISER_DB, rel=0.3)


def test_draws_hold_every_kind_and_always_change_something(monkeypatch):
    called, clip = [], 0.1 * np.random.default_rng(0).standard_normal(65_536).astype(np.float32)
    for kind in ("equalised", "resampled", "noisy", "mp3", "vorbis"):
        change = getattr(degradation, kind)

        def noted(*arguments, kind=kind, change=change):
            called.append(kind)
            return change(*arguments)

        monkeypatch.setattr(degradation, kind, noted)
    found = [degradation.draw(np.random.default_rng(seed), clip, RATE) for seed in range(80)]
    assert all(not np.array_equal(one, clip) and one.shape == clip.shape for one in found)
    counts = {kind: called.count(kind) for kind in set(called)}
    assert counts.keys() == {"equalised", "resampled", "noisy", "mp3", "vorbis"} and min(counts.values()) > 5
    lags = [signal.correlate(one[2_000:-2_000], clip[2_000:-2_000], "same", "fft").argmax() for one in found]
    assert np.abs(np.array(lags) - (65_536 - 4_000) // 2).max() <= 1  # nothing is delayed
    again = degradation.draw(np.random.default_rng(3), clip, RATE)
    np.testing.assert_array_equal(again, found[3])
    assert degradation.draw(np.random.default_rng(5), clip, 96_000).shape == clip.shape  # no MP3 of that rate
