"""What the figures of a scoreboard are measured on: each clip rendered once, and what every representation makes of it.

Features of a model are its posterior means. Beside them stand the log-variances, answers of heads and content latents
of models that have them, and distances that say what can be heard.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from analysis.metrics.probes import Labelled
from analysis.models import representations
from analysis.models.representations import Remembered, RememberedByClip, Representation
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
from analysis.renders.sizes import Sizes
from jaxvae.data import audibility, dataset
from jaxvae.data.degradation import DEGRADATIONS
from jaxvae.effects import Effect
from jaxvae.models.vae import Posterior

AS_RENDERED = "as rendered"
More = Literal["read", "content", "dry", "step"]
_DISTANCE = "distance"


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


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """Clips as all representations see them. Each kind is rendered when it is first asked for."""

    rows: Sequence[Representation]
    validation: dataset.Split
    test: dataset.Split
    kinds: Sequence[Effect]
    unseen: Sequence[Effect]
    """Effects that the models were not trained on."""
    rate: int
    sizes: Sizes
    seed: int

    @functools.cached_property
    def fit(self) -> Renders:
        """Validation recordings at random settings, which probes are fitted on."""
        return self._seen(
            random_settings(self.kinds, self._fit_dry, 2 * self.seed), self.validation, "random settings, validation"
        )

    @functools.cached_property
    def held(self) -> Renders:
        """Unseen recordings in pairs of the same random settings."""
        plan = pair_settings(self.kinds, self.test, self.sizes.pairs, 2 * self.seed)
        return self._seen(plan, self.test, "random settings", ("read", "content", "dry"))

    @functools.cached_property
    def degraded(self) -> dict[str, Renders]:
        """The first clips of some pairs, as they were and by what happened to them after the effect."""
        plan = pair_settings(self.kinds, self.test, self.sizes.degraded_pairs, 2 * self.seed + 2)
        plan = plan.select(2 * np.arange(self.sizes.degraded_pairs))
        as_rendered = {AS_RENDERED: None} | DEGRADATIONS
        return {name: self._seen(plan, self.test, name, change=change) for name, change in as_rendered.items()}

    @functools.cached_property
    def gallery(self) -> Renders | None:
        """More clips at settings of their own, to be confused with those of pairs."""
        far = self.sizes.gallery - self.sizes.pairs
        if far <= 0:
            return None
        plan = pair_settings(self.kinds, self.test, far, 2 * self.seed + 1).select(2 * np.arange(far))
        return self._seen(plan, self.test, "more settings")

    @functools.cached_property
    def fixed_fit(self) -> Renders:
        """Validation recordings with all settings at the middle."""
        plan = fixed_settings(self.kinds, self._fit_dry[: self.sizes.fixed_clips])
        return self._seen(plan, self.validation, "middle settings, validation")

    @functools.cached_property
    def fixed(self) -> Renders:
        """Unseen recordings with all settings at the middle."""
        plan = fixed_settings(self.kinds, draw_dry(self.test, self.sizes.fixed_clips, self.seed))
        return self._seen(plan, self.test, "middle settings", ("read", "dry"))

    @functools.cached_property
    def cloud(self) -> Renders:
        """Random settings of each effect on one known clip."""
        plan = random_settings(self.kinds, np.full(self.sizes.settings, self._path_dry[0]), 2 * self.seed + 1)
        return self._seen(plan, self.test, "one known clip")

    @functools.cached_property
    def paths(self) -> Renders:
        """Every parameter moved by itself."""
        plan = sweep_settings(self.kinds, self._path_dry, self.sizes.path_steps)
        return self._seen(plan, self.test, "paths", ("step",))

    @functools.cached_property
    def new_fit(self) -> Renders | None:
        """Validation recordings through unseen effects."""
        if not self.unseen:
            return None
        plan = random_settings(self.unseen, self._fit_dry, 2 * self.seed)
        return self._seen(plan, self.validation, "unseen effects, validation")

    @functools.cached_property
    def new(self) -> Renders | None:
        """Unseen recordings through unseen effects."""
        if not self.unseen:
            return None
        plan = random_settings(self.unseen, draw_dry(self.test, self.sizes.fit_clips, self.seed), 2 * self.seed + 1)
        return self._seen(plan, self.test, "unseen effects", ("dry",))

    @property
    def made(self) -> dict[str, Renders]:
        """What was rendered by now."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Renders)}

    @functools.cached_property
    def _fit_dry(self) -> np.ndarray:
        return draw_dry(self.validation, self.sizes.fit_clips, self.seed)

    @functools.cached_property
    def _path_dry(self) -> np.ndarray:
        return spread_dry(self.test, self.sizes.path_clips, self.seed)

    def _seen(
        self,
        plan: Plan,
        split: dataset.Split,
        what: str,
        more: Sequence[More] = (),
        change: Callable[[np.ndarray, int], np.ndarray] | None = None,
    ) -> Renders:
        return represent(plan, split, self.rate, self.rows, what, more, change)


def represent(
    plan: Plan,
    split: dataset.Split,
    rate: int,
    rows: Sequence[Representation],
    description: str,
    more: Sequence[More] = (),
    change: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> Renders:
    """The clips of a plan that can be used, as representations see them, changed after the effect if a change is given.

    More to measure: what heads "read", "content" latents, the log-spectral distance from "dry" or from the "step"
    before.
    """
    functions, of_source = (
        {row.name: row.embed for row in rows if (row.hears == "wet and source") == source} for source in (False, True)
    )
    if change is not None:
        changed = Remembered(lambda wet: change(wet, rate))
        functions, of_source = (
            {name: lambda wet, dry, of=of: of(changed(wet), dry) for name, of in own.items()}
            for own in (functions, of_source)
        )
    models = [row for row in rows if row.encoder is not None]
    names = tuple(kind.name for kind in plan.effects)
    if "content" in more:
        functions |= {
            f"{row.name}, content": lambda wet, dry, content=row.encoder.content: content(wet[:, None], rate)
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
    kept, features = chunks.evaluate(plan, split, rate, chunks.Functions(functions, of_source), description)
    for row in models:
        mean, logvar = np.split(features[row.name], 2, axis=1)
        features |= {row.name: mean, f"{row.name}, logvar": logvar}
        if "read" in more and row.encoder.has_heads and row.encoder.effects == names:
            features[f"{row.name}, read"] = representations.read(row.encoder, mean, row.hears)
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
