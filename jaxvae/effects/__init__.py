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

import contextlib
import dataclasses
import difflib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Num
from tqdm import tqdm

_BACK_ENDS = ("pedalboard", "mda", "twins")
_REGISTERED: list[Any] = []
_VST3 = "vst3:"
_TOLD: set[str] = set()  # effects of whose failures was told

BLOCK_SAMPLES = 2**16
"""Of a recording that is rendered block by block. Every length at which a back-end runs its plug-ins divides it."""


class EffectError(RuntimeError):
    """A render that failed; the message names the clip, the effect and its settings."""


class PluginError(EffectError):
    """A clip at which a plug-in failed in a process of its own, which was ended; other clips can be rendered."""

    def __init__(self, message: str, reason: Literal["crashed", "hung"]) -> None:
        super().__init__(message)
        self.reason = reason
        """What the plug-in did."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One swept control of an effect, in physical units."""

    name: str
    minimum: float
    maximum: float
    unit: str
    """For example "Hz", "dB", "ms"; "" for a control without one."""
    scale: Literal["linear", "log"]
    """How the range is laid out on [0, 1]."""
    default: float

    def __post_init__(self) -> None:
        if not self.minimum <= self.default <= self.maximum or self.minimum == self.maximum:
            raise ValueError(
                f"{self.name} has default {self.default} and range {self.minimum} to {self.maximum}; "
                "use minimum <= default <= maximum and a range that is not empty"
            )
        if self.scale == "log" and self.minimum <= 0:
            raise ValueError(f"{self.name} is on a log scale from {self.minimum}; use a minimum above 0")


def _in_range(values: np.ndarray, minimum: float, maximum: float, what: str) -> None:
    outside = values[(values < minimum) | (values > maximum)]  # NaN, the padding, is neither
    if outside.size:
        raise ValueError(f"{what} is {outside[0]:g}; use {minimum:g} to {maximum:g}")


