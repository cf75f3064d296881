"""Laws of the fine structure, against closed forms, scipy and numpy."""

import jax
import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats

from jaxvae import fine_structure

RATE, SAMPLES = 24_000, 65_536
LAYOUT = fine_structure.layout(SAMPLES, RATE)


@pytest.fixture(scope="module")
def compute():
    return jax.jit(lambda audio: fine_structure.compute(audio, RATE))


@pytest.fixture(scope="module")
def noise():
    return 0.1 * np.random.default_rng(0).standard_normal((4, SAMPLES)).astype(np.float32)


def band_of(lag, most):
    return int(np.searchsorted(fine_structure.lag_edges(most, RATE), lag, side="right")) - 1


def test_layout_covers_every_number_once(compute, noise):
    flat = []
    for part in LAYOUT:
        for place in part if isinstance(part, tuple) else (part,):
            flat += list(range(10_000)[place]) if isinstance(place, slice) else [place]
    assert flat == list(range(compute(noise).shape[1]))


@pytest.mark.parametrize("lag", [20, 300, 1_111, 3_000])
@pytest.mark.parametrize("strength", [0.3, -0.3])
def test_an_echo_is_a_peak_of_its_strength_at_its_lag(compute, noise, lag, strength):
    """log |1 + a exp(-iwd)|^2 has the Fourier coefficient a at lag d: the power cepstrum's peak."""
    echoed = noise + strength * np.roll(noise, lag, axis=1)
    before, after = (np.asarray(compute(audio)) for audio in (noise, echoed))
    for places, most in ((LAYOUT.cepstrum, RATE), (LAYOUT.averaged, 4_096))[: 2 if lag < 2_000 else 1]:
        highest, lowest, _ = (after[:, place] for place in places)
        found = highest if strength > 0 else -lowest
        assert (found.argmax(axis=1) == band_of(lag, most)).all()
        np.testing.assert_allclose(found.max(axis=1), 10 * abs(strength), rtol=0.2)
    assert np.abs(before[:, LAYOUT.cepstrum[0]]).max() < 1  # noise has no echo


def test_an_echo_beyond_the_long_frames_is_found_in_the_whole_clip(compute, noise):
    found = np.asarray(compute(noise + 0.4 * np.roll(noise, 12_000, axis=1)))[:, LAYOUT.cepstrum[0]]
    assert (found.argmax(axis=1) == band_of(12_000, RATE)).all()


def test_a_hard_clip_puts_its_mass_at_the_peak(compute, noise):
    """Of Gaussian noise of deviation s, clipped at c, samples above -0.1 dB of the peak are P(|x| > 10^-.005 c)."""
    limit = 0.12
    numbers = np.asarray(compute(np.clip(noise, -limit, limit)))
    share = np.exp(numbers[:, LAYOUT.shares][:, 0])
    expected = 2 * scipy.stats.norm.sf(limit * 10 ** (-0.1 / 20) / 0.1)
    np.testing.assert_allclose(share, expected, rtol=0.03)
    ends = np.exp(numbers[:, LAYOUT.histogram][:, [0, -1]])
    assert (ends > 0.1).all()
    assert (np.exp(np.asarray(compute(noise))[:, LAYOUT.histogram][:, [0, -1]]) < 0.001).all()


@pytest.mark.parametrize("gain", [1e-3, 0.5, 3.0])
def test_gain_changes_nothing(compute, noise, gain):
    np.testing.assert_allclose(compute(gain * noise), compute(noise), atol=2e-3)


def test_a_delay_changes_nothing_beyond_the_edges(compute, noise):
    sound = scipy.signal.lfilter([1], [1, -0.9], noise, axis=1).astype(np.float32)
    before, after = np.asarray(compute(sound)), np.asarray(compute(np.roll(sound, 256, axis=1)))
    spread = np.abs(before[:2] - before[2:]).mean(axis=0)  # between one noise and another
    assert np.abs(after - before).mean() < 0.2 * spread.mean()
    np.testing.assert_allclose(after[:, : LAYOUT.levels.start], before[:, : LAYOUT.levels.start], atol=1e-4)


def test_quantiles_and_moments_are_those_of_scipy(compute, noise):
    skewed = np.where(noise > 0, noise, 0.4 * noise)
    skewed -= skewed.mean(axis=1, keepdims=True)
    numbers = np.asarray(compute(skewed))
    shape = skewed / np.abs(skewed).max(axis=1, keepdims=True)
    quantiles = np.quantile(shape, fine_structure._QUANTILES, axis=1).T
    np.testing.assert_allclose(numbers[:, LAYOUT.quantiles], quantiles, atol=2.5e-3)
    np.testing.assert_allclose(numbers[:, LAYOUT.skewness], scipy.stats.skew(shape, axis=1), rtol=1e-3)
    kurtosis = scipy.stats.kurtosis(shape, axis=1, fisher=False)
    np.testing.assert_allclose(np.exp(numbers[:, LAYOUT.kurtosis]), kurtosis, rtol=1e-3)


