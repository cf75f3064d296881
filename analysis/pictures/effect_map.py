"""A map of one effect: many random settings of it on one dry clip, and each parameter's path among them.

Cloud and paths are laid out by one UMAP fit. Placing paths on a map fitted without them would put each point at the
mean of its neighbours' places, which bends every path towards the crowd.
One clip, because the question is where settings lie when the sound that they act on is the same, as in Grant's (2023)
pictures; it is a clip of the test split, so its recording was never trained on. A model that can be dry-aware is.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from analysis.metrics import layout
from analysis.models import members, representations
from analysis.renders import chunks
from analysis.renders.plan import Plan, draw_dry, random_settings, sweep_settings
from jaxvae import effects, inference
from jaxvae.data import dataset

_LEAST_CLOUD = 20  # clips of a cloud: neighbours and folds of its figures need as many
_LEAST_PATH = 3  # settings along a path that has a direction


@dataclasses.dataclass(frozen=True)
class EffectMap:
    """Clips of one effect: settings, latent means and places on the map, row by row."""

    effect: effects.Effect
    normalized: Float[np.ndarray, "clip parameter"]
    moving: Int[np.ndarray, " clip"]
    """Parameter that the clip's path moves; -1 in the cloud."""
    latent: Float[np.ndarray, "clip latent"]
    position: Float[np.ndarray, "clip 2"]

    @property
    def cloud(self) -> np.ndarray:
        """Mask of the clips at random settings."""
        return self.moving == -1

    def path(self, parameter: int) -> Int[np.ndarray, " setting"]:
        """Rows of one parameter's path, in the order of its values."""
        rows = np.flatnonzero(self.moving == parameter)
        return rows[np.argsort(self.normalized[rows, parameter])]

    def physical(self, parameter: int, rows: np.ndarray) -> Float[np.ndarray, " row"]:
        """Values of one parameter in its own unit."""
        return effects.denormalize(self.effect.parameters[parameter], self.normalized[rows, parameter])


def fit(
    encoder: inference.SpectrogramEncoder,
    split: dataset.Split,
    kinds: Sequence[effects.Effect],
    clip: int,
    settings: int = 400,
    steps: int = 15,
    seed: int = 0,
) -> list[EffectMap]:
    """A map of each effect, from `settings` random settings and `steps` along each parameter, of one dry clip.

    An effect of which too few renders of this clip are usable is left out, with a warning.

    Raises:
        ValueError: the split has no such clip, or `settings` or `steps` are too few, or no effect can be mapped.
    """
    _require(settings, steps, clip, split.clips)
    rate = encoder.experiment.audio.sample_rate
    cloud = random_settings(kinds, np.full(settings, clip), seed)
    paths = sweep_settings(kinds, np.array([clip]), steps)
    plan = Plan(cloud.effects, *(np.concatenate(pair) for pair in zip(cloud[1:], paths[1:], strict=True)))
    plan, features = chunks.evaluate(
        plan, split, rate, chunks.Functions({"latent": representations.means(encoder)}), "effect maps"
    )
    maps = []
    for index, kind in enumerate(kinds):
        rows = plan.effect == index
        random, *along = (np.sum(rows & (plan.moving == moving)) for moving in range(-1, len(kind.parameters)))
        if random < _LEAST_CLOUD or min(along, default=steps) < _LEAST_PATH:
            logging.getLogger(__name__).warning(
                "no map of %s: too few of its renders of clip %d are usable", kind.name, clip
            )
            continue
        latent = features["latent"][rows]
        normalized = plan.normalized[rows, : len(kind.parameters)]
        maps.append(EffectMap(kind, normalized, plan.moving[rows], latent, layout.fit(latent, seed)))
    if not maps:
        raise ValueError(
            f"too few renders of clip {clip} by {', '.join(kind.name for kind in kinds)} are usable; use another clip"
        )
    return maps


def _require(settings: int, steps: int, clip: int | None, clips: int) -> None:
    """ValueError where a map cannot be made of so much."""
    if clip is not None and not 0 <= clip < clips:
        raise ValueError(f"clip is {clip}, but the split has {clips} clips; use 0 to {clips - 1}")
    if settings < _LEAST_CLOUD or steps < _LEAST_PATH:
        raise ValueError(
            f"settings is {settings} and steps {steps}; use at least {_LEAST_CLOUD} and {_LEAST_PATH} for a map"
        )


def of_run(
    run: Path,
    chosen: Sequence[int | Literal["all"]],
    effect: str,
    clip: int | None = None,
    settings: int = 400,
    steps: int = 15,
    seed: int = 0,
    directory: str | None = None,
) -> tuple[int, dict[str, EffectMap]]:
    """A dry clip of the test split, drawn by the seed if none is given, and maps of one effect on it by member's title.

    The members are those that `members.load` gives, and the data set is that of `members.data`.

    Raises:
        CheckpointError: the run has no checkpoint or no such member.
        ValueError: the members share no clips, or as `fit`.
    """
    loaded = members.load(run, chosen)
    encoders, maps = [member.encoder for member in loaded], {}
    effects.require_known(() if effect in encoders[0].effects else (effect,))
    _require(settings, steps, clip, encoders[0].experiment.data.test_clips)
    data = members.data(encoders, directory, ("test",))
    test, kinds = data.split("test"), data.kinds((effect,))
    if clip is None:
        clip = int(draw_dry(test, 1, seed)[0])
    for member in loaded:
        (maps[member.title],) = fit(member.encoder, test, kinds, clip, settings, steps, seed)
    return clip, maps
