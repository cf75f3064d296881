"""A VST3 built here, the real mda Delay in a VST3's clothes, against the same plug-in in the LV2 host.

Needs dpf-source, lv2-dev, mda-lv2 and g++ (apt-get install dpf-source lv2-dev mda-lv2 g++).
"""

import shutil
import threading
from pathlib import Path

import numpy as np
import pedalboard
import pytest

from jaxvae import effects
from jaxvae.effects import lv2, vst3
from tests.effects.vst3_build import build

pytestmark = pytest.mark.debian("g++", "lv2-dev", "mda-lv2", "dpf-source")
RATE = 24_000
SHIM = Path(__file__).parent / "vst3_shim"


def delay() -> lv2.Plugin:
    return lv2.find("http://drobilla.net/plugins/mda/Delay")


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> str:
    """Name of a VST3 effect whose output is 300 samples late."""
    binary = f'-DLV2_BINARY="{delay().binary}"'
    return build(tmp_path_factory.mktemp("vst3"), "late delay", SHIM / "shim.cpp", binary)


@pytest.fixture(scope="module")
def mono(tmp_path_factory) -> str:
    """Name of a mono VST3 effect of steps and choices."""
    return build(tmp_path_factory.mktemp("vst3"), "mono", SHIM.with_name("vst3_mono") / "mono.cpp")


def clip(samples: int = 20_000, seed: int = 0) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_continuous_parameters_are_swept_and_switches_held_at_the_plugins_defaults(shim):
    effect = effects.get(shim)
    swept = {parameter.name: parameter.default for parameter in effect.parameters}
    controls = {control.symbol: control.default for control in delay().controls}
    assert swept == pytest.approx({**controls, "level": 1.0})
    assert all((parameter.minimum, parameter.maximum) == (0, 1) for parameter in effect.parameters)
    assert effect.held == (("mute", 0.0),)  # and not the read-out of the latency
    with pytest.raises(ValueError, match=r"mute of vst3:.* is held at 0; set only l_delay"):
        effect.render(clip(), {"mute": 1.0}, RATE)


def test_renders_equal_the_lv2_hosts_bit_for_bit_in_any_order_and_are_not_late(shim):
    effect, rng = effects.get(shim), np.random.default_rng(0)
    for seed in range(4):
        settings = {control.symbol: float(rng.uniform(0, 0.7)) for control in delay().controls}
        expected = lv2.render(delay(), clip(seed=seed), settings, RATE)
        assert np.array_equal(effect.render(clip(seed=seed), settings, RATE), expected)
    assert np.array_equal(effect.render(clip(), {}, 48_000), lv2.render(delay(), clip(), {}, 48_000))


def test_steps_are_swept_choices_held_and_a_line_says_so(mono, capsys):
    effect = effects.get(mono)
    assert [(parameter.name, parameter.default) for parameter in effect.parameters] == [("percent", 0.5)]
    assert effect.held == (("sign", 1.0),)
    assert f"{mono} sweeps percent (101 steps); it holds sign at 1 (one of 3 choices)\n" in capsys.readouterr().err


def test_a_mono_plugin_is_fed_one_channel(mono):
    effect = effects.get(mono)
    for percent in (0, 25, 100):
        wet = effect.render(clip(), {"percent": percent / 100}, RATE)
        np.testing.assert_allclose(wet, percent / 100 * clip(), atol=1e-6)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("crash", r"crashes \(SIGABRT\) while it loads"), ("hang", "does not load within 1 s")],
)
def test_a_plugin_that_takes_its_process_down_is_named(mono, tmp_path, monkeypatch, behaviour, said):
    monkeypatch.setattr(vst3, "LOAD_LIMIT_S", 1.0 if behaviour == "hang" else 60.0)
    monkeypatch.setenv("JAXVAE_TEST_PLUGIN", behaviour)
    copy = shutil.copytree(mono.removeprefix("vst3:"), tmp_path / "mono.vst3")
    with pytest.raises(ValueError, match=rf"{copy} {said}, so it is not used"):
        effects.get(f"vst3:{copy}")


def test_values_keep_more_digits_than_the_step_that_the_plugin_shows(shim):
    effect = effects.get(shim)
    near, far = (effect.render(clip(), {"fx_mix": value}, RATE) for value in (0.5, 0.50001))
    assert not np.array_equal(near, far)


def test_a_parameter_that_glides_does_not_glide_from_the_clip_before(shim):
    effect = effects.get(shim)
    whole = lv2.render(delay(), clip(), {}, RATE)
    for level in (1.0, 0.1, 0.9, 0.1):
        assert np.allclose(effect.render(clip(), {"level": level}, RATE), level * whole, atol=1e-7)


def test_many_clips_are_rendered_beside_effects_of_other_kinds(shim):
    chosen = [effects.get(name) for name in (shim, "pedalboard/Distortion", "mda/RingMod", shim)] * 3
    dry = np.stack([clip(seed=seed) for seed in range(len(chosen))])
    normalized = np.full((len(chosen), 9), np.nan, np.float32)
    for row, effect in zip(normalized, chosen, strict=True):
        row[: len(effect.parameters)] = 0.3
    wet = effects.render_many(chosen, dry, normalized, RATE)
    for index, effect in enumerate(chosen):
        assert np.array_equal(wet[index], effect.render(dry[index], effect.settings(normalized[index]), RATE))


def test_a_clip_may_be_rendered_on_any_thread(shim):
    effect, wet = effects.get(shim), []
    thread = threading.Thread(target=lambda: wet.append(effect.render(clip(), {}, RATE)))
    thread.start()
    thread.join()
    assert np.array_equal(wet[0], lv2.render(delay(), clip(), {}, RATE))


def test_a_preset_sets_a_fresh_plugin_to_the_same_values_and_the_same_sound(shim, tmp_path):
    path = shim.removeprefix("vst3:")
    settings = {"l_delay": 0.31, "feedback": 0.123456, "fx_mix": 0.9, "level": 0.25}
    preset = tmp_path / "it.vstpreset"
    preset.write_bytes(vst3.preset(shim, settings))
    fresh = pedalboard.load_plugin(path)
    fresh.load_preset(str(preset))
    wanted = effects.get(shim).complete(settings)
    values = {name: parameter.raw_value for name, parameter in fresh.parameters.items() if parameter.is_automatable}
    assert values == pytest.approx(wanted, abs=1e-7)
    fresh.process(np.zeros((2, 512), np.float32), RATE)
    heard = fresh.process(np.stack([clip()] * 2), RATE).mean(axis=0)
    np.testing.assert_allclose(heard, effects.get(shim).render(clip(), settings, RATE), atol=1e-6)
    with pytest.raises(ValueError, match=r"mute of vst3:.* is held at 0"):
        vst3.preset(shim, {"mute": 1.0})


def test_a_file_may_hold_several_plugins_and_a_wrong_choice_is_refused(shim):
    chosen = effects.get(f"{shim}#Shim")
    assert np.array_equal(chosen.render(clip(), {}, RATE), effects.get(shim).render(clip(), {}, RATE))
    with pytest.raises(ValueError, match=r"late delay\.vst3 holds no plug-in Chorus; it holds Shim"):
        effects.get(f"{shim}#Chorus")


def test_what_is_no_vst3_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no VST3 plug-in at .*none\.vst3"):
        effects.get(f"vst3:{tmp_path / 'none.vst3'}")
    text = tmp_path / "text.vst3"
    text.write_text("not a plug-in")
    with pytest.raises(ValueError, match=r"text\.vst3 is not a VST3 plug-in of this system"):
        effects.get(f"vst3:{text}")
