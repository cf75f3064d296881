"""What to render: effects, their settings and the dry clips that they meet, one row a clip.

Random settings are uniform on [0, 1]; fixed ones are all 0.5, Grant's (2023) protocol, so effects differ by kind only;
a sweep moves one parameter at a time over its range while the others rest at 0.5. Every effect meets the same dry
clips.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from analysis.metrics.probes import Labelled
from jaxvae import effects
from jaxvae.data import dataset


class Plan(NamedTuple):
    """What to render, one row a clip."""

    effects: tuple[effects.Effect, ...]
    effect: Int[np.ndarray, " clip"]
    normalized: Float[np.ndarray, "clip parameter"]
    dry: Int[np.ndarray, " clip"]
    """Index of the dry clip in its split."""
    moving: Int[np.ndarray, " clip"]
    """Parameter that a sweep moves; -1 where all are random or fixed."""

    def select(self, rows: np.ndarray) -> "Plan":
        """The rows of an index or a mask."""
        return Plan(self.effects, self.effect[rows], self.normalized[rows], self.dry[rows], self.moving[rows])

    def labelled(self, features: Float[np.ndarray, "clip feature"], split: dataset.Split) -> Labelled:
        """Features of these clips with effect, settings and recording beside them, as the probes take them."""
        return Labelled(features, self.effect, self.normalized, split.recording[self.dry])


def draw_dry(split: dataset.Split, clips: int, seed: int) -> Int[np.ndarray, " clip"]:
    """Indices of so many dry clips of a split, of which fewer are the first; no crop repeats before all have come."""
    rng = np.random.default_rng(seed)
    distinct = np.unique(split.start, return_index=True)[1]  # clips of one block share their crops
    return np.concatenate([rng.permutation(distinct) for _ in range(-(-clips // len(distinct)))])[:clips]


def spread_dry(split: dataset.Split, clips: int, seed: int) -> Int[np.ndarray, " clip"]:
    """Indices of so many dry clips (or all crops, if they are fewer) of as many recordings as there are.

    No recording comes again before all others have come as often.
    """
    drawn = draw_dry(split, len(np.unique(split.start)), seed)
    times = np.empty(len(drawn), int)
    for recording in np.unique(split.recording):
        own = split.recording[drawn] == recording
        times[own] = np.arange(np.sum(own))
    return drawn[np.argsort(times, kind="stable")][:clips]


def random_settings(kinds: Sequence[effects.Effect], dry: Int[np.ndarray, " clip"], seed: int) -> Plan:
    """Every effect over every dry clip, each time with settings of its own, uniform on [0, 1]."""
    values = np.random.default_rng((seed, 1)).uniform(size=(len(kinds) * len(dry), _widest(kinds)))
    return _plan(kinds, np.repeat(np.arange(len(kinds)), len(dry)), values, np.tile(dry, len(kinds)))


def fixed_settings(kinds: Sequence[effects.Effect], dry: Int[np.ndarray, " clip"]) -> Plan:
    """Every effect over every dry clip, all parameters at 0.5."""
    values = np.full((len(kinds) * len(dry), _widest(kinds)), 0.5)
    return _plan(kinds, np.repeat(np.arange(len(kinds)), len(dry)), values, np.tile(dry, len(kinds)))


def sweep_settings(kinds: Sequence[effects.Effect], dry: Int[np.ndarray, " clip"], steps: int) -> Plan:
    """Every parameter of every effect over `steps` settings from 0 to 1, the others at 0.5, for every dry clip.

    Rows are ordered by effect, parameter, dry clip, setting.
    """
    paths = [
        (effect, parameter, clip)
        for effect, kind in enumerate(kinds)
        for parameter in range(len(kind.parameters))
        for clip in dry
    ]
    effect, moving, dry = (np.repeat(column, steps) for column in np.array(paths).T)
    values = np.full((len(effect), _widest(kinds)), 0.5)
    values[np.arange(len(effect)), moving] = np.tile(np.linspace(0, 1, steps), len(paths))
    return _plan(kinds, effect, values, dry)._replace(moving=moving.astype(np.int32))


def pair_settings(kinds: Sequence[effects.Effect], split: dataset.Split, pairs: int, seed: int) -> Plan:
    """Settings uniform on [0, 1], each over clips of two recordings: rows 2i and 2i + 1 differ in nothing else.

    The effects take turns. Of a split of one recording, the two are different crops.
    """
    rng = np.random.default_rng((seed, 2))
    first, second = draw_dry(split, pairs, seed), np.empty(pairs, np.int64)
    several = len(np.unique(split.recording)) > 1
    for pair, clip in enumerate(first):
        others = split.recording != split.recording[clip] if several else split.start != split.start[clip]
        second[pair] = rng.choice(np.flatnonzero(others))
    values = rng.uniform(size=(pairs, _widest(kinds)))
    dry = np.stack([first, second], axis=1).reshape(-1)
    return _plan(kinds, np.repeat(np.arange(pairs) % len(kinds), 2), np.repeat(values, 2, axis=0), dry)


def pairs(plan: Plan) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Rows of the first and of the second clips of `pair_settings`, of the pairs of which both were kept."""
    same = np.all((plan.normalized[1:] == plan.normalized[:-1]) | np.isnan(plan.normalized[1:]), axis=1)
    first = np.flatnonzero(same & (plan.effect[1:] == plan.effect[:-1]))
    return first, first + 1


def _widest(kinds: Sequence[effects.Effect]) -> int:
    return max(len(kind.parameters) for kind in kinds)


def _plan(kinds: Sequence[effects.Effect], effect: np.ndarray, values: np.ndarray, dry: np.ndarray) -> Plan:
    count = np.array([len(kind.parameters) for kind in kinds])[effect]
    normalized = np.where(np.arange(values.shape[1]) < count[:, None], values, np.nan).astype(np.float32)
    moving = np.full(len(effect), -1, np.int32)
    return Plan(tuple(kinds), effect.astype(np.int32), normalized, dry.astype(np.int64), moving)
