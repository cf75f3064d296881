"""Compiled programs are kept between processes, within a size, and where that cannot be, commands go on."""

import os
import subprocess
import sys

import pytest

from jaxvae import program_cache

PROGRAM = """
from jaxvae import program_cache
program_cache._LEAST_SECONDS = 0.0
program_cache.keep()
import jax, jax.numpy as jnp
print(jax.config.jax_compilation_cache_dir)
print(float(jax.jit(lambda x: jnp.fft.fft(x).real.sum())(jnp.arange(64.0))))
"""


def run(cache, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"JAX_PLATFORMS": "cpu", "JAXVAE_CACHE": str(cache), **variables}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True)
    folder, value = done.stdout.split()
    return folder, float(value)


def test_programs_are_found_again_by_the_next_process(tmp_path):
    folder, value = run(tmp_path)
    assert folder == str(tmp_path / "programs") and value == pytest.approx(0.0, abs=1e-3)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "programs").glob("*-cache")}
    assert kept
    assert run(tmp_path)[1] == value
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "programs").glob("*-cache")}
    assert again == kept, "nothing was compiled anew"


def test_a_folder_of_ones_own_is_left_as_it_is(tmp_path):
    assert run(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"))[0] == str(tmp_path / "own")
    assert not (tmp_path / "programs").exists()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file")[0] == "None"


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    for index in range(5):
        path = tmp_path / str(index)
        path.write_bytes(bytes(100))
        os.utime(path, (index, index))
    program_cache.prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]
