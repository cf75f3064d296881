"""Spectrograms against librosa, scipy and levels known in dB."""

import dataclasses

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from jaxvae import config, spectrogram

AUDIO = config.Audio(sample_rate=24_000, clip_samples=16_384)
LINEAR = config.Spectrogram(n_fft=1_024, window_length=1_024, hop_length=256, scale="linear")
MEL = config.Spectrogram(n_fft=2_048, window_length=2_048, hop_length=512, scale="mel", n_mels=64)


def noise(clips: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (clips, AUDIO.clip_samples)).astype(np.float32)


def sine(frequency_hz: float, amplitude: float = 1.0) -> np.ndarray:
    time = np.arange(AUDIO.clip_samples) / AUDIO.sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)[None]


@pytest.mark.parametrize("scale", ["linear", "mel"])
@pytest.mark.parametrize(
    ("n_fft", "window_length", "hop_length"),
    [(2_048, 2_048, 1_024), (2_048, 2_048, 300), (4_096, 2_048, 1_024), (2_048, 1_501, 512), (2_047, 1_500, 441)],
)
def test_magnitude_equals_librosas(scale, n_fft, window_length, hop_length):
    settings = config.Spectrogram(n_fft, window_length, hop_length, scale, n_mels=40)
    audio = noise(2)
    computed = np.asarray(spectrogram.magnitude(audio, AUDIO, settings))
    expected = np.abs(
        librosa.stft(audio, n_fft=n_fft, win_length=window_length, hop_length=hop_length, pad_mode="reflect")
    )
    if scale == "mel":
        expected = np.sqrt(librosa.feature.melspectrogram(S=expected**2, sr=24_000, n_fft=n_fft, n_mels=40))
    assert computed.shape == expected.shape
    np.testing.assert_allclose(computed, expected, atol=1e-5 * expected.max(), rtol=1e-5)


