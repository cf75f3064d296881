"""Recordings to be heard through a map: those that come with the package, and files that a user gives.

Conventions
    A recording is mono or stereo, of its own rate, of at most ten minutes. Its window is its loudest six seconds, or
    all of a shorter one.
    A file is decoded by the project's reader only. It has a random name on the disk; the name that it came with is
    shown, and never a path.
"""

import dataclasses
import functools
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

import jaxvae
from analysis.latent_map.points import loudness
from jaxvae.data import audio_file, waveform
from jaxvae.data.audio_file import EXTENSIONS, AudioError
from jaxvae.data.waveform import Recording

WINDOW_SECONDS = 6.0
MOST_SECONDS = 600.0
MOST_BYTES = 50 * 10**6
"""Of a file that a user gives."""
MOST_FILES = 20
"""Files of users kept; the oldest go first."""
MOST_LUFS = -23.0
"""Loudness that no recording is played above (EBU R 128), which leaves renders room for their peaks."""
BUNDLED = Path(jaxvae.__file__).parent / "bundled_audio"
DEFAULT = "loop_amen_full"
"""The bundled recording that maps are made of unless another is named: a drum break, whose spectrum is broad."""
_LEAST_SECONDS = 2.0  # of a bundled recording that is offered
_NAME_LENGTH = 80


class Unknown(LookupError):
    """There is nothing of a name that was asked for."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A recording in a file."""

    id: str
    name: str
    path: Path
    bundled: bool
    sample_rate: int
    channels: int
    samples: int
    """Of a channel."""
    start: int
    """First sample of the window."""
    window: Float[np.ndarray, "channel sample"] = dataclasses.field(repr=False, compare=False)
    """Its loudest seconds, at its own level."""
    peak_dbfs: float
    """Of the whole, in mono."""

    @property
    def seconds(self) -> float:
        """Length of the whole."""
        return self.samples / self.sample_rate

    @functools.cached_property
    def loudness(self) -> float:
        """Of the window, in LUFS."""
        return loudness(self.window.T, self.sample_rate)

    @property
    def play_db(self) -> float:
        """By what the window and all its renders are amplified when they are played: 0 or less."""
        return min(0.0, MOST_LUFS - self.loudness)

    @property
    def recording(self) -> Recording:
        """The whole, block by block."""
        blocks = functools.partial(audio_file.channels, self.path)
        return Recording(blocks, float(self.sample_rate), self.channels, self.samples)


