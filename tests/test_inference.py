"""A trained encoder: what its embeddings depend on, and what they do not."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import soxr
from scipy import signal

import jaxvae
from jaxvae import config, effects, inference
from jaxvae.models.vae import VAE
from jaxvae.views import ALIGNED, SOURCE, Views

RATE, CLIP = 8_000, 8_192


@pytest.fixture(scope="module")
def encoder(trained):
    return jaxvae.load(trained)


@pytest.fixture(scope="module")
def audio():
    rng = np.random.default_rng(0)
    time = np.arange(CLIP) / RATE
    tones = np.sin(2 * np.pi * np.array([[300], [700], [1_900]]) * time)
    return (0.3 * tones + 0.05 * rng.normal(size=tones.shape)).astype(np.float32)[:, None]


@pytest.fixture(scope="module")
def dry(audio):
    """Clips before some effect."""
    return np.tanh(3.0 * audio[..., ::-1])


def test_embedding_is_the_posterior_mean_one_row_a_clip(encoder, audio, tiny):
    mean = encoder.embed(audio, RATE)
    assert mean.shape == (3, tiny.model.latent_dim) and mean.dtype == np.float32
    np.testing.assert_array_equal(mean, encoder.posterior(audio, RATE).mean)
    np.testing.assert_array_equal(mean, encoder.embed(audio, RATE))
    assert np.ptp(mean, axis=0).max() > 1e-3  # it does look at the audio


def test_embedding_does_not_depend_on_the_neighbours(encoder, audio):
    together = encoder.embed(np.concatenate([audio] * 15), RATE)[:3]
    alone = np.concatenate([encoder.embed(clip[0], RATE) for clip in audio])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_embedding_does_not_depend_on_the_level(encoder, audio):
    np.testing.assert_allclose(encoder.embed(7.0 * audio, RATE), encoder.embed(audio, RATE), atol=1e-4)


def test_embedding_hardly_depends_on_the_sample_rate(encoder, audio):
    """Of audio without anything near half of either rate, which a resampler cuts."""
    low = signal.sosfiltfilt(signal.butter(12, 3_000, fs=RATE, output="sos"), audio).astype(np.float32)
    original = encoder.embed(low, RATE)
    upsampled = encoder.embed([soxr.resample(clip[0], RATE, 44_100) for clip in low], 44_100)
    assert np.abs(upsampled - original).max() < 0.5 * np.abs(original - original.mean(axis=0)).max()


@pytest.mark.parametrize("rest", [0, 1_000, CLIP - 1])
def test_longer_audio_has_the_mean_of_its_windows_each_at_its_own_level(encoder, audio, rest):
    """Whatever is left at the end is too short for a window."""
    parts = [audio[0, 0], 0.2 * audio[1, 0], audio[2, 0, :rest]]
    expected = encoder.embed(audio[:2], RATE).mean(axis=0)
    np.testing.assert_allclose(encoder.embed(np.concatenate(parts), RATE)[0], expected, atol=1e-4)


def test_silent_windows_are_left_out(encoder, audio, dry):
    """Digital silence and what is 40 dB below the loudest, which training never met; the dry recording decides, too."""
    hush = 0.003 * audio[1, 0]
    long = np.concatenate([audio[0, 0], np.zeros(CLIP), hush, audio[2, 0]])
    expected = encoder.embed(audio[[0, 2]], RATE).mean(axis=0)
    np.testing.assert_allclose(encoder.embed(long, RATE)[0], expected, atol=1e-4)
    before = np.concatenate([dry[0, 0], dry[1, 0], 0.003 * dry[1, 0], dry[2, 0]])
    wet = np.concatenate([audio[0, 0], np.zeros(CLIP), audio[1, 0], audio[2, 0]])
    expected = encoder.embed(audio[[0, 2]], RATE, dry[[0, 2]]).mean(axis=0)
    np.testing.assert_allclose(encoder.embed(wet, RATE, before)[0], expected, atol=1e-4)


def test_recordings_that_are_never_heard_together_are_refused(encoder, audio, dry):
    """The dry recording is silent where the wet one is not."""
    hush = np.zeros(CLIP, np.float32)
    with pytest.raises(ValueError, match="the recording or the dry one is silent in every window"):
        encoder.embed(np.concatenate([audio[0, 0], hush]), RATE, np.concatenate([0.001 * dry[0, 0], dry[1, 0]]))


def test_shorter_audio_is_tiled_and_more_than_twice_with_a_warning(encoder, audio):
    half, quarter = audio[0, 0, : CLIP // 2], audio[0, 0, : CLIP // 4]
    np.testing.assert_allclose(encoder.embed(half, RATE), encoder.embed(np.tile(half, 2), RATE), atol=1e-5)
    with pytest.warns(UserWarning, match=r"audio of 0.26 s is repeated 4 times to fill a window of 1.02 s"):
        np.testing.assert_allclose(encoder.embed(quarter, RATE), encoder.embed(np.tile(quarter, 4), RATE), atol=1e-5)


def test_channels_are_averaged_and_recordings_may_have_any_lengths(encoder, audio):
    stereo = np.stack([1.5 * audio[:, 0], 0.5 * audio[:, 0]], axis=1)
    np.testing.assert_allclose(encoder.embed(stereo, RATE), encoder.embed(audio, RATE), atol=1e-4)
    unequal = [audio[0, 0], np.concatenate([audio[1, 0], audio[1, 0]]), audio[2, 0, : CLIP // 2]]
    alone = np.concatenate([encoder.embed(clip, RATE) for clip in unequal])
    np.testing.assert_allclose(encoder.embed(unequal, RATE), alone, atol=1e-5)


def test_integers_are_the_floats_that_a_file_has(encoder, audio):
    clip = audio[0, 0] / np.abs(audio[0, 0]).max()
    expected = encoder.embed(clip, RATE)
    coded = {
        np.uint8: np.round(clip * 127 + 128),
        np.int16: np.round(clip * 32_767),
        np.int32: np.round(clip.astype(np.float64) * (2**31 - 1)),
    }
    for dtype, samples in coded.items():
        found, spread = encoder.embed(samples.astype(dtype), RATE), 0.05 if dtype == np.uint8 else 0.001
        assert np.abs(found - expected).max() < spread * np.abs(expected).max() + 1e-4, dtype


def test_spectrogram_and_reconstruction_have_the_shape_of_the_experiment(encoder, audio, tiny):
    shape = (3, tiny.bins, tiny.frames)
    assert encoder.spectrogram(audio, RATE).shape == shape
    assert encoder.reconstruct(audio, RATE).shape == shape


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda audio: audio[..., :0], "none of them 0"),
        (lambda audio: audio[None], r"has shape \(1, 3, 1, 8192\)"),
        (lambda audio: audio * [[[1]], [[0]], [[1]]], "1 of 3 clips are silent, the first is 1"),
        (lambda audio: audio[0] * 1e-40, "the recording is silent in every window; use another"),
        (lambda audio: np.where(audio > 0.3, np.nan, audio), "not finite"),
    ],
)
def test_unusable_audio_is_refused(encoder, audio, spoil, message):
    with pytest.raises(ValueError, match=message):
        encoder.embed(np.asarray(spoil(audio), np.float32), RATE)


@pytest.mark.parametrize(("name", "relation"), [("aligned", ALIGNED), ("source", SOURCE)])
def test_embedding_with_dry_is_that_of_the_network_which_sees_both(encoder, audio, dry, name, relation):
    aware, blind = encoder.embed(audio, RATE, dry, name), encoder.embed(audio, RATE)
    assert encoder.dry_aware and encoder.source_aware and np.abs(aware - blind).max() > 1e-3
    variables = {"params": encoder.weights.params}
    seen = [Views(*map(jnp.asarray, encoder.views(clips, RATE))) for clips in (audio, dry)]
    network = VAE(encoder.experiment.model)
    posterior = network.apply(variables, *seen, jnp.full(3, relation), method="effect_posterior")
    np.testing.assert_allclose(aware, posterior.mean, atol=1e-4)
    np.testing.assert_allclose(encoder.posterior(audio, RATE, dry, name).logvar, posterior.logvar, atol=1e-4)
    np.testing.assert_allclose(
        encoder.posterior_of_views(encoder.views(audio, RATE), encoder.views(dry, RATE), name).mean, aware, atol=1e-4
    )


def test_source_passages_have_any_length_and_number_and_count_by_their_mean(encoder, audio, dry):
    one = encoder.embed(audio[0, 0], RATE, dry[0, 0], "source")
    np.testing.assert_allclose(encoder.embed(audio[0, 0], RATE, np.tile(dry[0, 0], 3), "source"), one, atol=1e-5)
    joined = encoder.embed(audio[0, 0], RATE, np.concatenate(dry[:2, 0]), "source")
    np.testing.assert_allclose(encoder.embed(audio[0, 0], RATE, list(dry[:2, 0]), "source"), joined, atol=1e-4)
    assert np.abs(joined - one).max() > 1e-4
    long = np.concatenate(audio[:2, 0])  # each window beside the same passages
    parts = [encoder.embed(clip[0], RATE, dry[2, 0], "source")[0] for clip in audio[:2]]
    np.testing.assert_allclose(encoder.embed(long, RATE, dry[2, 0], "source")[0], np.mean(parts, axis=0), atol=1e-4)
    with pytest.raises(ValueError, match="dry holds 2 passages, audio 3 recordings; use one passage of each"):
        encoder.embed(audio, RATE, dry[:2], "source")
    with pytest.raises(ValueError, match="relation is 'same'; use one of aligned, source"):
        encoder.embed(audio, RATE, dry, "same")


def test_embedding_with_dry_depends_on_no_other_clip_and_on_no_level(encoder, audio, dry):
    together = encoder.embed(np.concatenate([audio] * 15), RATE, np.concatenate([0.1 * dry] * 15))[:3]
    alone = np.concatenate([encoder.embed(*pair) for pair in ((a, RATE, d) for a, d in zip(audio, dry, strict=True))])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_content_is_of_its_own_network_and_longer_audio_has_the_mean_of_its_clips(encoder, audio, dry):
    assert encoder.content(audio, RATE).shape == (3, encoder.content_dim)
    level = [np.abs(clips).max(axis=2, keepdims=True) for clips in (audio, dry)]
    joined, joined_dry = (
        np.concatenate((clips / peak)[:2, 0]) for clips, peak in zip((audio, dry), level, strict=True)
    )
    content, aware = encoder.content(joined, RATE), encoder.embed(joined, RATE, joined_dry)
    np.testing.assert_allclose(content[0], encoder.content(audio[:2], RATE).mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(aware[0], encoder.embed(audio[:2], RATE, dry[:2]).mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("mode", ["blind", "source", "aligned"])
def test_reading_is_probabilities_of_every_effect_and_of_the_bins_of_its_settings(encoder, audio, dry, mode):
    known = mode != "blind"
    reading = encoder.read(audio, RATE, *((dry, mode) if known else ()))
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
        (lambda dry: dry[:2], "dry holds 2 recordings, audio 3; use the same recordings before the effect"),
        (
            lambda dry: np.concatenate([dry, dry, dry], axis=2),
            r"recording 0 of audio is 1.02 s long \(8192 samples\), dry 3.07 s \(24576\); .*trim both to 8192 samples",
        ),
        (lambda dry: 0.0 * dry, "3 of 3 clips are silent"),
    ],
)
def test_dry_clips_that_are_not_those_of_the_audio_are_refused(encoder, audio, dry, spoil, message):
    with pytest.raises(ValueError, match=message):
        encoder.embed(audio, RATE, spoil(dry))


def test_tail_of_a_bounce_is_trimmed(encoder, audio, dry):
    """A wet recording that rings on for less than a window is compared where both are."""
    wet, before = np.tile(audio[0, 0], 2)[: CLIP + 3_000], dry[0, 0]
    expected = encoder.embed(audio[:1], RATE, dry[:1])
    np.testing.assert_allclose(encoder.embed(wet, RATE, before), expected, atol=1e-5)


def test_what_a_run_was_not_trained_for_is_refused(encoder, audio, dry):
    objective = config.Objective(dry_share=0.0, source_share=0.0)
    blind = dataclasses.replace(encoder, experiment=dataclasses.replace(encoder.experiment, objective=objective))
    with pytest.raises(ValueError, match=r"tiny is blind; leave out dry, or train with objective.dry_share > 0"):
        blind.embed(audio, RATE, dry)
    objective = config.Objective(source_share=0.0)
    unsourced = dataclasses.replace(encoder, experiment=dataclasses.replace(encoder.experiment, objective=objective))
    with pytest.raises(ValueError, match=r"tiny was not trained for .* 'source'; use 'aligned', or .*source_share > 0"):
        unsourced.embed(audio, RATE, dry, "source")
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