@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(24_000, 2_048, 128), (44_100, 4_096, 256), (8_000, 256, 32)])
def test_mel_bands_are_bitwise_librosas(rate, n_fft, n_mels):
    audio, settings = config.Audio(rate), config.Spectrogram(n_fft, n_fft, n_fft // 2, n_mels=n_mels)
    weights = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_array_equal(spectrogram._mel_weights(rate, n_fft, n_mels), weights)
    centres = librosa.mel_frequencies(n_mels + 2, fmin=0, fmax=rate / 2)[1:-1]
    np.testing.assert_array_equal(spectrogram.frequencies(audio, settings), centres)
    linear = dataclasses.replace(settings, scale="linear")
    np.testing.assert_allclose(spectrogram.frequencies(audio, linear), librosa.fft_frequencies(sr=rate, n_fft=n_fft))


def test_default_spectrogram_has_the_size_that_the_experiment_states():
    experiment = config.Experiment("default")
    clip = jnp.zeros((1, experiment.audio.clip_samples), jnp.int16)
    shape = jax.eval_shape(lambda: spectrogram.magnitude(clip, experiment.audio, experiment.spectrogram)).shape
    assert shape == (1, experiment.bins, experiment.frames)


def test_energy_of_the_frames_is_that_of_the_audio():
    """Parseval: a Hann window squared overlaps to 3/8 of the window's length in samples at a quarter of its hop."""
    audio = noise(1)
    power = np.asarray(spectrogram.magnitude(audio, AUDIO, LINEAR))[0, :, 8:-8] ** 2
    two_sided = 2 * power.sum(axis=0) - power[0] - power[-1]
    covered = audio[0, 8 * 256 : -8 * 256]  # the ends hold half a frame more and less: a few per cent of 56 hops
    assert two_sided.mean() / 1_024 / (1_024 * 3 / 8) == pytest.approx(np.mean(covered**2), rel=0.03)


@pytest.mark.parametrize("settings", [LINEAR, MEL], ids=["linear", "mel"])
@pytest.mark.parametrize(("frequency_hz", "amplitude"), [(500.0, 1.0), (2_000.0, 0.1), (9_000.0, 0.01)])
def test_a_sine_reads_its_level_below_full_scale(settings, frequency_hz, amplitude):
    """To 1.5 dB: the window's scalloping loss; between two mel bands 3 dB more, shared by both."""
    level = np.asarray(spectrogram.level(sine(frequency_hz, amplitude), AUDIO, settings))[0, :, 4:-4].max(axis=0)
    expected_db = 20 * np.log10(amplitude)
    lowest = expected_db - (1.5 if settings.scale == "linear" else 4.5)
    assert np.all((lowest < level) & (level < expected_db + 0.01))


def test_levels_end_at_the_floor():
    settings = dataclasses.replace(MEL, floor_db=-60.0)
    level = spectrogram.level(sine(1_000.0, 0.5), AUDIO, settings)
    assert float(level.min()) == pytest.approx(-60.0)
    assert np.asarray(spectrogram.level(0 * sine(1_000.0), AUDIO, settings)) == pytest.approx(-60.0)


def test_power_compression_is_the_exponent_of_the_magnitude():
    settings = dataclasses.replace(LINEAR, compression="power", exponent=0.3)
    audio, full_scale = noise(1), 1_024 / 4  # the sum of the window, of which a sine puts half at its frequency
    level = spectrogram.level(audio, AUDIO, settings)
    magnitude = np.abs(librosa.stft(audio, n_fft=1_024, hop_length=256, pad_mode="reflect"))
    np.testing.assert_allclose(level, (magnitude / full_scale) ** 0.3, atol=1e-4)


def test_int16_audio_equals_float_audio():
    audio = np.round(noise(1) * 32_767).astype(np.int16)
    as_float = spectrogram.magnitude((audio / 32_768).astype(np.float32), AUDIO, MEL)
    np.testing.assert_allclose(spectrogram.magnitude(audio, AUDIO, MEL), as_float, rtol=1e-5)


@pytest.mark.parametrize("normalisation", ["fixed", "clip"])
def test_a_clip_does_not_depend_on_its_neighbours(normalisation):
    settings, audio = dataclasses.replace(MEL, normalisation=normalisation), noise(4)
    statistics = spectrogram.statistics([audio], AUDIO, settings)
    alone = spectrogram.compute(audio[:1], AUDIO, settings, statistics)
    together = spectrogram.compute(audio * np.float32([[1], [0], [0.01], [1]]), AUDIO, settings, statistics)
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-4, atol=1e-4)


def test_clip_normalisation_has_mean_0_and_deviation_1_at_any_level():
    settings, audio = dataclasses.replace(MEL, normalisation="clip"), noise(1)
    loud, quiet = (np.asarray(spectrogram.compute(gain * audio, AUDIO, settings)) for gain in np.float32([1, 0.1]))
    assert loud.mean() == pytest.approx(0, abs=1e-4)
    assert loud.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_statistics_are_those_of_all_clips_however_they_are_batched():
    audio = noise(6) * np.float32([[1], [0.5], [0.2], [0.1], [0.05], [0.02]])
    levels = np.asarray(spectrogram.level(audio, AUDIO, MEL), np.float64)
    statistics = spectrogram.statistics(iter([audio[:4], audio[4:]]), AUDIO, MEL)
    np.testing.assert_allclose(statistics.mean, levels.mean(axis=(0, 2)), rtol=1e-5)
    np.testing.assert_allclose(statistics.std, levels.std(axis=(0, 2)), rtol=1e-5)
    normalised = np.asarray(spectrogram.compute(audio, AUDIO, MEL, statistics))
    np.testing.assert_allclose(normalised.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normalised.std(axis=(0, 2)), 1, atol=1e-4)


