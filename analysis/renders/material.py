"""What the figures of a scoreboard are measured on: each clip rendered once, and what every representation makes of it.

Features of a model are its posterior means. Beside them stand the log-variances, answers of heads and content latents
of models that have them, and distances that say what can be heard.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from analysis.metrics import audibility
from analysis.metrics.probes import Labelled
from analysis.models import representations
from analysis.models.representations import RememberedByClip, Representation
from analysis.renders import chunks
from analysis.renders.plan import (
    Plan,
    draw_dry,
    fixed_settings,
    pair_settings,
    random_settings,
    spread_dry,
    sweep_settings,
)
from jaxvae.data import dataset
from jaxvae.effects import Effect
from jaxvae.models.vae import Posterior

_DISTANCE = "distance"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many clips the figures are measured on."""

    fit_clips: int = 150
    """Dry clips that probes are fitted on; each meets every effect."""
    pairs: int = 1_100
    """Random settings that probes are scored on, each over clips of two unseen recordings."""
    gallery: int = 4_200
    """Clips among which the same setting is looked for: one of each pair, and the rest at settings of their own."""
    fixed_clips: int = 100
    """Unseen dry clips with all settings at the middle, and of those to fit on; each meets every effect."""
    settings: int = 240
    """Random settings of each effect on one known clip."""
    path_clips: int = 4
    """Unseen dry clips, of as many recordings as there are, on which every parameter is moved."""
    path_steps: int = 20
    map_clips: int = 600
    """Clips on the map of which trustworthiness and silhouette are measured."""
    components: int = 128
    """Principal components of the baseline."""


@dataclasses.dataclass(frozen=True)
class Renders:
    """Clips of a plan as representations see them."""

    plan: Plan
    recording: Int[np.ndarray, " clip"]
    features: Mapping[str, Float[np.ndarray, "clip feature"]]
    """By representation, and what else was asked for."""
    rendered: int
    """Clips, of which some may have been left out as silent, not finite or exploding."""

    def labelled(self, name: str) -> Labelled:
        """Features with what probes need to know of each clip."""
        return Labelled(self.features[name], self.plan.effect, self.plan.normalized, self.recording)

    def posterior(self, name: str) -> Posterior:
        """Of a model."""
        return Posterior(self.features[name], self.features[f"{name}, logvar"])

    def content(self, name: str) -> Float[np.ndarray, "clip content"] | None:
        """Content latents of a model that has them."""
        return self.features.get(f"{name}, content")

    def reading(
        self, name: str
    ) -> tuple[Float[np.ndarray, "clip effect"], list[Float[np.ndarray, "clip _ bin"]]] | None:
        """Probabilities of effects and of settings (clip, parameter, bin), effect by effect, of a model with heads."""
        flat = self.features.get(f"{name}, read")
        counts = tuple(len(kind.parameters) for kind in self.plan.effects)
        return None if flat is None else representations.answers(flat, counts)

    @property
    def distance_db(self) -> Float[np.ndarray, " clip"]:
        """Log-spectral distance from dry, of a sweep from the render before."""
        return self.features[_DISTANCE][:, 0]

    @property
    def audible(self) -> np.ndarray:
        """Mask of the clips that can be told from their dry ones."""
        return self.distance_db >= audibility.INAUDIBLE_DB


@dataclasses.dataclass(frozen=True)
class Material:
    """Everything that is rendered."""

    fit: Renders
    """Validation recordings at random settings."""
    held: Renders
    """Unseen recordings in pairs of the same random settings."""
    gallery: Renders | None
    """More clips at settings of their own, to be confused with those of pairs."""
    fixed_fit: Renders
    fixed: Renders
    """All settings at the middle."""
    cloud: Renders
    """Random settings of each effect on one known clip."""
    paths: Renders
    new_fit: Renders | None
    new: Renders | None
    """Effects that the models were not trained on."""


