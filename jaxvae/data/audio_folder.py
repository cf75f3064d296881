"""The audio files below a folder."""

import os
from pathlib import Path
from typing import NamedTuple

from jaxvae.data.audio_file import EXTENSIONS, UNREADABLE, AudioError


class Found(NamedTuple):
    """What a folder holds, by paths below it."""

    files: tuple[Path, ...]
    """Audio, by extension; the files of a folder side by side."""
    left_out: tuple[tuple[Path, str], ...]
    """Audio of other kinds and folders that cannot be read, and why."""


def find(folder: str | Path) -> Found:
    """Audio files below a folder and those that it links to; hidden ones are left out.

    Raises:
        AudioError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioError(f"no folder at {folder}")
    files: list[Path] = []
    left_out: list[tuple[Path, str]] = []

    def unreadable(error: OSError) -> None:
        left_out.append((Path(error.filename).relative_to(folder), f"cannot be read ({error.strerror})"))

    above = {folder: (os.path.realpath(folder),)}  # of each folder, the real ones that it lies in
    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        here = Path(root)
        inside = above.pop(here)
        visible = []
        for name in sorted(folders):
            real = os.path.realpath(here / name)
            if name.startswith("."):
                continue
            if real in inside:
                left_out.append(((here / name).relative_to(folder), "a link to a folder that it lies in"))
                continue
            visible.append(name)
            above[here / name] = (*inside, real)
        folders[:] = visible
        for name in names:
            path, suffix = (here / name).relative_to(folder), Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in UNREADABLE:
                left_out.append((path, f"{suffix} files are not read; convert it, to FLAC for one"))
            elif suffix in EXTENSIONS:
                files.append(path)
    return Found(tuple(sorted(files, key=lambda path: (path.parent, path.name))), tuple(sorted(left_out)))


def printable(path: Path) -> str:
    """The path with slashes, bytes that are not UTF-8 written as \\\\xff."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
