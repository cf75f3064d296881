"""What changed between two spectrograms of the same frames, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae.models.effect_encoder import frame_difference

RNG = np.random.default_rng(0)
DRY = RNG.normal(size=(3, 128, 65)).astype(np.float32)
numbers = jax.jit(frame_difference)
BANDS = {name: slice(64 * part, 64 * (part + 1)) for part, name in enumerate(("mean", "deviation", "steps", "most"))}
SLOPES = [slice(320 + 8 * part, 328 + 8 * part) for part in range(6)]  # of delays of 0, 1, 2, 4, 8, 16 frames
RATES = slice(368, 400)


def test_where_nothing_changed_there_is_no_difference():
    found = np.asarray(numbers(DRY, DRY))
    assert found.shape == (3, 400)
    np.testing.assert_allclose(found[:, :368], 0.0, atol=2e-5)


def test_a_filter_is_the_mean_of_its_bands_and_moves_nothing():
    gains = np.linspace(-2, 2, 128, dtype=np.float32)
    found = np.asarray(numbers(DRY + gains[None, :, None], DRY))
    np.testing.assert_allclose(found[:, BANDS["mean"]], np.tile(gains.reshape(64, 2).mean(axis=1), (3, 1)), atol=1e-5)
    for still in ("deviation", "steps"):
        np.testing.assert_allclose(found[:, BANDS[still]], 0.0, atol=2e-5)
    np.testing.assert_allclose(found[:, BANDS["most"]], found[:, BANDS["mean"]], atol=1e-5)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_a_compressor_has_the_slope_of_its_ratio(ratio):
    """Levels that are multiplied by a ratio differ by (ratio - 1) times the level."""
    level = np.repeat(RNG.normal(size=(3, 8, 1, 65)), 16, axis=2).reshape(3, 128, 65).astype(np.float32)
    found = np.asarray(numbers(ratio * level, level))
    np.testing.assert_allclose(found[:, SLOPES[0]], ratio - 1, atol=0.02)
    assert np.abs(found[:, SLOPES[1]]).max() < 0.5 * (1 - ratio) + 0.2  # noise has no memory


@pytest.mark.parametrize("place", [1, 3, 5])
def test_what_comes_some_frames_later_has_its_slope_at_that_delay(place):
    delay = (0, 1, 2, 4, 8, 16)[place]
    level = np.repeat(RNG.normal(size=(3, 8, 1, 65)), 16, axis=2).reshape(3, 128, 65).astype(np.float32)
    later = np.concatenate([np.zeros((3, 128, delay), np.float32), 0.8 * level[:, :, :-delay]], axis=2)
    slopes = np.stack([np.asarray(numbers(level + later, level))[:, own].mean() for own in SLOPES])
    assert slopes.argmax() == place
    assert slopes[place] == pytest.approx(0.8 * (65 - delay) / 65, rel=0.2)


def test_a_difference_that_moves_is_found_at_its_rate():
    """Six periods in 65 frames."""
    moving = np.sin(2 * np.pi * 6 * np.arange(65) / 65).astype(np.float32)
    found = np.asarray(numbers(DRY + moving[None, None], DRY))[:, RATES]
    assert (found.argmax(axis=1) == 5).all()  # the first is one period
    np.testing.assert_allclose(np.exp(found.max(axis=1)) - 0.01, 65 / 2, rtol=0.01)


@pytest.mark.parametrize(("bins", "frames"), [(20, 18), (1, 1), (129, 33), (64, 2)])
def test_spectrograms_of_any_size_have_finite_numbers_and_gradients(bins, frames):
    wet, dry = jnp.asarray(RNG.normal(size=(2, 2, bins, frames)).astype(np.float32))
    gradient = jax.grad(lambda wet: frame_difference(wet, dry).sum())(wet)
    assert np.isfinite(np.asarray(frame_difference(wet, dry))).all() and np.isfinite(np.asarray(gradient)).all()
    extreme = np.asarray(frame_difference(1e3 * wet, dry))
    assert np.abs(extreme).max() <= 5.0
