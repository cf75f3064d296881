"""Files that are whole or absent, whatever interrupts the writing."""

import contextlib
import errno
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".part"
_ABANDONED_S = 3_600.0


@contextlib.contextmanager
def write(path: Path, needed: int | None = None) -> Iterator[BinaryIO]:
    """A file to write, which becomes `path` when the block ends; when the block fails, nothing is left of it.

    Several processes may write the same path at once: the last one wins. `needed` is its size in bytes, if known.

    Raises:
        OSError: the folder cannot be written or is full; the message names it and the bytes that are needed.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{_SUFFIX}")
    try:
        with open(temporary, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the name on an empty file
        os.replace(temporary, path)
    except OSError as error:
        size = "" if needed is None else f" of {needed:,} bytes"
        what = f"cannot write {path.name}{size} to {path.parent}: {error.strerror or error}"
        raise OSError(error.errno, f"{what}; make room or use another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8. Raises OSError as `write`."""
    content = text.encode()
    with write(path, len(content)) as file:
        file.write(content)


def require_writable(folder: Path) -> None:
    """Nothing, where a file can be written into a folder, or into one that is yet to be made.

    Raises:
        OSError: it cannot.
    """
    present = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        if not present.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=present):
            pass
    except OSError as error:
        where = f"{folder}" if present == folder else f"{folder}, because of {present}"
        raise OSError(error.errno, f"cannot write to {where}: {error.strerror or error}; use another folder") from error


def remove_abandoned(folder: Path) -> None:
    """Delete what a killed process left half-written in a folder more than an hour ago."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # finished or deleted by another process
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
