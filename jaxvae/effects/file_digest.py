"""What a plug-in's file is, whatever it is called and wherever it lies."""

import functools
import hashlib
from pathlib import Path


def named(path: Path) -> str:
    """Name and digest of a file, or of all files of a folder. OSError when they cannot be read."""
    return f"{path.name} {_digest(path)}"


@functools.cache
def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(b"" if file == path else file.relative_to(path).as_posix().encode())
            with open(file, "rb") as content:
                digest.update(hashlib.file_digest(content, "blake2b").digest())
    return digest.hexdigest()
