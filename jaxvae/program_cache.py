"""Compiled programs kept on disk, so that a short command compiles only the first time that it is used.

They lie in $JAXVAE_CACHE/programs (~/.cache/jaxvae/programs if that is not set), or where JAX_COMPILATION_CACHE_DIR
says. JAX tells programs of other versions and machines apart. What was not used for longest is deleted when all take
more than `MOST_BYTES`.
"""

import contextlib
import os
from pathlib import Path

MOST_BYTES = 512 * 2**20
_LEAST_SECONDS = 0.2  # of compilation, for a program to be worth a file


def keep() -> None:
    """Keep programs from now on; nothing, where the folder cannot be written. To be called before any is compiled."""
    import jax  # here, so that commands' --help does not wait for it

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder = Path(os.environ.get("JAXVAE_CACHE") or Path.home() / ".cache" / "jaxvae") / "programs"
    with contextlib.suppress(OSError):  # a command is slower without it, no more
        folder.mkdir(parents=True, exist_ok=True)
        prune(folder, MOST_BYTES)
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)


def prune(folder: Path, most_bytes: int) -> None:
    """Delete the files of a folder that were not used for longest, until the others take no more than so many bytes."""
    left = most_bytes
    found = [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
    for path, stat in sorted(found, key=lambda file: max(file[1].st_atime, file[1].st_mtime), reverse=True):
        left -= stat.st_size
        if left < 0:
            path.unlink(missing_ok=True)
