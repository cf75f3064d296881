"""The map that can be heard: clips on the plane, each with its wet and dry sound, as the page's script reads it.

Conventions
    Places are pixels of a square of `SIDE` pixels, to the right and down. Marks are SVG paths around the origin.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.markers import MarkerStyle

from analysis.pages import sound
from analysis.pictures import style
from analysis.renders import chunks
from analysis.renders.plan import Plan
from jaxvae.data import audio, dataset
from jaxvae.data.clips import WET_PEAK_DBFS
from jaxvae.data.recordings import Recording
from jaxvae.effects import Effect

SIDE = 600
MOST_POINTS = 240  # 5 MB of sound
_SECONDS = 1.4
_FADE_SECONDS = 0.01
_MARGIN = 22
_MARK_SIZE = 12


def of(
    plan: Plan,
    places: Mapping[str, Float[np.ndarray, "clip 2"]],
    split: dataset.Split,
    recordings: Sequence[Recording],
    sample_rate: int,
) -> dict[str, Any]:
    """The first clips of a plan, as many as a page holds, at the places that each map gives all of its clips.

    The sounds are the loudest 1.4 seconds of each dry clip, and the same seconds of the wet one.

    Returns:
        "effects", "maps" (their titles), "points" and "dry" (sounds that points share), ready for JSON.
    """
    rows = np.arange(min(MOST_POINTS, len(plan.effect)))
    some, heard = chunks.evaluate(
        plan.select(rows), split, sample_rate, {"wet": lambda wet, dry: wet, "dry": lambda wet, dry: dry}, "sounds"
    )
    if len(some.effect) < len(rows):
        raise ValueError(
            f"{len(rows) - len(some.effect)} of {len(rows)} renders were usable when they were measured and are not "
            "now; an effect renders differently each time, so it cannot be shown with its sound"
        )
    levelled = audio.set_peak(heard["dry"], WET_PEAK_DBFS)
    wet, dry = (_excerpts(samples, levelled, sample_rate) for samples in (heard["wet"], levelled))
    _, first, shared = np.unique(some.dry, return_index=True, return_inverse=True)
    pixels = {title: _pixels(place)[rows] for title, place in places.items()}
    points = [
        {
            "effect": int(some.effect[row]),
            "settings": settings(some.effects[some.effect[row]], some.normalized[row]),
            "recording": recording_name(recordings[int(split.recording[some.dry[row]])]),
            "places": [own[row].tolist() for own in pixels.values()],
            "wet": sound.address(wet[row], sample_rate, small=True),
            "dry": int(shared[row]),
        }
        for row in rows.tolist()
    ]
    effects = [
        {
            "name": kind.name,
            "colour": style.effect_style(index)["color"],
            "mark": mark(style.effect_style(index)["marker"]),
            "count": int(np.sum(some.effect == index)),
        }
        for index, kind in enumerate(some.effects)
    ]
    return {
        "effects": effects,
        "maps": list(places),
        "points": points,
        "dry": [sound.address(dry[row], sample_rate, small=True) for row in first],
        "seconds": round(wet.shape[1] / sample_rate, 1),
        "of": len(plan.effect),
    }


def settings(kind: Effect, normalized: np.ndarray) -> dict[str, str]:
    """Values with their unit by the parameters' names in words."""
    values = kind.settings(normalized)
    return {
        style.parameter_name(parameter): f"{values[parameter.name]:.3g} {parameter.unit}".strip()
        for parameter in kind.parameters
    }


def recording_name(recording: Recording) -> str:
    """The file that a recording is, or the first of those that it is joined of."""
    first, *others = recording.files
    return f"{first} and {len(others)} more" if others else first


def mark(marker: str) -> str:
    """A marker of matplotlib as the path of an SVG."""
    made = MarkerStyle(marker)
    polygons = made.get_path().transformed(made.get_transform().scale(_MARK_SIZE)).to_polygons()
    return "".join("M" + "L".join(f"{x:.1f},{-y:.1f}" for x, y in polygon) + "Z" for polygon in polygons)


def _pixels(position: Float[np.ndarray, "clip 2"]) -> np.ndarray:
    """Places that fill the square but for a margin, each axis by itself, as the pictures' do."""
    low, high = position.min(axis=0), position.max(axis=0)
    share = (position - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    share[:, 1] = 1 - share[:, 1]
    return np.round(_MARGIN + (SIDE - 2 * _MARGIN) * share).astype(int)


def _excerpts(
    samples: Float[np.ndarray, "clip sample"], dry: Float[np.ndarray, "clip sample"], sample_rate: int
) -> Float[np.ndarray, "clip excerpt"]:
    """The seconds of each clip in which its dry clip is loudest, faded at both ends."""
    length = min(round(_SECONDS * sample_rate), samples.shape[1])
    energy = np.pad(np.cumsum(dry.astype(np.float64) ** 2, axis=1), ((0, 0), (1, 0)))
    first = np.argmax(energy[:, length:] - energy[:, : energy.shape[1] - length], axis=1)
    cut = np.take_along_axis(samples, first[:, None] + np.arange(length), axis=1)
    return audio.fade(cut, round(_FADE_SECONDS * sample_rate))
