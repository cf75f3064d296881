"""Any VST3 effect, hosted by pedalboard: "vst3:/path/to/plugin.vst3", with "#plugin name" if a file holds several.

Conventions
    Names of parameters are pedalboard's; values are the plug-in's own on [0, 1] (`raw_value`), without a unit.
    Continuous parameters, and those of more than MOST_CHOICES steps, are swept over all of [0, 1]; switches and choices
    are held. Defaults are the values of the plug-in as it loads; a line on loading says what is swept and held. Mono
    audio is fed to two channels, or to one where the plug-in is mono, and the mean of those that come back is returned.
    A plug-in is loaded in a process of its own first, then here, and run on the main thread: few of them can be reset
    elsewhere.
"""

import functools
import importlib.metadata
import sys
import threading
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jaxvae.effects import Effect, Parameter, file_digest, trial
from jaxvae.effects.pedalboard import host

_CONTINUOUS = 2**31 - 1
"""Number of steps that pedalboard reports for a parameter without steps."""

MOST_CHOICES = 10
_FLUSH_SAMPLES = 512
_SAMPLE_RATE = 48_000
_TRIAL = """
import sys
import numpy, pedalboard
path, choice = sys.argv[1:]
choices = pedalboard.VST3Plugin.get_plugin_names_for_file(path)
plugin = pedalboard.load_plugin(path, plugin_name=choice or choices[0])
for channels in (2, 1):
    try:
        plugin.process(numpy.zeros((channels, 512), numpy.float32), 48_000)
        break
    except ValueError:
        pass
"""


@functools.cache
def load(name: str) -> Effect:
    """The effect of that name, with the parameters that the plug-in declares.

    A missing file raises FileNotFoundError; one that holds no such effect raises ValueError.
    """
    plugin = _plugin(name)
    swept, held, words = [], [], []
    for key, parameter in plugin.parameters.items():
        if not parameter.is_automatable:  # a readout
            continue
        default, steps = float(parameter.default_raw_value), parameter.num_steps
        if steps > MOST_CHOICES and not parameter.is_boolean:
            swept.append(Parameter(key, 0.0, 1.0, "", "linear", default))
        else:
            held.append((key, default))
            words.append(f"{key} at {default:g} ({'a switch' if steps <= 2 else f'one of {steps} choices'})")
    holds = f"holds {', '.join(words)}" if words else "holds nothing"
    if not swept:
        raise ValueError(f"{name} has nothing to sweep: it {holds}; use another plug-in")
    steps = {key: plugin.parameters[key].num_steps for key in (parameter.name for parameter in swept)}
    names = ", ".join(key if steps[key] == _CONTINUOUS else f"{key} ({steps[key]} steps)" for key in steps)
    tqdm.write(f"{name} sweeps {names}; it {holds}", file=sys.stderr)
    return Effect(
        name,
        tuple(swept),
        tuple(held),
        functools.partial(_process, name),
        main_thread=True,
        renderer=functools.partial(renderer, name),
    )


def renderer(name: str) -> str | None:
    """The plug-in's file by its digest, and its host; None where there is no such file."""
    path, _ = _file(name)
    if not path.exists():
        return None
    return f"{file_digest.named(path)}, pedalboard {importlib.metadata.version('pedalboard')}"


def _file(name: str) -> tuple[Path, str]:
    """Path of the plug-in's file, and which of those in it is meant."""
    stem, found, choice = name.removeprefix("vst3:").partition(".vst3#")
    return Path(f"{stem}.vst3" if found else stem), choice


@functools.cache
def _plugin(name: str):
    """The one instance of a plug-in. Loading takes about 0.1 s."""
    pedalboard = host()
    _require_main_thread(name)
    path, choice = _file(name)
    if not path.exists():
        raise FileNotFoundError(f"no VST3 plug-in at {path}; name it vst3:/path/to/plugin.vst3")
    trial.require_loads(f"the plug-in {path}", _TRIAL, str(path), choice)
    try:
        choices = pedalboard.VST3Plugin.get_plugin_names_for_file(str(path))
    except ImportError as error:
        raise ValueError(f"{path} is not a VST3 plug-in of this system: {error}") from error
    if choice and choice not in choices:
        raise ValueError(f"{path} holds no plug-in {choice}; it holds {', '.join(choices)}")
    if not choice and len(choices) > 1:
        raise ValueError(f"{path} holds {', '.join(choices)}; add # and one of them to the name")
    plugin = pedalboard.load_plugin(str(path), plugin_name=choice or None)
    if not plugin.is_effect:
        raise ValueError(f"{name} is an instrument; use an effect")
    return plugin


@functools.cache
def _channels(name: str) -> int:
    """Two, or one of a plug-in that is mono."""
    for channels in (2, 1):
        try:
            _plugin(name).process(np.zeros((channels, _FLUSH_SAMPLES), np.float32), _SAMPLE_RATE)
        except ValueError as error:
            refusal = error
        else:
            return channels
    raise ValueError(f"{name} takes neither stereo nor mono ({refusal}); use another plug-in")


def _process(name: str, dry: np.ndarray, settings: dict[str, float], sample_rate: int) -> np.ndarray:
    _require_main_thread(name)
    plugin = _plugin(name)
    for key, value in settings.items():
        plugin.parameters[key].raw_value = value
    # New values reach a plug-in with its next block, and it may glide to them from those of the clip before.
    # After a silent block and the reset that `process` begins with, the clip starts from the new values.
    channels = _channels(name)
    plugin.process(np.zeros((channels, _FLUSH_SAMPLES), np.float32), sample_rate)
    return plugin.process(np.stack([dry] * channels), sample_rate).mean(axis=0)  # pedalboard removes the latency


def _require_main_thread(name: str) -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{name} is used on thread {threading.current_thread().name}; a VST3 needs the main thread")
