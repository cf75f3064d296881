"""Hand-made statistics against what a signal is made of, and against librosa and SciPy."""

import librosa
import numpy as np
import pytest
from scipy import signal, stats

from analysis.models import statistics

RATE, SAMPLES = 24_000, 65_536
LAGS = np.unique(np.geomspace(8, 24_000, 40).astype(int))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(0, 0.1, (4, SAMPLES)).astype(np.float32)


def test_statistics_do_not_depend_on_the_level(noise):
    for gain in (0.01, 3.0):
        np.testing.assert_allclose(
            statistics.waveform(gain * noise, RATE), statistics.waveform(noise, RATE), rtol=1e-3, atol=0.05
        )
        levels = statistics.mel_levels(gain * noise, RATE)
        np.testing.assert_allclose(levels, statistics.mel_levels(noise, RATE), atol=1e-2)


def test_mel_levels_are_those_of_librosa_at_10_ms(noise):
    one = noise[0] / np.abs(noise[0]).max()
    power = librosa.feature.melspectrogram(y=one, sr=RATE, n_fft=1_024, hop_length=240, n_mels=64)
    np.testing.assert_allclose(
        statistics.mel_levels(noise, RATE)[0], librosa.power_to_db(power, amin=1e-10, top_db=None), atol=1e-3
    )


def test_fine_statistics_are_numpys_over_time():
    levels = np.random.default_rng(0).normal(-40, 10, (3, 64, 274)).astype(np.float32)
    found = statistics.fine(levels)
    assert found.shape == (3, 5 * 64 + 60)
    np.testing.assert_allclose(found[:, :64], levels.mean(axis=2), rtol=1e-5)
    np.testing.assert_allclose(found[:, 64:128], levels.std(axis=2), rtol=1e-4)
    np.testing.assert_allclose(found[:, 192:256], np.percentile(levels, 5, axis=2), rtol=1e-5)


def test_a_beat_is_a_peak_of_the_autocorrelation_at_its_period():
    levels = np.full((1, 64, 274), -60.0, np.float32)
    levels[:, :, ::30] = 0.0  # 300 ms
    found = statistics.fine(levels)[0, 320:]
    peaks = 1 + 2 * signal.find_peaks(found, height=0.5)[0]  # a band is of two lags of 10 ms
    np.testing.assert_allclose(peaks, [29, 59, 89], atol=1)


@pytest.mark.parametrize("delay", [12, 240, 2_400, 12_000])
def test_an_echo_is_a_peak_of_the_cepstrum_at_its_delay(noise, delay):
    """Of power, an echo of gain g is g at its delay (Oppenheim & Schafer, 1975, chapter 10)."""
    wet = noise.copy()
    wet[:, delay:] += 0.5 * noise[:, :-delay]
    count = 3 * (len(LAGS) - 1)
    start = statistics.waveform(noise, RATE).shape[1] - 2 * count
    # the maxima of both, band by band; the cepstrum of long frames has fewer bands
    dry, echo = (statistics.waveform(clips, RATE) for clips in (noise, wet))
    of_whole = slice(dry.shape[1] - count - 3 * (len(np.unique(np.geomspace(8, 4_096, 40).astype(int))) - 1), None)
    gained = (echo - dry)[:, of_whole][:, :count:3].mean(axis=0)
    band = np.searchsorted(LAGS, delay, side="right") - 1
    assert start > 0 and gained.argmax() == band
    assert gained[band] == pytest.approx(10 * 0.5, rel=0.25)


def test_clipping_is_seen_in_the_amplitudes(noise):
    hard = np.clip(noise, -0.05, 0.05)
    dry, wet = (statistics.waveform(clips, RATE)[0] for clips in (noise, hard))
    kurtosis = len(statistics._PERCENTILES) + 8 + 1
    assert dry[kurtosis] == pytest.approx(np.log(stats.kurtosis(noise[0], fisher=False)), abs=0.05)
    assert wet[kurtosis] == pytest.approx(np.log(stats.kurtosis(hard[0], fisher=False)), abs=0.05)
    near_peak = kurtosis + 1
    assert wet[near_peak] == pytest.approx(np.mean(np.abs(noise[0]) > 0.0475), abs=1e-3)
    assert dry[near_peak] < 1e-3
    np.testing.assert_allclose(
        dry[: len(statistics._PERCENTILES)],
        np.percentile(noise[0] / np.abs(noise[0]).max(), statistics._PERCENTILES),
        atol=3e-3,
    )


def test_a_silent_clip_has_finite_statistics():
    silent = np.zeros((1, SAMPLES), np.float32)
    assert np.isfinite(statistics.waveform(silent, RATE)).all()
    assert np.isfinite(statistics.fine(statistics.mel_levels(silent, RATE))).all()


@pytest.mark.parametrize(("rate", "samples"), [(8_000, 8_192), (48_000, 65_536)])
def test_other_rates_and_lengths_have_statistics(rate, samples):
    clips = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    assert np.isfinite(statistics.waveform(clips, rate)).all()
    assert statistics.fine(statistics.mel_levels(clips, rate)).shape == (2, 380)
