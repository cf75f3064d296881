"""What a latent space has to beat."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from analysis.models import baselines
from jaxvae.data import audio


def test_principal_components_are_the_best_linear_code_of_their_clips(encoder, data):
    train = data.split("train")
    wet = audio.to_float(train.audio(np.arange(24)))
    components = baselines.principal_components(encoder, train, 6)
    truth = encoder.spectrogram(list(wet), 8_000).reshape(24, -1)
    rebuilt = components.reconstruct(wet, 8_000).reshape(24, -1)
    singular = np.linalg.svd(truth - truth.mean(axis=0), compute_uv=False)
    assert np.sum((truth - rebuilt) ** 2) == pytest.approx(np.sum(singular[6:] ** 2), rel=1e-2)
    code = components.embed(wet, 8_000)
    assert spearmanr(pdist(code), pdist(rebuilt)).statistic > 0.9999  # an isometry of what it keeps
    with pytest.raises(ValueError, match=r"25 components .* 24 clips"):
        baselines.principal_components(encoder, train, 25)


def test_principal_components_are_as_many_as_latent_dimensions(encoder, data):
    components = baselines.principal_components(encoder, data.split("train"))
    assert components.pca.n_components_ == encoder.latent_dim == 8
    assert components.fitted_on == 24


def test_dry_aware_components_are_those_of_the_difference(encoder, data):
    train = data.split("train")
    components = baselines.principal_components(encoder, train, 6, dry_aware=True)
    wet, dry = audio.to_float(train.audio(np.arange(24))), train.dry(np.arange(24))
    difference = (encoder.spectrogram(list(wet), 8_000) - encoder.spectrogram(list(dry), 8_000)).reshape(24, -1)
    centred = difference - difference.mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False)
    code = components.code(difference.reshape(24, 32, -1))
    np.testing.assert_allclose(np.sort(np.linalg.norm(code, axis=0))[::-1], singular[:6], rtol=0.02)


def test_mfcc_statistics_change_with_the_sound_but_hardly_with_its_position():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=65_536).astype(np.float32)
    low = np.convolve(noise, np.ones(20) / 20, "same").astype(np.float32)
    features = baselines.mfcc_statistics(np.stack([noise, np.roll(noise, 20_480), low]), 8_000)
    assert features.shape == (3, 80)
    assert np.linalg.norm(features[0] - features[2]) > 20 * np.linalg.norm(features[0] - features[1])


def test_mfcc_statistics_of_a_clip_depend_on_no_other_clip_and_their_slopes_on_no_gain():
    rng = np.random.default_rng(0)
    clip = (rng.normal(size=32_768) * np.linspace(0.001, 0.1, 32_768)).astype(np.float32)
    alone = baselines.mfcc_statistics(clip[None], 8_000)[0]
    beside = baselines.mfcc_statistics(np.stack([clip, 10_000 * clip]), 8_000)
    np.testing.assert_allclose(beside[0], alone, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(beside[1, 1:], alone[1:], rtol=1e-3, atol=1e-2)  # all but the mean of the level
    np.testing.assert_allclose(beside[1, 0] - alone[0], 80 * np.sqrt(128), rtol=1e-3)  # 80 dB in each of 128 bands
