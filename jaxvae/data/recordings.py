"""Recordings: folders of audio files brought to one form, and split into train, validation and test.

Conventions
    The split of a file is drawn by a hash of its content and the seed: no other file that comes, goes or moves changes
    it, except where a split would be empty (`draw_splits`).
    A recording is a file of at least a clip, or shorter files of one folder and one split joined in sorted order until
    they make a clip; what is left over joins the last of these, or, alone in its folder and split, is repeated up to
    a clip. So nothing of one recording is in two splits. In the prepared audio, joined recordings come last.
    Every file is scaled to the same peak, which 16 bits need to keep quiet recordings free of noise; the level of a
    dry clip is set after cropping anyway. Joined files have short fades, so that a join does not click.
    A file is known by its content and its path below the folder that was named, never by where that folder is; below
    the last folder before the first wildcard, where a pattern was named.
"""

import bisect
import glob
import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float, Int16
from tqdm import tqdm

from jaxvae.data import audio, audio_folder, decoding, fingerprint
from jaxvae.data.audio_file import EXTENSIONS, AudioError
from jaxvae.data.decoding import Decoded
from jaxvae.data.fingerprint import Fingerprint

SPLITS = ("train", "validation", "test")
SPLIT_RULE = "hash of each file's content"
PREPARED = "recordings.npy"
"""Name of the file of all recordings end to end."""
FILE_SILENT_DBFS = -60.0
"""A file whose peak is lower is left out."""
CROP_SILENT_DBFS = -40.0
"""A crop whose peak is lower, relative to its file's peak, is silent."""
LEAST_AUDIBLE = 0.1
"""A file of which a lower share of the crops is not silent is left out."""
BUNDLED = Path(__file__).parents[1] / "bundled_audio"
_PEAK_DBFS = -0.1
_JOIN_MS = 5.0
_HEADER_BYTES = 128  # of a one-dimensional .npy file


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


class Recording(NamedTuple):
    """One recording, `length` samples from `start` of the prepared audio."""

    files: tuple[str, ...]
    start: int
    length: int
    split: str


class Skipped(NamedTuple):
    """A file that cannot be used, or a folder that cannot be read."""

    file: str
    reason: str


class Remark(NamedTuple):
    """What was made of a file otherwise than of others, such as that it is cut."""

    file: str
    text: str


class Found(NamedTuple):
    """What lies in the folders."""

    files: tuple[File, ...]
    skipped: tuple[Skipped, ...]


class Prepared(NamedTuple):
    """What `prepare` made of the files."""

    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...]
    remarks: tuple[Remark, ...]
    """Of files that are used."""


def find(folders: Sequence[str], test_folders: Sequence[str], progress: bool = True) -> Found:
    """Audio files of the folders (of the bundled recordings, when there are none) and of those held out for testing.

    Each may be a pattern of folders, such as sound/*/en.

    Raises:
        AudioError: a folder is missing, a pattern matches no folder, or there is no audio file in it.
    """
    named = [(f"audio/{index}", folder) for index, folder in enumerate(folders or (str(BUNDLED),))]
    named += [(f"test_audio/{index}", folder) for index, folder in enumerate(test_folders)]
    paths: list[tuple[Path, str]] = []
    skipped: list[Skipped] = []
    for prefix, folder in named:
        fixed, matches = _expand(Path(folder).expanduser())
        own, left_out = [], []
        for match in matches:
            found = audio_folder.find(match)
            own += [match / path for path in found.files]
            left_out += [(match / path, reason) for path, reason in found.left_out]

        def name(path: Path, prefix: str = prefix, fixed: Path = fixed) -> str:
            return f"{prefix}/{audio_folder.printable(path.relative_to(fixed))}"

        skipped += [Skipped(name(path), reason) for path, reason in left_out]
        if not own:
            raise AudioError(
                f"no audio files in {folder}; name a folder with {', '.join(EXTENSIONS)} files{_listed(skipped)}"
            )
        own.sort(key=lambda path: (path.parent, path.name))  # the files of a folder side by side
        paths += [(path, name(path)) for path in own]
    digests = decoding.in_threads(lambda item: _digest(item[0]), paths)
    digests = tqdm(digests, "look at files", len(paths), leave=False, disable=not progress, delay=2)
    files = tuple(File(path, name, digest) for (path, name), digest in zip(paths, digests, strict=True))
    return Found(files, tuple(skipped))


def _listed(skipped: Sequence[Skipped]) -> str:
    """What is left out, for the end of a sentence; the first few."""
    if not skipped:
        return ""
    return f". Left out are {len(skipped)}:" + "".join(f"\n  {file}: {reason}" for file, reason in skipped[:5])


