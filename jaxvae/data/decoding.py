"""Audio files decoded by threads, each into a temporary file, and what is measured on the way.

Memory holds at most MEMORY_BYTES of audio, however long the files are and however many cores decode.
"""

import collections
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import maximum_filter1d

from jaxvae.data.audio_file import Reading
from jaxvae.data.fingerprint import Fingerprint, Listener
from jaxvae.effects import cores

MEMORY_BYTES = 2**28
_BLOCK_SAMPLES = 2**18
_PEAKS_A_CLIP = 64  # how finely silence is looked for

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Decoded(NamedTuple):
    """A file, decoded."""

    samples: tempfile.SpooledTemporaryFile
    """Mono float32 at the rate of the data set."""
    length: int
    peak: float
    audible: float
    """Share of its crops of a clip that are not silent beside its peak."""
    fingerprint: Fingerprint
    remarks: tuple[str, ...]
    """What was made of it otherwise than of other files."""

    def blocks(self) -> Iterator[Float32[np.ndarray, "sample"]]:
        """Its samples in blocks; the temporary file is gone after the last."""
        with self.samples as samples:
            samples.seek(0)
            while block := samples.read(4 * _BLOCK_SAMPLES):
                yield np.frombuffer(block, np.float32)


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], discard: Callable[[_Result], None] | None = None
) -> Iterator[_Result]:
    """Results in order, only as many ahead of what was taken as threads work; `discard` gets those never taken."""
    ahead: collections.deque = collections.deque()
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > ahead_at_most() - 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                if not future.cancel() and future.exception() is None and discard is not None:
                    discard(future.result())


def ahead_at_most() -> int:
    """Files that are decoded or wait to be taken at any time."""
    return cores() + 2


def decode(path: Path, sample_rate: int, clip_samples: int, silent_db: float, folder: Path) -> Decoded:
    """The file, its samples in a temporary file in `folder` where they are many.

    A crop is silent whose peak is `silent_db` below that of the file.

    Raises:
        AudioError: the file cannot be used.
        OSError: the folder is full.
    """
    reading = Reading(path, sample_rate)
    decoded = _decode(reading, clip_samples, silent_db, folder)
    remarks = [reading.cut] if reading.cut else []
    if reading.loudest is not None:
        decoded.samples.close()
        decoded = _decode(Reading(path, sample_rate, reading.loudest), clip_samples, silent_db, folder)
        remarks.append(f"its channels cancel: channel {reading.loudest + 1} alone is used")
    return decoded._replace(remarks=tuple(remarks))


def _decode(reading: Reading, clip_samples: int, silent_db: float, folder: Path) -> Decoded:
    samples = tempfile.SpooledTemporaryFile(MEMORY_BYTES // ahead_at_most(), dir=folder)  # noqa: SIM115, the taker's
    listener, step = Listener(reading.sample_rate), max(1, clip_samples // _PEAKS_A_CLIP)
    peaks: list[np.ndarray] = []
    rest, length = np.empty(0, np.float32), 0
    try:
        for block in reading:
            samples.write(block.data)
            listener.hear(block)
            length += len(block)
            rest = np.abs(np.concatenate([rest, block]))
            whole = len(rest) // step * step
            peaks.append(rest[:whole].reshape(-1, step).max(axis=1))
            rest = rest[whole:]
    except BaseException:
        samples.close()
        raise
    levels = np.concatenate([*peaks, [rest.max(initial=0)]])
    peak = float(levels.max())
    size = min(_PEAKS_A_CLIP, len(levels))
    crops = maximum_filter1d(levels, size, origin=-(size // 2))[: len(levels) - size + 1]
    audible = float(np.mean(crops >= peak * 10 ** (silent_db / 20)))
    return Decoded(samples, length, peak, audible, listener.fingerprint(), ())
