"""Recordings: folders of audio files brought to one form, and split into train, validation and test.

Conventions
    The split of a file is drawn by a hash of its content and the seed: no other file that comes, goes or moves changes
    it, except where a split would be empty (`_split`).
    A recording is a file of at least a clip, or shorter files of one folder and one split joined in sorted order until
    they make a clip; what is left over joins the last of these, or, alone in its folder and split, is repeated up to
    a clip. So nothing of one recording is in two splits. In the prepared audio, joined recordings come last.
    Every file is scaled to the same peak, which 16 bits need to keep quiet recordings free of noise; the level of a
    dry clip is set after cropping anyway. Joined files have short fades, so that a join does not click.
    A file is known by its content and its path below the folder that was named, never by where that folder is; below
    the last folder before the first wildcard, where a pattern was named.
"""

import bisect
import collections
import glob
import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int16
from tqdm import tqdm

from jaxvae.data import audio
from jaxvae.data.audio import AudioError

SPLITS = ("train", "validation", "test")
SPLIT_RULE = "hash of each file's content"
PREPARED = "recordings.npy"
"""Name of the file of all recordings end to end."""
FILE_SILENT_DBFS = -60.0
"""A file whose peak is lower is left out."""
BUNDLED = Path(__file__).parents[1] / "bundled_audio"
_PEAK_DBFS = -0.1
_JOIN_MS = 5.0
_HEADER_BYTES = 128  # of a one-dimensional .npy file

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class File(NamedTuple):
    """One audio file."""

    path: Path
    name: str
    """Such as "audio/0/speech/a.wav": the field of the config, the position in it, the path below that folder (for a
    pattern, below its fixed part)."""
    digest: str
    """Of the content."""

    @property
    def held_out(self) -> bool:
        """Whether it is of data.test_audio."""
        return self.name.startswith("test_audio/")


class _Short(NamedTuple):
    """A file shorter than a clip, `length` samples from byte `offset` of those that wait to be joined."""

    file: File
    offset: int
    length: int


class Recording(NamedTuple):
    """One recording, `length` samples from `start` of the prepared audio."""

    files: tuple[str, ...]
    start: int
    length: int
    split: str


class Skipped(NamedTuple):
    """A file that cannot be used."""

    file: str
    reason: str


class Prepared(NamedTuple):
    """What `prepare` made of the files."""

    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...]


def find(folders: Sequence[str], test_folders: Sequence[str], progress: bool = True) -> list[File]:
    """Audio files of the folders (of the bundled recordings, when there are none) and of those held out for testing.

    Each may be a pattern of folders, such as sound/*/en.

    Raises:
        AudioError: a folder is missing, a pattern matches no folder, or there is no audio file in it.
    """
    named = [(f"audio/{index}", folder) for index, folder in enumerate(folders or (str(BUNDLED),))]
    named += [(f"test_audio/{index}", folder) for index, folder in enumerate(test_folders)]
    found = []
    for prefix, folder in named:
        fixed, matches = _expand(Path(folder).expanduser())
        paths = [path for match in matches for path in audio.find(match)]
        if not paths:
            raise AudioError(f"no audio files in {folder}; name a folder with {', '.join(audio.EXTENSIONS)} files")
        paths.sort(key=lambda path: (path.parent, path.name))  # the files of a folder side by side
        found += [(path, f"{prefix}/{path.relative_to(fixed).as_posix()}") for path in paths]
    digests = _in_threads(lambda item: _digest(item[0]), found)
    digests = tqdm(digests, "look at files", len(found), leave=False, disable=not progress, delay=2)
    return [File(path, name, digest) for (path, name), digest in zip(found, digests, strict=True)]


