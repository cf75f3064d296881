"""Loss terms against scipy's densities, Monte Carlo, numpy's interpolation and their own optima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
import scipy.special
import scipy.stats

from jaxvae.data import dataset, order
from jaxvae.models.heads import BINS, Truth, effect_nll, settings_nll
from jaxvae.models.vae import Posterior
from jaxvae.training import losses

RNG = np.random.default_rng(0)
EFFECT = jnp.array([0, 1, 2, 1])
NORMALIZED = np.array([[0.0, 0.33, np.nan], [0.512, np.nan, np.nan], [1.0, 0.98, 0.021], [0.5, np.nan, np.nan]])


def _spectrograms():
    return jnp.asarray(RNG.normal(size=(2, 3, 5, 7)), jnp.float32)


def test_kl_is_zero_only_for_the_prior():
    prior = Posterior(jnp.zeros((1, 4)), jnp.zeros((1, 4)))
    assert losses.kl_per_dimension(prior).sum() == 0
    moved = Posterior(jnp.full((1, 4), 0.1), jnp.zeros((1, 4)))
    narrowed = Posterior(jnp.zeros((1, 4)), jnp.full((1, 4), -0.1))
    assert (losses.kl_per_dimension(moved) > 0).all() and (losses.kl_per_dimension(narrowed) > 0).all()


def test_kl_equals_monte_carlo():
    mean, logvar = 0.7, -0.9
    z = RNG.normal(mean, np.exp(logvar / 2), 400_000)
    ratio = scipy.stats.norm.logpdf(z, mean, np.exp(logvar / 2)) - scipy.stats.norm.logpdf(z)
    kl = losses.kl_per_dimension(Posterior(jnp.full((1, 1), mean), jnp.full((1, 1), logvar)))
    assert float(kl[0, 0]) == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(z)))


def test_gaussian_nll_equals_scipy():
    x, y = _spectrograms()
    expected = -scipy.stats.norm.logpdf(x, y, np.exp(0.3)).sum(axis=(1, 2))
    np.testing.assert_allclose(losses.gaussian_nll(x, y, jnp.float32(0.3)), expected, rtol=1e-5)


def test_calibrated_elbo_is_the_least_gaussian_nll_over_all_decoder_deviations():
    x, y = _spectrograms()
    least = min(float(losses.gaussian_nll(x, y, log_std).mean()) for log_std in jnp.linspace(-1, 1.5, 2_001))
    error = losses.mean_squared(x, y).mean()
    assert float(losses.calibrated_negative_elbo(error, 0.0, 35)) == pytest.approx(least, rel=1e-5)


def test_learned_deviation_settles_at_the_root_mean_squared_error():
    x, y = _spectrograms()
    slope = jax.grad(lambda log_std: losses.gaussian_nll(x, y, log_std).mean())
    assert float(slope(0.5 * jnp.log(losses.mean_squared(x, y).mean()))) == pytest.approx(0.0, abs=1e-3)


def test_free_nats_are_not_felt_by_the_gradient():
    kl = jnp.array([[0.1, 2.0], [0.3, 4.0]])
    gradient = jax.grad(lambda values: losses.free_kl(values, 0.5))(kl)
    np.testing.assert_allclose(gradient, [[0.0, 0.5], [0.0, 0.5]])
    assert float(losses.free_kl(kl, 0.5)) == pytest.approx(3.5)
    assert float(losses.free_kl(kl, 0.0)) == pytest.approx(float(kl.sum(axis=1).mean()))


def _logits(*shape: int) -> jax.Array:
    """Of four clips, three effects and three parameters."""
    return jnp.asarray(3 * RNG.normal(size=shape), jnp.float32)


def _truth(normalized: np.ndarray = NORMALIZED) -> Truth:
    return Truth(EFFECT, jnp.asarray(normalized, jnp.float32))


def test_effect_nll_equals_scipy_and_is_the_log_of_the_number_of_effects_for_a_guess():
    logits = _logits(4, 3)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(4), EFFECT]
    np.testing.assert_allclose(effect_nll(logits, _truth()), expected, rtol=1e-5)
    np.testing.assert_allclose(effect_nll(jnp.full((4, 3), 7.0), _truth()), np.log(3), rtol=1e-6)


def test_settings_nll_is_the_log_of_the_density_between_the_centres_of_bins():
    logits, centres = _logits(4, 3, 3, BINS), (np.arange(BINS) + 0.5) / BINS
    expected = np.zeros(4)
    for clip, parameter in np.argwhere(~np.isnan(NORMALIZED)):
        log_density = scipy.special.log_softmax(logits[clip, EFFECT[clip], parameter]) + np.log(BINS)
        expected[clip] -= np.interp(NORMALIZED[clip, parameter], centres, log_density)
    np.testing.assert_allclose(settings_nll(logits, _truth()), expected, rtol=1e-4)


def test_settings_nll_is_zero_for_the_uniform_density_and_minus_the_log_of_bins_for_the_right_bin_a_parameter():
    flat = jnp.full((4, 3, 3, BINS), 2.0)
    np.testing.assert_allclose(settings_nll(flat, _truth()), 0.0, atol=1e-5)
    bins = np.floor(np.nan_to_num(NORMALIZED) * (BINS - 1e-9)).astype(int)
    centred = _truth(np.where(np.isnan(NORMALIZED), np.nan, (bins + 0.5) / BINS))
    sure = flat + 100.0 * jax.nn.one_hot(bins, BINS)[:, None]
    parameters = np.sum(~np.isnan(NORMALIZED), axis=1)
    np.testing.assert_allclose(settings_nll(sure, centred), -np.log(BINS) * parameters, rtol=1e-4)


def test_settings_have_gradients_at_the_parameters_of_the_clips_own_effect_only():
    logits = _logits(4, 3, 3, BINS)
    gradient = jax.grad(lambda logits: settings_nll(logits, _truth()).sum())(logits)
    assert np.isfinite(gradient).all()
    felt = np.any(gradient, axis=3)
    expected = np.zeros((4, 3, 3), bool)
    expected[np.arange(4), EFFECT] = ~np.isnan(NORMALIZED)
    np.testing.assert_array_equal(felt, expected)
    of_settings = jax.grad(lambda values: settings_nll(logits, Truth(EFFECT, values)).sum())(_truth().normalized)
    np.testing.assert_array_equal(np.asarray(of_settings)[np.isnan(NORMALIZED)], 0.0)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 1e4])
def test_contrastive_of_settings_told_apart_by_right_angles_has_its_closed_form(temperature):
    """Eight clips, four settings: a cosine of 1 with the partner, of 0 with the six others."""
    mean = 5.0 * jnp.eye(4)[np.array([0, 1, 0, 1, 2, 3, 2, 3])]
    expected = np.log(np.exp(1 / temperature) + 6) - 1 / temperature
    np.testing.assert_allclose(losses.contrastive(mean, temperature), expected, rtol=1e-3, atol=1e-6)


def test_contrastive_is_that_of_cosines_and_of_a_guess_at_high_temperature():
    mean = RNG.normal(size=(12, 5))
    expected = []
    for clip in range(12):
        others = [other for other in range(12) if other != clip]
        cosines = 1 - np.array([scipy.spatial.distance.cosine(mean[clip], mean[other]) for other in others])
        partner = others.index(4 * (clip // 4) + (clip + 2) % 4)
        expected.append(-scipy.special.log_softmax(cosines / 0.3)[partner])
    for scale in (1.0, 7.0):
        nll = losses.contrastive(jnp.asarray(scale * mean, jnp.float32), 0.3)
        np.testing.assert_allclose(nll, expected, rtol=1e-4)
    chance = losses.contrastive(jnp.asarray(RNG.normal(size=(48, 5)), jnp.float32), 1e5)
    np.testing.assert_allclose(chance, np.log(47), rtol=1e-4)


def test_clips_of_other_blocks_at_the_same_setting_are_neither_right_nor_wrong():
    """Two blocks of one setting: without those of the other block, each clip has its partner and its own content."""
    mean, temperature = jnp.asarray(RNG.normal(size=(8, 5)), jnp.float32), 0.3
    alike = jnp.ones((8, 8), bool)  # of an effect without parameters
    cosines = mean @ mean.T / jnp.outer(*2 * [jnp.linalg.norm(mean, axis=1)]) / temperature
    np.testing.assert_allclose(losses.contrastive(mean, temperature, alike), 0.0, atol=1e-6)
    first = jnp.arange(8) < 4
    apart = losses.contrastive(mean, temperature, first[:, None] & first[None])
    partner = np.arange(8) ^ 2
    for clip in range(8):
        wrong = [other for other in range(8) if other not in (clip, partner[clip]) and (clip >= 4 or other >= 4)]
        expected = np.logaddexp.reduce(cosines[clip, np.array([partner[clip], *wrong])]) - cosines[clip, partner[clip]]
        assert float(apart[clip]) == pytest.approx(float(expected), rel=1e-3)


def test_contrastive_gradient_is_finite_where_the_mean_is_zero():
    gradient = jax.grad(lambda mean: losses.contrastive(mean, 0.1).sum())(jnp.zeros((8, 3)))
    assert np.isfinite(gradient).all()


def test_contrastive_wants_the_settings_of_a_rendered_data_set_and_not_its_recordings(tiny):
    """A latent that is a direction for each setting of a training batch, or for each content."""
    split = dataset.render(tiny, progress=False).split("train")
    chosen = order.indices(split, seed=0, step=1, batch_size=8)
    settings = np.column_stack([split.effect[chosen], np.nan_to_num(split.normalized[chosen], nan=-1.0)])
    contents = split.dry(chosen)

    def directions(rows: np.ndarray) -> jax.Array:
        _, kind = np.unique(rows, axis=0, return_inverse=True)
        return jnp.eye(8)[kind.reshape(-1)]

    assert losses.contrastive(directions(settings), 0.01).max() < 1e-3
    assert losses.contrastive(directions(contents), 0.01).min() > 50.0
