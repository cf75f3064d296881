"""Recordings on their way through an encoder: windows of a clip's length, one after the other, as training had them.

Conventions
    Each window is brought to the level of a clip by itself. One whose peak is 40 dB below that of the loudest of its
    recording, which training never met, is silent, and left out; where the recording before the effect is known, that
    one is judged so, and the wet one has 80 dB.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxvae import config
from jaxvae.data import waveform
from jaxvae.data.audio import gain, set_peak
from jaxvae.data.clips import CROP_SILENT_DBFS, WET_PEAK_DBFS, WET_SILENT_DBFS
from jaxvae.data.waveform import Track

BATCH = 32
"""Windows encoded at once: large enough for the matrix products, small enough for a laptop's cache."""


class Windows(NamedTuple):
    """Parts of recordings, each of a clip's length and brought to a clip's level by itself, that are not silent."""

    encoded: Any
    """Tree of arrays (window, feature)."""
    recording: Int[np.ndarray, " window"]
    """Index of the recording that it is of."""
    start_s: Float[np.ndarray, " window"]
    silent: Int[np.ndarray, " recording"]
    """Parts of each recording that are left out."""

    def means(self) -> Any:
        """Averages over the windows of each recording: a tree of arrays (recording, feature)."""
        counts = np.bincount(self.recording)[:, None]

        def mean(values: np.ndarray) -> np.ndarray:
            sums = np.zeros((len(counts), values.shape[1]))
            np.add.at(sums, self.recording, values)
            return (sums / counts).astype(values.dtype)

        return jax.tree.map(mean, self.encoded)


def in_batches(function: Callable[..., Any], *arrays: Float[np.ndarray, "window ..."], size: int = BATCH) -> Any:
    """`function` of all rows, called on one shape only, with outputs joined along the axis of rows."""
    outputs, count = [], len(arrays[0])
    for first in range(0, count, size):
        batches = [array[first : first + size] for array in arrays]
        padded = [np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)]) for batch in batches]
        outputs.append(jax.device_get(function(*padded)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *outputs)


def passages(dry: Any, sample_rate: Any, recordings: int) -> list[list[Track]]:
    """Other dry passages of each of so many recordings: one each, of any length; of a single recording, any number.

    Raises:
        ValueError: they are in no form that can be used (`jaxvae.data.waveform`), or not so many.
    """
    tracks = waveform.tracks(dry, sample_rate, "dry")
    if recordings == 1:
        return [tracks]
    if len(tracks) != recordings:
        raise ValueError(f"dry holds {len(tracks)} passages, audio {recordings} recordings; use one passage of each")
    return [[track] for track in tracks]


def recordings(audio: Any, sample_rate: Any, dry: Any, clip: config.Audio) -> tuple[list[Track], list[Track] | None]:
    """Recordings and those before the effect, of the same length each.

    Raises:
        ValueError: they are in no form that can be used (`jaxvae.data.waveform`), or not of the same number and
            length.
    """
    length, rate = clip.clip_samples, clip.sample_rate
    wet = waveform.tracks(audio, sample_rate)
    shortest = min(wet, key=lambda track: track.samples)
    if (times := waveform.repetitions(shortest, rate, length)) > 2:
        warnings.warn(
            f"audio of {shortest.seconds:.2f} s is repeated {times} times to fill a window of "
            f"{length / rate:.2f} s; the embedding is that of the repetition",
            stacklevel=4,
        )
    if dry is None:
        return wet, None
    before = waveform.tracks(dry, sample_rate, "dry")
    if len(before) != len(wet):
        raise ValueError(
            f"dry holds {len(before)} recordings, audio {len(wet)}; use the same recordings before the effect"
        )
    for index, pair in enumerate(zip(wet, before, strict=True)):
        samples = [track.samples for track in pair]
        if abs(samples[0] - samples[1]) >= length / rate * pair[0].sample_rate:
            which = f"recording {index} of " if len(wet) > 1 else ""
            raise ValueError(
                f"{which}audio is {pair[0].seconds:.2f} s long ({samples[0]} samples), dry {pair[1].seconds:.2f} s "
                f"({samples[1]}); where they begin together, trim both to {min(samples)} samples"
            )
    pairs = [together(*pair)[:2] for pair in zip(wet, before, strict=True)]  # a bounce has a tail
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def encode(
    function: Callable[..., Any],
    wet: Sequence[Track],
    dry: Sequence[Track] | None,
    clip: config.Audio,
    progress: Callable[[float], object] | None = None,
    known: Float[np.ndarray, "recording number"] | None = None,
) -> Windows:
    """What a function of wet clips, and dry ones if given, makes of windows that are not silent.

    If it takes what is `known` of each recording as well, that is given it with each of its windows. It is called with
    up to `BATCH` of them, and no more are in memory. `progress` is called with the seconds done.

    Raises:
        ValueError: a recording is silent.
    """
    length, rate = clip.clip_samples, clip.sample_rate
    recordings: list[int] = []  # of each window, as all that follows
    starts: list[float] = []
    peaks: list[list[float]] = []  # of the wet and the dry window
    levelled: list[list[np.ndarray]] = []
    recordings_of_levelled: list[int] = []
    parts: list[Any] = []

    def flush() -> None:
        if levelled:
            clips = [np.stack(column) for column in zip(*levelled, strict=True)]
            if known is not None:
                clips.append(known[np.array(recordings_of_levelled)])
            parts.append(function(*clips))
            recordings_of_levelled.clear()
            levelled.clear()

    for recording in range(len(wet)):
        sources = [wet[recording]] if dry is None else [wet[recording], dry[recording]]
        cut = zip(*(waveform.windows(source, rate, length) for source in sources), strict=False)
        for number, pieces in enumerate(cut):
            recordings.append(recording)
            starts.append(number * length / rate)
            peaks.append([float(np.abs(piece).max()) for piece in pieces])
            if min(peaks[-1]) > waveform.LEAST_PEAK:
                levelled.append([set_peak(piece, WET_PEAK_DBFS) for piece in pieces])
                recordings_of_levelled.append(recording)
            if len(levelled) == BATCH:
                flush()
            if progress is not None:
                progress(starts[-1] + length / rate)
    flush()
    if len(set(recordings)) < len(wet):
        raise ValueError(f"a recording has not one sample at {rate} Hz; use longer ones")
    of, levels = np.array(recordings), np.array(peaks)
    encoded = levels.min(axis=1) > waveform.LEAST_PEAK
    kept = encoded & _audible(of, levels)
    found = np.bincount(of[kept], minlength=len(wet))
    if len(silent := np.flatnonzero(found == 0)):
        if len(wet) == 1:
            either = "the recording" if dry is None else "the recording or the dry one"
            raise ValueError(f"{either} is silent in every window; use another")
        raise ValueError(f"{len(silent)} of {len(wet)} clips are silent, the first is {silent[0]}; drop them")
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[kept[encoded]], *parts)
    return Windows(joined, of[kept], np.array(starts)[kept], np.bincount(of) - found)


