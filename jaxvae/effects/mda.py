"""Nine of Paul Kellett's mda effects, the real plug-ins as packaged by David Robillard (mda-lv2).

Conventions
    Names of parameters and held controls are the plug-ins' port symbols, and values are the controls' own, without a
    unit, on [0, 1]. A default is the plug-in's own, unless a parameter could not be heard there. Held are
    output gains (a level normalisation makes them inaudible), switches, and controls that change nothing in mono.
"""

import contextlib
import functools

import numpy as np

from jaxvae.effects import Effect, Parameter, Render, file_digest, lv2

_URI = "http://drobilla.net/plugins/mda/"
_INSTALL = "install the mda-lv2 package (apt-get install mda-lv2) or set LV2_PATH to a folder that holds mda.lv2"


def _process(name: str, dry: np.ndarray, settings: dict[str, float], sample_rate: int) -> np.ndarray:
    with _open(name, settings, sample_rate) as process:
        return process(dry)


def _open(name: str, settings: dict[str, float], sample_rate: int) -> contextlib.AbstractContextManager[Render]:
    plugin = lv2.find(_URI + name)
    if plugin is None:
        raise FileNotFoundError(f"mda/{name} is not in {', '.join(map(str, lv2.folders()))}; {_INSTALL}")
    # The plug-ins take notice of the sample rate when a control first differs from its default; until then they use
    # constants for 44.1 kHz (RingMod at its defaults rings at 544 Hz instead of 1,000 Hz at 24 kHz).
    if all(settings[control.symbol] == control.default for control in plugin.controls):
        moved = list(settings)[-1]
        settings = {**settings, moved: settings[moved] + (1e-6 if settings[moved] < 0.5 else -1e-6)}
    return lv2.opened(plugin, settings, sample_rate)


def _control(name: str, default: float, minimum: float = 0.0, maximum: float = 1.0) -> Parameter:
    return Parameter(name, minimum, maximum, "", "linear", default)


def _renderer(name: str) -> str | None:
    plugin = lv2.find(_URI + name)
    return None if plugin is None else file_digest.named(plugin.binary)


def _effect(name: str, *parameters: Parameter, held: tuple[tuple[str, float], ...] = ()) -> Effect:
    process, opener = functools.partial(_process, name), functools.partial(_open, name)
    return Effect(f"mda/{name}", parameters, held, process, renderer=functools.partial(_renderer, name), open=opener)


EFFECTS = (
    _effect(
        "Delay",
        # The left delay is 32,766 * l_delay**2 samples, the right one 4 * r_delay times that (from .503 on, steps of
        # the same range). A right delay of more than 32,766 samples would be cut off, and its first sample would be
        # whatever was in memory.
        _control("l_delay", 0.5, maximum=0.7),
        _control("r_delay", 0.27, maximum=0.5),
        _control("feedback", 0.7),  # 0 to 99 %
        _control("fb_tone", 0.5),  # low-pass to high-pass
        _control("fx_mix", 0.33),
        held=(("output", 0.5),),
    ),
    _effect(
        "Overdrive",
        _control("drive", 0.5),  # the plug-in's default, 0, is no overdrive
        _control("muffle", 0.0),
        held=(("output", 0.5),),
    ),
    _effect(
        "Ambience",
        _control("size", 0.7),  # 0 to 10 m
        _control("hf_damp", 0.7),
        _control("mix", 0.9),
        held=(("output", 0.5),),
    ),
    _effect(
        "RingMod",  # rings at 100 * (160 * freq + fine) Hz
        # 100 to 10,800 Hz: 0 Hz is silence and, at 24 kHz, what is above 12 kHz folds back onto lower frequencies.
        _control("freq", 0.0625, minimum=0.00625, maximum=0.675),
        _control("fine", 0.0),
        _control("feedback", 0.0),
    ),
    _effect(
        "Combo",
        _control("drive", 0.8),  # soft below .5, hard above; at the plug-in's default, .5, bias changes nothing
        _control("bias", 0.5),
        _control("hpf_freq", 0.3),  # at the default of the plug-in, 0, hpf_reso changes nothing
        _control("hpf_reso", 0.5),
        held=(("model", 1.0), ("output", 0.5), ("stereo", 0.0)),
    ),
    _effect(
        "Dynamics",
        _control("thresh", 0.3),  # -40 to 0 dB; at the default of the plug-in, .6, little is louder
        _control("ratio", 0.4),
        _control("attack", 0.18),
        _control("release", 0.55),
        _control("limiter", 1.0),
        _control("gate_thr", 0.0, maximum=0.7),  # -60 to -18 dB; higher ones silence a clip that peaks at -12 dBFS
        _control("mix", 1.0),
        held=(("output", 0.1), ("gate_att", 0.1), ("gate_rel", 0.5)),  # the times matter only where the gate acts
    ),
    _effect(
        "ThruZero",
        _control("rate", 0.3),
        _control("depth", 0.43),
        _control("mix", 0.47),
        _control("feedback", 0.3),
        _control("depth_mod", 1.0),
    ),
    _effect(
        "Leslie",
        _control("lo_throb", 0.6),
        _control("hi_depth", 0.6),
        _control("hi_throb", 0.7),
        _control("x_over", 0.48),
        _control("speed", 0.5),
        held=(("mode", 0.5), ("lo_width", 0.5), ("hi_width", 0.7), ("output", 0.5)),
    ),
    _effect(
        "MultiBand",
        _control("l_m", 0.103),
        _control("m_h", 0.878),
        _control("l_comp", 0.54),  # 0 to 30 dB, as m_comp and h_comp
        _control("m_comp", 0.0),
        _control("h_comp", 0.6),
        _control("l_out", 0.45),  # -20 to 20 dB, as m_out and h_out: heard relative to one another
        _control("m_out", 0.5),
        _control("h_out", 0.5),
        _control("attack", 0.22),
        _control("release", 0.602),
        held=(("listen", 1.0), ("stereo", 0.55), ("process", 0.0)),  # other switches leave out bands, or everything
    ),
)


def unavailable() -> dict[str, str]:
    """For each of the nine that no LV2 folder holds, what to install."""
    return {effect.name: _INSTALL for effect in EFFECTS if lv2.find(_URI + effect.name.removeprefix("mda/")) is None}
