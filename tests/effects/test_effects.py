"""The interface of the effects, and pedalboard's built-ins judged by physics."""

import dataclasses
import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.signal

from jaxvae import effects
from jaxvae.effects import Effect, Parameter, denormalize, normalize, render_many

RATE = 24_000
AVAILABLE = effects.names()
DB = 20 / np.log(10)


def clip(samples: int = 24_000, seed: int = 0) -> np.ndarray:
    """Four plucked notes with noisy attacks, peaking at -12 dBFS: loud and soft, tonal and noisy parts."""
    rng, t = np.random.default_rng(seed), np.arange(samples) / RATE
    audio = np.zeros(samples)
    for start, pitch in zip(np.linspace(0, 0.75, 4) * t[-1], (110, 220, 330, 880), strict=True):
        age = np.maximum(t - start, 0)
        tone = sum(np.sin(2 * np.pi * k * pitch * age) / k for k in range(1, 9))
        audio += (t >= start) * (tone * np.exp(-age / 0.15) + rng.standard_normal(samples) * np.exp(-age / 0.01))
    return (audio / np.abs(audio).max() * 10 ** (-12 / 20)).astype(np.float32)


def sine(hz: float, samples: int = 24_000, amplitude: float = 0.25) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)).astype(np.float32)


def level_db(audio: np.ndarray, hz: float) -> float:
    """Level of one frequency in the second half of a clip, where the effect has settled."""
    half = audio[len(audio) // 2 :] * scipy.signal.windows.blackmanharris(len(audio) - len(audio) // 2)
    return DB * np.log(np.abs(half @ np.exp(-2j * np.pi * hz * np.arange(len(half)) / RATE)))


def gain_db(effect: str, settings: dict[str, float], hz: float) -> float:
    dry = sine(hz)
    return level_db(effects.get(effect).render(dry, settings, RATE), hz) - level_db(dry, hz)


@pytest.mark.parametrize(("scale", "middle"), [("linear", 505.0), ("log", 100.0)])
def test_normalized_values_round_trip_and_the_scale_sets_the_middle(scale, middle):
    parameter = Parameter("cutoff_hz", 10.0, 1000.0, "Hz", scale, 20.0)
    values = np.linspace(10, 1000, 101)
    assert np.allclose(denormalize(parameter, normalize(parameter, values)), values, rtol=1e-12)
    assert normalize(parameter, 10.0) == 0 and normalize(parameter, 1000.0) == 1
    assert denormalize(parameter, 0.5) == pytest.approx(middle)
    assert np.isnan(denormalize(parameter, np.array([0.5, np.nan]))).tolist() == [False, True]


def test_rounding_does_not_take_a_value_out_of_its_range():
    assert 0.7 * (7.7 / 0.7) > 7.7
    assert denormalize(Parameter("ratio", 0.7, 7.7, "", "log", 1.0), 1.0) == 7.7


@pytest.mark.parametrize("name", AVAILABLE)
def test_ends_of_the_normalized_range_are_exactly_the_ends_of_the_physical_one(name):
    for parameter in effects.get(name).parameters:
        assert denormalize(parameter, np.float32(0).item()) == parameter.minimum
        assert denormalize(parameter, np.float32(1).item()) == parameter.maximum


def test_values_outside_a_range_are_refused_with_the_range():
    parameter = Parameter("ratio", 1.0, 20.0, "", "log", 4.0)
    with pytest.raises(ValueError, match="ratio is 21; use 1 to 20"):
        normalize(parameter, 21.0)
    with pytest.raises(ValueError, match=r"normalized ratio is -0\.1; use 0 to 1"):
        denormalize(parameter, np.array([0.5, -0.1]))


@pytest.mark.parametrize("values", [(1.0, 0.0, 0.5), (0.0, 1.0, 2.0), (1.0, 1.0, 1.0)])
def test_a_parameter_with_an_impossible_range_cannot_be_made(values):
    minimum, maximum, default = values
    with pytest.raises(ValueError, match="use minimum <= default <= maximum"):
        Parameter("mix", minimum, maximum, "", "linear", default)
    with pytest.raises(ValueError, match="use a minimum above 0"):
        Parameter("rate_hz", 0.0, 10.0, "Hz", "log", 1.0)


@pytest.mark.parametrize("name", AVAILABLE)
def test_every_corner_of_the_settings_renders_finite_and_as_long_as_the_dry_clip(name):
    effect, dry = effects.get(name), clip(4_801)
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=len(effect.parameters))))
    for corner in np.random.default_rng(0).permutation(corners)[:64]:
        wet = effect.render(dry, effect.settings(corner), RATE)
        assert wet.shape == dry.shape and wet.dtype == np.float32
        assert np.isfinite(wet).all(), effect.settings(corner)


