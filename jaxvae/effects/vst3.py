"""Any VST3 effect, hosted by pedalboard: "vst3:/path/to/plugin.vst3", with "#plugin name" if a file holds several.

Conventions
    Names of parameters are pedalboard's; values are the plug-in's own on [0, 1] (`raw_value`), without a unit.
    Continuous parameters are swept over all of [0, 1] and switches and choices are held, both with the values of the
    plug-in as it loads as defaults. Mono audio is fed to two channels, and the mean of the two that come back is
    returned. Plug-ins are loaded and run on the main thread: few of them can be reset elsewhere.
"""

import functools
import importlib.metadata
import threading
from pathlib import Path

import numpy as np

from jaxvae.effects import Effect, Parameter, file_digest

_CONTINUOUS = 2**31 - 1
"""Number of steps that pedalboard reports for a parameter without steps."""

_FLUSH_SAMPLES = 512


@functools.cache
def load(name: str) -> Effect:
    """The effect of that name, with the parameters that the plug-in declares.

    A missing file raises FileNotFoundError; one that holds no such effect raises ValueError.
    """
    plugin = _plugin(name)
    swept, held = [], []
    for key, parameter in plugin.parameters.items():
        if not parameter.is_automatable:  # a readout
            continue
        if parameter.num_steps == _CONTINUOUS and not parameter.is_boolean:
            swept.append(Parameter(key, 0.0, 1.0, "", "linear", float(parameter.default_raw_value)))
        else:
            held.append((key, float(parameter.default_raw_value)))
    if not swept:
        raise ValueError(f"{name} has no continuous parameter, so there is nothing to sweep; use another plug-in")
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
    import pedalboard

    _require_main_thread(name)
    path, choice = _file(name)
    if not path.exists():
        raise FileNotFoundError(f"no VST3 plug-in at {path}; name it vst3:/path/to/plugin.vst3")
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


def _process(name: str, dry: np.ndarray, settings: dict[str, float], sample_rate: int) -> np.ndarray:
    _require_main_thread(name)
    plugin = _plugin(name)
    for key, value in settings.items():
        plugin.parameters[key].raw_value = value
    # New values reach a plug-in with its next block, and it may glide to them from those of the clip before.
    # After a silent block and the reset that `process` begins with, the clip starts from the new values.
    plugin.process(np.zeros((2, _FLUSH_SAMPLES), np.float32), sample_rate)
    return plugin.process(np.stack([dry, dry]), sample_rate).mean(axis=0)  # pedalboard removes the latency


def _require_main_thread(name: str) -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{name} is used on thread {threading.current_thread().name}; a VST3 needs the main thread")
