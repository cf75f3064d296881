"""The twins of three mda effects beside their plug-ins, beside scipy, and their derivatives beside differences."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxvae import effects
from jaxvae.effects import Effect, Parameter, formulas, twins

RATE = 24_000
FORMULAS = {"Overdrive": formulas.overdrive, "RingMod": formulas.ring_modulation, "Delay": formulas.delay}


def clips(count: int, samples: int, seed: int = 0) -> np.ndarray:
    """Noise that swells, at a peak of -12 dBFS."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, samples)) * (1 + np.sin(np.arange(samples) / 900))
    return (0.25 * noise / np.abs(noise).max(axis=1, keepdims=True)).astype(np.float32)


def drawn(kind: Effect, normalized: np.ndarray) -> np.ndarray:
    """Physical settings of normalized rows."""
    rows = [kind.settings(row) for row in normalized]
    return np.array([[row[parameter.name] for parameter in kind.parameters] for row in rows], np.float32)


@pytest.mark.debian("mda-lv2")
@pytest.mark.parametrize("rate", [16_000, RATE, 44_100])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_twin_is_its_plugin(name, rate):
    plugin, twin = effects.get(f"mda/{name}"), effects.get(f"jax/{name}")
    assert (twin.parameters, twin.held) == (plugin.parameters, plugin.held)
    dry = clips(48, 72_000)
    rng, count = np.random.default_rng(rate), len(plugin.parameters)
    normalized = np.concatenate([rng.random((32, count)), rng.choice([0.0, 0.5, 1.0], (16, count))])
    wet, theirs = (effects.render_many([kind] * 48, dry, normalized, rate) for kind in (twin, plugin))
    assert np.abs(wet - theirs).max() < 1e-5
    assert np.abs(theirs - dry).max(axis=1).mean() > 0.05


@pytest.mark.debian("mda-lv2")
def test_loud_clips_and_impulses_are_the_plugins_too():
    dry = np.zeros((3, 30_000), np.float32)
    dry[0, 0], dry[1, 100:200], dry[2] = 1.0, -2.0, np.linspace(-4, 4, 30_000)
    for name in FORMULAS:
        count = len(effects.get(f"jax/{name}").parameters)
        normalized = np.random.default_rng(1).random((3, count))
        kinds = (effects.get(f"{back_end}/{name}") for back_end in ("jax", "mda"))
        wet, theirs = (effects.render_many([kind] * 3, dry, normalized, RATE) for kind in kinds)
        assert np.abs(wet - theirs).max() < 1e-5 * np.abs(theirs).max()


def test_the_phase_of_ring_modulation_is_the_products_rounded_once():
    kind = effects.get("mda/RingMod")
    settings = drawn(kind, np.random.default_rng(2).random((4_000, 3)))
    for rate in (8_000, RATE, 44_100):
        freq, fine, _ = formulas._columns(jnp.asarray(settings))
        found = jax.jit(functools.partial(formulas._increment, sample_rate=rate))(freq, fine)[:, 0]
        wide = settings.astype(np.float64)
        exact = float(np.float32(2 * np.pi)) * 100 * (wide[:, 1] + 160 * wide[:, 0]) / rate
        assert np.mean(np.asarray(found) != exact.astype(np.float32)) < 2e-3


