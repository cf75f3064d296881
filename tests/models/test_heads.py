"""Heads: what they give are probabilities, and they learn what the latent holds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvae.models.heads import BINS, Heads, Truth, effect_nll, probabilities, settings_nll

PARAMETERS, LATENT = (3, 1), 8


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def test_probabilities_are_positive_and_sum_to_one():
    mean = 10.0 * normal(0, 4, LATENT)
    logits, _ = jax.jit(lambda key: Heads(PARAMETERS).init_with_output(key, mean, LATENT))(jax.random.key(0))
    assert logits["effect"].shape == (4, 2) and logits["settings"].shape == (4, 2, 3, BINS)
    for name, part in probabilities(logits).items():
        assert (part > 0).all()
        np.testing.assert_allclose(part.sum(axis=-1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(np.argmax(part, axis=-1), np.argmax(logits[name], axis=-1))
    flat = {"effect": jnp.zeros((4, 2)), "settings": jnp.zeros((4, 2, 3, BINS))}
    for part in probabilities(flat).values():
        np.testing.assert_allclose(part, 1 / part.shape[-1], rtol=1e-5)


def test_network_without_effects_has_no_heads():
    logits, variables = Heads(()).init_with_output(jax.random.key(0), normal(0, 4, LATENT), LATENT)
    assert not variables and not logits


def test_heads_learn_a_block_better_than_any_guess():
    heads, mean, adam = Heads(PARAMETERS), normal(0, 4, LATENT), optax.adam(1e-2)
    effect = jnp.array([0, 1, 0, 1])
    normalized = jnp.tile(jnp.array([[0.2, 0.7, 0.93], [0.4, jnp.nan, jnp.nan]]), (2, 1))

    def nll(params):
        logits, truth = heads.apply(params, mean, LATENT), Truth(effect, normalized)
        terms = effect_nll(logits["effect"], truth).mean(), settings_nll(logits["settings"], truth).mean()
        return sum(terms), terms

    @jax.jit
    def learned(key):
        def step(carry, _):
            params, opt_state = carry
            gradient, terms = jax.grad(nll, has_aux=True)(params)
            updates, opt_state = adam.update(gradient, opt_state)
            return (optax.apply_updates(params, updates), opt_state), terms

        params = heads.init(key, mean, LATENT)
        return jax.lax.scan(step, (params, adam.init(params)), length=40)[1]

    of_effect, of_settings = learned(jax.random.key(0))
    assert of_effect[-1] < 0.2 * np.log(2) and of_settings[-1] < -2.0  # guesses: log 2, and 0