def _expand(pattern: Path) -> tuple[Path, list[Path]]:
    """The part of a pattern that holds no wildcard, and the folders that match: of a folder, itself both times."""
    if pattern.is_dir() or not glob.has_magic(str(pattern)):
        return pattern, [pattern]
    fixed = next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))
    folders = [Path(match) for match in glob.glob(str(pattern)) if Path(match).is_dir()]  # all at one depth: disjoint
    if not folders:
        raise AudioError(f"no folder matches {pattern}; name one, or a pattern of some that are there")
    return fixed, folders


def prepare(
    files: Sequence[File],
    target: BinaryIO,
    sample_rate: int,
    clip_samples: int,
    shares: tuple[float, float],
    seed: int,
    progress: bool = True,
) -> Prepared:
    """Recordings of the files, whose samples it writes to `target`: one int16 .npy file, all recordings end to end.

    `shares` are those of validation and test by duration; files below test_audio are all the test set, if there are
    any. Files that cannot be used are skipped, with their reason: unreadable, silent, or the same as another.

    Raises:
        AudioError: too few recordings are left.
    """
    skipped: list[Skipped] = []
    target.write(bytes(_HEADER_BYTES))  # the header needs the length, which is known at the end
    long: list[tuple[File, int]] = []
    short: list[_Short] = []
    # Short files wait in a file of their own until their splits are known, which takes all files.
    with tempfile.TemporaryFile(dir=Path(target.name).parent) as waiting:
        for file, samples in _decode(files, sample_rate, skipped, progress):
            if len(samples) >= clip_samples:
                target.write(audio.to_int16(samples).data)
                long.append((file, len(samples)))
            else:
                short.append(_Short(file, waiting.tell(), len(samples)))
                waiting.write(audio.to_int16(samples).data)
        usable = [file for file, _ in long] + [part.file for part in short]
        splits = _split(usable, any(file.held_out for file in files), shares, seed, skipped)
        recordings: list[Recording] = []
        end = 0
        for file, length in long:
            recordings.append(Recording((file.name,), end, length, splits[file.name]))
            end += length
        fade_samples = round(_JOIN_MS / 1_000 * sample_rate)
        for parts in _join(short, splits, clip_samples):
            samples = np.concatenate([_read_short(waiting, part, fade_samples) for part in parts])
            length = max(len(samples), clip_samples)
            target.write(audio.to_int16(np.resize(samples, length)).data)
            names = tuple(part.file.name for part in parts)
            recordings.append(Recording(names, end, length, splits[names[0]]))
            end += length
    target.seek(0)
    np.lib.format.write_array_header_1_0(target, {"descr": "<i2", "fortran_order": False, "shape": (end,)})
    if target.tell() != _HEADER_BYTES:
        raise RuntimeError(f"the header of the recordings takes {target.tell()} bytes instead of {_HEADER_BYTES}")
    return Prepared(tuple(recordings), tuple(skipped))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Results in order, only a few ahead of what was taken, so that memory holds a few files."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: collections.deque = collections.deque()
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _decode(
    files: Sequence[File], sample_rate: int, skipped: list[Skipped], progress: bool
) -> Iterator[tuple[File, Float[np.ndarray, "sample"]]]:
    """Each usable file and its audio; the others are added to `skipped`."""

    def decode(file: File) -> np.ndarray | AudioError:
        try:
            samples = audio.read(file.path, sample_rate)
        except AudioError as error:
            return error
        peak = audio.peak_dbfs(samples)
        if peak < FILE_SILENT_DBFS:
            return AudioError(f"silent: its peak is {peak:.0f} dBFS, below {FILE_SILENT_DBFS:.0f}")
        return audio.set_peak(samples, _PEAK_DBFS)

    first: dict[str, str] = {}
    for file in files:
        if first.setdefault(file.digest, file.name) != file.name:
            skipped.append(Skipped(file.name, f"the same as {first[file.digest]}"))
    chosen = [file for file in files if first[file.digest] == file.name]
    results = tqdm(_in_threads(decode, chosen), "read recordings", len(chosen), disable=not progress, unit="file")
    for file, result in zip(chosen, results, strict=True):
        if isinstance(result, AudioError):
            skipped.append(Skipped(file.name, str(result).replace(str(file.path), "the file")))
        else:
            yield file, result