def test_a_band_that_never_varies_stays_within_bounds_elsewhere():
    """A training set of low sines leaves high bands at the floor; white noise must not read as hundreds there."""
    low = np.concatenate([sine(200.0, amplitude) for amplitude in (0.01, 0.003)])
    statistics = spectrogram.statistics([low], AUDIO, MEL)
    assert statistics.std.min() >= 0.099 * statistics.std.max()
    assert np.abs(spectrogram.compute(noise(1), AUDIO, MEL, statistics)).max() < 150


@pytest.mark.parametrize("compression", ["log", "power"])
@pytest.mark.parametrize("normalisation", ["fixed", "clip"])
def test_gradient_at_silence_is_finite(compression, normalisation):
    settings = dataclasses.replace(MEL, compression=compression, normalisation=normalisation)
    statistics = spectrogram.Statistics(np.zeros(64, np.float32), np.ones(64, np.float32))
    loss = jax.jit(jax.grad(lambda audio: jnp.sum(spectrogram.compute(audio, AUDIO, settings, statistics) ** 2)))
    half_silent = np.where(np.arange(AUDIO.clip_samples) < 8_000, 0, noise(1)).astype(np.float32)
    assert np.isfinite(loss(jnp.zeros((1, AUDIO.clip_samples)))).all()
    assert np.isfinite(loss(jnp.asarray(half_silent))).all()


@pytest.mark.parametrize("scale", ["linear", "mel"])
@pytest.mark.parametrize("compression", ["log", "power"])
def test_inverted_audio_has_the_same_levels(scale, compression):
    settings = dataclasses.replace(MEL, scale=scale, compression=compression)
    chord = sum(sine(frequency_hz, 0.2) for frequency_hz in (330.0, 1_500.0, 4_000.0)) + 0.02 * noise(1)
    chord *= np.abs(np.sin(np.arange(AUDIO.clip_samples) / 2_000)).astype(np.float32)
    statistics = spectrogram.statistics([chord], AUDIO, settings)
    target = spectrogram.compute(chord, AUDIO, settings, statistics)
    audio = spectrogram.invert(target, AUDIO, settings, statistics)
    assert audio.shape == chord.shape
    in_db = dataclasses.replace(settings, compression="log")
    before, after = (np.asarray(spectrogram.level(clip, AUDIO, in_db)) for clip in (chord, audio))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.93
    assert np.median(np.abs(before - after)) < 1.0
    assert 20 * np.log10(np.std(audio) / np.std(chord)) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("compression", ["log", "power"])
def test_what_no_clip_can_be_is_inverted_without_overflow(compression):
    settings = dataclasses.replace(MEL, compression=compression)
    statistics = spectrogram.statistics([noise(1)], AUDIO, settings)
    absurd = np.random.default_rng(0).normal(size=(1, MEL.n_mels, 1 + AUDIO.clip_samples // MEL.hop_length)) * 1e30
    audio = spectrogram.invert(absurd.astype(np.float32), AUDIO, settings, statistics)
    assert np.isfinite(audio).all() and np.abs(audio).max() > 1


def test_errors_name_the_limit_and_the_fix():
    with pytest.raises(ValueError, match=r"hold no bin of n_fft 256 .* use a smaller spectrogram.n_mels"):
        spectrogram.magnitude(noise(1), AUDIO, config.Spectrogram(256, 256, 128, n_mels=128))
    with pytest.raises(ValueError, match=r"1000 samples is too short for n_fft 2048; use more than"):
        spectrogram.magnitude(noise(1)[:, :1_000], AUDIO, MEL)
    with pytest.raises(ValueError, match="no statistics were given"):
        spectrogram.compute(noise(1), AUDIO, MEL)
    with pytest.raises(ValueError, match="no audio"):
        spectrogram.statistics([], AUDIO, MEL)
    with pytest.raises(ValueError, match="is the audio silent"):
        spectrogram.statistics([0 * noise(1)], AUDIO, MEL)
