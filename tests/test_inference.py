"""A trained encoder: what its embeddings depend on, and what they do not."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import soxr

import jaxvae
from jaxvae import config, effects, inference
from jaxvae.models.vae import VAE

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


@pytest.fixture(scope="module")
def dry(audio):
    """Clips before some effect."""
    return np.tanh(3.0 * audio[:, ::-1])


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


def test_embedding_with_dry_is_that_of_the_network_which_sees_both_spectrograms(encoder, audio, dry):
    aware, blind = encoder.embed(audio, RATE, dry), encoder.embed(audio, RATE)
    assert encoder.dry_aware and np.abs(aware - blind).max() > 1e-3
    variables = {"params": encoder.weights.params}
    spectrograms = (jnp.asarray(encoder.spectrogram(clips, RATE)) for clips in (audio, dry))
    posterior = VAE(encoder.experiment.model).apply(variables, *spectrograms, jnp.ones(3), method="effect_posterior")
    np.testing.assert_allclose(aware, posterior.mean, atol=1e-4)
    np.testing.assert_allclose(encoder.posterior(audio, RATE, dry).logvar, posterior.logvar, atol=1e-4)


def test_embedding_with_dry_depends_on_no_other_clip_and_on_no_level(encoder, audio, dry):
    together = encoder.embed(np.concatenate([audio] * 15), RATE, np.concatenate([0.1 * dry] * 15))[:3]
    alone = np.concatenate([encoder.embed(*pair) for pair in ((a, RATE, d) for a, d in zip(audio, dry, strict=True))])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_content_is_of_its_own_network_and_longer_audio_has_the_mean_of_its_clips(encoder, audio, dry):
    assert encoder.content(audio, RATE).shape == (3, encoder.content_dim)
    level = [np.abs(clips).max(axis=1, keepdims=True) for clips in (audio, dry)]
    joined, joined_dry = (np.concatenate((clips / peak)[:2]) for clips, peak in zip((audio, dry), level, strict=True))
    content, aware = encoder.content(joined, RATE), encoder.embed(joined, RATE, joined_dry)
    np.testing.assert_allclose(content[0], encoder.content(audio[:2], RATE).mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(aware[0], encoder.embed(audio[:2], RATE, dry[:2]).mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("known", [False, True], ids=["blind", "dry_aware"])
def test_reading_is_probabilities_of_every_effect_and_of_the_bins_of_its_settings(encoder, audio, dry, known):
    reading = encoder.read(audio, RATE, dry if known else None)
    kinds = [effects.get(name) for name in encoder.effects]
    assert reading.effect.shape == (3, len(kinds))
    for kind, bins in zip(kinds, reading.settings, strict=True):
        assert bins.shape[:2] == (3, len(kind.parameters))
        np.testing.assert_allclose(bins.sum(axis=2), 1.0, rtol=1e-5)
    np.testing.assert_allclose(reading.effect.sum(axis=1), 1.0, rtol=1e-5)
    assert np.ptp(reading.effect, axis=0).max() > 1e-3
    assert (np.abs(reading.effect - encoder.read(audio, RATE).effect).max() > 1e-4) == known


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda dry: dry[:2], r"dry has shape \(2, 8192\), audio \(3, 8192\); use the same clips"),
        (lambda dry: dry[:, :-1], r"dry has shape \(3, 8191\), audio \(3, 8192\)"),
        (lambda dry: 0.0 * dry, "3 of 3 clips are silent"),
    ],
)
def test_dry_clips_that_are_not_those_of_the_audio_are_refused(encoder, audio, dry, spoil, message):
    with pytest.raises(ValueError, match=message):
        encoder.embed(audio, RATE, spoil(dry))


def test_what_a_run_was_not_trained_for_is_refused(encoder, audio, dry):
    objective = config.Objective(dry_share=0.0)
    blind = dataclasses.replace(encoder, experiment=dataclasses.replace(encoder.experiment, objective=objective))
    with pytest.raises(ValueError, match=r"tiny is blind; leave out dry, or train with objective.dry_share > 0"):
        blind.embed(audio, RATE, dry)
    mute = dataclasses.replace(encoder, parameters=())
    assert not mute.has_heads and mute.embed(audio, RATE).shape == (3, encoder.latent_dim)
    with pytest.raises(ValueError, match=r"tiny was trained without heads; train with objective.effect_weight"):
        mute.read(audio, RATE)


def test_plain_encoder_has_no_content_and_reconstructs(encoder, audio, dry):
    model = dataclasses.replace(encoder.experiment.model, content_dim=0)
    objective = dataclasses.replace(encoder.experiment.objective, swap=0.0)
    experiment = dataclasses.replace(encoder.experiment, model=model, objective=objective)
    plain = inference.untrained(dataclasses.replace(encoder, experiment=experiment))
    assert plain.content(audio, RATE).shape == (3, 0) and not plain.dry_aware
    assert plain.reconstruct(audio, RATE).shape == plain.spectrogram(audio, RATE).shape


def test_untrained_encoder_has_the_shape_but_not_the_weights(encoder, audio):
    fresh = inference.untrained(encoder, seed=1)
    assert fresh.embed(audio, RATE).shape == encoder.embed(audio, RATE).shape
    assert not np.allclose(fresh.embed(audio, RATE), encoder.embed(audio, RATE), atol=1e-3)
    np.testing.assert_array_equal(fresh.embed(audio, RATE), inference.untrained(encoder, seed=1).embed(audio, RATE))


def test_step_chooses_the_checkpoint(trained, tiny):
    assert int(inference.load(trained, tiny.train.steps).weights.step) == tiny.train.steps
    with pytest.raises(inference.CheckpointError, match="no checkpoint of step 3"):
        inference.load(trained, 3)