def test_a_sine_has_the_crest_of_a_sine_and_no_change_of_level(compute):
    time = np.arange(SAMPLES) / RATE
    numbers = np.asarray(compute(np.sin(2 * np.pi * 1_000 * time, dtype=np.float64).astype(np.float32)[None]))
    np.testing.assert_allclose(numbers[0, LAYOUT.crests], 20 * np.log10(np.sqrt(2)), atol=0.03)
    np.testing.assert_allclose(numbers[0, LAYOUT.levels], -20 * np.log10(np.sqrt(2)), atol=0.03)
    np.testing.assert_allclose(numbers[0, LAYOUT.changes], 0, atol=0.05)


def test_levels_of_short_frames_follow_a_fade(compute, noise):
    fade = np.linspace(0, -40, SAMPLES, dtype=np.float32)
    steep = np.asarray(compute(noise * 10 ** (fade / 20)))[:, LAYOUT.levels]
    np.testing.assert_allclose(steep[:, 6] - steep[:, 2], 0.8 * 40, rtol=0.05)  # 10th to 90th percentile


def test_bands_are_the_levels_of_librosa(compute, noise):
    tilted = scipy.signal.lfilter([1], [1, -0.9], noise, axis=1)
    tilted = (tilted / np.abs(tilted).max(axis=1, keepdims=True)).astype(np.float32)
    mean, deviation, change = (np.asarray(compute(tilted))[:, place] for place in LAYOUT.bands)
    power = librosa.feature.melspectrogram(
        y=tilted, sr=RATE, n_fft=1_024, hop_length=240, n_mels=64, pad_mode="reflect"
    )
    level = librosa.power_to_db(power, amin=1e-20, top_db=None)
    offset = mean - level.mean(axis=2)  # librosa counts the power of a window, not of a full-scale sine
    np.testing.assert_allclose(offset, offset[:1].repeat(4, axis=0), atol=0.02)
    np.testing.assert_allclose(deviation, level.std(axis=2), rtol=1e-3)
    np.testing.assert_allclose(change, np.abs(np.diff(level, axis=2)).mean(axis=2), rtol=1e-3)


def test_what_repeats_is_found_at_its_lag(compute, noise):
    """Bursts of noise every .4 s: the level correlates with itself .4 s and .8 s later, and not .2 s later."""
    time = np.arange(SAMPLES) / RATE
    bursts = noise * (0.001 + (time % 0.4 < 0.1)).astype(np.float32)
    repeats = np.asarray(compute(bursts))[:, LAYOUT.repeats]
    later = repeats[:, 10:30]
    assert (later.argmax(axis=1) + 11 == 20).all()
    assert (later.max(axis=1) > 0.7).all()
    assert (repeats[:, 9] < 0).all()


def test_whole_numbers_are_the_same_audio(compute, noise):
    whole = np.round(noise * 32_767).astype(np.int16)
    np.testing.assert_allclose(compute(whole), compute(whole.astype(np.float32) / 32_768), atol=1e-4)


def test_silence_and_a_click_are_finite(compute):
    audio = np.zeros((2, SAMPLES), np.float32)
    audio[1, 1_000] = 1
    assert np.isfinite(np.asarray(compute(audio))).all()


@pytest.mark.parametrize(("rate", "samples"), [(8_000, 8_192), (44_100, 131_072), (96_000, 20_000)])
def test_other_rates_and_lengths_have_their_layout(rate, samples):
    audio = np.random.default_rng(1).standard_normal((2, samples)).astype(np.float32)
    numbers = fine_structure.compute(audio, rate)
    assert numbers.shape[1] == fine_structure.size(samples, rate)
    assert np.isfinite(np.asarray(numbers)).all()


def test_a_clip_shorter_than_its_frames_is_refused():
    with pytest.raises(ValueError, match="a clip of 900 samples has no fine structure; use 1024 or more"):
        fine_structure.compute(np.zeros((1, 900), np.float32), RATE)


def test_standard_numbers_have_no_outliers_and_survive_json():
    numbers = np.random.default_rng(0).normal(3, 2, (2_000, 3)).astype(np.float32)
    numbers[0, 0], numbers[:, 2] = 1e6, 7
    found = fine_structure.standard(numbers)
    again = fine_structure.standard_from({name: value.tolist() for name, value in found._asdict().items()})
    standardised = np.asarray(again(numbers))
    np.testing.assert_allclose(standardised[:, :2].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(standardised[:, :2].std(axis=0), 1, atol=1e-4)
    np.testing.assert_array_equal(standardised[:, 2], 0)
    assert np.abs(standardised).max() < 6