def normalize(parameter: Parameter, value: Num[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"] | float:
    """Physical values laid out on [0, 1], float64; NaN stays NaN. Values outside the range raise ValueError."""
    value = np.asarray(value, np.float64)
    _in_range(value, parameter.minimum, parameter.maximum, parameter.name)
    if parameter.scale == "log":
        return np.log(value / parameter.minimum) / np.log(parameter.maximum / parameter.minimum)
    return (value - parameter.minimum) / (parameter.maximum - parameter.minimum)


def denormalize(
    parameter: Parameter, normalized: Num[np.ndarray, "*shape"] | float
) -> Float[np.ndarray, "*shape"] | float:
    """Physical values, float64, of values on [0, 1]: the inverse of `normalize`."""
    normalized = np.asarray(normalized, np.float64)
    _in_range(normalized, 0.0, 1.0, f"normalized {parameter.name}")
    if parameter.scale == "log":
        value = parameter.minimum * (parameter.maximum / parameter.minimum) ** normalized
    else:
        value = parameter.minimum + (parameter.maximum - parameter.minimum) * normalized
    return np.clip(value, parameter.minimum, parameter.maximum)  # rounding may leave the range by one unit


@dataclasses.dataclass(frozen=True)
class Effect:
    """An effect: its swept parameters, its held controls and its render function."""

    name: str
    parameters: tuple[Parameter, ...]
    held: tuple[tuple[str, float], ...]
    """Controls that are not swept (switches, controls that change nothing, output gains) and their values."""
    process: Callable[[np.ndarray, dict[str, float], int], np.ndarray] = dataclasses.field(repr=False, compare=False)
    """(dry, swept and held settings, sample_rate) -> wet. Called with checked arguments; use `render`."""
    renderer: Callable[[], str | None] = dataclasses.field(default=lambda: "", repr=False, compare=False)
    """Names what renders it, by a version or a digest, as far as that is known; None where it is not installed. Clips
    of another renderer are another data set."""
    open: "Opener | None" = dataclasses.field(default=None, repr=False, compare=False)
    """(swept and held settings, sample_rate) -> context of a render that goes on from block to block, where the
    back-end has one. Called with checked arguments; use `opened`."""
    process_many: Callable[[np.ndarray, dict[str, np.ndarray], int], np.ndarray] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    """(dry (clip, sample), each control of all clips, sample_rate) -> wet (clip, sample), where the back-end renders
    clips together; None where it renders one at a time. What comes out of a clip does not depend on the others. Called
    with checked arguments; use `render_together`."""

    def settings(self, normalized: Num[np.ndarray, " parameter"]) -> dict[str, float]:
        """Physical settings by name of one row of normalized ones; NaN may only pad the row at its end."""
        count = len(self.parameters)
        if len(normalized) < count or np.isnan(normalized[:count]).any() or not np.isnan(normalized[count:]).all():
            raise ValueError(
                f"{self.name} has {count} parameters; the normalized row is {normalized}: "
                f"use {count} numbers, then NaN to the end of the row"
            )
        values = zip(self.parameters, normalized[:count], strict=True)
        return {parameter.name: float(denormalize(parameter, float(value))) for parameter, value in values}

    def render(
        self, dry: Num[np.ndarray, "..."], settings: Mapping[str, float], sample_rate: int
    ) -> Float[np.ndarray, " sample"]:
        """The wet clip, float32 and as long as `dry`, which is one mono clip of finite floats.

        Settings that are left out take their defaults. A plug-in may return NaN or huge values at extreme
        settings; they are passed on for the caller to judge. Unknown names, values out of range and clips of another
        form raise ValueError, and a plug-in that crashes or hangs in a process of its own PluginError.
        """
        _require_rate(sample_rate)
        dry = _one_clip(dry)
        return self._as_long(self.process(dry, self.complete(settings), sample_rate), dry)

    def render_together(
        self, dry: Num[np.ndarray, "clip sample"], settings: Sequence[Mapping[str, float]], sample_rate: int
    ) -> Float[np.ndarray, "clip sample"]:
        """What `render` gives of each clip, by one call of the back-end: only of effects that have `process_many`."""
        if self.process_many is None:
            raise ValueError(f"{self.name} renders one clip at a time only; use render")
        _require_rate(sample_rate)
        dry = np.stack([_one_clip(clip) for clip in dry])
        complete = [self.complete(some) for some in settings]
        controls = {name: np.array([some[name] for some in complete], np.float32) for name in complete[0]}
        return self._as_long(self.process_many(dry, controls, sample_rate), dry)

    @contextlib.contextmanager
    def opened(self, settings: Mapping[str, float], sample_rate: int) -> "Iterator[Render]":
        """A render of one recording in blocks of `BLOCK_SAMPLES`, of which only the last may be shorter.

        What it gives is what `render` gives of all blocks together, and no more than one is in memory: only of effects
        that have `open`. ValueError as `render`, and of an effect that has not.
        """
        if self.open is None:
            raise ValueError(f"{self.name} renders whole recordings only; use render")
        _require_rate(sample_rate)
        with self.open(self.complete(settings), sample_rate) as process:

            def render(block: np.ndarray) -> np.ndarray:
                block = _one_clip(block)
                return self._as_long(process(block), block)

            yield render

    def _as_long(self, wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
        if wet.shape != dry.shape:
            raise RuntimeError(f"{self.name} returned shape {wet.shape} for a clip of shape {dry.shape}")
        return wet

    def complete(self, settings: Mapping[str, float]) -> dict[str, float]:
        """Every swept and held control and its value. Unknown names and values out of range raise ValueError."""
        parameters = {parameter.name: parameter for parameter in self.parameters}
        held = dict(self.held)
        for name, value in settings.items():
            if name in held:
                raise ValueError(f"{name} of {self.name} is held at {held[name]:g}; set only {', '.join(parameters)}")
            if name not in parameters:
                raise ValueError(f"{self.name} has no parameter {name}; it has {', '.join(parameters)}")
            minimum, maximum = parameters[name].minimum, parameters[name].maximum
            if not minimum <= value <= maximum:  # NaN too
                unit = parameters[name].unit
                raise ValueError(f"{name} of {self.name} is {value:g}; use {minimum:g} to {maximum:g} {unit}".rstrip())
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        return {**held, **defaults, **{name: float(value) for name, value in settings.items()}}


Render = Callable[[np.ndarray], np.ndarray]
Opener = Callable[[dict[str, float], int], contextlib.AbstractContextManager[Render]]


def _one_clip(dry: Num[np.ndarray, "..."]) -> Float[np.ndarray, " sample"]:
    dry = np.asarray(dry)
    if dry.ndim != 1 or not dry.size or not np.issubdtype(dry.dtype, np.floating):
        raise ValueError(
            f"the dry clip is {dry.dtype} of shape {dry.shape}; use mono floats of shape (sample,), not empty"
        )
    if not np.isfinite(dry).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(dry))} samples of the dry clip are NaN or infinite")
    return np.ascontiguousarray(dry, np.float32)


def _require_rate(sample_rate: int) -> None:
    if not sample_rate > 0:
        raise ValueError(f"sample_rate is {sample_rate} Hz; use more than 0")


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

    process = functools.partial(_process_recorded, name, parameters, held)
    known = table().get(name)
    opener = None if known is None or known.open is None else functools.partial(_open_recorded, name, parameters, held)
    many = None
    if known is not None and known.process_many is not None:
        many = functools.partial(_process_many_recorded, name, parameters, held)
    return Effect(name, parameters, held, process, functools.partial(renderer, name), opener, many)


def _process_recorded(
    name: str,
    parameters: tuple[Parameter, ...],
    held: tuple[tuple[str, float], ...],
    dry: np.ndarray,
    settings: dict[str, float],
    sample_rate: int,
) -> np.ndarray:
    return _present(name, parameters, held).process(dry, settings, sample_rate)


def _process_many_recorded(
    name: str,
    parameters: tuple[Parameter, ...],
    held: tuple[tuple[str, float], ...],
    dry: np.ndarray,
    controls: dict[str, np.ndarray],
    sample_rate: int,
) -> np.ndarray:
    together = _present(name, parameters, held).process_many
    assert together is not None
    return together(dry, controls, sample_rate)


def _open_recorded(
    name: str,
    parameters: tuple[Parameter, ...],
    held: tuple[tuple[str, float], ...],
    settings: dict[str, float],
    sample_rate: int,
) -> contextlib.AbstractContextManager[Render]:
    opener = _present(name, parameters, held).open
    assert opener is not None
    return opener(settings, sample_rate)


def _present(name: str, parameters: tuple[Parameter, ...], held: tuple[tuple[str, float], ...]) -> Effect:
    present = get(name)
    if (present.parameters, present.held) != (parameters, held):
        raise ValueError(f"{name} has other parameters here than when the data set was made; install that version")
    return present


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