def render(
    rows: Sequence[Representation],
    validation: dataset.Split,
    test: dataset.Split,
    kinds: Sequence[Effect],
    unseen: Sequence[Effect],
    rate: int,
    sizes: Sizes,
    seed: int,
) -> Material:
    """All clips as all representations see them, at `rate`."""

    def seen(plan: Plan, split: dataset.Split, what: str, *more: str) -> Renders:
        return represent(plan, split, rate, rows, what, more)

    fit_dry, test_dry = (draw_dry(split, sizes.fit_clips, seed) for split in (validation, test))
    fixed_dry, path_dry = draw_dry(test, sizes.fixed_clips, seed), spread_dry(test, sizes.path_clips, seed)
    far = sizes.gallery - sizes.pairs
    return Material(
        fit=seen(random_settings(kinds, fit_dry, 2 * seed), validation, "random settings, validation"),
        held=seen(pair_settings(kinds, test, sizes.pairs, 2 * seed), test, "random settings", "read", "content", "dry"),
        gallery=seen(pair_settings(kinds, test, far, 2 * seed + 1).select(2 * np.arange(far)), test, "more settings")
        if far > 0
        else None,
        fixed_fit=seen(fixed_settings(kinds, fit_dry[: sizes.fixed_clips]), validation, "middle settings, validation"),
        fixed=seen(fixed_settings(kinds, fixed_dry), test, "middle settings", "read", "dry"),
        cloud=seen(random_settings(kinds, np.full(sizes.settings, path_dry[0]), 2 * seed + 1), test, "one known clip"),
        paths=seen(sweep_settings(kinds, path_dry, sizes.path_steps), test, "paths", "step"),
        new_fit=seen(random_settings(unseen, fit_dry, 2 * seed), validation, "unseen effects, validation")
        if unseen
        else None,
        new=seen(random_settings(unseen, test_dry, 2 * seed + 1), test, "unseen effects", "dry") if unseen else None,
    )


def represent(
    plan: Plan,
    split: dataset.Split,
    rate: int,
    rows: Sequence[Representation],
    description: str,
    more: Sequence[Literal["read", "content", "dry", "step"]] = (),
) -> Renders:
    """The clips of a plan that can be used, as representations see them.

    More to measure: what heads "read", "content" latents, the log-spectral distance from "dry" or from the "step"
    before.
    """
    functions: dict[str, Callable] = {row.name: row.embed for row in rows}
    models = [row for row in rows if row.encoder is not None]
    names = tuple(kind.name for kind in plan.effects)
    if "content" in more:
        functions |= {
            f"{row.name}, content": lambda wet, dry, content=row.encoder.content: content(wet, rate)
            for row in models
            if row.encoder.content_dim and row.hears == "wet"
        }
    if "dry" in more:
        dry_levels = RememberedByClip(lambda clips: audibility.levels(clips, rate))
        functions[_DISTANCE] = lambda wet, dry: audibility.distance(audibility.levels(wet, rate), dry_levels(dry))[
            :, None
        ]
    if "step" in more:
        functions[_DISTANCE] = Steps(rate)
    kept, features = chunks.evaluate(plan, split, rate, functions, description)
    for row in models:
        mean, logvar = np.split(features[row.name], 2, axis=1)
        features |= {row.name: mean, f"{row.name}, logvar": logvar}
        if "read" in more and row.encoder.has_heads and row.encoder.effects == names:
            features[f"{row.name}, read"] = representations.read(row.encoder, mean)
    return Renders(kept, split.recording[kept.dry], features, len(plan.effect))


class Steps:
    """Log-spectral distance of each clip from the one before it, also where a chunk of clips ends."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._before: np.ndarray | None = None

    def __call__(self, wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
        levels = audibility.levels(wet, self._rate)
        before = levels[:1] if self._before is None else self._before
        self._before = levels[-1:]
        return audibility.distance(levels, np.concatenate([before, levels[:-1]]))[:, None]
