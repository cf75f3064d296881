"""What was done to a recording, in words: effects with their probabilities, settings with units and intervals.

Windows of one recording are joined by the mean of their log-probabilities, which for effects is what the mean embedding
says. They are too much alike to be counted as independent: on renders of unseen recordings the product of their
probabilities had a likelihood of 1.85 nats instead of 1.26, and the mean of their probabilities hid what settings they
agree on.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxvae.effects import Effect, Parameter, denormalize

NO_EFFECT = "no effect"
LEVEL = 0.8
"""Of the intervals of settings."""

_LIKELY = 0.15  # from which an effect's settings are told beside those of the likeliest
_UNLIKELY = 0.03  # below which a text does not name an effect
_LEAST = 1e-30


@dataclasses.dataclass(frozen=True)
class Setting:
    """What one control was set to."""

    name: str
    unit: str
    median: float
    low: float
    """The value is below it with a probability of 10 %."""
    high: float
    """The value is above it with a probability of 10 %."""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {_number(self.median)}{unit} ({_number(self.low)} to {_number(self.high)})"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An effect that it may have been."""

    effect: str
    probability: float
    settings: tuple[Setting, ...]
    """If it was this one."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """Of a recording, or a part of it."""

    start_s: float
    end_s: float
    probabilities: dict[str, float]
    """By effect, the largest first; "no effect" is among them if the run has a readout."""
    candidates: tuple[Candidate, ...]
    """The likeliest effect and others that are likely, with their settings."""

    @property
    def best(self) -> str:
        """The likeliest effect, or "no effect"."""
        return next(iter(self.probabilities))


@dataclasses.dataclass(frozen=True)
class Identification:
    """What was done to one recording. `str()` of it is a text to read, `to_dict()` is plain values for JSON."""

    run: str
    mode: str
    """What was known beside the recording: one of `jaxvae.config.MODES`."""
    whole: Answer
    windows: tuple[Answer, ...]
    """Of each part of a clip's length that is not silent."""
    notes: tuple[str, ...]
    """What else to know: what was left out, repeated or trimmed."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return self.text()

    def text(self, windows: bool = False) -> str:
        """A text to read; with a line for each window if asked for."""
        lines = [
            f"{self.run}, {_KNOWN[self.mode]}, {self.whole.end_s:.1f} s in {_count(len(self.windows), 'window')}; "
            f"settings as median (interval of {LEVEL:.0%})"
        ]
        settings = {candidate.effect: candidate.settings for candidate in self.whole.candidates}
        others = []
        for effect, probability in self.whole.probabilities.items():
            if probability < _UNLIKELY and effect not in (*settings, NO_EFFECT):
                others.append(probability)
                continue
            lines.append(f"  {probability:4.0%}  {effect}")
            lines += [f"          {setting}" for setting in settings.get(effect, ())]
        if others:
            lines.append(f"  {sum(others):4.0%}  {_count(len(others), 'other effect')}, each below {_UNLIKELY:.0%}")
        if windows:
            for window in self.windows:
                told = ", ".join(f"{name} {share:.0%}" for name, share in list(window.probabilities.items())[:3])
                lines.append(f"  {window.start_s:7.1f} to {window.end_s:.1f} s: {told}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


_KNOWN = {
    "blind": "from the wet recording alone",
    "source_aware": "with another dry passage of it",
    "dry_aware": "with the dry recording",
}


def answer(
    kinds: Sequence[Effect],
    effect: Float[np.ndarray, "window effect"],
    no_effect: Float[np.ndarray, " window"] | None,
    settings: Sequence[Float[np.ndarray, "window _ bin"]],
    start_s: float,
    end_s: float,
) -> Answer:
    """What some windows say together, of probabilities of effects and of none, and of densities effect by effect."""
    shares = effect if no_effect is None else np.column_stack([effect * (1 - no_effect[:, None]), no_effect])
    joined = _joined(shares)
    names = [kind.name for kind in kinds] + [NO_EFFECT]
    order = np.argsort(-joined, kind="stable").tolist()
    probabilities = {names[index]: float(joined[index]) for index in order}
    likeliest = int(np.argmax(joined[: len(kinds)]))
    candidates = tuple(
        Candidate(names[index], float(joined[index]), _settings(kinds[index], _joined(settings[index])))
        for index in order
        if index < len(kinds) and (index == likeliest or joined[index] >= _LIKELY)
    )
    return Answer(start_s, end_s, probabilities, candidates)


def _joined(probabilities: Float[np.ndarray, "window *shape"]) -> Float[np.ndarray, "*shape"]:
    logs = np.log(np.maximum(probabilities, _LEAST)).mean(axis=0)
    joined = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return joined / joined.sum(axis=-1, keepdims=True)


def _settings(kind: Effect, densities: Float[np.ndarray, "parameter bin"]) -> tuple[Setting, ...]:
    return tuple(_setting(*pair) for pair in zip(kind.parameters, densities, strict=True))


def _setting(parameter: Parameter, density: Float[np.ndarray, " bin"]) -> Setting:
    cumulative = np.concatenate([[0.0], np.cumsum(density, dtype=np.float64)])
    quantiles = np.interp(
        [0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2], cumulative / cumulative[-1], np.linspace(0, 1, len(cumulative))
    )
    values = (float(denormalize(parameter, float(quantile))) for quantile in quantiles)
    return Setting(parameter.name, parameter.unit, *values)


def _number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
