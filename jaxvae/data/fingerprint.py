"""Fingerprints of recordings: what stays the same when one is encoded anew, and which of many are copies.

Conventions
    A fingerprint has 32 bits a frame, after Haitsma & Kalker (2002, "A highly robust audio fingerprinting system"):
    signs of the differences of energy between neighbouring bands of 300 to 2,000 Hz and neighbouring frames of 0.37 s,
    here every 47 ms. Frames that are silent beside the rest of the recording have none.
    Two recordings are copies when, at one shift, at least LEAST_FRAMES frames lie over one another and less than
    MOST_WRONG of all their bits differ. Of the 3.2 million pairs of recordings of configs/mda_six.py that are long
    enough, nine are called copies, and all nine are: takes that were used twice, waveforms that correlate by .59 to 1.
    Of bundled recordings encoded anew, 37 of 40 are found at 70 kbit/s (MP3), 27 to 29 at 35 to 45 (MP3, Ogg, Opus).
    Shifts to try are those at which 24 bits of some frames are equal.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
import soxr
from jaxtyping import Bool, Float32, UInt32

LEAST_FRAMES = 32
"""1.5 s and the length of a frame: shorter recordings are never called copies."""
MOST_WRONG = 0.25
_RATE = 5_500
_FRAME, _HOP = 2_048, 256
_BANDS_HZ = np.geomspace(300, 2_000, 34)
_SILENT = 1e-5  # of the power of the loudest frame
_KEYS, _KEY_BITS = (0, 4, 8), 24  # bits of a frame by which equal ones are found
_SORTED_FRAMES = 2**21  # at a time
_LEAST_EQUAL = 2  # frames that have to be equal at a shift for it to be tried


class Fingerprint(NamedTuple):
    """Of one recording."""

    bits: UInt32[np.ndarray, "frame"]
    heard: Bool[np.ndarray, "frame"]
    """Which frames are not silent."""


class Listener:
    """Takes a recording block by block."""

    def __init__(self, sample_rate: int) -> None:
        self._resampler = soxr.ResampleStream(sample_rate, _RATE, 1, dtype="float32", quality="LQ")
        self._rest = np.empty(0, np.float32)
        self._energies: list[np.ndarray] = []
        edges = np.searchsorted(scipy.fft.rfftfreq(_FRAME, 1 / _RATE), _BANDS_HZ)
        self._edges = edges

    def hear(self, block: Float32[np.ndarray, "sample"]) -> None:
        """The next samples."""
        self._take(self._resampler.resample_chunk(block))

    def fingerprint(self) -> Fingerprint:
        """Of all that was heard."""
        self._take(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))
        energies = np.concatenate(self._energies) if self._energies else np.empty((0, len(self._edges) - 1), np.float32)
        if len(energies) < 2:
            return Fingerprint(np.empty(0, np.uint32), np.empty(0, bool))
        power = energies.sum(axis=1)[1:]
        across = np.diff(energies, axis=1)
        positive = np.diff(across, axis=0) > 0
        bits = np.packbits(positive, axis=1, bitorder="little").view("<u4")[:, 0]
        return Fingerprint(bits.astype(np.uint32), power > _SILENT * power.max())

    def _take(self, samples: np.ndarray) -> None:
        samples = np.concatenate([self._rest, samples])
        frames = 1 + (len(samples) - _FRAME) // _HOP if len(samples) >= _FRAME else 0
        if frames:
            window = np.hanning(_FRAME).astype(np.float32)
            cut = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[: frames * _HOP : _HOP]
            power = np.abs(scipy.fft.rfft(cut * window, axis=1)) ** 2
            self._energies.append(np.add.reduceat(power, self._edges, axis=1)[:, :-1].astype(np.float32))
        self._rest = samples[frames * _HOP :]


def copies(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Pairs of recordings that are copies of one another, or of a part, by index, the lower first.

    Time and memory grow with the length of all recordings, not with the number of pairs.
    """
    pairs: set[tuple[int, int]] = set()
    for first, second, shift in _shifts(fingerprints):
        if (first, second) not in pairs and _same(fingerprints[first], fingerprints[second], shift):
            pairs.add((first, second))
    return sorted(pairs)


def _shifts(fingerprints: Sequence[Fingerprint]) -> Iterable[tuple[int, int, int]]:
    """Pairs that have equal frames, and how much later these come in the first."""
    long = [index for index, one in enumerate(fingerprints) if np.count_nonzero(one.heard) >= LEAST_FRAMES]
    if len(long) < 2:
        return
    bits = np.concatenate([fingerprints[index].bits[fingerprints[index].heard] for index in long])
    place = np.concatenate([np.flatnonzero(fingerprints[index].heard) for index in long]).astype(np.int32)
    counts = [np.count_nonzero(fingerprints[index].heard) for index in long]
    owner = np.repeat(np.array(long, np.int32), counts)
    parts = -(-len(bits) // _SORTED_FRAMES)
    found = []
    for first_bit in _KEYS:
        for part in range(parts):  # by their keys, so that equal ones are in the same part
            key = bits >> np.uint32(first_bit) & np.uint32(2**_KEY_BITS - 1)
            own = np.flatnonzero(key % parts == part)
            own = own[np.lexsort((place[own], owner[own], key[own]))]
            key, by, at = key[own], owner[own], place[own]
            # Of frames that are equal, only neighbours in this order: a few for each, however common they are.
            equal = np.flatnonzero((key[1:] == key[:-1]) & (by[1:] != by[:-1]))
            found.append(np.stack([by[equal], by[equal + 1], at[equal] - at[equal + 1], at[equal]], axis=1))
    frames = np.unique(np.concatenate(found), axis=0)[:, :3]
    # A shift is no whole number of frames, so equal ones may be spread over two.
    spread = np.concatenate([frames + np.array([0, 0, near], np.int32) for near in (-1, 0, 1)])
    shifts, counts = np.unique(spread, axis=0, return_counts=True)
    for row in np.argsort(-counts, kind="stable"):
        if counts[row] < _LEAST_EQUAL:
            return
        yield tuple(int(value) for value in shifts[row])


def _same(first: Fingerprint, second: Fingerprint, shift: int) -> bool:
    """Whether the frames that lie over one another at a shift are the same."""
    starts = max(shift, 0), max(-shift, 0)
    length = min(len(first.bits) - starts[0], len(second.bits) - starts[1])
    if length < LEAST_FRAMES:
        return False
    one, two = slice(starts[0], starts[0] + length), slice(starts[1], starts[1] + length)
    both = first.heard[one] & second.heard[two]
    wrong = np.bitwise_count(first.bits[one] ^ second.bits[two])[both]
    return len(wrong) >= LEAST_FRAMES and bool(wrong.mean() < MOST_WRONG * 32)
