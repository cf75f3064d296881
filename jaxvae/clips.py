"""Clips: drawn at random, rendered, judged, and drawn again when they cannot be used.

Conventions
    Clip i of a split has effect i mod n. Its recording (in proportion to length), its crop and its settings (uniform
    on [0, 1]) come from a generator seeded by (data.seed, split, i) alone.
    Dry clip: crop, fades, peak to data.peak_dbfs (last, because the loudest part may lie in a fade).
    Wet clip: the effect's output, peak to WET_PEAK_DBFS.

Draws that are repeated, and counted
    dry_silent     the faded crop's peak is below CROP_SILENT_DBFS, relative to its file's peak: drawn again
    wet_silent     the wet peak is below SILENT_DBFS: crop and settings are drawn again, as for the two below
    not_finite     the wet clip holds NaN or infinity
    exploding      the wet peak is above EXPLODING_DBFS
    Everything between is kept, however strong.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64

from jaxvae import audio, effects
from jaxvae.config import Experiment
from jaxvae.effects import Effect
from jaxvae.recordings import SPLITS, Recording

WET_PEAK_DBFS = -1.0
CROP_SILENT_DBFS = -40.0
SILENT_DBFS = -80.0
EXPLODING_DBFS = 40.0
REASONS = ("dry_silent", "wet_silent", "not_finite", "exploding")

_ATTEMPTS = 20  # at a crop, and at a render


class RenderError(ValueError):
    """An effect whose renders cannot be used."""


class Recipe(NamedTuple):
    """What clips are made of."""

    effect: Int32[np.ndarray, "clip"]
    """Index into the experiment's effects."""
    normalized: Float32[np.ndarray, "clip parameter"]
    """In the order of the effect's parameters, then NaN."""
    recording: Int32[np.ndarray, "clip"]
    """Index into the recordings."""
    start: Int64[np.ndarray, "clip"]
    """First sample of the crop in the prepared audio."""
    redraws: Int32[np.ndarray, "clip reason"]
    """Draws that were repeated before this one, by reason."""


def dry(prepared: Int16[np.ndarray, "recorded"], start: int, experiment: Experiment) -> Float32[np.ndarray, "sample"]:
    """The dry clip whose crop begins at `start` of the prepared audio."""
    return audio.set_peak(_faded_crop(prepared, start, experiment), experiment.data.peak_dbfs)


def _faded_crop(
    prepared: Int16[np.ndarray, "recorded"], start: int, experiment: Experiment
) -> Float32[np.ndarray, "sample"]:
    crop = audio.to_float(np.asarray(prepared[start : start + experiment.audio.clip_samples]))
    return audio.fade(crop, round(experiment.data.fade_ms / 1_000 * experiment.audio.sample_rate))


def render(
    experiment: Experiment,
    kinds: Sequence[Effect],
    recordings: Sequence[Recording],
    prepared: Int16[np.ndarray, "recorded"],
    split: str,
    clips: range,
    workers: int | None = None,
) -> tuple[Int16[np.ndarray, "clip sample"], Recipe]:
    """Wet clips `clips` of a split, from its recordings in the prepared audio, and what they are made of.

    Raises:
        AudioError: 20 crops in a row are silent.
        RenderError: 20 renders in a row cannot be used.
    """
    wet = np.empty((len(clips), experiment.audio.clip_samples), np.int16)
    recipe = Recipe(
        effect=np.array([clip % len(kinds) for clip in clips], np.int32),
        normalized=np.full((len(clips), max(len(kind.parameters) for kind in kinds)), np.nan, np.float32),
        recording=np.zeros(len(clips), np.int32),
        start=np.zeros(len(clips), np.int64),
        redraws=np.zeros((len(clips), len(REASONS)), np.int32),
    )
    members = {index: recording for index, recording in enumerate(recordings) if recording.split == split}
    generators = [np.random.default_rng((experiment.data.seed, SPLITS.index(split), clip)) for clip in clips]
    pending = list(range(len(clips)))
    for _ in range(_ATTEMPTS):
        for row in pending:
            crop, silent = _draw_crop(generators[row], members, prepared, experiment)
            recipe.recording[row], recipe.start[row] = crop
            recipe.redraws[row, REASONS.index("dry_silent")] += silent
            count = len(kinds[recipe.effect[row]].parameters)
            recipe.normalized[row, :count] = generators[row].random(count, dtype=np.float32)
        inputs = np.stack([dry(prepared, int(recipe.start[row]), experiment) for row in pending])
        chosen = [kinds[index] for index in recipe.effect[pending]]
        rate = experiment.audio.sample_rate
        outputs = effects.render_many(chosen, inputs, recipe.normalized[pending], rate, workers)
        failed = []
        for row, output in zip(pending, outputs, strict=True):  # clip by clip, which stays in the cache
            fault = _fault(output)
            if fault is None:
                wet[row] = audio.to_int16(audio.set_peak(output, WET_PEAK_DBFS))
            else:
                recipe.redraws[row, REASONS.index(fault)] += 1
                failed.append(row)
        pending = failed
        if not pending:
            return wet, recipe
    row = pending[0]
    kind, counts = kinds[recipe.effect[row]], zip(REASONS, recipe.redraws[row], strict=True)
    raise RenderError(
        f"{_ATTEMPTS} renders of {kind.name} are unusable ({', '.join(f'{n} {reason}' for reason, n in counts if n)}), "
        f"the last at {kind.settings(recipe.normalized[row])}; leave {kind.name} out of data.effects"
    )


def _draw_crop(
    generator: np.random.Generator,
    members: dict[int, Recording],
    prepared: Int16[np.ndarray, "recorded"],
    experiment: Experiment,
) -> tuple[tuple[int, int], int]:
    """Recording and first sample of a crop that is not silent, and how many silent ones were drawn before it."""
    indices = list(members)
    ends = np.cumsum([members[index].length for index in indices])
    for silent in range(_ATTEMPTS):
        index = indices[np.searchsorted(ends, generator.integers(ends[-1]), side="right")]
        start = members[index].start + int(
            generator.integers(members[index].length - experiment.audio.clip_samples + 1)
        )
        if audio.peak_dbfs(_faded_crop(prepared, start, experiment)) >= CROP_SILENT_DBFS:
            return (index, start), silent
    raise audio.AudioError(
        f"{_ATTEMPTS} crops in a row are silent (peak below {CROP_SILENT_DBFS:.0f} dBFS), the last of "
        f"{', '.join(members[index].files)}; leave out recordings that are mostly silence"
    )


def _fault(wet: Float32[np.ndarray, "sample"]) -> str | None:
    """The reason why a wet clip cannot be used, if there is one."""
    peak = float(audio.peak_dbfs(wet))  # NaN or infinity when a sample is; -inf for silence
    if np.isnan(peak) or peak == np.inf:
        return "not_finite"
    if peak > EXPLODING_DBFS:
        return "exploding"
    return "wet_silent" if peak < SILENT_DBFS else None