def of_file(path: Path, name: str, id: str, bundled: bool = False) -> Source:
    """The recording in a file. What is in memory is a block, and at the end the window.

    Raises:
        AudioError: it cannot be read as audio, has more than two channels, is longer than ten minutes, or silent. The
            message calls it by `name`.
    """
    try:
        header = audio_file.header(path)
        if header.channels > 2:
            raise AudioError(f"{path} has {header.channels} channels; use a file of one or two")
        rate = header.sample_rate
        hop, energies, rest, peak, samples = max(1, rate // 100), [0.0], np.zeros(0), 0.0, 0
        for block in _limited(path, rate):
            mono = block.mean(axis=0)
            peak, samples = max(peak, float(np.abs(mono).max())), samples + len(mono)
            rest = np.concatenate([rest, np.square(block, dtype=np.float64).sum(axis=0)])
            whole = len(rest) // hop * hop
            energies += rest[:whole].reshape(-1, hop).sum(axis=1).tolist()
            rest = rest[whole:]
        if peak <= waveform.LEAST_PEAK:
            raise AudioError(f"{path} is silent in mono; use another recording")
        length, start = min(samples, round(WINDOW_SECONDS * rate)), 0
        hops, total = length // hop, np.cumsum(energies)
        if samples > length:
            start = min(hop * int(np.argmax(total[hops:] - total[:-hops])), samples - length)
        window = _piece(path, start, length)
    except AudioError as error:
        raise AudioError(str(error).replace(str(path), name).replace(path.name, name)) from error
    level_db = float(20 * np.log10(peak))
    return Source(id, name, path, bundled, rate, header.channels, samples, start, window, level_db)


def _limited(path: Path, rate: int) -> Iterator[np.ndarray]:
    """Blocks of a file; AudioError where it goes on for too long, whatever its header says."""
    samples = 0
    for block in audio_file.channels(path):
        samples += block.shape[1]
        if samples > MOST_SECONDS * rate:
            raise AudioError(f"{path} is longer than {MOST_SECONDS / 60:.0f} minutes; use a part of it")
        yield block


def _piece(path: Path, start: int, length: int) -> Float[np.ndarray, "channel sample"]:
    pieces, place = [], 0
    for block in audio_file.channels(path):
        pieces.append(block[:, max(0, start - place) : max(0, start + length - place)])
        place += block.shape[1]
        if place >= start + length:
            break
    return np.ascontiguousarray(np.concatenate(pieces, axis=1))


def clip(source: Source, rate: int, samples: int) -> Float[np.ndarray, " sample"]:
    """The loudest part of a recording in mono, at a rate; a shorter one is repeated."""
    mono = source.window.mean(axis=0)
    track = waveform.tracks(mono, source.sample_rate)[0]
    resampled = np.concatenate(list(waveform.resampled(track, rate)))
    if len(resampled) <= samples:
        return np.resize(resampled, samples)
    energy = np.concatenate([[0.0], np.cumsum(np.square(resampled, dtype=np.float64))])
    first = int(np.argmax(energy[samples:] - energy[:-samples]))
    return resampled[first : first + samples]


def shown_name(name: str) -> str:
    """What of a file's name is shown: its last part, of printable letters, not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-_NAME_LENGTH:] or "recording"


def ending(name: str) -> str:
    """The ending of an audio file's name. Raises AudioError for one that is none."""
    found = Path(shown_name(name)).suffix.lower()
    if found not in EXTENSIONS:
        kinds = ", ".join(extension.removeprefix(".") for extension in EXTENSIONS)
        raise AudioError(f"{shown_name(name)} has no ending of an audio file; use one of {kinds}")
    return found


class Sources:
    """The recordings of a server: the bundled ones, one that it was started with, and those of users in a private
    folder."""

    def __init__(self, folder: Path, given: Source | None = None) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._bundled = {
            path.stem: (path, header.samples / header.sample_rate)
            for path in sorted(BUNDLED.rglob("*"))
            if path.suffix in EXTENSIONS and (header := audio_file.header(path)).samples
            if header.samples / header.sample_rate >= _LEAST_SECONDS
        }
        self._given = given
        self._read: dict[str, Source] = {} if given is None else {given.id: given}
        self._added: list[str] = []

    def list(self) -> list[dict[str, str | float | bool]]:
        """Id, name and length of each, the ones of users first."""
        with self._lock:
            own = [self._read[id] for id in reversed(self._added)]
        if self._given is not None and not self._given.bundled:
            own.append(self._given)
        rows = [{"id": source.id, "name": source.name, "seconds": source.seconds, "bundled": False} for source in own]
        rows += [
            {"id": id, "name": path.stem.replace("_", " "), "seconds": seconds, "bundled": True}
            for id, (path, seconds) in self._bundled.items()
        ]
        return rows

    def get(self, id: str) -> Source:
        """The recording of that id. Raises Unknown where there is none."""
        with self._lock:
            if id in self._read:
                return self._read[id]
        if id not in self._bundled:
            raise Unknown(f"there is no recording {id}; see /api/sources")
        path, _ = self._bundled[id]
        found = of_file(path, path.stem.replace("_", " "), id, bundled=True)
        with self._lock:
            return self._read.setdefault(id, found)

    def temporary(self, name: str) -> Path:
        """A path of a random name for a file that came with this one. Raises AudioError as `ending`."""
        return self._folder / f"{secrets.token_hex(16)}{ending(name)}"

    def add(self, path: Path, name: str) -> Source:
        """Take a file of the folder in. Raises AudioError as `of_file`; the file is deleted then."""
        try:
            found = of_file(path, shown_name(name), path.stem)
        except AudioError:
            path.unlink(missing_ok=True)
            raise
        with self._lock:
            self._read[found.id] = found
            self._added.append(found.id)
            for old in self._added[:-MOST_FILES]:
                self._read.pop(old).path.unlink(missing_ok=True)
            self._added = self._added[-MOST_FILES:]
        return found
