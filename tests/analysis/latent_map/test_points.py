"""Points of a map: the same whatever the number, measured against independent references."""

import dataclasses

import librosa
import numpy as np
import pyloudnorm
import pytest

from analysis.latent_map import points, source
from analysis.latent_map.points import Points
from jaxvae import effects
from jaxvae.data import audio


@pytest.fixture(scope="module")
def delay(encoder, chirp_source):
    return Points(encoder, (effects.get("pedalboard/Delay"),), source.clip(chirp_source, 8_000, 8_192))


def test_points_are_the_same_however_they_are_cut_and_on_the_map_of_all(delay, encoder):
    whole, part = delay.measure(0, 12), delay.measure(8, 12)
    for name in points.DTYPES:
        np.testing.assert_allclose(getattr(whole, name)[8:], getattr(part, name), rtol=2e-4, atol=2e-4)
    np.testing.assert_array_equal(whole.settings[8:], part.settings)
    both = Points(encoder, tuple(map(effects.get, encoder.effects)), delay.dry).measure(0, 8)
    own = encoder.effects.index("pedalboard/Delay")
    rows = np.flatnonzero(both.effect == own)
    assert len(rows) == 4
    np.testing.assert_array_equal(both.settings[rows], whole.settings[:4])
    np.testing.assert_allclose(both.latent[rows], whole.latent[:4], rtol=2e-4, atol=2e-4)
    assert np.isnan(both.settings[both.effect != own][:, 1:]).all()  # Distortion has one parameter
    other = dataclasses.replace(delay, seed=1).measure(0, 4)
    assert not np.array_equal(other.settings, whole.settings[:4])


def test_a_point_is_the_blind_embedding_of_its_render_and_what_the_run_reads_from_it(delay, encoder):
    found = delay.measure(0, 6)
    assert (found.settings >= 0).all() and (found.settings < 1).all()
    kind = delay.kinds[0]
    wet = np.stack([kind.render(delay.entering, kind.settings(row), 8_000) for row in found.settings])
    assert audio.peak_dbfs(delay.entering) == pytest.approx(encoder.experiment.data.peak_dbfs, abs=1e-4)
    mean = encoder.embed(wet[:, None], 8_000)
    np.testing.assert_allclose(found.latent, mean, rtol=1e-4, atol=1e-4)
    density = encoder.read_mean(mean).settings[encoder.effects.index(kind.name)]
    edges = np.linspace(0, 1, density.shape[-1] + 1)
    expected = [[np.average((edges[1:] + edges[:-1]) / 2, weights=one) for one in row] for row in density]
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-4)
    meter = pyloudnorm.Meter(8_000)
    before = meter.integrated_loudness(delay.entering)
    expected = [meter.integrated_loudness(clip) - before for clip in wet]
    np.testing.assert_allclose(found.loudness, expected, atol=0.01)


def test_brightness_is_the_centroid():
    time = np.arange(16_000) / 16_000
    sines = np.sin(2 * np.pi * np.array([[500.0], [3_000.0]]) * time).astype(np.float32)
    np.testing.assert_allclose(points.brightness(sines, 16_000), [500, 3_000], rtol=0.02)
    noise = np.random.default_rng(0).normal(size=(1, 16_000)).astype(np.float32)
    expected = librosa.feature.spectral_centroid(y=noise[0], sr=16_000, n_fft=1_024, center=False).mean()
    assert points.brightness(noise, 16_000)[0] == pytest.approx(expected, rel=0.02)


def test_loudness_is_that_of_the_standard_at_any_level_and_length():
    # EBU Tech 3341, case 1: a stereo sine of 1 kHz at -23 dBFS is -23 LUFS.
    time = np.arange(5 * 48_000) / 48_000
    sine = np.sin(2 * np.pi * 1_000 * time)[:, None].repeat(2, axis=1)
    assert points.loudness(10 ** (-23 / 20) * sine, 48_000) == pytest.approx(-23, abs=0.1)
    assert points.loudness(10 ** (-103 / 20) * sine, 48_000) == pytest.approx(-103, abs=0.1)
    assert points.loudness(sine[:4_800], 48_000) == pytest.approx(0, abs=0.1)
    assert points.loudness(np.zeros((48_000, 1)), 48_000) == -70


def test_runs_without_heads_and_effects_of_other_runs_are_refused(delay, encoder):
    blind = dataclasses.replace(encoder, parameters=())
    with pytest.raises(ValueError, match="trained without heads"):
        Points(blind, delay.kinds, delay.dry)
    with pytest.raises(ValueError, match="knows no pedalboard/Chorus; it knows"):
        Points(encoder, (effects.get("pedalboard/Chorus"),), delay.dry)


def test_an_effect_whose_renders_cannot_be_used_is_named(delay, encoder):
    kind = delay.kinds[0]
    silent = dataclasses.replace(kind, process=lambda dry, settings, rate: np.zeros_like(dry))
    with pytest.raises(ValueError, match=r"20 renders of pedalboard/Delay in a row are silent"):
        Points(encoder, (silent,), delay.dry).measure(0, 2)


def test_a_render_that_cannot_be_used_is_drawn_again(delay, encoder):
    kind = delay.kinds[0]
    first = points.drawn(kind, 1, 0, 0)[2]

    def process(dry, settings, rate):
        return dry * np.nan if np.isclose(settings["mix"], first, atol=1e-6) else kind.process(dry, settings, rate)

    assert kind.parameters[2].name == "mix"
    found = Points(encoder, (dataclasses.replace(kind, process=process),), delay.dry).measure(0, 3)
    np.testing.assert_array_equal(found.settings[1], points.drawn(kind, 1, 1, 0))
    np.testing.assert_array_equal(found.settings[2], points.drawn(kind, 2, 0, 0))


def test_identity_tells_what_changes_points(delay, encoder):
    def digest(**changes):
        return points.digest(dataclasses.replace(delay, **changes).identity())

    assert digest() == points.digest(Points(encoder, delay.kinds, delay.dry.copy()).identity())
    weights = encoder.weights._replace(params=_nudged(encoder.weights.params))
    kind = delay.kinds[0]
    others = [
        digest(seed=1),
        digest(dry=delay.dry[::-1].copy()),
        digest(encoder=dataclasses.replace(encoder, weights=weights)),
        digest(kinds=(dataclasses.replace(kind, renderer=lambda: "another"),)),
        digest(kinds=(dataclasses.replace(kind, held=(("gain", 0.5),)),)),
    ]
    assert len({digest(), *others}) == 6


def _nudged(params):
    import jax

    leaves, tree = jax.tree.flatten(params)
    leaves[0] = leaves[0] + 1e-6
    return jax.tree.unflatten(tree, leaves)
