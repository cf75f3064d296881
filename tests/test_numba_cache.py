"""Where nothing but the temporary folder can be written, numba keeps its code there."""

import os
import subprocess
import sys

# As librosa does. Root may write everywhere, so that the refusal is made here.
CACHED = "import numba\n@numba.njit(cache=True)\ndef function(x):\n    return x\n"
CHILD = """
import os, sys, tempfile
def refusing(function):
    def call(*arguments, **options):
        if sys.argv[1] == "nowhere" and "jaxvae-numba-" not in str(options.get("dir", "jaxvae-numba-")):
            raise PermissionError(13, "Permission denied", str(options["dir"]))
        return function(*arguments, **options)
    return call
tempfile.TemporaryFile = refusing(tempfile.TemporaryFile)
for module in sys.argv[2:]:
    __import__(module)
print(os.environ.get("NUMBA_CACHE_DIR"))
"""


def start(path, writable: str, *modules: str, **environment: str) -> subprocess.CompletedProcess:
    (path / "cached.py").write_text(CACHED)
    inherited = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    variables = inherited | {"HOME": "/dev/null/nobody"} | environment
    variables["PYTHONPATH"] = os.pathsep.join([str(path), os.getcwd()])
    command = [sys.executable, "-c", CHILD, writable, *modules]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_a_temporary_place_is_taken_where_no_other_can_be_written(tmp_path):
    assert "no locator available" in start(tmp_path, "nowhere", "cached").stderr  # what it is for
    done = start(tmp_path, "nowhere", "jaxvae", "cached")
    assert done.returncode == 0, done.stderr
    folder = done.stdout.strip()
    assert "jaxvae-numba-" in folder
    assert not os.path.exists(folder)  # removed at the end


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    assert start(tmp_path, "anywhere", "jaxvae").stdout.strip() == "None"
    assert start(tmp_path, "nowhere", "jaxvae", NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() == str(tmp_path)