@pytest.mark.parametrize("run", [formulas._one_by_one, formulas._in_parallel])
def test_recursion_is_scipys_filter_on_every_kind_of_device(run):
    fed = clips(2, 3_000)
    kept = np.array([0.3, 0.97], np.float32)
    found = run(jnp.broadcast_to(kept[:, None], fed.shape), jnp.asarray(fed))
    expected = [scipy.signal.lfilter([1.0], [1.0, -a], x) for a, x in zip(kept.astype(float), fed, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("block", [4, 32, 256])
def test_samples_of_delay_at_once_change_nothing(block):
    dry = jnp.asarray(clips(3, 3_001))
    settings = jnp.array([[0.1, 0.45, 0.9, 0.2, 0.8], [0.2, 0.25, 1.0, 0.9, 0.5], [0.15, 0.4, 0.5, 0.5, 1.0]])
    assert min(map(int, formulas.delay_samples(settings)[0])) >= 256
    whole = formulas.delay(dry, settings, RATE, block)
    np.testing.assert_allclose(whole, formulas.delay(dry, settings, RATE), atol=1e-6)


# Derivatives. References are in double precision, by scipy or by a plain loop, and differentiated by differences.


def overdriven(dry, settings):
    drive, muffle = settings
    passed = 10 ** (-1.6 * muffle)
    driven = (1 - drive) * dry + drive * np.sign(dry) * np.sqrt(np.abs(dry))
    return scipy.signal.lfilter([passed], [1, passed - 1], driven)


def ring_modulated(dry, settings):
    freq, fine, feedback = settings
    sine = np.sin(2 * np.pi * 100 * (160 * freq + fine) / RATE * np.arange(len(dry)))
    first = second = 0.0
    wet = []
    for x, s in zip(dry, sine, strict=True):
        first = s * (x + 0.95 * feedback * first)
        second = s * (x + 0.95 * feedback * first)
        wet.append((first + second) / 2)
    return np.array(wet)


def delayed(dry, settings):
    """The whole loop as one filter: V = D H / (1 - g D H) X."""
    l_delay, r_delay, feedback, tone, mix = settings
    left = int(32_766 * l_delay**2)
    right = int(32_766 * l_delay**2 * 4 * r_delay)
    kept = np.exp(-2 * np.pi / RATE * 10 ** (2.2 + 4.5 * tone if tone < 0.5 else 1.075 + 2.25 * tone))
    direct, smoothed = (2 * tone, 1 - 2 * tone) if tone < 0.5 else (1, 0.5 - tone)
    numerator, denominator = np.zeros(max(left, right) + 2), np.zeros(max(left, right) + 2)
    for tap in (left, right):  # direct + smoothed (1 - kept) / (1 - kept / z)
        numerator[tap : tap + 2] += np.array([direct + smoothed * (1 - kept), -direct * kept]) / 2
    denominator[:2] = 1, -kept
    line = scipy.signal.lfilter(numerator, denominator - 0.99 * feedback * numerator, dry)
    return (1 - mix**2) * dry + (1 - (1 - mix) ** 2) * line


REFERENCES = {
    "Overdrive": (overdriven, [[0.3, 0.2], [0.8, 0.6]], [0, 1]),
    "RingMod": (ring_modulated, [[0.05, 0.3, 0.4], [0.3, 0.7, 0.9]], [0, 1, 2]),
    "Delay": (delayed, [[0.05, 0.4, 0.7, 0.3, 0.6], [0.06, 0.2, 0.9, 0.8, 0.4]], [2, 3, 4]),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_twins_and_their_derivatives_are_those_of_the_reference(name):
    reference, settings, with_derivative = REFERENCES[name]
    dry, weight = clips(2, 500), clips(2, 500, seed=1)
    formula, settings = FORMULAS[name], np.array(settings)

    def loss(settings):
        return jnp.sum(jnp.sin(10 * formula(jnp.asarray(dry), settings, RATE)) * weight)

    def their_loss(row, settings):
        return np.sum(np.sin(10 * reference(dry[row].astype(float), settings)) * weight[row])

    wet = formula(jnp.asarray(dry), jnp.asarray(settings, jnp.float32), RATE)
    np.testing.assert_allclose(
        wet, [reference(*pair) for pair in zip(dry.astype(float), settings, strict=True)], atol=3e-4
    )
    found = jax.jit(jax.grad(loss))(jnp.asarray(settings, jnp.float32))
    for row in range(2):
        for place in with_derivative:
            by = np.zeros(settings.shape[1])
            by[place] = 1e-6
            slope = (their_loss(row, settings[row] + by) - their_loss(row, settings[row] - by)) / 2e-6
            assert found[row, place] == pytest.approx(slope, rel=5e-3, abs=5e-3), (row, place)


def test_forward_derivatives_are_those_backward():
    dry = jnp.asarray(clips(2, 400))
    for name, (_, settings, _) in REFERENCES.items():
        settings = jnp.asarray(settings, jnp.float32)
        function = functools.partial(FORMULAS[name], dry, sample_rate=RATE)
        _, along = jax.jvp(function, (settings,), (jnp.ones_like(settings),))
        _, back = jax.vjp(function, settings)
        assert float(jnp.sum(back(along)[0])) == pytest.approx(float(jnp.sum(along**2)), rel=1e-3)


def test_there_is_no_derivative_by_the_length_of_a_delay():
    found = jax.grad(lambda some: jnp.sum(formulas.delay(jnp.asarray(clips(1, 800)), some, RATE) ** 2))
    found = found(jnp.array([[0.05, 0.3, 0.5, 0.3, 0.5]]))
    assert not found[0, :2].any() and found[0, 2:].all()


def test_silence_has_a_finite_derivative():
    for name, (_, settings, _) in REFERENCES.items():
        function = functools.partial(FORMULAS[name], sample_rate=RATE)
        _, back = jax.vjp(function, jnp.zeros((2, 100)), jnp.asarray(settings, jnp.float32))
        assert all(jnp.isfinite(found).all() for found in back(jnp.ones((2, 100)))), name


# As a back-end


def test_a_clip_of_a_batch_is_the_clip_alone_bit_for_bit():
    dry = clips(37, 2_000)
    for kind in twins.EFFECTS:
        normalized = np.random.default_rng(3).random((37, len(kind.parameters)))
        wet = effects.render_many([kind] * 37, dry, normalized, RATE)
        for clip in (0, 5, 36):
            assert np.array_equal(wet[clip], kind.render(dry[clip], kind.settings(normalized[clip]), RATE))
        some = effects.render_many([kind] * 3, dry[[36, 5, 0]], normalized[[36, 5, 0]], RATE)
        assert np.array_equal(some, wet[[36, 5, 0]])


def batched(calls: list, process_many=None) -> Effect:
    def alone(dry, settings, rate):
        raise AssertionError("it was rendered alone")

    def together(dry, controls, rate):
        calls.append((len(dry), controls["gain"].tolist()))
        return dry * controls["gain"][:, None]

    parameter = Parameter("gain", 0.0, 1.0, "", "linear", 0.5)
    return Effect("made/gain", (parameter,), (("held", 2.0),), alone, process_many=process_many or together)


def test_all_clips_of_a_batched_effect_go_into_one_call_and_come_back_in_their_places():
    calls, done = [], []
    kind = batched(calls)
    other = dataclasses.replace(kind, name="made/inverse", process=lambda dry, _, rate: -dry, process_many=None)
    chosen = [kind, other, kind, other, kind]
    normalized = np.array([0.1, 0.5, 0.2, 0.5, 0.3], np.float32)[:, None]
    wet = effects.render_many(chosen, np.ones((5, 100), np.float32), normalized, RATE, progress=done.append)
    assert calls == [(3, pytest.approx([0.1, 0.2, 0.3]))]
    np.testing.assert_allclose(wet[[0, 2, 4], 0], [0.1, 0.2, 0.3], rtol=1e-6)
    assert (wet[[1, 3]] == -1).all() and done == [1, 2, 3, 4, 5]


def test_a_batch_that_fails_names_its_effect():
    def broken(dry, controls, rate):
        raise OSError("no memory")

    ones, settings = np.ones((2, 10), np.float32), np.zeros((2, 1), np.float32)
    with pytest.raises(effects.EffectError, match="2 clips of made/gain from clip 0 on: no memory"):
        effects.render_many([batched([], broken)] * 2, ones, settings, RATE)
    shorter = batched([], lambda dry, controls, rate: dry[:, 1:])
    with pytest.raises(effects.EffectError, match=r"returned shape \(2, 9\) for a clip of shape \(2, 10\)"):
        effects.render_many([shorter] * 2, ones, settings, RATE)
    with pytest.raises(ValueError, match="made/inverse renders one clip at a time only"):
        one = dataclasses.replace(batched([]), name="made/inverse", process_many=None)
        one.render_together(ones, [{}, {}], RATE)
    with pytest.raises(effects.EffectError, match="1 samples of the dry clip are NaN"):
        effects.render_many([batched([])] * 2, np.array([[1, 1], [1, np.nan]], np.float32), settings, RATE)


def test_what_a_data_set_recorded_is_rendered_together_too(monkeypatch):
    kind, calls = effects.get("jax/Overdrive"), []
    table = effects.table()

    def counted(*arguments):
        calls.append(len(arguments[0]))
        return kind.process_many(*arguments)

    monkeypatch.setattr(effects, "table", lambda: table | {kind.name: dataclasses.replace(kind, process_many=counted)})
    recorded = effects.recorded(kind.name, kind.parameters, kind.held)
    assert recorded == kind and recorded.renderer() == "twins 1"
    wet = effects.render_many([recorded] * 3, clips(3, 100), np.full((3, 2), 0.5, np.float32), RATE)
    assert calls == [3] and np.abs(wet).max() > 0
