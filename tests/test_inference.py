"""A trained encoder: what its embeddings depend on, and what they do not."""

import numpy as np
import pytest
import soxr

import jaxvae
from jaxvae import inference

RATE, CLIP = 8_000, 8_192


@pytest.fixture(scope="module")
def encoder(trained):
    return jaxvae.load(trained)


@pytest.fixture(scope="module")
def audio():
    rng = np.random.default_rng(0)
    time = np.arange(CLIP) / RATE
    tones = np.sin(2 * np.pi * np.array([[300], [700], [1_900]]) * time)
    return (0.3 * tones + 0.05 * rng.normal(size=tones.shape)).astype(np.float32)


def test_embedding_is_the_posterior_mean_one_row_a_clip(encoder, audio, tiny):
    mean = encoder.embed(audio, RATE)
    assert mean.shape == (3, tiny.model.latent_dim) and mean.dtype == np.float32
    np.testing.assert_array_equal(mean, encoder.posterior(audio, RATE).mean)
    np.testing.assert_array_equal(mean, encoder.embed(audio, RATE))
    assert np.ptp(mean, axis=0).max() > 1e-3  # it does look at the audio


def test_embedding_does_not_depend_on_the_neighbours(encoder, audio):
    together = encoder.embed(np.concatenate([audio] * 15), RATE)[:3]
    alone = np.concatenate([encoder.embed(clip, RATE) for clip in audio])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_embedding_does_not_depend_on_the_level(encoder, audio):
    np.testing.assert_allclose(encoder.embed(7.0 * audio, RATE), encoder.embed(audio, RATE), atol=1e-4)


def test_embedding_hardly_depends_on_the_sample_rate(encoder, audio):
    original = encoder.embed(audio, RATE)
    upsampled = encoder.embed(soxr.resample(audio.T, RATE, 44_100).T, 44_100)
    assert np.abs(upsampled - original).max() < 0.5 * np.abs(original - original.mean(axis=0)).max()


def test_longer_audio_has_the_mean_of_its_clips(encoder, audio):
    two = np.concatenate([audio[0], audio[1] * (np.abs(audio[0]).max() / np.abs(audio[1]).max())])
    np.testing.assert_allclose(encoder.embed(two, RATE)[0], encoder.embed(audio[:2], RATE).mean(axis=0), atol=1e-4)


def test_shorter_audio_is_tiled(encoder, audio):
    third = audio[0, : CLIP // 4]
    np.testing.assert_allclose(encoder.embed(third, RATE), encoder.embed(np.tile(third, 4), RATE), atol=1e-5)


def test_spectrogram_and_reconstruction_have_the_shape_of_the_experiment(encoder, audio, tiny):
    shape = (3, tiny.bins, tiny.frames)
    assert encoder.spectrogram(audio, RATE).shape == shape
    assert encoder.reconstruct(audio, RATE).shape == shape


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda audio: audio[:, :0], "none of them 0"),
        (lambda audio: audio[None], r"has shape \(1, 3, 8192\)"),
        (lambda audio: audio * [[1], [0], [1]], "1 of 3 clips are silent, the first is 1"),
        (lambda audio: np.where(audio > 0.3, np.nan, audio), "not finite"),
    ],
)
def test_unusable_audio_is_refused(encoder, audio, spoil, message):
    with pytest.raises(ValueError, match=message):
        encoder.embed(np.asarray(spoil(audio), np.float32), RATE)


def test_untrained_encoder_has_the_shape_but_not_the_weights(encoder, audio):
    fresh = inference.untrained(encoder, seed=1)
    assert fresh.embed(audio, RATE).shape == encoder.embed(audio, RATE).shape
    assert not np.allclose(fresh.embed(audio, RATE), encoder.embed(audio, RATE), atol=1e-3)
    np.testing.assert_array_equal(fresh.embed(audio, RATE), inference.untrained(encoder, seed=1).embed(audio, RATE))


def test_step_chooses_the_checkpoint(trained, tiny):
    assert int(inference.load(trained, tiny.train.steps).weights.step) == tiny.train.steps
    with pytest.raises(inference.CheckpointError, match="no checkpoint of step 3"):
        inference.load(trained, 3)
