"""The controller's distribution of settings, by laws of flows and against distributions that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from jaxvae import config
from jaxvae.models import controller
from jaxvae.models.controller import Controller
from jaxvae.views import NONE, SOURCE, Views

PARAMETERS = (3, 1, 2, 0)
MODEL = Controller(config.Controller(width=16, flow_width=64, flow_layers=3), PARAMETERS)


@pytest.fixture(scope="module")
def clips():
    return Views(jax.random.normal(jax.random.key(0), (8, 16, 5)), jax.random.normal(jax.random.key(1), (8, 12)))


@pytest.fixture(scope="module")
def fresh(clips):
    effect = jnp.zeros(8, jnp.int32)
    z, time = jnp.zeros((8, 1, 3)), jnp.zeros((8, 1))
    return MODEL.init(jax.random.key(2), clips, clips, effect, effect, z, time)


def test_quantiles_are_those_of_scipy_and_every_setting_comes_back():
    settings = np.linspace(0, 1, 101, dtype=np.float32)
    z = controller.as_quantile(jnp.asarray(settings))
    np.testing.assert_allclose(z, scipy.stats.norm.ppf(0.001 + 0.998 * settings), atol=1e-4)
    np.testing.assert_allclose(controller.as_setting(z), settings, atol=2e-6)
    assert controller.as_setting(jnp.array([-9.0, 9.0])).tolist() == [0.0, 1.0]
    assert controller.as_quantile(jnp.array([jnp.nan])).tolist() == [0.0]
    slope = jax.vmap(jax.grad(controller.as_quantile))(jnp.array([0.0, 1.0]))
    assert np.isfinite(slope).all() and (slope > 0).all()  # no dead end


def test_an_arc_leads_from_noise_to_settings_at_the_speed_that_it_says():
    noise, z = jax.random.normal(jax.random.key(0), (2, 2, 25))
    for time, place in ((0.0, noise), (1.0, z)):
        np.testing.assert_allclose(controller.on_arc(noise, z, jnp.full(2, time))[0], place, atol=1e-6)
    time = jnp.full(2, 0.3)
    _, velocity = controller.on_arc(noise, z, time)
    moved = jax.jvp(lambda time: controller.on_arc(noise, z, time)[0], (time,), (jnp.ones(2),))[1]
    np.testing.assert_allclose(velocity, moved, atol=1e-5)


def test_a_network_that_knows_nothing_says_that_settings_are_uniform(clips, fresh):
    hidden = MODEL.apply(fresh, clips, clips, jnp.full(8, NONE), method="hear")
    effect = jnp.arange(8) % 4
    noise = jax.random.normal(jax.random.key(3), (8, 2_000, 3))
    settings = controller.settings(MODEL, fresh, hidden, effect, noise)
    for clip in range(8):
        for parameter in range(3):
            found = np.asarray(settings[clip, :, parameter])
            if parameter < PARAMETERS[clip % 4]:
                assert scipy.stats.kstest(found, "uniform").pvalue > 1e-4
            else:
                np.testing.assert_allclose(found, 0.5, atol=1e-6)
    normalized = np.random.default_rng(0).random((8, 3), np.float32)
    normalized[np.arange(3)[None] >= np.array(PARAMETERS)[effect][:, None]] = np.nan
    np.testing.assert_allclose(
        controller.settings_nll(MODEL, fresh, hidden, effect, jnp.asarray(normalized)), 0, atol=1e-4
    )


def test_dry_clips_are_heard_only_where_they_are_known(clips, fresh):
    other = Views(clips.spectrogram[::-1], clips.fine[::-1])

    def heard(dry, relation):
        return MODEL.apply(fresh, clips, dry, jnp.full(8, relation), method="hear")

    np.testing.assert_array_equal(heard(clips, NONE), heard(other, NONE))
    assert np.abs(heard(clips, SOURCE) - heard(other, SOURCE)).max() > 0.01
    no_frames = Views(0 * other.spectrogram, other.fine)
    np.testing.assert_array_equal(heard(no_frames, SOURCE), heard(other, SOURCE))  # frames of passages do not line up


def test_the_flow_learns_a_distribution_and_its_density():
    """Of settings that depend on one another, on what is heard, and of which one cannot be heard at all."""
    model = Controller(config.Controller(width=4, flow_width=64, flow_layers=3), (3, 0))
    hidden = jax.random.normal(jax.random.key(0), (256, 4))

    def truth(key):
        """The first is Beta with the sign of what is heard, the second near it, the third uniform."""
        a, b, c = jax.random.split(key, 3)
        shape = jnp.where(hidden[:, 0] > 0, 8.0, 3.0)
        first = jax.random.beta(a, shape, 11.0 - shape)
        second = jnp.clip(1 - first + 0.1 * jax.random.normal(b, first.shape), 0, 1)
        return jnp.stack([first, second, jax.random.uniform(c, first.shape)], axis=1)

    effect = jnp.zeros(256, jnp.int32)
    z, time = jnp.zeros((256, 4, 3)), jnp.zeros((256, 4))
    params = model.init(jax.random.key(1), hidden, effect, z, time, method="velocity")
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, 800))

    def step(carry, key):
        params, state = carry
        keys = jax.random.split(key, 3)
        end = jnp.repeat(controller.as_quantile(truth(keys[0]))[:, None], 4, axis=1)
        time = jax.random.uniform(keys[1], end.shape[:2])
        z, velocity = controller.on_arc(jax.random.normal(keys[2], end.shape), end, time)

        def loss(params):
            return jnp.mean((model.apply(params, hidden, effect, z, time, method="velocity") - velocity) ** 2)

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(jax.random.key(2), 800)
    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))((params, optimizer.init(params)))
    noise = jax.random.normal(jax.random.key(3), (256, 8, 3))
    settings = np.asarray(controller.settings(model, params, hidden, effect, noise))
    for loud, shape in ((True, 8.0), (False, 3.0)):
        first, second, third = (
            settings[np.asarray(hidden[:, 0] > 0.2 if loud else hidden[:, 0] < -0.2)].reshape(-1, 3).T
        )
        expected = scipy.stats.beta(shape, 11 - shape)
        assert abs(first.mean() - expected.mean()) < 0.03 and abs(first.std() / expected.std() - 1) < 0.15
        assert abs((second - 1 + first).std() - 0.1) < 0.03
        assert abs(third.mean() - 0.5) < 0.03 and abs(third.std() - 12**-0.5) < 0.03
    held = truth(jax.random.key(4))
    nll = np.asarray(controller.settings_nll(model, params, hidden, effect, held))
    shape = np.where(hidden[:, 0] > 0, 8.0, 3.0)
    first, second, _ = np.asarray(held).T
    exact = -scipy.stats.beta.logpdf(first, shape, 11 - shape) - scipy.stats.norm.logpdf(second, 1 - first, 0.1)
    middle = (np.abs(hidden[:, 0]) > 0.2) & (second > 0.02) & (second < 0.98)
    assert abs((nll - exact)[middle].mean()) < 0.12, "nats, which are those of the true density"
