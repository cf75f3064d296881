"""Gradients through black boxes, beside effects whose derivative JAX knows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae.effects import Effect, Parameter
from jaxvae.matching import effect_gradient

RATE = 8_000
NAMES = ("gain", "tilt", "drive")
PARAMETERS = tuple(Parameter(name, 0.0, 1.0, "", "linear", 0.5) for name in NAMES)


def formula(dry, normalized):
    """A gain, a difference filter and a waveshaper, smooth in their settings."""
    gain, tilt, drive = (normalized[:, place, None] for place in range(3))
    late = jnp.pad(dry, ((0, 0), (1, 0)))[:, :-1]
    return jnp.tanh((1 + 4 * drive) * (0.2 + gain) * (dry - tilt * late))


def process(dry, settings, rate):
    gain, tilt, drive = (settings[name] for name in NAMES)
    late = np.concatenate([[0.0], dry[:-1]])
    return np.tanh((1 + 4 * drive) * (0.2 + gain) * (dry - tilt * late)).astype(np.float32)


KIND = Effect("test/shaper", PARAMETERS, (), process)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    dry = (0.3 * rng.normal(size=(6, 400))).astype(np.float32)
    target = formula(jnp.asarray(dry), jnp.asarray(rng.random((6, 3)), jnp.float32))
    return jnp.asarray(dry), jnp.asarray(0.1 + 0.8 * rng.random((6, 3)), jnp.float32), target


def gradients(function, clips, keys):
    """Of a squared error by the settings, for each key."""
    dry, normalized, target = clips

    def loss(normalized, key):
        return jnp.sum((function(dry, normalized, key) - target) ** 2)

    compiled = jax.jit(jax.grad(loss))
    return jnp.stack([compiled(normalized, jax.random.key(key)) for key in range(keys)])


def gradient(function, clips):
    return gradients(function, clips, 1)[0]


def exact(clips):
    return gradient(lambda dry, normalized, key: formula(dry, normalized), clips)


def test_what_is_rendered_is_the_effect(clips):
    function = effect_gradient.differentiable(KIND, RATE)
    np.testing.assert_allclose(function(*clips[:2], jax.random.key(0)), formula(*clips[:2]), atol=1e-6)


def test_central_differences_are_the_derivative(clips):
    found = gradient(effect_gradient.differentiable(KIND, RATE, "central", step=0.01), clips)
    np.testing.assert_allclose(found, exact(clips), rtol=0.02, atol=0.02 * float(jnp.abs(exact(clips)).max()))
    assert effect_gradient.cosine(found, exact(clips)).min() > 0.999


def test_pairs_along_random_signs_have_the_derivative_as_their_mean(clips):
    function = effect_gradient.differentiable(KIND, RATE, "spsa", step=0.01, pairs=4)
    many = gradients(function, clips, 60)
    spread = many.std(axis=0) / 60**0.5
    assert (jnp.abs(many.mean(axis=0) - exact(clips)) < 5 * spread + 0.02 * jnp.abs(exact(clips)).max()).all()


def test_more_pairs_point_better(clips):
    def points(pairs):
        function = effect_gradient.differentiable(KIND, RATE, "spsa", step=0.01, pairs=pairs)
        return np.mean([effect_gradient.cosine(found, exact(clips)).mean() for found in gradients(function, clips, 8)])

    one, four, sixteen = map(points, (1, 4, 16))
    assert one < four < sixteen and sixteen > 0.9


def test_at_the_ends_of_a_range_there_is_a_gradient(clips):
    dry, _, target = clips
    ends = jnp.tile(jnp.array([[0.0, 1.0, 0.0]]), (6, 1))
    found = gradient(effect_gradient.differentiable(KIND, RATE, "central"), (dry, ends, target))
    assert jnp.isfinite(found).all() and (jnp.abs(found) > 0).all()
    assert effect_gradient.cosine(found, exact((dry, ends, target))).min() > 0.98


def test_so_many_renders_are_spent_and_no_more(clips):
    counted = []

    def counting(dry, settings, rate):
        counted.append(1)
        return process(dry, settings, rate)

    kind = dataclasses.replace(KIND, process=counting)
    for method, pairs, renders in (("central", 1, 6), ("spsa", 4, 8)):
        counted.clear()
        gradient(effect_gradient.differentiable(kind, RATE, method, pairs=pairs), clips)
        assert len(counted) == 6 * (1 + renders)


def test_renders_that_are_not_finite_leave_a_finite_gradient(clips):
    def broken(dry, settings, rate):
        return dry if settings["gain"] > 0.5 else np.full_like(dry, np.nan)

    kind = dataclasses.replace(KIND, process=broken)
    assert jnp.isfinite(gradient(effect_gradient.differentiable(kind, RATE, "central"), clips)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "exact"}, "method is 'exact'"), ({"step": 0.0}, "step is 0.0"), ({"pairs": 0}, "pairs 0")],
)
def test_what_makes_no_estimate_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        effect_gradient.differentiable(KIND, RATE, **options)
