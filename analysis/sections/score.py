"""Scores of the scoreboard, and what its sections share.

Conventions
    A score names its figure, one of those that its section declares, and the item that it is of: a protocol, an
    effect, a parameter as mda/Delay/feedback, or a mean over parameters, those of each effect first, then over the
    effects: "all", and where a ceiling is given "identifiable", those whose ceiling has an R² above 0.25.
    A score that is a mean over clips keeps them, for its interval and for comparisons on the same clips.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.metrics.probes import Labelled
from analysis.models.baselines import PrincipalComponents
from analysis.renders.material import Material
from analysis.renders.sizes import Sizes
from jaxvae import inference
from jaxvae.data import dataset
from jaxvae.effects import Effect

LEAST_CLIPS = 5  # of an effect, from which its settings are read: the folds of the penalty's choice
IDENTIFIABLE = 0.25  # R² of the ceiling


class Figure(NamedTuple):
    """What a figure is called and how it is printed."""

    title: str
    digits: int
    better: Literal["more", "less", ""] = "more"
    scale: float = 1.0


def percent(title: str, better: Literal["more", "less", ""] = "more") -> Figure:
    """A figure that is a share, printed in whole percent."""
    return Figure(f"{title} (%)", 0, better, 100)


class Confusion(NamedTuple):
    """How many clips of each effect were taken for which."""

    effects: list[str]
    counts: Int[np.ndarray, "true predicted"]


class Score(NamedTuple):
    """One figure of one representation."""

    figure: str
    item: str
    value: float | None
    """None where there is none: a parameter that moves nothing has no path."""
    clips: Float[np.ndarray, " clip"] | None = None
    """Of each clip, where the value is that of their mean."""
    recording: Int[np.ndarray, "clip *recordings"] | None = None
    """Of each clip; both where it is a pair of clips."""
    score: Callable = np.asarray
    """From the mean over clips to the value."""
    confusion: Confusion | None = None
    """Of an accuracy."""


def of_clips(figure: str, item: str, clips: np.ndarray, recording: np.ndarray, score: Callable = np.asarray) -> Score:
    """The score of a mean over clips; no value where there are no clips."""
    if not len(clips):
        return Score(figure, item, None)
    clips = np.asarray(clips, np.float64)
    return Score(figure, item, float(score(clips.mean())), clips, recording, score)


Ceiling = Mapping[str, Mapping[str, float]]
"""R² that can be reached at all, by effect and parameter; an effect that is not in it has none."""


def read_ceiling(paths: Sequence[Path]) -> tuple[str | None, Ceiling]:
    """The sources of ceilings, and the best R² of them by effect and parameter, 0 at the least; or none.

    The files are those that `analysis.ceiling` writes.
    """
    best: dict[str, dict[str, float]] = {}
    contents = [json.loads(path.read_text()) for path in paths]
    for content in contents:
        for effect, parameters in content["effects"].items():
            known = best.setdefault(effect, {})
            for name, scores in parameters.items():
                known[name] = max(known.get(name, 0.0), float(scores["r2"]))
    return "; ".join(content["source"] for content in contents) or None, best


def means(kinds: Sequence[Effect], ceiling: Ceiling) -> dict[str, dict[int, Bool[np.ndarray, " parameter"]]]:
    """Over which parameters of each effect means are taken, by item: "all", and with a ceiling "identifiable".

    Those of an effect without a ceiling count as identifiable.
    """
    limits = {
        index: np.array([ceiling.get(kind.name, {}).get(parameter.name, 1.0) for parameter in kind.parameters])
        for index, kind in enumerate(kinds)
    }
    chosen = {"all": {index: np.full(len(limit), True) for index, limit in limits.items()}}
    if ceiling:
        chosen["identifiable"] = {index: limit > IDENTIFIABLE for index, limit in limits.items()}
    return chosen


def both_heard(fit: Labelled, held: Labelled) -> tuple[Labelled, Labelled, Bool[np.ndarray, " clip"]]:
    """The clips of effects that can be heard often enough in both, and which of `held` these are."""
    heard = [
        index
        for index in np.unique(held.effect).tolist()
        if min(np.sum(clips.effect == index) for clips in (fit, held)) >= LEAST_CLIPS
    ]
    kept = [np.isin(clips.effect, heard) for clips in (fit, held)]
    chosen = (Labelled(*(field[mask] for field in clips)) for clips, mask in zip((fit, held), kept, strict=True))
    return *chosen, kept[1]


@dataclasses.dataclass(frozen=True)
class Study:
    """What is measured, and on what: the same for every row and every section."""

    made: Material
    models: Mapping[str, inference.SpectrogramEncoder]
    """Trained models by the names of their rows, the one that the scoreboard is about first."""
    components: PrincipalComponents
    test: dataset.Split
    ceiling: Ceiling
    sizes: Sizes
    seed: int

    @property
    def encoder(self) -> inference.SpectrogramEncoder:
        """The model that the scoreboard is about."""
        return next(iter(self.models.values()))

    @property
    def kinds(self) -> tuple[Effect, ...]:
        """The effects that the models were trained on, as clips count them."""
        return self.made.held.plan.effects
