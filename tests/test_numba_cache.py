"""Where nothing but the temporary folder can be written, numba keeps its code there."""

import os
import subprocess
import sys

# Root may write everywhere, so that the refusal is made here: of all folders but those below the temporary one.
CHILD = """
import os, sys, tempfile
allowed = os.path.realpath(tempfile.gettempdir())
def refusing(function):
    def call(*arguments, **options):
        folder = options.get("dir")
        if folder is not None and not os.path.realpath(folder).startswith(allowed):
            raise PermissionError(13, "Permission denied", str(folder))
        return function(*arguments, **options)
    return call
tempfile.TemporaryFile = refusing(tempfile.TemporaryFile)
if "jaxvae" in sys.argv:
    import jaxvae
if "librosa" in sys.argv:
    import librosa.util.utils
print(os.environ.get("NUMBA_CACHE_DIR"))
"""


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    variables = inherited | {"HOME": "/dev/null/nobody"} | environment
    return subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], env=variables, capture_output=True, text=True, check=False
    )


def test_a_temporary_place_is_taken_where_no_other_can_be_written():
    assert "no locator available" in start("librosa").stderr  # what it is for
    done = start("jaxvae", "librosa")
    assert done.returncode == 0, done.stderr
    folder = done.stdout.strip()
    assert "jaxvae-numba-" in folder
    assert not os.path.exists(folder)  # removed at the end


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    assert start("jaxvae", HOME=str(tmp_path), TMPDIR=str(tmp_path.parent)).stdout.strip() == "None"
    assert start("jaxvae", NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() == str(tmp_path)
