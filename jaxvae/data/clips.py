"""Clips: drawn at random, rendered, judged, and drawn again when they cannot be used.

Conventions
    Clips come in blocks of four, two contents at two settings (`jaxvae.block`).
    A content is a recording (in proportion to length; two different ones, if the split has them) and its crop; a
    setting is an effect (see `block_effects`) and its parameters (uniform on [0, 1]). All of a block comes from a
    generator seeded by (data.seed, split, b) alone.
    Dry clip: crop, fades, peak to data.peak_dbfs (last, because the loudest part may lie in a fade).
    Wet clip: the effect's output, or the dry clip where it stays untouched (`Data.untouched`), peak to WET_PEAK_DBFS.
    To a share of those for training and validation something happens then (`jaxvae.data.degradation`), drawn by
    another generator, seeded by the clip.
    Passage: another crop of a content's recording, played as the content is and not overlapping it, if there is one.

Draws that are repeated, and counted on the clip where it happened (a crop on the first of its content)
    dry_silent     the faded crop's peak is below CROP_SILENT_DBFS, relative to its file's peak: drawn again
    wet_silent     the wet peak is below WET_SILENT_DBFS: the whole block is drawn again, as for the two below
    not_finite     the wet clip holds NaN or infinity
    exploding      the wet peak is above EXPLODING_DBFS
    crashed, hung  the plug-in did, in a process of its own
    Everything between can be used, and is kept, however strong.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, Int32, Int64

from jaxvae import block, effects
from jaxvae.config import RenderedExperiment
from jaxvae.data import audio, augmentation, degradation
from jaxvae.data.augmentation import Augmentation
from jaxvae.data.recordings import CROP_SILENT_DBFS, SPLITS, Recording
from jaxvae.effects import Effect

WET_PEAK_DBFS = -1.0
WET_SILENT_DBFS = -80.0
EXPLODING_DBFS = 40.0
REASONS = ("dry_silent", "wet_silent", "not_finite", "exploding", "crashed", "hung")

FAILURES = ("crashed", "hung")
"""Those of a plug-in, the last ones of REASONS: shards where there were none do not mention them."""

_PASSAGES = 8  # draws of another passage
_ATTEMPTS = 20  # at a clip's render
_AFTERWARDS = 1  # in the seeds of what happens to clips after the effect
_CROPS = 200  # of a content: of recordings that are silent for nine tenths, one in a billion has no more


class RenderError(ValueError):
    """An effect whose renders cannot be used."""


class Recipe(NamedTuple):
    """What clips are made of."""

    effect: Int32[np.ndarray, "clip"]
    """Index into the experiment's effects; as many as there are of them, where nothing was done."""
    normalized: Float32[np.ndarray, "clip parameter"]
    """In the order of the effect's parameters, then NaN."""
    recording: Int32[np.ndarray, "clip"]
    """Index into the recordings."""
    start: Int64[np.ndarray, "clip"]
    """First sample of the crop in the prepared audio."""
    speed: Float32[np.ndarray, "clip"]
    """Of the crop's playback."""
    filter: Int32[np.ndarray, "clip"]
    """Seed of the filter that the crop passed, 0 for none."""
    redraws: Int32[np.ndarray, "clip reason"]
    """Draws that were repeated before this one, by reason."""

    def played(self, clip: int) -> Augmentation:
        """How the recording of a clip is played."""
        return Augmentation(float(self.speed[clip]), int(self.filter[clip]))


class Members(NamedTuple):
    """The recordings of a split."""

    recordings: Sequence[Recording]
    """Of all splits."""
    indices: Int64[np.ndarray, "member"]
    """Which of them are of this one."""
    ends: Int64[np.ndarray, "member"]
    """Where each would end if they lay end to end."""

    @classmethod
    def of(cls, recordings: Sequence[Recording], split: str) -> "Members":
        """Those of the split of that name."""
        indices = [index for index, recording in enumerate(recordings) if recording.split == split]
        lengths = [recordings[index].length for index in indices]
        return cls(recordings, np.array(indices, np.int64), np.cumsum(lengths, dtype=np.int64))

    def draw(self, generator: np.random.Generator, taken: int | None) -> int:
        """Index of a recording, in proportion to the lengths; not `taken`, if there is another."""
        first = length = 0  # of what is left out
        if taken is not None and len(self.indices) > 1:
            length = self.recordings[taken].length
            first = self.ends[np.searchsorted(self.indices, taken)] - length
        sample = generator.integers(self.ends[-1] - length)
        if sample >= first:
            sample += length
        return int(self.indices[np.searchsorted(self.ends, sample, side="right")])


def concatenate(recipes: Sequence[Recipe]) -> Recipe:
    """What the clips of several recipes, one after the other, are made of."""
    return Recipe(*(np.concatenate(column) for column in zip(*recipes, strict=True)))


def dry(
    prepared: Int16[np.ndarray, "recorded"], start: int, played: Augmentation, experiment: RenderedExperiment
) -> Float32[np.ndarray, "sample"]:
    """The dry clip whose crop begins at `start` of the prepared audio."""
    return audio.set_peak(_faded_crop(prepared, start, played, experiment), experiment.data.peak_dbfs)


