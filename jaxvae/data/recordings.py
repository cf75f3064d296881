"""Recordings: folders of audio files brought to one form, and split into train, validation and test.

Conventions
    A recording is the unit of the split, so nothing of one recording is in two splits. It is a file of at least a
    clip, or shorter files of one folder joined in sorted order until they make a clip; what is left over joins the
    last of these, or, alone in its folder, is repeated up to a clip.
    Every file is scaled to the same peak, which 16 bits need to keep quiet recordings free of noise; the level of a
    dry clip is set after cropping anyway. Joined files have short fades, so that a join does not click.
    A file is known by its content and its path below the folder that was named, never by where that folder is; below
    the last folder before the first wildcard, where a pattern was named.
"""

import collections
import glob
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int16
from tqdm import tqdm

from jaxvae.data import audio
from jaxvae.data.audio import AudioError

SPLITS = ("train", "validation", "test")
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
    joined: list[tuple[tuple[str, ...], int]] = []
    target.write(bytes(_HEADER_BYTES))  # the header needs the length, which is known at the end
    usable = _decode(files, sample_rate, skipped, progress)
    for names, samples in _join(usable, clip_samples, round(_JOIN_MS / 1_000 * sample_rate)):
        target.write(audio.to_int16(samples).data)
        joined.append((names, len(samples)))
    target.seek(0)
    shape = (sum(length for _, length in joined),)
    np.lib.format.write_array_header_1_0(target, {"descr": "<i2", "fortran_order": False, "shape": shape})
    if target.tell() != _HEADER_BYTES:
        raise RuntimeError(f"the header of the recordings takes {target.tell()} bytes instead of {_HEADER_BYTES}")
    held_out = any(file.name.startswith("test_audio/") for file in files)
    splits = _split(joined, held_out, shares, seed, skipped)
    starts = itertools.accumulate((length for _, length in joined), initial=0)
    recordings = tuple(
        Recording(names, start, length, split)
        for (names, length), start, split in zip(joined, starts, splits, strict=False)
    )
    return Prepared(recordings, tuple(skipped))


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
) -> Iterator[tuple[str, Float[np.ndarray, "sample"]]]:
    """Name and audio of each usable file; the others are added to `skipped`."""

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
            yield file.name, result


def _join(
    usable: Iterable[tuple[str, Float[np.ndarray, "sample"]]], clip_samples: int, fade_samples: int
) -> Iterator[tuple[tuple[str, ...], Float[np.ndarray, "sample"]]]:
    """Recordings of at least a clip: file names and audio."""

    def recording(parts: list[tuple[str, np.ndarray]]) -> tuple[tuple[str, ...], np.ndarray]:
        faded = [audio.fade(samples, min(fade_samples, len(samples) // 2)) for _, samples in parts]
        return tuple(name for name, _ in parts), np.concatenate(faded)

    for _, in_folder in itertools.groupby(usable, key=lambda item: item[0].rpartition("/")[0]):
        complete: list[tuple[str, np.ndarray]] = []  # the last that made a clip, held back for what is left over
        short: list[tuple[str, np.ndarray]] = []
        for name, samples in in_folder:
            if len(samples) >= clip_samples:
                yield (name,), samples
                continue
            short.append((name, samples))
            if sum(len(part) for _, part in short) >= clip_samples:
                if complete:
                    yield recording(complete)
                complete, short = short, []
        if complete:
            yield recording(complete + short)
        elif short:
            names, samples = recording(short)
            yield names, np.resize(samples, clip_samples)


def _split(
    joined: Sequence[tuple[tuple[str, ...], int]],
    held_out: bool,
    shares: tuple[float, float],
    seed: int,
    skipped: Sequence[Skipped],
) -> list[str]:
    """Split of each recording: in random order, each goes where a share of the duration is not yet filled."""
    splits = ["test" if names[0].startswith("test_audio/") else "train" for names, _ in joined]
    wanted = dict(zip(SPLITS[1:], shares, strict=True))
    if held_out:
        del wanted["test"]
    own = [index for index, split in enumerate(splits) if split == "train"]
    if len(own) <= len(wanted) or (held_out and "test" not in splits):
        reasons = "".join(f"\n  {file}: {reason}" for file, reason in skipped[:5])
        raise AudioError(
            f"{len(joined)} usable recordings, {len(own)} of them in data.audio, cannot be split: "
            f"{', '.join(SPLITS)} need one each; add files of at least a clip. Left out are {len(skipped)}{reasons}"
        )
    lengths = {index: joined[index][1] for index in own}
    left = [own[index] for index in np.random.default_rng(seed).permutation(len(own))]
    for kept, (split, share) in zip(range(len(wanted), 0, -1), wanted.items(), strict=True):
        taken: list[int] = []
        for index in left:
            nearer = sum(lengths[i] for i in taken) + lengths[index] / 2 <= share * sum(lengths.values())
            if nearer and len(left) - len(taken) > kept:  # one each for train and the splits to come
                taken.append(index)
        for index in taken or [min(left, key=lengths.__getitem__)]:
            splits[index] = split
            left.remove(index)
    return splits


def load(path: Path) -> Int16[np.ndarray, "sample"]:
    """The prepared audio, memory-mapped."""
    return np.load(path, mmap_mode="r")
