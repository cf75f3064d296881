"""Loss terms against scipy's densities, Monte Carlo and their own optima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxvae import losses
from jaxvae.vae import Posterior

RNG = np.random.default_rng(0)


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