def passage(
    prepared: Int16[np.ndarray, "recorded"],
    recording: Recording,
    start: int,
    played: Augmentation,
    experiment: RenderedExperiment,
) -> Float32[np.ndarray, "sample"]:
    """Another dry passage of the recording of the clip whose crop begins at `start`, played as that one is.

    Of a few draws it is the one that shares the least time with the clip, and is not silent; of a recording that has no
    other passage, the clip itself.
    """
    generator = np.random.default_rng((experiment.data.seed, start))
    length = played.samples(experiment.audio.clip_samples)
    last = recording.start + recording.length - length
    starts = generator.integers(recording.start, last, _PASSAGES, endpoint=True).tolist()
    starts = [*starts, recording.start, last]  # one of the ends is the farthest away
    for other in sorted(starts, key=lambda other: max(0, length - abs(other - start))):  # stable: the first of the best
        crop = _faded_crop(prepared, other, played, experiment)
        if audio.peak_dbfs(crop) >= CROP_SILENT_DBFS:
            return audio.set_peak(crop, experiment.data.peak_dbfs)
    return dry(prepared, start, played, experiment)


def _faded_crop(
    prepared: Int16[np.ndarray, "recorded"], start: int, played: Augmentation, experiment: RenderedExperiment
) -> Float32[np.ndarray, "sample"]:
    samples, rate = experiment.audio.clip_samples, experiment.audio.sample_rate
    recorded = np.asarray(prepared[start : start + played.samples(samples)])
    return audio.fade(
        augmentation.apply(recorded, played, samples, rate),
        round(experiment.data.fade_ms / 1_000 * experiment.audio.sample_rate),
    )


