"""Any VST3 effect, hosted by pedalboard: "vst3:/path/to/plugin.vst3", with "#plugin name" if a file holds several.

Conventions
    Names of parameters are pedalboard's; values are the plug-in's own on [0, 1] (`raw_value`), without a unit.
    Continuous parameters, and those of more than MOST_CHOICES steps, are swept over all of [0, 1]; switches and choices
    are held. Defaults are the values of the plug-in as it loads; a line on loading says what is swept and held. Mono
    audio is fed to two channels, or to one where the plug-in is mono, and the mean of those that come back is returned.
    A plug-in is never loaded in this process: others hold it (`vst3_workers`), one for each core at most, and render
    on their main thread. One that crashes or hangs there is ended, and the next clip gets a new one. Whether a clip
    crashes is judged in a new process, where it was not the first of an old one, so a render depends on nothing but its
    arguments.
    A plug-in is run in the largest of BLOCKS in which it gives anything usable.
    The latency that it reports is removed by pedalboard, clip by clip.
"""

import dataclasses
import functools
import importlib.metadata
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from jaxvae.effects import Effect, EffectError, Parameter, PluginError, file_digest
from jaxvae.effects.pedalboard import host
from jaxvae.effects.vst3_workers import Worker, WorkerError, Workers

_CONTINUOUS = 2**31 - 1
"""Number of steps that pedalboard reports for a parameter without steps."""

MOST_CHOICES = 10
BLOCKS = (8_192, 2_048, 512, 128, 32)
"""Samples in one call of a plug-in, those that are tried in turn; the first is pedalboard's default."""
LOAD_LIMIT_S = 60.0
LEAST_LIMIT_S, LIMIT_TIMES = 10.0, 20.0
"""A render may take this many seconds, or this many times the duration of its clip, whichever is more."""
MOST_CRASHES, MOST_HANGS = 20, 5
"""Of a plug-in without one render between them that succeeds: then it is not asked again."""
_TABLE = threading.Lock()  # threads that ask for a plug-in at once load it once


@dataclasses.dataclass(eq=False)
class _Plugin:
    """A plug-in that was loaded by a worker."""

    name: str
    block: int
    channels: int
    parameters: list[tuple[str, float, int, bool]]
    """Name, default, number of steps and whether it is a switch."""
    workers: Workers
    crashes: int = 0
    hangs: int = 0
    """Both since the last render that succeeded."""
    latencies: set[int] = dataclasses.field(default_factory=set)
    """That were reported."""
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


def load(name: str) -> Effect:
    """The effect of that name, with the parameters that the plug-in declares.

    A missing file raises FileNotFoundError; one that holds no such effect, or that crashes, raises ValueError.
    """
    plugin = _plugin(name)
    swept = tuple(
        Parameter(key, 0.0, 1.0, "", "linear", default)
        for key, default, steps, switch in plugin.parameters
        if _is_swept(steps, switch)
    )
    held = tuple((key, default) for key, default, steps, switch in plugin.parameters if not _is_swept(steps, switch))
    process, named = functools.partial(_process, name), functools.partial(renderer, name)
    return Effect(name, swept, held, process, renderer=named)


def preset(name: str, settings: Mapping[str, float]) -> bytes:
    """The plug-in's state at these settings, a .vstpreset (`jaxvae.effects.preset`)."""
    complete = load(name).complete(settings)
    plugin = _plugin(name)
    with plugin.workers.one() as worker:
        try:
            request = {"do": "preset", "settings": complete, "block": plugin.block}
            return bytes(worker.ask(request, LEAST_LIMIT_S)[1])
        except WorkerError as error:
            raise PluginError(f"{name} {error} at {complete} when its state is asked for", error.reason) from error


def renderer(name: str) -> str | None:
    """The plug-in's file by its digest, and its host; None where there is no such file."""
    path, _ = _file(name)
    if not path.exists():
        return None
    return f"{file_digest.named(path)}, pedalboard {importlib.metadata.version('pedalboard')}"


def _is_swept(steps: int, switch: bool) -> bool:
    return steps > MOST_CHOICES and not switch


def _file(name: str) -> tuple[Path, str]:
    """Path of the plug-in's file, and which of those in it is meant."""
    stem, found, choice = name.removeprefix("vst3:").partition(".vst3#")
    return Path(f"{stem}.vst3" if found else stem), choice


def _plugin(name: str) -> _Plugin:
    with _TABLE:
        return _loaded(name)


@functools.cache
def _loaded(name: str) -> _Plugin:
    """The plug-in, and a line of what it is. It takes about .3 s."""
    host()
    path, choice = _file(name)
    if not path.exists():
        raise FileNotFoundError(f"no VST3 plug-in at {path}; name it vst3:/path/to/plugin.vst3")
    start = functools.partial(_start, str(path.absolute()), choice)
    worker, found = start()
    try:
        parameters = [tuple(parameter) for parameter in found["parameters"]]
        said = _describe(name, parameters)
        worker, block = _largest_block(name, worker, start)
    except BaseException:
        worker.end()
        raise
    smaller = "" if block == BLOCKS[0] else f"; it is run in blocks of {block} samples, as it fails in larger ones"
    tqdm.write(f"{name} {said}{smaller}", file=sys.stderr)
    workers = Workers(lambda: start()[0])
    workers.add(worker)
    return _Plugin(name, block, found["channels"], parameters, workers)


