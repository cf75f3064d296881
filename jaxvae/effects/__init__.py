"""Audio effects as data: what is swept, what is held fixed, and how a clip is rendered.

Conventions
    Audio is mono float32 at full scale 1.0; `dry` goes in, `wet` of the same length comes out, tails are cut.
    `settings` are physical values by parameter name; `normalized` are the same on [0, 1], in the order of the
    parameters. A render starts from silence and depends on nothing but its arguments.
    Names are "pedalboard/Delay", "mda/Delay", "jax/Delay" or "vst3:/path/to/plugin.vst3#plugin name". A back-end is
    imported when one of its effects is asked for. The tables need no plug-in, and a data set records those of its
    effects (`recorded`), so a finished set or a checkpoint can be read where its plug-ins are missing; only rendering
    needs them.
"""

import difflib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from jaxvae.effects.effect import (
    BLOCK_SAMPLES,
    Effect,
    EffectError,
    Opener,
    Parameter,
    PluginError,
    Render,
    denormalize,
    normalize,
)

__all__ = [
    "BLOCK_SAMPLES",
    "Effect",
    "EffectError",
    "Opener",
    "Parameter",
    "PluginError",
    "Render",
    "cores",
    "denormalize",
    "get",
    "is_vst3",
    "names",
    "normalize",
    "preset",
    "recorded",
    "register",
    "render_many",
    "renderer",
    "require_available",
    "require_known",
    "table",
    "unavailable",
]

_BACK_ENDS = ("pedalboard", "mda", "twins")
_REGISTERED: list[Any] = []
_VST3 = "vst3:"
_TOLD: set[str] = set()  # effects of whose failures was told


def register(back_end: Any) -> None:
    """Make a back-end of one's own known, in this process: a module, or any object, with `EFFECTS` and `unavailable()`.

    An effect is named "back-end/Effect" by itself. Whatever reads data sets or checkpoints of these effects has to
    register them, too.
    """
    _REGISTERED.append(back_end)


def _back_ends() -> Iterator[Any]:
    for name in _BACK_ENDS:
        yield importlib.import_module(f"{__name__}.{name}")
    yield from _REGISTERED


def table() -> dict[str, Effect]:
    """Every effect by its name, whether or not this machine can render it; but no VST3, which is named by its path."""
    return {effect.name: effect for back_end in _back_ends() for effect in back_end.EFFECTS}


def names() -> tuple[str, ...]:
    """Names of the effects that this machine can render. VST3 plug-ins are not listed: name them by path."""
    missing = unavailable()
    return tuple(name for name in table() if name not in missing)


def unavailable() -> dict[str, str]:
    """For each effect that this machine cannot render, what to install."""
    return {name: remedy for back_end in _back_ends() for name, remedy in back_end.unavailable().items()}


def renderer(name: str) -> str | None:
    """What renders the effect of that name here (`Effect.renderer`); None where it is missing or unknown."""
    if is_vst3(name):
        return importlib.import_module(f"{__name__}.vst3").renderer(name)
    effect = table().get(name)
    return None if effect is None else effect.renderer()


def require_known(names: Iterable[str]) -> None:
    """Raise as `get` where there is no effect of one of these names."""
    for name in names:
        get(name)


def require_available(kinds: Sequence[Effect]) -> None:
    """FileNotFoundError when this machine cannot render one of the effects."""
    missing = unavailable()
    for kind in kinds:
        if kind.name in missing:
            raise FileNotFoundError(f"{kind.name} cannot be rendered here: {missing[kind.name]}")
        if is_vst3(kind.name) and renderer(kind.name) is None:
            raise FileNotFoundError(f"{kind.name} cannot be rendered here: there is no such file")


def get(name: str) -> Effect:
    """The effect of that name. An unknown name raises ValueError, a missing VST3 FileNotFoundError."""
    if is_vst3(name):
        return importlib.import_module(f"{__name__}.vst3").load(name)
    effects = table()
    if name not in effects:
        short = {known: known.rpartition("/")[2].lower() for known in effects}
        close = difflib.get_close_matches(name.rpartition("/")[2].lower(), short.values())
        matches = sorted((known for known in effects if short[known] in close), key=lambda k: close.index(short[k]))
        hint = f"did you mean {' or '.join(matches)}?" if matches else f"known are {', '.join(effects)}."
        raise ValueError(f"no effect is named {name}; {hint} A VST3 plug-in is named {_VST3}/path/to/plugin.vst3")
    return effects[name]


def is_vst3(name: str) -> bool:
    """Whether an effect of that name is a VST3 plug-in."""
    return name.startswith(_VST3)


