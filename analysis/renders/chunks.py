"""Clips of a plan, rendered chunk by chunk, and what functions make of each chunk before the next one comes.

Memory holds two chunks of audio whatever the length of the plan. Renders that the data set would not keep (silent, not
finite, exploding) are not usable: they are left out, and counted.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

from analysis.renders.plan import Plan
from jaxvae import effects
from jaxvae.data import audio, clips, dataset

_CHUNK = 128  # clips rendered at once, about 130 MB of dry and wet audio


class Functions(NamedTuple):
    """By name, functions of wet clips and of dry ones, both (clip, sample), that give (clip, feature)."""

    of_dry: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]
    """The dry clips are those before the effect."""
    of_source: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = MappingProxyType({})
    """They are other dry passages of the recordings."""


class Chunk(NamedTuple):
    """Rendered rows of a plan."""

    usable: Bool[np.ndarray, " row"]
    """Which rows the data set would keep."""
    wet: Float[np.ndarray, "clip sample"]
    """Of the usable rows, at the data set's level."""
    dry: Float[np.ndarray, "clip sample"]
    """Of the usable rows, as they went into the effect."""
    source: Float[np.ndarray, "clip sample"] | None
    """Other dry passages of their recordings, where they are asked for."""


class Features(NamedTuple):
    """What functions gave for rows of a plan."""

    usable: Bool[np.ndarray, " row"]
    by_name: dict[str, Float[np.ndarray, "clip feature"]]
    """Of the usable rows; empty if there are none."""


def evaluate(
    plan: Plan,
    split: dataset.Split,
    sample_rate: int,
    functions: Functions,
    description: str = "embed",
) -> tuple[Plan, dict[str, Float[np.ndarray, "clip feature"]]]:
    """Usable rows of the plan, and what each function gives for them.

    All functions get the same wet clips, at `sample_rate` and the data set's level, and their dry clips, as they went
    into the effect, or other dry passages of the recordings.

    Raises:
        ValueError: nothing that was rendered is usable.
        FileNotFoundError: a plug-in is missing.
    """
    effects.require_available(plan.effects)
    rendered = _ahead(plan, split, sample_rate, bool(functions.of_source))
    return collect(plan, enumerate(apply(functions, chunk) for chunk in rendered), description)


def divide(plan: Plan) -> list[Plan]:
    """The plan in chunks, in order."""
    firsts = range(0, len(plan.effect), _CHUNK)
    return [plan.select(np.arange(first, min(first + _CHUNK, len(plan.effect)))) for first in firsts]


def render(
    rows: Plan, split: dataset.Split, sample_rate: int, workers: int | None = None, with_source: bool = False
) -> Chunk:
    """One chunk, with so many threads."""
    distinct, inverse = np.unique(rows.dry, return_inverse=True)
    dry = split.dry(distinct)[inverse]
    wet = effects.render_many([rows.effects[kind] for kind in rows.effect], dry, rows.normalized, sample_rate, workers)
    usable = clips.usable(wet)
    wet = wet[usable]
    source = split.other_dry(distinct)[inverse][usable] if with_source else None
    return Chunk(usable, audio.set_peak(wet, clips.WET_PEAK_DBFS) if len(wet) else wet, dry[usable], source)


def apply(functions: Functions, chunk: Chunk) -> Features:
    """What each function gives for a chunk."""
    if not len(chunk.wet):
        return Features(chunk.usable, {})
    found = {name: function(chunk.wet, chunk.dry) for name, function in functions.of_dry.items()}
    found |= {name: function(chunk.wet, chunk.source) for name, function in functions.of_source.items()}
    return Features(chunk.usable, found)


def collect(
    plan: Plan, chunks: Iterable[tuple[int, Features]], description: str
) -> tuple[Plan, dict[str, Float[np.ndarray, "clip feature"]]]:
    """What `evaluate` gives, of positions and features of the plan's chunks in any order."""
    features: dict[str, np.ndarray] = {}
    usable = np.zeros(len(plan.effect), bool)
    with tqdm(total=len(usable), unit="clip", desc=description) as bar:
        for position, chunk in chunks:
            rows = slice(position * _CHUNK, position * _CHUNK + len(chunk.usable))
            usable[rows] = chunk.usable
            for name, values in chunk.by_name.items():
                if name not in features:
                    features[name] = np.empty((len(usable), values.shape[1]), np.float32)
                features[name][rows][chunk.usable] = values
            bar.update(len(chunk.usable))
    count = np.count_nonzero(usable)
    if not count:
        raise ValueError(
            f"all {len(usable)} renders are silent, not finite or exploding; use other effects or recordings"
        )
    if count < len(usable):
        logging.getLogger(__name__).warning(
            "%d of %d renders left out: silent, not finite or exploding", len(usable) - count, len(usable)
        )
        return plan.select(usable), {name: array[usable] for name, array in features.items()}
    return plan, features


def _ahead(plan: Plan, split: dataset.Split, sample_rate: int, with_source: bool) -> Iterator[Chunk]:
    """Rendered chunks, the next one while the caller uses one."""
    one = functools.partial(render, split=split, sample_rate=sample_rate, with_source=with_source)
    with ThreadPoolExecutor(1, "render ahead") as thread:
        ahead = None
        for rows in divide(plan):
            after = thread.submit(one, rows)
            if ahead is not None:
                yield ahead.result()
            ahead = after
        if ahead is not None:
            yield ahead.result()
