"""A place for the machine code that numba keeps for librosa and UMAP, which do not start without one."""

import atexit
import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

_VARIABLE = "NUMBA_CACHE_DIR"


def ensure() -> None:
    """Have numba use a temporary folder where it could write nowhere else. To be called before it is imported."""
    if os.environ.get(_VARIABLE) or any(_writable(folder) for folder in _usual()):
        return
    os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="jaxvae-numba-")
    atexit.register(shutil.rmtree, os.environ[_VARIABLE], ignore_errors=True)


def _usual() -> list[Path]:
    """Where numba tries to write: beside the package, and in the user's cache."""
    spec = None
    with contextlib.suppress(ImportError):  # who cannot import it needs no cache for it
        spec = importlib.util.find_spec("librosa")
    beside = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return [*beside, home / "Library" / "Caches"]
    return [*beside, Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