def preset(name: str, settings: Mapping[str, float]) -> bytes:
    """The state of a VST3 plug-in at settings, a .vstpreset, which hosts of such plug-ins load.

    Settings that are left out take their defaults. Raises as `get` and `Effect.render`.
    """
    return importlib.import_module(f"{__name__}.vst3").preset(name, settings)


def recorded(name: str, parameters: tuple[Parameter, ...], held: tuple[tuple[str, float], ...]) -> Effect:
    """The effect of that name as a data set recorded it, whether or not it is here; only a render needs it.

    A render raises ValueError where the effect is unknown or has other parameters now, FileNotFoundError where its
    plug-in is missing.
    """

    def of(field: str) -> Any:
        return functools.partial(_of_recorded, field, name, parameters, held)

    known = table().get(name)
    opener = None if known is None or known.open is None else of("open")
    many = None if known is None or known.process_many is None else of("process_many")
    return Effect(name, parameters, held, of("process"), functools.partial(renderer, name), opener, many)


def _of_recorded(
    field: str,
    name: str,
    parameters: tuple[Parameter, ...],
    held: tuple[tuple[str, float], ...],
    *arguments: Any,
) -> Any:
    """What a function of the effect that is here gives, if it is the one that was recorded."""
    present = get(name)
    if (present.parameters, present.held) != (parameters, held):
        raise ValueError(f"{name} has other parameters here than when the data set was made; install that version")
    return getattr(present, field)(*arguments)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux only


def render_many(
    effects: Sequence[Effect],
    dry: Float[np.ndarray, "clip sample"],
    normalized: Float[np.ndarray, "clip parameter"],
    sample_rate: int,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    failed: dict[int, PluginError] | None = None,
) -> Float[np.ndarray, "clip sample"]:
    """Wet clips, float32, one effect and one row of settings (NaN-padded) for each dry clip.

    Threads on all cores render (`workers` of them, if given): the plug-ins run outside Python's lock. All clips of an
    effect with `process_many` are rendered together, by one of the threads. The result does not depend on the number of
    workers. NaN and exploding renders are returned as they are; the caller counts and redraws them. A clip at which a
    plug-in crashed or hung in a process of its own is all NaN, and entered in `failed`; the first of an effect is told
    on the standard error. `progress` is called with the number of clips done so far. The first render that fails
    otherwise stops the rest and raises EffectError.
    """
    if not len(effects) == len(dry) == len(normalized):
        raise ValueError(
            f"{len(effects)} effects, {len(dry)} clips and {len(normalized)} rows of settings; use as many of each"
        )
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; use at least 1, or None for all cores")
    rows = [effect.settings(row) for effect, row in zip(effects, normalized, strict=True)]
    wet = np.empty(dry.shape, np.float32)

    def render_one(clip: int) -> None:
        try:
            wet[clip] = effects[clip].render(dry[clip], rows[clip], sample_rate)
        except PluginError as error:
            wet[clip] = np.nan
            if failed is not None:
                failed[clip] = error
            if effects[clip].name not in _TOLD:
                _TOLD.add(effects[clip].name)
                tqdm.write(f"{error}. Clips at which it fails are left out", file=sys.stderr)
        except EffectError as error:  # which names the effect
            raise EffectError(f"clip {clip}: {error}") from error
        except Exception as error:
            raise EffectError(f"clip {clip}, {effects[clip].name} at {rows[clip]}: {error}") from error

    def render_together(clips: list[int]) -> None:
        kind = effects[clips[0]]
        try:
            wet[clips] = kind.render_together(dry[clips], [rows[clip] for clip in clips], sample_rate)
        except Exception as error:
            raise EffectError(f"{len(clips)} clips of {kind.name} from clip {clips[0]} on: {error}") from error

    together: dict[Effect, list[int]] = {}
    for clip, effect in enumerate(effects):
        if effect.process_many is not None:
            together.setdefault(effect, []).append(clip)
    alone = sorted(set(range(len(effects))).difference(*together.values()))
    done = 0
    pool = ThreadPoolExecutor(workers or cores())
    try:
        futures = {pool.submit(render_together, clips): len(clips) for clips in together.values()}
        futures |= {pool.submit(render_one, clip): 1 for clip in alone}
        for future in as_completed(futures):
            future.result()
            for _ in range(futures[future]):
                done += 1
                if progress is not None:
                    progress(done)
    finally:  # a failure or Ctrl-C must not wait for the clips that have not started
        pool.shutdown(wait=True, cancel_futures=True)
    return wet
