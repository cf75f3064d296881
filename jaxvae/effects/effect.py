"""An effect as data: its parameters, in physical units and on [0, 1], and how it renders what it is given."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Num

BLOCK_SAMPLES = 2**16
"""Of a recording that is rendered block by block. Every length at which a back-end runs its plug-ins divides it."""


Render = Callable[[np.ndarray], np.ndarray]
Opener = Callable[[dict[str, float], int], contextlib.AbstractContextManager[Render]]


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
    open: Opener | None = dataclasses.field(default=None, repr=False, compare=False)
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
    def opened(self, settings: Mapping[str, float], sample_rate: int) -> Iterator[Render]:
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
