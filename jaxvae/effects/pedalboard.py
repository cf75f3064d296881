"""The built-in effects of Spotify's pedalboard, installed with jaxvae: the default.

Conventions
    Names of effects, parameters and held controls are pedalboard's. Ranges are for audio at 24 kHz. A default is
    pedalboard's own, unless the effect, or one of its parameters, could not be heard there on a dry clip that peaks
    at -12 dBFS. Held are controls that a level normalisation makes inaudible, that change nothing in mono, or that
    are switches.
"""

import contextlib
import functools
import importlib.metadata
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxvae.effects import Effect, EffectError, Parameter, Render

# Above this share of the sample rate the filters become unstable and return NaN.
_HIGHEST_FREQUENCY = 0.45

_MIX = Parameter("mix", 0.0, 1.0, "", "linear", 0.5)
_ATTACK = Parameter("attack_ms", 0.1, 100.0, "ms", "log", 1.0)
_RELEASE = Parameter("release_ms", 10.0, 1000.0, "ms", "log", 100.0)
_RATE = Parameter("rate_hz", 0.1, 10.0, "Hz", "log", 1.0)
_FEEDBACK = Parameter("feedback", -0.9, 0.9, "", "linear", 0.0)  # a Phaser returns NaN at 1
_GAIN = Parameter("gain_db", -24.0, 24.0, "dB", "linear", 12.0)
_Q = Parameter("q", 0.3, 8.0, "", "log", 0.7071)


def _cutoff(minimum: float, maximum: float, default: float) -> Parameter:
    return Parameter("cutoff_frequency_hz", minimum, maximum, "Hz", "log", default)


_PACKAGES = {"libatomic.so.1": "libatomic1", "libstdc++.so.6": "libstdc++6", "libgcc_s.so.1": "libgcc-s1"}
"""Of Debian, with the system libraries that pedalboard needs and does not bring."""


def host() -> Any:
    """The package pedalboard. EffectError, which says what to install, where it cannot be loaded."""
    try:
        import pedalboard  # here, so that the tables can be read without it
    except ImportError as error:
        missing = [package for library, package in _PACKAGES.items() if library in str(error)]
        remedy = f"apt-get install {missing[0]} (on Debian)" if missing else "pip install --force-reinstall pedalboard"
        raise EffectError(f"pedalboard cannot be loaded ({error}): {remedy}") from error
    return pedalboard


def _process(name: str, dry: np.ndarray, settings: dict[str, float], sample_rate: int) -> np.ndarray:
    with _open(name, settings, sample_rate) as process:
        return process(dry)


@contextlib.contextmanager
def _open(name: str, settings: dict[str, float], sample_rate: int) -> Iterator[Render]:
    pedalboard = host()
    for control, value in settings.items():
        highest = _HIGHEST_FREQUENCY * sample_rate
        if control in ("cutoff_hz", "cutoff_frequency_hz", "centre_frequency_hz") and value > highest:
            raise ValueError(
                f"{control} is {value:g} Hz, above {highest:g} Hz, the highest at {sample_rate} Hz; "
                f"lower it or use a sample_rate of at least {value / _HIGHEST_FREQUENCY:.0f} Hz"
            )
    if name == "LadderFilter":
        settings = {**settings, "mode": pedalboard.LadderFilter.Mode(int(settings["mode"]))}
    # A new object for each clip costs 10 microseconds and cannot be shared between threads by mistake.
    plugin = getattr(pedalboard, name)(**settings)
    yield lambda block: plugin.process(block, sample_rate, reset=False)  # a new object has nothing to reset


@functools.cache
def _renderer() -> str:
    return f"pedalboard {importlib.metadata.version('pedalboard')}"


def _effect(name: str, *parameters: Parameter, held: tuple[tuple[str, float], ...] = ()) -> Effect:
    process, opener = functools.partial(_process, name), functools.partial(_open, name)
    return Effect(f"pedalboard/{name}", parameters, held, process, renderer=_renderer, open=opener)


EFFECTS = (
    _effect(
        "Delay",
        Parameter("delay_seconds", 0.02, 1.0, "s", "log", 0.5),
        Parameter("feedback", 0.0, 0.9, "", "linear", 0.0),
        _MIX,
    ),
    _effect("Distortion", Parameter("drive_db", 0.0, 40.0, "dB", "linear", 25.0)),
    _effect("Clipping", Parameter("threshold_db", -40.0, 0.0, "dB", "linear", -24.0)),
    _effect("Bitcrush", Parameter("bit_depth", 2.0, 16.0, "bit", "linear", 8.0)),
    _effect(
        "Reverb",
        Parameter("room_size", 0.0, 1.0, "", "linear", 0.5),
        Parameter("damping", 0.0, 1.0, "", "linear", 0.5),
        Parameter("wet_level", 0.0, 1.0, "", "linear", 0.33),
        # Only the ratio of the two levels is audible; both at 0 would be silence.
        held=(("dry_level", 0.4), ("width", 1.0), ("freeze_mode", 0.0)),
    ),
    _effect(
        "Compressor",
        Parameter("threshold_db", -50.0, 0.0, "dB", "linear", -30.0),
        Parameter("ratio", 1.0, 20.0, "", "log", 4.0),
        _ATTACK,
        _RELEASE,
    ),
    _effect("Limiter", Parameter("threshold_db", -40.0, 0.0, "dB", "linear", -24.0), _RELEASE),
    _effect(
        "NoiseGate",
        Parameter("threshold_db", -60.0, -10.0, "dB", "linear", -30.0),
        Parameter("ratio", 1.0, 20.0, "", "log", 10.0),
        _ATTACK,
        _RELEASE,
    ),
    _effect(
        "Chorus",
        _RATE,
        Parameter("depth", 0.0, 1.0, "", "linear", 0.25),
        Parameter("centre_delay_ms", 1.0, 30.0, "ms", "log", 7.0),
        _FEEDBACK,
        _MIX,
    ),
    _effect(
        "Phaser",
        _RATE,
        Parameter("depth", 0.0, 1.0, "", "linear", 0.5),
        Parameter("centre_frequency_hz", 100.0, 8000.0, "Hz", "log", 1300.0),
        _FEEDBACK,
        _MIX,
    ),
    _effect(
        "LadderFilter",
        Parameter("cutoff_hz", 50.0, 10000.0, "Hz", "log", 1000.0),
        Parameter("resonance", 0.0, 1.0, "", "linear", 0.0),
        Parameter("drive", 1.0, 10.0, "", "log", 1.0),
        held=(("mode", 0.0),),  # low-pass, 12 dB an octave
    ),
    _effect("LowShelfFilter", _cutoff(40.0, 8000.0, 440.0), _GAIN, _Q),
    _effect("HighShelfFilter", _cutoff(100.0, 10000.0, 2000.0), _GAIN, _Q),
    _effect("PeakFilter", _cutoff(40.0, 10000.0, 1000.0), _GAIN, _Q),
    _effect("HighpassFilter", _cutoff(20.0, 10800.0, 500.0)),
    _effect("LowpassFilter", _cutoff(20.0, 10800.0, 2000.0)),
)


def unavailable() -> dict[str, str]:
    """All effects where pedalboard, a dependency of jaxvae, lacks a library of the system; else nothing."""
    try:
        host()
    except EffectError as error:
        return {effect.name: str(error) for effect in EFFECTS}
    return {}
