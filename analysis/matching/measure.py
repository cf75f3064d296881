"""How much of the distance to the target each answer closes.

Figures of an item and a row
    share     1 - distance to the target / distance of the dry clip from it, at least -1; 1 is the target, 0 is nothing
    worse     whether the answer is further from the target than the dry clip is
    right     whether its effect is the true one
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from analysis.matching import rows
from analysis.matching.items import Items
from analysis.matching.rows import Answer, Fitted
from jaxvae import effects
from jaxvae.data import audio, clips
from jaxvae.matching import distances
from jaxvae.matching.matcher import Matcher

TOTAL = "distance"
_FILLED = 16  # renders described at once, so that one program serves all items


class Measured(NamedTuple):
    """Of every item."""

    share: dict[str, dict[str, Float[np.ndarray, " item"]]]
    """By row, then by distance, that of all together first."""
    worse: dict[str, Bool[np.ndarray, " item"]]
    right: dict[str, Bool[np.ndarray, " item"]]
    settings: dict[str, Float[np.ndarray, "item parameter"]]
    """Of answers of the true effect; NaN of others."""


def measure(
    matcher: Matcher,
    fitted: Fitted,
    items: Items,
    candidates: int,
    refine: int,
    pool: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> Measured:
    """Every row's answer to every item."""
    rate = matcher.experiment.audio.sample_rate
    shares: dict[str, dict[str, list[float]]] = {}
    worse: dict[str, list[bool]] = {}
    right: dict[str, list[bool]] = {}
    settings: dict[str, list[np.ndarray]] = {}
    for row in range(len(items.effect)):
        found = rows.answers(matcher, fitted, items, row, candidates, refine, pool, seed)
        kind = matcher.kinds[items.effect[row]]
        wet = renders(found, items.dry[row], rate)
        far = apart(wet, items.dry[row], items.target[row], rate)
        for name, answer in found.items():
            own = shares.setdefault(name, {})
            for what, (value, of_nothing) in far[name].items():
                own.setdefault(what, []).append(share(value, of_nothing))
            value, of_nothing = far[name][TOTAL]
            worse.setdefault(name, []).append(value > 1.001 * of_nothing)
            right.setdefault(name, []).append(answer.kind == kind)
            padded = np.full(items.normalized.shape[1], np.nan)
            if answer.kind == kind:
                padded[: len(answer.settings)] = answer.settings
            settings.setdefault(name, []).append(padded)
        if progress is not None:
            progress(row + 1)
    return Measured(
        {name: {what: np.array(values) for what, values in of.items()} for name, of in shares.items()},
        {name: np.array(values) for name, values in worse.items()},
        {name: np.array(values) for name, values in right.items()},
        {name: np.array(values) for name, values in settings.items()},
    )


def renders(
    found: Mapping[str, Answer], dry: Float[np.ndarray, " sample"], rate: int
) -> dict[str, Float[np.ndarray, " sample"]]:
    """What each answer makes of a dry clip, by row; the clip itself where it is none or cannot be used."""
    some = {name: answer for name, answer in found.items() if answer.kind is not None}
    settings = np.full((len(some), max(1, *(len(a.settings) for a in found.values()))), np.nan, np.float32)
    for place, answer in enumerate(some.values()):
        settings[place, : len(answer.settings)] = answer.settings
    kinds = [answer.kind for answer in some.values() if answer.kind is not None]
    wet = effects.render_many(kinds, np.broadcast_to(dry, (len(some), len(dry))), settings, rate)
    usable = clips.usable(wet)
    made = {name: clip for name, clip, use in zip(some, wet, usable, strict=True) if use}
    return {name: made.get(name, dry) for name in found}


def apart(
    wet: Mapping[str, Float[np.ndarray, " sample"]],
    dry: Float[np.ndarray, " sample"],
    target: Float[np.ndarray, " sample"],
    rate: int,
) -> dict[str, dict[str, tuple[float, float]]]:
    """Of each render of a dry clip, each distance to the target, and that of the dry clip."""
    rows, nothing = np.stack([*wet.values(), dry, target]), len(wet)
    fill = max(0, _FILLED - len(rows))
    sounds = distances.describe(np.concatenate([rows[:-1], [dry] * fill, rows[-1:]]), dry, sample_rate=rate)
    last = jax.tree.map(lambda x: x[-1:], sounds)
    found = {TOTAL: np.asarray(distances.distance(sounds, last))}
    found |= {name: np.asarray(value) for name, value in distances.apart(sounds, last).items()}
    many = audio.set_peak(rows, clips.WET_PEAK_DBFS)
    found["MR-STFT"] = np.asarray(distances.multi_resolution_stft(many, np.broadcast_to(many[-1:], many.shape)))
    return {
        row: {name: (float(value[place]), float(value[nothing])) for name, value in found.items()}
        for place, row in enumerate(wet)
    }


def share(value: float, of_nothing: float) -> float:
    """Of the distance of the dry clip, what is closed."""
    return max(-1.0, 1 - value / max(of_nothing, 1e-6))