@pytest.mark.parametrize("name", AVAILABLE)
def test_every_parameter_is_heard_from_the_defaults_once_the_level_is_normalised(name):
    effect, dry = effects.get(name), clip(48_000)
    for parameter in effect.parameters:
        ends = [effect.render(dry, {parameter.name: end}, RATE) for end in (parameter.minimum, parameter.maximum)]
        low, high = (end / np.linalg.norm(end) for end in ends)
        assert DB * np.log(np.linalg.norm(high - low)) > -30, parameter.name


@pytest.mark.parametrize("name", AVAILABLE)
def test_a_render_depends_only_on_its_arguments(name):
    effect, dry = effects.get(name), clip()
    before = dry.copy()
    first = effect.render(dry, {}, RATE)
    effect.render(sine(5_000), effect.settings(np.full(len(effect.parameters), 0.9)), RATE)
    assert np.array_equal(effect.render(dry, {}, RATE), first)
    assert np.array_equal(dry, before)
    assert not np.array_equal(first, dry)
    defaults = {parameter.name: parameter.default for parameter in effect.parameters}
    assert np.array_equal(effect.render(dry, defaults, RATE), first)


@pytest.mark.parametrize("name", [name for name in AVAILABLE if not name.startswith("jax/")])  # these render clips
def test_block_by_block_is_as_the_whole_also_beside_another_recording(name):
    effect, block = effects.get(name), effects.BLOCK_SAMPLES
    settings = effect.settings(np.random.default_rng(1).random(len(effect.parameters)))
    first, second = (clip(2 * block + 777, seed) for seed in (0, 1))
    with effect.opened(settings, RATE) as one, effect.opened(settings, RATE) as other:
        pairs = [(one(first[at : at + block]), other(second[at : at + block])) for at in range(0, len(first), block)]
    for pieces, dry in zip(zip(*pairs, strict=True), (first, second), strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), effect.render(dry, settings, RATE))
    recorded = effects.recorded(name, effect.parameters, effect.held)
    with recorded.opened(settings, RATE) as again:
        np.testing.assert_array_equal(again(first[:block]), pairs[0][0])
    with pytest.raises(ValueError, match="NaN or infinite"), effect.opened(settings, RATE) as process:
        process(np.full(9, np.nan, np.float32))
    with (
        pytest.raises(ValueError, match="renders whole recordings only"),
        dataclasses.replace(effect, open=None).opened(settings, RATE),
    ):
        pass


@pytest.mark.parametrize("name", AVAILABLE)
def test_very_short_clips_keep_their_length(name):
    for samples in (1, 2, 3):
        assert effects.get(name).render(clip(samples + 8)[:samples], {}, RATE).shape == (samples,)


@pytest.mark.parametrize(
    ("dry", "message"),
    [
        (np.zeros((2, 100), np.float32), r"shape \(2, 100\); use mono floats of shape \(sample,\)"),
        (np.zeros(0, np.float32), r"shape \(0,\)"),
        (np.zeros(100, np.int16), "int16"),
        (np.array([0, np.nan, np.inf], np.float32), "2 samples of the dry clip are NaN or infinite"),
    ],
)
def test_a_clip_of_another_form_is_refused(dry, message):
    with pytest.raises(ValueError, match=message):
        effects.get("pedalboard/Delay").render(dry, {}, RATE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delay": 0.3}, "no parameter delay; it has delay_seconds, feedback, mix"),
        ({"feedback": 0.95}, r"feedback of pedalboard/Delay is 0.95; use 0 to 0.9$"),
        ({"delay_seconds": 2.0}, "is 2; use 0.02 to 1 s"),
        ({"mix": float("nan")}, "is nan; use 0 to 1"),
    ],
)
def test_settings_that_the_effect_does_not_have_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        effects.get("pedalboard/Delay").render(clip(100), settings, RATE)


def test_held_controls_cannot_be_set():
    with pytest.raises(ValueError, match="mode of pedalboard/LadderFilter is held at 0; set only cutoff_hz"):
        effects.get("pedalboard/LadderFilter").render(clip(100), {"mode": 1.0}, RATE)


def test_a_cutoff_too_high_for_the_sample_rate_is_refused_and_one_below_it_is_finite():
    effect, dry = effects.get("pedalboard/LowpassFilter"), clip(4_800)
    with pytest.raises(ValueError, match=r"is 8000 Hz, above 7200 Hz, .* sample_rate of at least 17778 Hz"):
        effect.render(dry, {"cutoff_frequency_hz": 8_000.0}, 16_000)
    assert np.isfinite(effect.render(dry, {"cutoff_frequency_hz": 7_199.0}, 16_000)).all()


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("pedalboard/delay", "did you mean pedalboard/Delay"),
        ("pedalboard/Lowpass", "did you mean pedalboard/LowpassFilter"),
        ("RingMod", "did you mean mda/RingMod"),
        ("flux capacitor", "known are pedalboard/Delay"),
    ],
)
def test_an_unknown_effect_is_refused_with_the_nearest_names(name, match):
    with pytest.raises(ValueError, match=match):
        effects.get(name)


