"""Readouts: they are as sure as they are right, on recordings that they were not fitted on."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from jaxvae.models import heads, readout
from jaxvae.models.readout import Clips

EFFECTS, LATENT = 3, 12
CENTRES = np.random.default_rng(1).normal(size=(EFFECTS, LATENT))


def _clips(seed, clips=600, recordings=20):
    """Gaussian clouds around the centres, of which two dimensions belong to the recording; a third can't be heard."""
    rng = np.random.default_rng(seed)
    effect, recording = rng.integers(EFFECTS, size=clips), rng.integers(recordings, size=clips)
    audible = rng.random(clips) < 0.7
    mean = 1.5 * rng.normal(size=(clips, LATENT)) + CENTRES[effect] * audible[:, None]
    mean[:, :2] = 3.0 * np.random.default_rng((seed, 1)).normal(size=(recordings, 2))[recording]
    return Clips(mean.astype(np.float32), effect, audible, recording)


@pytest.fixture(scope="module")
def fitted():
    clips = _clips(0)
    dry = np.random.default_rng(2).normal(0.0, 1.5, size=(200, LATENT)).astype(np.float32)
    dry[:, :2] = 0.0
    return readout.fit(clips, dry, np.arange(200) % 20, EFFECTS, temperature=1.0)


def _reliability(probabilities, right):
    """Mean distance of what is said from what is so, over five bins."""
    bins = np.minimum((probabilities * 5).astype(int), 4)
    errors = [abs(probabilities[bins == place].mean() - right[bins == place].mean()) for place in np.unique(bins)]
    return np.average(errors, weights=np.unique(bins, return_counts=True)[1])


def test_effects_of_other_recordings_are_told_as_surely_as_they_are_right(fitted):
    held = _clips(5, clips=2_000)
    probabilities = fitted.effect(held.mean)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    right = probabilities.argmax(axis=1) == held.effect
    assert right.mean() > 0.6
    assert _reliability(probabilities.max(axis=1), right) < 0.05


def test_what_cannot_be_heard_is_no_effect(fitted):
    held = _clips(5, clips=2_000)
    none = fitted.no_effect(held.mean)
    assert none[~held.audible].mean() > none[held.audible].mean() + 0.1
    assert _reliability(none, ~held.audible) < 0.25  # dry clips are a quarter of what it was fitted on, none of these


def test_no_effect_does_not_depend_on_how_many_dry_clips_there_are():
    """Known densities: of dry clips and of clips of any effect, whose ratio and the prior share make the answer."""
    rng = np.random.default_rng(0)
    mean = rng.normal(0.0, 1.0, size=(2_000, 1)) + 2.0
    clips = Clips(mean, np.arange(2_000) % EFFECTS, np.ones(2_000, bool), np.arange(2_000) % 20)
    place = np.linspace(-1, 3, 9)
    # Of unit Gaussians at 0 and 2 the log of the ratio of densities is 2 - 2x.
    prior = readout.UNTOUCHED / (1 - readout.UNTOUCHED)
    expected = 1 / (1 + np.exp(2 * place - 2) / prior)
    for dry_clips in (400, 4_000):
        dry = rng.normal(0.0, 1.0, size=(dry_clips, 1))
        fitted = readout.fit(clips, dry, np.arange(dry_clips) % 20, EFFECTS, temperature=1.0)
        np.testing.assert_allclose(fitted.no_effect(place[:, None]), expected, atol=0.06)


def test_what_only_tells_recordings_apart_is_not_read():
    """Labels belong to recordings by chance, and features tell nothing but the recording."""
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(20), 30)
    features = np.random.default_rng(1).normal(size=(20, LATENT))[recording] + 0.1 * rng.normal(size=(600, LATENT))
    label = rng.integers(EFFECTS, size=20)[recording]
    weights, bias = readout._regression(features, label, recording, EFFECTS, np.ones(len(label)))
    new = np.random.default_rng(2).normal(size=(500, LATENT))
    assert softmax(new @ weights + bias, axis=1).max(axis=1).mean() < 0.55  # unpenalised: over .9


def test_temperature_undoes_what_is_too_sure():
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(4_000, heads.BINS))
    bins = np.array([rng.choice(heads.BINS, p=softmax(row)) for row in logits])
    settings = (bins + 0.5) / heads.BINS
    sure = softmax(3.0 * logits, axis=1)
    assert readout.temperature([sure[:2_000], sure[2_000:]], [settings[:2_000], settings[2_000:]]) == pytest.approx(
        3.0, rel=0.05
    )
    mended = readout.Readout(np.zeros((1, 2)), np.zeros(2), 3.0).settings(sure)
    np.testing.assert_allclose(np.log(mended), log_softmax(logits, axis=1), atol=1e-3)
    assert readout.temperature([], []) == 1.0


def test_readouts_survive_their_file_and_belong_to_one_step(fitted, tmp_path):
    readout.save(tmp_path / "readout.npz", 600, {"blind": fitted})
    found = readout.load(tmp_path / "readout.npz", 600)["blind"]
    np.testing.assert_array_equal(found.kernel, fitted.kernel)
    np.testing.assert_array_equal(found.bias, fitted.bias)
    assert found.temperature == fitted.temperature
    assert readout.load(tmp_path / "readout.npz", 300) == {} == readout.load(tmp_path / "none.npz", 600)