def _join(short: Iterable[_Short], splits: dict[str, str], clip_samples: int) -> Iterator[list[_Short]]:
    """Files that make a recording together: of one folder and one split, in order."""
    groups: dict[tuple[str, str], list[_Short]] = {}
    for part in short:
        groups.setdefault((part.file.name.rpartition("/")[0], splits[part.file.name]), []).append(part)
    for group in groups.values():
        complete: list[_Short] = []  # the last that made a clip, held back for what is left over
        parts: list[_Short] = []
        samples = 0
        for part in group:
            parts.append(part)
            samples += part.length
            if samples >= clip_samples:
                if complete:
                    yield complete
                complete, parts, samples = parts, [], 0
        yield complete + parts


def _read_short(waiting: BinaryIO, part: _Short, fade_samples: int) -> Float[np.ndarray, "sample"]:
    """A short file with the fades of a join."""
    waiting.seek(part.offset)
    samples = np.frombuffer(waiting.read(2 * part.length), np.int16)
    return audio.fade(audio.to_float(samples), min(fade_samples, part.length // 2))


def _split(
    files: Sequence[File],
    held_out: bool,
    shares: tuple[float, float],
    seed: int,
    skipped: Sequence[Skipped] = (),
) -> dict[str, str]:
    """Split of each usable file by its name. `held_out` says whether files of test_audio are the test set.

    The hash of a file's content and the seed is a number in [0, 1). Those below the share of validation are validated
    on, those in the share above it are the test set, unless test_audio is, and training has the rest. Where a split
    would be empty, it takes the file whose number is nearest to its own.
    """
    splits = {file.name: "test" for file in files if file.held_out}
    own = [file for file in files if not file.held_out]
    wanted = ("validation", "train") if held_out else ("validation", "test", "train")
    if len(own) < len(wanted) or (held_out and not splits):
        reasons = "".join(f"\n  {file}: {reason}" for file, reason in skipped[:5])
        raise AudioError(
            f"{len(files)} usable files, {len(own)} of them in data.audio, cannot be split: {', '.join(SPLITS)} need "
            f"one each; add files. Left out are {len(skipped)}{reasons}"
        )
    numbers = {file.name: _number(file, seed) for file in own}
    ordered = sorted(numbers, key=lambda name: (numbers[name], name))
    ascending = [numbers[name] for name in ordered]
    start = 0
    for place, limit in enumerate(itertools.accumulate(shares[: len(wanted) - 1]), start=1):
        end = bisect.bisect_left(ascending, limit)
        end = min(max(end, start + 1), len(own) - len(wanted) + place)  # one each at least
        splits |= dict.fromkeys(ordered[start:end], wanted[place - 1])
        start = end
    return splits | dict.fromkeys(ordered[start:], "train")


def _number(file: File, seed: int) -> float:
    """Of a file, uniform on [0, 1)."""
    digest = hashlib.blake2b(f"split {seed} {file.digest}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def sources(recordings: Sequence[Recording], folders: Sequence[str], test_folders: Sequence[str]) -> tuple[str, ...]:
    """Of each recording, the folder of the config that it is from; of a single folder, the folder in it.

    Voices and music are told apart so, if they lie in folders of their own.
    """

    def source(name: str) -> str:
        field, position, below = name.split("/", 2)
        named = {"audio": folders, "test_audio": test_folders}[field] or ("bundled recordings",)
        inside, _, file = below.partition("/")
        return inside if len(named) == 1 and file else PurePath(named[int(position)]).name

    return tuple(source(recording.files[0]) for recording in recordings)


def load(path: Path) -> Int16[np.ndarray, "sample"]:
    """The prepared audio, memory-mapped."""
    return np.load(path, mmap_mode="r")