def test_importing_effects_loads_no_back_end():
    code = "import sys, jaxvae.effects; print([m for m in ('pedalboard', 'rdflib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


# Rendering many


def some_of_each(clips: int) -> tuple[list[Effect], np.ndarray, np.ndarray]:
    chosen = [effects.get(AVAILABLE[index % len(AVAILABLE)]) for index in range(clips)]
    normalized = np.full((clips, 16), np.nan, np.float32)
    for row, effect in zip(normalized, chosen, strict=True):
        row[: len(effect.parameters)] = np.random.default_rng(len(effect.name)).random(len(effect.parameters))
    return chosen, np.stack([clip(9_600, seed) for seed in range(clips)]), normalized


def test_many_clips_at_once_equal_each_alone_whatever_the_number_of_workers():
    chosen, dry, normalized = some_of_each(2 * len(AVAILABLE))
    done = []
    wet = render_many(chosen, dry, normalized, RATE, workers=8, progress=done.append)
    alone = [e.render(d, e.settings(n), RATE) for e, d, n in zip(chosen, dry, normalized, strict=True)]
    assert np.array_equal(wet, np.stack(alone))
    assert done == list(range(1, len(chosen) + 1))


def made(name: str, process) -> Effect:
    return Effect(name, (Parameter("mix", 0.0, 1.0, "", "linear", 0.5),), (), process)


def test_a_clip_at_which_a_plugin_fails_is_nan_and_told_of_once(capsys):
    def process(dry, settings, rate):
        if settings["mix"] > 0.5:
            raise effects.PluginError("it crashes", "crashed")
        return dry

    rows = np.array([[0.2], [0.8], [0.3], [0.9]], np.float32)
    failed = {}
    wet = render_many([made("frail", process)] * 4, np.ones((4, 10), np.float32), rows, RATE, failed=failed)
    assert {clip: error.reason for clip, error in failed.items()} == {1: "crashed", 3: "crashed"}
    assert np.isnan(wet[[1, 3]]).all() and (wet[[0, 2]] == 1).all()
    assert capsys.readouterr().err == "it crashes. Clips at which it fails are left out\n"


def test_the_first_failing_clip_is_named_and_stops_the_rest():
    rendered = []

    def process(dry, settings, rate):
        rendered.append(settings)
        time.sleep(0.01)
        if len(rendered) == 2:
            raise OSError("broken plug-in")
        return dry

    clips = 50
    with pytest.raises(RuntimeError, match=r"clip 1, fragile at \{'mix': 0.25\}: broken plug-in"):
        render_many(
            [made("fragile", process)] * clips,
            np.ones((clips, 10), np.float32),
            np.full((clips, 1), 0.25, np.float32),
            RATE,
            workers=1,
        )
    assert len(rendered) < 10


def test_exploding_renders_are_returned_as_they_are_but_not_those_of_another_length():
    arguments = (np.ones((1, 10), np.float32), np.zeros((1, 1), np.float32), RATE)
    exploding = made("exploding", lambda dry, settings, rate: dry * np.float32(np.inf))
    assert np.isinf(render_many([exploding], *arguments)).all()
    shortening = made("shortening", lambda dry, settings, rate: dry[:-1])
    with pytest.raises(RuntimeError, match=r"shortening returned shape \(9,\) for a clip of shape \(10,\)"):
        render_many([shortening], *arguments)


def test_rows_that_do_not_fit_are_refused():
    effect, dry = effects.get("pedalboard/Delay"), np.ones((1, 10), np.float32)
    for row in ([0.5, 0.5], [0.5, np.nan, 0.5], [0.5, 0.5, 0.5, 0.5]):
        with pytest.raises(ValueError, match="pedalboard/Delay has 3 parameters"):
            render_many([effect], dry, np.array([row], np.float32), RATE)
    with pytest.raises(ValueError, match="2 effects, 1 clips and 1 rows"):
        render_many([effect] * 2, dry, np.zeros((1, 3), np.float32), RATE)
    with pytest.raises(ValueError, match="workers is 0; use at least 1"):
        render_many([effect], dry, np.zeros((1, 3), np.float32), RATE, workers=0)


# Physics


@pytest.mark.parametrize("hz", [200.0, 1_000.0, 4_000.0])
def test_lowpass_and_highpass_are_minus_3_db_at_the_cutoff(hz):
    for name in ("LowpassFilter", "HighpassFilter"):
        assert gain_db(f"pedalboard/{name}", {"cutoff_frequency_hz": hz}, hz) == pytest.approx(-3.01, abs=0.1)


