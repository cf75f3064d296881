"""The LV2 host, judged by a plug-in written for the purpose, and the nine mda effects, judged by physics.

Needs mda-lv2, lv2-dev and a C compiler (apt-get install mda-lv2 lv2-dev g++).
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.signal

from jaxvae import effects
from jaxvae.effects import lv2, mda

pytestmark = pytest.mark.debian("g++", "lv2-dev", "mda-lv2")
RATE = 24_000
NINE = tuple(effect.name for effect in mda.EFFECTS)
DB = 20 / np.log(10)

# Three plug-ins in one file. Twice doubles its input and reports its level; it has neither activate nor deactivate.
# Memory adds up what it hears until it is activated; Refuses cannot be started.
SOURCE = r"""
#include <lv2/core/lv2.h>
#include <stdlib.h>
typedef struct { float *port[5]; float sum; double rate; } Plugin;
static LV2_Handle start(const LV2_Descriptor* d, double rate, const char* path, const LV2_Feature* const* features) {
    Plugin* p = (Plugin*)calloc(1, sizeof(Plugin));
    p->sum = 1e6f; p->rate = rate;
    return path && features && !*features ? p : NULL;
}
static LV2_Handle refuse(const LV2_Descriptor* d, double rate, const char* p, const LV2_Feature* const* f) { return 0; }
static void connect(LV2_Handle h, uint32_t i, void* data) { ((Plugin*)h)->port[i] = (float*)data; }
static void forget(LV2_Handle h) { ((Plugin*)h)->sum = 0; }
static void twice(LV2_Handle h, uint32_t n) {
    Plugin* p = (Plugin*)h;
    for (uint32_t i = 0; i < n; i++) p->port[1][i] = 2 * *p->port[2] * p->port[0][i];
    *p->port[3] = n;
}
static void memory(LV2_Handle h, uint32_t n) {
    Plugin* p = (Plugin*)h;
    for (uint32_t i = 0; i < n; i++) {
        p->sum += p->port[0][i] + p->port[1][i];
        p->port[2][i] = p->sum; p->port[3][i] = 3 * p->sum;
    }
}
static const LV2_Descriptor list[] = {
    {"urn:made:twice", start, connect, NULL, twice, NULL, free, NULL},
    {"urn:made:memory", start, connect, forget, memory, forget, free, NULL},
    {"urn:made:refuses", refuse, connect, NULL, twice, NULL, free, NULL},
};
LV2_SYMBOL_EXPORT const LV2_Descriptor* lv2_descriptor(uint32_t i) { return i < 3 ? list + i : NULL; }
"""
PREFIXES = """
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
AUDIO_IN, AUDIO_OUT = "a lv2:InputPort, lv2:AudioPort", "a lv2:OutputPort, lv2:AudioPort"
GAIN = 'a lv2:InputPort, lv2:ControlPort ; lv2:symbol "gain" ; lv2:minimum 0 ; lv2:maximum 1 ; lv2:default 0.5'
METER = "a lv2:OutputPort, lv2:ControlPort"
MADE = {
    "twice": (AUDIO_IN, AUDIO_OUT, GAIN, METER),
    "memory": (AUDIO_IN, AUDIO_IN, AUDIO_OUT, AUDIO_OUT),
    "refuses": (AUDIO_IN, AUDIO_OUT, GAIN, METER),
    "absent": (AUDIO_IN, AUDIO_OUT),
    "silent": (AUDIO_OUT,),
    "midi": (AUDIO_IN, AUDIO_OUT, "a lv2:InputPort, <http://lv2plug.in/ns/ext/atom#AtomPort>"),
    "needy": (AUDIO_IN, AUDIO_OUT),
    "rangeless": (AUDIO_IN, AUDIO_OUT, GAIN.replace("; lv2:default 0.5", "")),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder, with a space in its name, of LV2 plug-ins made for these tests."""
    folder = tmp_path_factory.mktemp("made plug-ins")
    bundle = folder / "made.lv2"
    bundle.mkdir()
    (bundle / "made.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "made.c", "-o", "made.so"], cwd=bundle, check=True)
    manifest, description = PREFIXES, PREFIXES
    for name, ports in MADE.items():
        pages = "<made.ttl>, <http://localhost:9/documentation>"  # only the file may be read
        manifest += f"<urn:made:{name}> a lv2:Plugin ; lv2:binary <made.so> ; rdfs:seeAlso {pages} .\n"
        listed = ", ".join(f"[ {port} ; lv2:index {index} ]" for index, port in enumerate(ports))
        description += f"<urn:made:{name}> lv2:port {listed} .\n"
    description += "<urn:made:needy> lv2:requiredFeature <http://lv2plug.in/ns/ext/worker#schedule> .\n"
    (bundle / "manifest.ttl").write_text(manifest)
    (bundle / "made.ttl").write_text(description)
    return folder


def found(folder, name: str, monkeypatch) -> lv2.Plugin:
    monkeypatch.setenv("LV2_PATH", f"/nowhere{os.pathsep}{folder}")
    plugin = lv2.find(f"urn:made:{name}")
    assert plugin is not None
    return plugin


def clip(samples: int = 24_000, peak: float = 0.25) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(samples) * np.exp(-np.arange(samples) % 6_000 / 1_500)
    return (peak * noise / np.abs(noise).max()).astype(np.float32)


def sine(hz: float, rate: int = RATE, amplitude: float = 0.25) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(rate) / rate)).astype(np.float32)


def level_db(audio: np.ndarray, hz: float, rate: int = RATE) -> float:
    """Level of one frequency in the second half of a clip, relative to a full-scale sine."""
    half = audio[len(audio) // 2 :]
    window = scipy.signal.windows.blackmanharris(len(half))
    wave = np.exp(-2j * np.pi * hz * np.arange(len(half)) / rate)
    return DB * np.log(2 * np.abs((window * half) @ wave) / window.sum() + 1e-12)


# The host


def test_mono_plugin_without_activate_takes_its_controls_and_may_report_numbers(folder, monkeypatch):
    plugin, dry = found(folder, "twice", monkeypatch), clip(20_000)
    assert np.array_equal(lv2.render(plugin, dry, {}, RATE), dry)
    assert np.array_equal(lv2.render(plugin, dry, {"gain": 1.0}, RATE), 2 * dry)


def test_stereo_plugin_hears_mono_on_both_inputs_and_its_outputs_are_averaged(folder, monkeypatch):
    plugin, dry = found(folder, "memory", monkeypatch), np.ones(10, np.float32)
    assert np.array_equal(lv2.render(plugin, dry, {}, RATE), 2 * 2 * np.arange(1, 11))  # also: activated before it runs


def test_each_clip_has_a_fresh_instance_whose_state_lasts_over_its_blocks(folder, monkeypatch):
    plugin, dry = found(folder, "memory", monkeypatch), np.ones(1_000, np.float32)
    renders = [lv2.render(plugin, dry, {}, RATE, block_size) for block_size in (1, 7, 999, 1_000, 8_192)]
    assert all(np.array_equal(render, renders[0]) for render in renders)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("silent", "0 audio inputs and 1 outputs"),
        ("midi", "port 2 of urn:made:midi carries neither audio nor one number"),
        ("needy", "urn:made:needy requires http://lv2plug.in/ns/ext/worker#schedule"),
        ("rangeless", "control 2 of urn:made:rangeless lacks a minimum, maximum or default"),
    ],
)
def test_plugins_that_the_host_cannot_run_are_refused_with_the_reason(folder, monkeypatch, name, message):
    with pytest.raises(ValueError, match=message):
        found(folder, name, monkeypatch)


def test_plugins_that_do_not_start_raise(folder, monkeypatch):
    with pytest.raises(RuntimeError, match="urn:made:refuses could not be started at 24000 Hz"):
        lv2.render(found(folder, "refuses", monkeypatch), clip(10), {}, RATE)
    with pytest.raises(ValueError, match=r"made\.so holds no plug-in urn:made:absent"):
        lv2.render(found(folder, "absent", monkeypatch), clip(10), {}, RATE)
    with pytest.raises(ValueError, match="urn:made:twice has no control volume; it has gain"):
        lv2.render(found(folder, "twice", monkeypatch), clip(10), {"volume": 1.0}, RATE)


def test_without_the_package_mda_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("LV2_PATH", str(tmp_path))
    assert set(effects.unavailable()) == set(NINE)
    assert "apt-get install mda-lv2" in effects.unavailable()["mda/Delay"]
    assert not set(effects.names()) & set(NINE)
    with pytest.raises(FileNotFoundError, match=r"mda/Delay is not in .*; install the mda-lv2 package"):
        effects.get("mda/Delay").render(clip(10), {}, RATE)  # the table itself can be read


# The nine


def test_all_nine_are_installed():
    assert set(NINE) <= set(effects.names()), effects.unavailable()


@pytest.mark.parametrize("effect", mda.EFFECTS, ids=NINE)
def test_table_covers_every_control_of_the_plugin_and_departs_from_its_defaults_only_where_said(effect):
    departures = {"mda/Overdrive": {"drive"}, "mda/Combo": {"drive", "hpf_freq"}, "mda/Dynamics": {"thresh"}}
    plugin = lv2.find("http://drobilla.net/plugins/mda/" + effect.name.removeprefix("mda/"))
    table = {parameter.name: parameter.default for parameter in effect.parameters} | dict(effect.held)
    assert len(table) == len(effect.parameters) + len(effect.held)
    assert set(table) == {control.symbol for control in plugin.controls}
    changed = {control.symbol for control in plugin.controls if table[control.symbol] != control.default}
    assert changed == departures.get(effect.name, set())
    assert all((control.minimum, control.maximum) == (0, 1) for control in plugin.controls)


@pytest.mark.parametrize("name", NINE)
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_sound_at_the_defaults_is_the_limit_of_the_sound_beside_them(name, rate):
    effect, dry = effects.get(name), clip(8_000)
    wet = effect.render(dry, {}, rate)
    for parameter in effect.parameters:
        beside = parameter.default + (1e-7 if parameter.default < 0.5 else -1e-7)
        difference = effect.render(dry, {parameter.name: beside}, rate) - wet
        assert np.linalg.norm(difference) < 3e-3 * np.linalg.norm(wet), parameter.name


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
def test_ring_modulator_moves_a_sine_by_its_frequency_at_every_sample_rate(rate):
    ring = effects.get("mda/RingMod")
    for settings, hz in (({}, 1_000), ({"freq": 0.1}, 1_600), ({"freq": 0.03, "fine": 0.5}, 530)):
        wet = ring.render(sine(3_000, rate), settings, rate)
        for sideband in (3_000 - hz, 3_000 + hz):
            assert level_db(wet, sideband, rate) == pytest.approx(DB * np.log(0.125), abs=0.2)
        assert level_db(wet, 3_000, rate) < -80


def test_delay_echoes_at_its_times_and_decays_more_slowly_with_more_feedback():
    dry = np.zeros(48_000, np.float32)
    dry[0] = 0.5
    for left, ratio in ((0.2, 1.5), (0.25, 0.5), (0.1, 1.9)):
        settings = {"l_delay": left, "r_delay": ratio / 4, "fx_mix": 1.0, "feedback": 0.0}
        wet = np.abs(effects.get("mda/Delay").render(dry, settings, RATE))
        peaks, _ = scipy.signal.find_peaks(wet, height=0.3 * wet.max(), distance=50)
        # 32,766 samples at 1, whatever the sample rate, and quadratic; the right one is a multiple of the left one.
        assert np.allclose(peaks, sorted((32_766 * left**2, 32_766 * left**2 * ratio)), atol=3)
    late = [
        np.sum(effects.get("mda/Delay").render(dry, {"l_delay": 0.4, "feedback": feedback}, RATE)[24_000:] ** 2)
        for feedback in (0.2, 0.5, 0.9)
    ]
    assert late[0] < late[1] < late[2]


def test_overdrive_adds_odd_harmonics_that_grow_with_drive():
    harmonics = [
        [
            level_db(effects.get("mda/Overdrive").render(sine(1_000), {"drive": drive}, RATE), k * 1_000)
            for k in (2, 3, 5)
        ]
        for drive in (0.0, 0.3, 0.6, 0.9)
    ]
    second, third, fifth = np.array(harmonics).T
    assert np.all(second < -80) and third[0] < -80
    assert np.all(np.diff(third) > 3) and np.all(fifth[1:] < third[1:])


def test_larger_ambience_rings_longer():
    dry = np.zeros(24_000, np.float32)
    dry[0] = 0.5
    tails = []
    for size in (0.2, 0.5, 0.9):
        energy = np.cumsum(effects.get("mda/Ambience").render(dry, {"size": size, "hf_damp": 0.2}, RATE)[::-1] ** 2)
        tails.append(np.count_nonzero(energy > 1e-6 * energy[-1]))
    assert tails[0] < tails[1] < tails[2]


def test_dynamics_leaves_soft_tones_at_its_make_up_gain_and_turns_loud_ones_down():
    def gain(level: float) -> float:
        dry = sine(1_000, amplitude=10 ** (level / 20))
        return level_db(effects.get("mda/Dynamics").render(dry, {"thresh": 0.5}, RATE), 1_000) - level_db(dry, 1_000)

    assert gain(-40) == pytest.approx(4, abs=0.1) and gain(-25) == pytest.approx(4, abs=0.1)
    assert gain(-12) < 3 and gain(-6) < gain(-12) - 2


def test_multiband_raises_the_band_that_it_is_told_to():
    effect = effects.get("mda/MultiBand")
    others = {"l_comp": 0.0, "m_comp": 0.0, "h_comp": 0.0, "l_m": 0.5, "m_h": 0.5}
    for control, hz in (("l_out", 30.0), ("m_out", 300.0), ("h_out", 9_000.0)):  # 40 dB over the range of a control
        low, high = (level_db(effect.render(sine(hz), {**others, control: v}, RATE), hz) for v in (0.75, 1.0))
        assert high - low == pytest.approx(10, abs=0.6), control


@pytest.mark.parametrize("control", ["Leslie/lo_width", "Leslie/hi_width", "MultiBand/stereo"])
def test_controls_held_as_dead_change_nothing_in_mono(control):
    name, symbol = control.split("/")
    plugin = lv2.find(f"http://drobilla.net/plugins/mda/{name}")
    held = dict(effects.get(f"mda/{name}").held)
    low, high = (lv2.render(plugin, clip(), {**held, symbol: value}, RATE) for value in (0.1, 0.9))
    assert np.allclose(low, high, atol=1e-6)


@pytest.mark.parametrize("control", ["Overdrive", "Ambience", "Combo", "Leslie", "Delay"])
def test_output_controls_held_change_the_level_only(control):
    plugin = lv2.find(f"http://drobilla.net/plugins/mda/{control}")
    low, high = (lv2.render(plugin, clip(), {"output": value}, RATE) for value in (0.4, 0.6))
    assert np.allclose(low / np.linalg.norm(low), high / np.linalg.norm(high), atol=1e-6)
    assert np.linalg.norm(high) > 1.2 * np.linalg.norm(low)


@pytest.mark.parametrize("name", [name for name in NINE if name != "mda/Leslie"])
def test_block_size_changes_nothing_but_for_leslie(name):
    plugin = lv2.find("http://drobilla.net/plugins/mda/" + name.removeprefix("mda/"))
    settings = {control.symbol: 0.4 for control in plugin.controls} | dict(effects.get(name).held)
    whole = lv2.render(plugin, clip(), settings, RATE, 24_000)
    assert np.array_equal(lv2.render(plugin, clip(), settings, RATE), whole)
    assert np.array_equal(lv2.render(plugin, clip(), settings, RATE, 1_000), whole)


def test_sound_does_not_depend_on_what_was_in_memory():
    code = """
import hashlib, numpy as np
from jaxvae.effects import mda
dry, rng = np.sin(np.arange(36_000) / 9).astype(np.float32) / 4, np.random.default_rng(0)
for effect in mda.EFFECTS:
    corners, inside = rng.integers(0, 2, (12, 16)), rng.random((4, 16))
    rows = np.concatenate([corners, inside])[:, : len(effect.parameters)]
    wet = b"".join(effect.render(dry, effect.settings(row), 24_000).tobytes() for row in rows)
    print(effect.name, hashlib.sha256(wet).hexdigest())
"""
    heaps = []
    for poison in ("1", "170"):  # the byte that the C library fills new memory with
        environment = {**os.environ, "MALLOC_PERTURB_": poison}
        command = [sys.executable, "-c", code]
        heaps.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert heaps[0].count("\n") == 9
    assert heaps[0].splitlines() == heaps[1].splitlines()