def block_effects(number: int, effects: int) -> tuple[int, int]:
    """Indices of the effects, untouched counting as one more, of the two settings of the block of that number.

    Of every round of as many blocks as there are effects, each is the first once and the second once. In even rounds
    the two are the same; in odd ones they differ, by one place more each time, so that all pairs occur.
    """
    turn, first = divmod(number, effects)
    if effects == 1 or turn % 2 == 0:
        return first, first
    return first, (first + 1 + turn // 2 % (effects - 1)) % effects


def faults(wet: Float[np.ndarray, "clip sample"]) -> list[str | None]:
    """The reason why each clip that an effect gave cannot be used (one of REASONS), None where it can."""
    return [_fault(float(audio.peak_dbfs(clip))) for clip in wet]  # clip by clip, which stays in the cache


def usable(wet: Float[np.ndarray, "clip sample"]) -> Bool[np.ndarray, "clip"]:
    """Whether each clip that an effect gave can be used: it is not silent, not exploding, and finite."""
    return np.array([fault is None for fault in faults(wet)], bool)


def _fault(peak_dbfs: float) -> str | None:
    if np.isnan(peak_dbfs) or peak_dbfs == np.inf:  # a sample is NaN or infinite
        return "not_finite"
    if peak_dbfs > EXPLODING_DBFS:
        return "exploding"
    return "wet_silent" if peak_dbfs < WET_SILENT_DBFS else None


def render(
    experiment: RenderedExperiment,
    kinds: Sequence[Effect],
    recordings: Sequence[Recording],
    prepared: Int16[np.ndarray, "recorded"],
    split: str,
    clips: range,
    workers: int | None = None,
) -> tuple[Int16[np.ndarray, "clip sample"], Recipe]:
    """Wet clips `clips` (whole blocks) of a split, from its recordings in the prepared audio, and their recipe.

    Raises:
        AudioError: 200 crops in a row are silent.
        RenderError: 20 renders of a clip in a row cannot be used.
        EffectError: an effect fails; a plug-in crashes or hangs in too many renders in a row.
    """
    blocks = range(block.block_of(clips.start), block.block_of(clips.stop))
    kinds_of_blocks = [block.CONTENTS * block_effects(number, experiment.data.kinds(split)) for number in blocks]
    wet = np.empty((len(clips), experiment.audio.clip_samples), np.int16)
    recipe = Recipe(
        effect=np.array(kinds_of_blocks, np.int32).reshape(-1),
        normalized=np.full((len(clips), max(len(kind.parameters) for kind in kinds)), np.nan, np.float32),
        recording=np.zeros(len(clips), np.int32),
        start=np.zeros(len(clips), np.int64),
        speed=np.ones(len(clips), np.float32),
        filter=np.zeros(len(clips), np.int32),
        redraws=np.zeros((len(clips), len(REASONS)), np.int32),
    )
    vary = experiment.data.vary and split == "train"
    members = Members.of(recordings, split)
    generators = [np.random.default_rng((experiment.data.seed, SPLITS.index(split), number)) for number in blocks]
    failures = np.zeros(len(clips), np.int32)  # in a row
    pending = list(range(len(blocks)))
    while pending:
        with ThreadPoolExecutor(workers or effects.cores()) as threads:

            def draw(number: int) -> None:
                _draw_block(recipe, number, generators[number], kinds, members, prepared, experiment, vary)

            def crop(row: int) -> np.ndarray:
                return dry(prepared, int(recipe.start[row]), recipe.played(row), experiment)

            deque(threads.map(draw, pending), maxlen=0)  # raises what they raise
            rows = block.clips_of(np.array(pending))
            firsts = block.first_clip_of(block.contents(rows))
            inputs = block.for_each_clip(np.stack(list(threads.map(crop, firsts.tolist()))))
        rate, outputs = experiment.audio.sample_rate, inputs.copy()
        failed: dict[int, effects.PluginError] = {}
        touched = np.flatnonzero(recipe.effect[rows] < len(kinds))
        chosen = [kinds[index] for index in recipe.effect[rows[touched]]]
        if chosen:
            settings = recipe.normalized[rows[touched]]
            outputs[touched] = effects.render_many(chosen, inputs[touched], settings, rate, workers, failed=failed)
        found = faults(outputs)
        for place, error in failed.items():
            found[touched[place]] = error.reason
        for row, output, fault in zip(rows, outputs, found, strict=True):
            if fault is None:
                wet[row] = audio.to_int16(audio.set_peak(output, WET_PEAK_DBFS))
                failures[row] = 0
            else:
                recipe.redraws[row, REASONS.index(fault)] += 1
                failures[row] += 1
        if failures.max() == _ATTEMPTS:
            row = failures.argmax()
            kind, counts = kinds[recipe.effect[row]], zip(REASONS, recipe.redraws[row], strict=True)
            raise RenderError(
                f"{_ATTEMPTS} renders of {kind.name} in a row are unusable "
                f"({', '.join(f'{n} {reason}' for reason, n in counts if n)}), "
                f"the last at {kind.settings(recipe.normalized[row])}; leave {kind.name} out of data.effects"
            )
        pending = [number for number in pending if block.by_block(failures)[number].any()]
    if split != "test":
        _degrade(wet, split, clips, experiment, workers)
    return wet, recipe


def _degrade(
    wet: Int16[np.ndarray, "clip sample"], split: str, clips: range, experiment: RenderedExperiment, workers: int | None
) -> None:
    """Let something happen to a share of these clips, in place."""
    seed, share = experiment.data.seed, experiment.data.degraded_share

    def degrade(row: int) -> None:
        generator = np.random.default_rng((seed, SPLITS.index(split), clips[row], _AFTERWARDS))
        if generator.random() < share:
            clip = degradation.draw(generator, audio.to_float(wet[row]), experiment.audio.sample_rate)
            wet[row] = audio.to_int16(audio.set_peak(clip, WET_PEAK_DBFS))

    with ThreadPoolExecutor(workers or effects.cores()) as threads:
        deque(threads.map(degrade, range(len(wet))), maxlen=0)


def _draw_block(
    recipe: Recipe,
    number: int,
    generator: np.random.Generator,
    kinds: Sequence[Effect],
    members: Members,
    prepared: Int16[np.ndarray, "recorded"],
    experiment: RenderedExperiment,
    vary: bool,
) -> None:
    """Draw contents and settings of the block of that number in the recipe."""
    taken = None
    for content in range(block.CONTENTS):
        taken, start, played, silent = _draw_crop(generator, members, taken, prepared, experiment, vary)
        own = block.clip_at(number, content, np.arange(block.SETTINGS))
        recipe.recording[own], recipe.start[own], recipe.speed[own], recipe.filter[own] = taken, start, *played
        recipe.redraws[own[0], REASONS.index("dry_silent")] += silent
    for setting in range(block.SETTINGS):
        own = block.clip_at(number, np.arange(block.CONTENTS), setting)
        effect = recipe.effect[own[0]]
        count = len(kinds[effect].parameters) if effect < len(kinds) else 0
        recipe.normalized[own, :count] = generator.random(count, dtype=np.float32)


def _draw_crop(
    generator: np.random.Generator,
    members: Members,
    taken: int | None,
    prepared: Int16[np.ndarray, "recorded"],
    experiment: RenderedExperiment,
    vary: bool,
) -> tuple[int, int, Augmentation, int]:
    """A crop: recording, if possible not `taken`, first sample, how it is played; and the silent ones drawn before."""
    for silent in range(_CROPS):
        index = members.draw(generator, taken)
        recording = members.recordings[index]
        samples, length = experiment.audio.clip_samples, recording.length
        played = augmentation.draw(generator, samples, length) if vary else Augmentation()
        start = recording.start + int(generator.integers(length - played.samples(samples) + 1))
        if audio.peak_dbfs(_faded_crop(prepared, start, played, experiment)) >= CROP_SILENT_DBFS:
            return index, start, played, silent
    raise audio.AudioError(
        f"{_CROPS} crops in a row are silent (peak below {CROP_SILENT_DBFS:.0f} dBFS), the last of "
        f"{', '.join(recording.files)}; leave out recordings that are mostly silence"
    )