def _start(path: str, choice: str) -> tuple[Worker, dict]:
    """A worker that has loaded the plug-in, and what it found. ValueError where it cannot."""
    worker = Worker()
    try:
        found, _ = worker.ask({"do": "load", "path": path, "plugin": choice}, LOAD_LIMIT_S)
    except WorkerError as error:
        what = f"does not load within {LOAD_LIMIT_S:g} s" if error.reason == "hung" else f"{error} while it loads"
        raise ValueError(f"the plug-in {path} {what}, so it is not used; use another plug-in") from error
    except BaseException:
        worker.end()
        raise
    return worker, found


def _describe(name: str, parameters: list[tuple[str, float, int, bool]]) -> str:
    """What is swept and held. ValueError where nothing is swept."""
    held = [
        f"{key} at {default:g} ({'a switch' if steps <= 2 else f'one of {steps} choices'})"
        for key, default, steps, switch in parameters
        if not _is_swept(steps, switch)
    ]
    swept = [
        key if steps == _CONTINUOUS else f"{key} ({steps} steps)"
        for key, _, steps, switch in parameters
        if _is_swept(steps, switch)
    ]
    holds = f"holds {', '.join(held)}" if held else "holds nothing"
    if not swept:
        raise ValueError(f"{name} has nothing to sweep: it {holds}; use another plug-in")
    return f"sweeps {', '.join(swept)}; it {holds}"


def _largest_block(name: str, worker: Worker, start: Callable[[], tuple[Worker, dict]]) -> tuple[Worker, int]:
    """The largest of BLOCKS in which the plug-in can be used at its defaults, and a worker that lives."""
    for block in BLOCKS:
        try:
            answer, _ = worker.ask({"do": "trial", "block": block}, LEAST_LIMIT_S)
        except (WorkerError, RuntimeError, ValueError) as error:
            fault = str(error)
            if worker.ended:
                worker, _ = start()
        else:
            if answer["usable"]:
                return worker, block
            fault = "gives NaN or clips of another length"
    worker.end()
    raise ValueError(
        f"{name} cannot be used at its defaults in blocks of {', '.join(map(str, BLOCKS))} samples: in the last it "
        f"{fault}; use another plug-in"
    )


def _process(name: str, dry: np.ndarray, settings: dict[str, float], sample_rate: int) -> np.ndarray:
    plugin = _plugin(name)
    request = {"do": "render", "settings": settings, "sample_rate": sample_rate, "block": plugin.block}
    try:
        answer, wet = _ask(plugin, request, max(LEAST_LIMIT_S, LIMIT_TIMES * len(dry) / sample_rate), dry)
    except WorkerError as error:
        raise _failure(plugin, error, settings) from error
    with plugin.lock:
        plugin.crashes = plugin.hangs = 0
        known = len(plugin.latencies)
        plugin.latencies.update(answer["latencies"])
        if known < 2 <= len(plugin.latencies):
            tqdm.write(
                f"{name} reports a latency that changes with its settings, such as "
                f"{' and '.join(map(str, sorted(plugin.latencies)))} samples; each clip is aligned by its own",
                file=sys.stderr,
            )
    return np.frombuffer(wet, np.float32)


def _ask(plugin: _Plugin, request: dict[str, Any], limit_s: float, dry: np.ndarray) -> tuple[dict[str, Any], bytearray]:
    """The answer of a worker; of a new one, where an old one crashed."""
    with plugin.workers.one() as worker:
        fresh, worker.fresh = worker.fresh, False
        try:
            return worker.ask(request, limit_s, dry)
        except WorkerError as error:
            if fresh or error.reason == "hung":
                raise
    with plugin.workers.one(fresh=True) as worker:
        worker.fresh = False
        return worker.ask(request, limit_s, dry)


def _failure(plugin: _Plugin, error: WorkerError, settings: dict[str, float]) -> EffectError:
    """What is raised for a clip, or for the plug-in if there were too many."""
    with plugin.lock:
        plugin.crashes += error.reason == "crashed"
        plugin.hangs += error.reason == "hung"
        crashes, hangs = plugin.crashes, plugin.hangs
    said = f"{plugin.name} {error} at {settings}"
    if crashes >= MOST_CRASHES or hangs >= MOST_HANGS:
        return EffectError(
            f"{said}; that makes {crashes} crashes and {hangs} hangs in a row, so it is not used any more: use "
            "another plug-in, or another version of it"
        )
    remedy = "use other settings, or another version of the plug-in"
    return PluginError(f"{said}; {remedy}", error.reason)
