"""Spectrograms against librosa, scipy and levels known in dB."""

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
def test_magnitude_equals_librosa(scale, n_fft, window_length, hop_length):
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