def test_ladder_filter_falls_by_12_db_an_octave():
    settings = {"cutoff_hz": 500.0}
    fall = [gain_db("pedalboard/LadderFilter", settings, hz) for hz in (2_000.0, 4_000.0)]
    assert fall[0] - fall[1] == pytest.approx(12, abs=1.5)


def test_peak_and_shelves_have_the_set_gain_in_their_band_and_none_outside():
    for name, inside, outside in (
        ("PeakFilter", 1_000.0, 20.0),
        ("LowShelfFilter", 20.0, 11_000.0),
        ("HighShelfFilter", 11_000.0, 20.0),
    ):
        settings = {"cutoff_frequency_hz": 1_000.0, "gain_db": -9.0, "q": 0.7071}
        assert gain_db(f"pedalboard/{name}", settings, inside) == pytest.approx(-9, abs=0.1)
        assert gain_db(f"pedalboard/{name}", settings, outside) == pytest.approx(0, abs=0.1)


def test_delay_echoes_at_its_time_and_decays_by_its_feedback():
    dry = np.zeros(24_000, np.float32)
    dry[0] = 0.5
    settings = {"delay_seconds": 0.2, "feedback": 0.6, "mix": 1.0}
    wet = effects.get("pedalboard/Delay").render(dry, settings, RATE)
    echoes = np.flatnonzero(np.abs(wet) > 1e-3)
    assert np.all(np.abs(echoes - 4_800 * np.arange(1, 5)) <= 1)
    assert np.allclose(wet[echoes[1:]] / wet[echoes[:-1]], 0.6, atol=1e-3)


def test_memoryless_effects_equal_their_closed_forms():
    dry = clip()
    distorted = effects.get("pedalboard/Distortion").render(dry, {"drive_db": 20.0}, RATE)
    assert np.allclose(distorted, np.tanh(10 * dry), atol=1e-3)
    clipped = effects.get("pedalboard/Clipping").render(dry, {"threshold_db": -20.0}, RATE)
    assert np.allclose(clipped, np.clip(dry, -0.1, 0.1), atol=1e-6)


def test_compressor_divides_what_is_above_its_threshold_by_its_ratio():
    dry = np.full(24_000, 0.5, np.float32)
    settings = {"threshold_db": -26.0, "ratio": 4.0, "attack_ms": 1.0, "release_ms": 100.0}
    wet = effects.get("pedalboard/Compressor").render(dry, settings, RATE)
    assert DB * np.log(wet[-1]) == pytest.approx(-26 + (DB * np.log(0.5) + 26) / 4, abs=0.1)


def test_a_larger_room_rings_longer():
    dry = np.zeros(24_000, np.float32)
    dry[0] = 0.5
    tails = [
        np.sum(effects.get("pedalboard/Reverb").render(dry, {"room_size": size, "wet_level": 1.0}, RATE)[6_000:] ** 2)
        for size in (0.1, 0.5, 0.9)
    ]
    assert tails[0] < tails[1] < tails[2]


def test_an_effect_is_data_that_can_be_compared_and_changed():
    delay = effects.get("pedalboard/Delay")
    assert delay == effects.get("pedalboard/Delay") and hash(delay) == hash(effects.get("pedalboard/Delay"))
    louder = dataclasses.replace(delay.parameters[2], minimum=0.3)
    narrower = dataclasses.replace(delay, parameters=(*delay.parameters[:2], louder))
    with pytest.raises(ValueError, match=r"mix of pedalboard/Delay is 0.2; use 0.3 to 1"):
        narrower.render(clip(100), {"mix": 0.2}, RATE)


class _WithoutLibatomic:
    """An import system of a minimal Debian."""

    def find_spec(self, name, path=None, target=None):
        if name == "pedalboard":
            raise ImportError("libatomic.so.1: cannot open shared object file: No such file or directory")


@pytest.mark.parametrize("name", ["pedalboard/Delay", "vst3:/nowhere.vst3"])
def test_library_that_pedalboard_lacks_is_named_with_the_package_to_install(monkeypatch, name):
    monkeypatch.delitem(sys.modules, "pedalboard")
    monkeypatch.setattr(sys, "meta_path", [_WithoutLibatomic(), *sys.meta_path])
    with pytest.raises(effects.EffectError, match=r"libatomic.so.1.*: apt-get install libatomic1"):
        effects.get(name).render(clip(), {}, RATE)
    assert "apt-get install libatomic1" in effects.unavailable()["pedalboard/Delay"]
    assert not any(known.startswith("pedalboard/") for known in effects.names())