def _expand(pattern: Path) -> tuple[Path, list[Path]]:
    """The part of a pattern that holds no wildcard, and the folders that match: of a folder, itself both times."""
    if pattern.is_dir() or not glob.has_magic(str(pattern)):
        return pattern, [pattern]
    fixed = next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))
    folders = [Path(match) for match in glob.glob(str(pattern)) if Path(match).is_dir()]  # all at one depth: disjoint
    if not folders:
        raise AudioError(f"no folder matches {pattern}; name one, or a pattern of some that are there")
    return fixed, folders


class _Used(NamedTuple):
    """A file that is used: `length` samples from byte `offset` of the prepared audio, or, shorter than a clip, of those
    that wait to be joined."""

    file: File
    offset: int
    length: int
    fingerprint: Fingerprint


def prepare(
    found: Found,
    target: BinaryIO,
    sample_rate: int,
    clip_samples: int,
    shares: tuple[float, float],
    seed: int,
    progress: bool = True,
) -> Prepared:
    """Recordings of the files, whose samples it writes to `target`: one int16 .npy file, all recordings end to end.

    `shares` are those of validation and test by duration; files below test_audio are all the test set, if there are
    any. Files that cannot be used are skipped, with their reason: unreadable, silent, mostly silent, or the same as
    another or a copy of it, be it in another format.

    Raises:
        AudioError: too few recordings are left.
        OSError: the disk is full.
    """
    skipped, remarks = list(found.skipped), []
    held_out = any(file.held_out for file in found.files)
    folder = Path(target.name).parent
    target.write(bytes(_HEADER_BYTES))  # the header needs the length, which is known at the end
    used: list[_Used] = []
    by_samples: dict[str, str] = {}
    # Short files wait in a file of their own until their splits are known, which takes all files.
    with tempfile.TemporaryFile(dir=folder) as waiting:
        for file, decoded in _decode(found.files, sample_rate, clip_samples, folder, skipped, progress):
            place = waiting if decoded.length < clip_samples else target
            offset, digest = place.tell(), _write(decoded, place)
            if (first := by_samples.setdefault(digest, file.name)) != file.name:
                place.seek(offset)
                place.truncate()
                skipped.append(Skipped(file.name, f"holds the same audio as {first}"))
                continue
            used.append(_Used(file, offset, decoded.length, decoded.fingerprint))
            remarks += [Remark(file.name, text) for text in decoded.remarks]
        used = _without_copies(used, skipped)
        splits = draw_splits([one.file for one in used], held_out, shares, seed, skipped)
        recordings = [
            Recording((one.file.name,), (one.offset - _HEADER_BYTES) // 2, one.length, splits[one.file.name])
            for one in used
            if one.length >= clip_samples
        ]
        fade_samples = round(_JOIN_MS / 1_000 * sample_rate)
        for parts in _join([one for one in used if one.length < clip_samples], splits, clip_samples):
            start = (target.tell() - _HEADER_BYTES) // 2
            samples = np.concatenate([_read_short(waiting, part, fade_samples) for part in parts])
            length = max(len(samples), clip_samples)
            target.write(audio.to_int16(np.resize(samples, length)).data)
            names = tuple(part.file.name for part in parts)
            recordings.append(Recording(names, start, length, splits[names[0]]))
    end = (target.tell() - _HEADER_BYTES) // 2
    target.seek(0)
    np.lib.format.write_array_header_1_0(target, {"descr": "<i2", "fortran_order": False, "shape": (end,)})
    if target.tell() != _HEADER_BYTES:
        raise RuntimeError(f"the header of the recordings takes {target.tell()} bytes instead of {_HEADER_BYTES}")
    kept = {name for recording in recordings for name in recording.files}
    return Prepared(tuple(recordings), tuple(skipped), tuple(remark for remark in remarks if remark.file in kept))


def _digest(path: Path) -> str:
    """Of the content; empty where that cannot be read, which decoding will say."""
    if not path.is_file():  # a pipe would wait for ever
        return ""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ""


def _decode(
    files: Sequence[File],
    sample_rate: int,
    clip_samples: int,
    folder: Path,
    skipped: list[Skipped],
    progress: bool,
) -> Iterator[tuple[File, Decoded]]:
    """Each usable file, decoded; the others are added to `skipped`."""

    def decode(file: File) -> Decoded | AudioError:
        try:
            return decoding.decode(file.path, sample_rate, clip_samples, CROP_SILENT_DBFS, folder)
        except AudioError as error:
            return error

    def discard(result: Decoded | AudioError) -> None:
        if isinstance(result, Decoded):
            result.samples.close()

    first: dict[str, str] = {}
    for file in files:
        if file.digest and first.setdefault(file.digest, file.name) != file.name:
            skipped.append(Skipped(file.name, f"the same as {first[file.digest]}"))
    chosen = [file for file in files if first.get(file.digest, file.name) == file.name]
    results = decoding.in_threads(decode, chosen, discard)
    results = tqdm(results, "read recordings", len(chosen), disable=not progress, unit="file")
    for file, result in zip(chosen, results, strict=True):
        if isinstance(result, AudioError):
            skipped.append(Skipped(file.name, str(result).replace(str(file.path), "the file")))
        elif reason := _unusable(result):
            result.samples.close()
            skipped.append(Skipped(file.name, reason))
        else:
            yield file, result


def _unusable(decoded: Decoded) -> str | None:
    """Why a file that was decoded is of no use."""
    with np.errstate(divide="ignore"):
        peak_dbfs = 20 * np.log10(decoded.peak)
    if peak_dbfs < FILE_SILENT_DBFS:
        return f"silent: its peak is {peak_dbfs:.0f} dBFS, below {FILE_SILENT_DBFS:.0f}"
    if decoded.audible < LEAST_AUDIBLE:
        return (
            f"mostly silence: {decoded.audible:.1%} of its clips are louder than {-CROP_SILENT_DBFS:.0f} dB below its "
            f"peak, fewer than {LEAST_AUDIBLE:.0%}"
        )
    return None


def _write(decoded: Decoded, place: BinaryIO) -> str:
    """Write the samples, brought to the peak of all files, and give their digest."""
    digest, scale = hashlib.blake2b(digest_size=16), np.float32(audio.gain(_PEAK_DBFS) / decoded.peak)
    for block in decoded.blocks():
        samples = audio.to_int16(block * scale)
        digest.update(samples.data)
        place.write(samples.data)
    return digest.hexdigest()


def _without_copies(used: Sequence[_Used], skipped: list[Skipped]) -> list[_Used]:
    """The files without the copies, which are added to `skipped`; the longer of two is kept, or the first."""
    left_out: set[int] = set()
    for first, second in fingerprint.copies([one.fingerprint for one in used]):
        if first in left_out or second in left_out:
            continue
        longer = used[second].length > 1.1 * used[first].length
        kept, copy = (second, first) if longer else (first, second)
        left_out.add(copy)
        skipped.append(Skipped(used[copy].file.name, f"a copy of {used[kept].file.name}, by its fingerprint"))
    return [one for index, one in enumerate(used) if index not in left_out]


def _join(short: Iterable[_Used], splits: dict[str, str], clip_samples: int) -> Iterator[list[_Used]]:
    """Files that make a recording together: of one folder and one split, in order."""
    groups: dict[tuple[str, str], list[_Used]] = {}
    for part in short:
        groups.setdefault((part.file.name.rpartition("/")[0], splits[part.file.name]), []).append(part)
    for group in groups.values():
        complete: list[_Used] = []  # the last that made a clip, held back for what is left over
        parts: list[_Used] = []
        samples = 0
        for part in group:
            parts.append(part)
            samples += part.length
            if samples >= clip_samples:
                if complete:
                    yield complete
                complete, parts, samples = parts, [], 0
        yield complete + parts


def _read_short(waiting: BinaryIO, part: _Used, fade_samples: int) -> Float[np.ndarray, "sample"]:
    """A short file with the fades of a join."""
    waiting.seek(part.offset)
    samples = np.frombuffer(waiting.read(2 * part.length), np.int16)
    return audio.fade(audio.to_float(samples), min(fade_samples, part.length // 2))


def draw_splits(
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
        raise AudioError(
            f"{len(files)} usable files, {len(own)} of them in data.audio, cannot be split: {', '.join(SPLITS)} need "
            f"one each; add files{_listed(skipped)}"
        )
    numbered = sorted((_number(file.digest, seed), file.name) for file in own)
    ascending, ordered = ([pair[part] for pair in numbered] for part in (0, 1))
    start = 0
    for place, limit in enumerate(itertools.accumulate(shares[: len(wanted) - 1]), start=1):
        end = bisect.bisect_left(ascending, limit)
        end = min(max(end, start + 1), len(own) - len(wanted) + place)  # one each at least
        splits |= dict.fromkeys(ordered[start:end], wanted[place - 1])
        start = end
    return splits | dict.fromkeys(ordered[start:], "train")


def _number(content: str, seed: int) -> float:
    """Of a file, by the digest of its content; uniform on [0, 1)."""
    digest = hashlib.blake2b(f"split {seed} {content}".encode(), digest_size=8).digest()
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