def firsts(audio: Any, sample_rate: Any, clip: config.Audio) -> Float[np.ndarray, "clip sample"]:
    """The first window of each recording that is not silent, at the level of training.

    Raises:
        ValueError: a recording is silent, or as `recordings`.
    """
    length, rate = clip.clip_samples, clip.sample_rate
    tracks, firsts = waveform.tracks(audio, sample_rate), []
    for index, track in enumerate(tracks):
        found = waveform.windows(track, rate, length)
        first = next((window for window in found if np.abs(window).max() > waveform.LEAST_PEAK), None)
        if first is None:
            raise ValueError(f"clip {index} of {len(tracks)} is silent; drop it")
        firsts.append(set_peak(first, WET_PEAK_DBFS))
    return np.stack(firsts)


def together(wet: Track, dry: Track) -> tuple[Track, Track, list[str]]:
    """Both as long as the shorter, and what to say of it."""
    seconds = min(wet.seconds, dry.seconds)
    surplus = max(wet.seconds, dry.seconds) - seconds
    longer = "wet" if wet.seconds > dry.seconds else "dry"
    said = [f"the last {surplus:.2f} s of the {longer} recording are left out: the other ends there"]
    return waveform.shortened(wet, seconds), waveform.shortened(dry, seconds), said if surplus > 0.01 else []


def _audible(
    recording: Int[np.ndarray, " window"], peaks: Float[np.ndarray, "window track"]
) -> Bool[np.ndarray, " window"]:
    """Windows that training could have met: what went into the effect is not silent, nor is what came out.

    Without the dry recording, the wet one is judged by the limit of the dry one.
    """
    loudest = np.zeros((recording[-1] + 1, peaks.shape[1]))
    np.maximum.at(loudest, recording, peaks)
    limits_db = [CROP_SILENT_DBFS] if peaks.shape[1] == 1 else [WET_SILENT_DBFS, CROP_SILENT_DBFS]
    return (peaks >= gain(np.array(limits_db)) * loudest[recording]).all(axis=1)
