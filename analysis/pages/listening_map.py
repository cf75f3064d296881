"""The map that can be heard: clips on the plane, each with its wet and dry sound, as the page's script reads it.

Conventions
    Places are pixels of a square of `SIDE` pixels, to the right and down. Marks are SVG paths around the origin.
"""

from collections.abc import Iterator, Mapping, Sequence
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
MOST_POINTS = 240
_MOST_BYTES = 6_500_000  # of sound, so that a page with its pictures is below 12 MB
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
    """The first clips of a plan at the places that each map gives them, as many as a page holds with their sounds.

    The sounds are the loudest 1.4 seconds of each dry clip, and the same seconds of the wet one.

    Returns:
        "effects", "maps" (their titles), "points", "dry" (sounds that points share), "seconds" of a sound, and "of"
        how many clips the points are, ready for JSON.
    """
    pixels = [_pixels(place) for place in places.values()]
    points: list[dict[str, Any]] = []
    dry_sounds: dict[int, str] = {}  # by clip, in the order in which points meet them
    total = 0
    for row, wet, dry in _heard(plan.select(np.arange(min(MOST_POINTS, len(plan.effect)))), split, sample_rate):
        clip, kind = int(plan.dry[row]), plan.effects[plan.effect[row]]
        wet_sound = sound.address(wet, sample_rate, small=True)
        dry_sound = dry_sounds.get(clip) or sound.address(dry, sample_rate, small=True)
        total += len(wet_sound) + (0 if clip in dry_sounds else len(dry_sound))
        if total > _MOST_BYTES:
            break
        dry_sounds[clip] = dry_sound
        points.append(
            {
                "effect": int(plan.effect[row]),
                "settings": settings(kind, plan.normalized[row]),
                "recording": recording_name(recordings[int(split.recording[clip])]),
                "places": [own[row].tolist() for own in pixels],
                "wet": wet_sound,
                "dry": list(dry_sounds).index(clip),
            }
        )
    effects = [
        {
            "name": kind.name,
            "colour": style.effect_style(index)["color"],
            "mark": mark(style.effect_style(index)["marker"]),
            "count": sum(point["effect"] == index for point in points),
        }
        for index, kind in enumerate(plan.effects)
    ]
    return {
        "effects": effects,
        "maps": list(places),
        "points": points,
        "dry": list(dry_sounds.values()),
        "seconds": _SECONDS,
        "of": len(plan.effect),
    }


def _heard(
    plan: Plan, split: dataset.Split, sample_rate: int
) -> Iterator[tuple[int, Float[np.ndarray, " sample"], Float[np.ndarray, " sample"]]]:
    """Row, wet and dry excerpt of each clip of a plan; one that is not usable when it is rendered again is left out."""
    first = 0
    for part in chunks.divide(plan):
        chunk = chunks.render(part, split, sample_rate)
        if len(chunk.wet):
            dry = audio.set_peak(chunk.dry, WET_PEAK_DBFS)
            rows = first + np.flatnonzero(chunk.usable)
            yield from zip(
                rows.tolist(), _excerpts(chunk.wet, dry, sample_rate), _excerpts(dry, dry, sample_rate), strict=True
            )
        first += len(part.effect)


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
