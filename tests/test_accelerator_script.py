"""What `make accelerator` does on a borrowed machine, with a made-up Python in the place of the machine's."""

import subprocess
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(".ci/accelerator").resolve()
PYTHON = r"""#!/bin/bash
echo "$*" >> "$LOG"
case "$2" in
pip) exit ${PIP_FAILS:-0} ;;
analysis.benchmark.accelerator) echo table > "$4/accelerator.md"; exit ${BENCHMARK_FAILS:-0} ;;
launch.train) echo a step; [ -n "${TRAINING_FAILS:-}" ] && exit 1; sleep ${TRAINING:-0} ;;
launch.release) mkdir -p "$4"; echo weights > "$4/weights" ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    """Runs the script; returns its status, what it wrote to stderr, and the modules it ran with their arguments."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "wheels").mkdir()

    def call(*arguments, **variables):
        log = tmp_path / "log"
        log.write_text("")
        environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(tmp_path / "python"), "LOG": str(log), **variables}
        done = subprocess.run(["bash", str(SCRIPT), *arguments], capture_output=True, text=True, env=environment)
        return done.returncode, done.stderr, [line.split()[1:] for line in log.read_text().splitlines()]

    return call


def test_it_measures_trains_and_releases_into_one_folder(run, tmp_path):
    status, _, ran = run(str(tmp_path / "wheels"), str(tmp_path / "out"), "1", "configs/demo.py", "--train.steps", "9")
    assert status == 0
    assert [command[0] for command in ran] == ["analysis.benchmark.accelerator", "launch.train", "launch.release"]
    assert ran[1][1:4] == ["configs/demo.py", "--train.steps", "9"] and ran[1][5] == ran[2][1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"accelerator.md", "train.log", "release.tar.gz"}
    with tarfile.open(tmp_path / "out/release.tar.gz") as archive:
        assert "release/weights" in archive.getnames()


def test_wheels_are_installed_without_a_network(run, tmp_path):
    (tmp_path / "wheels/one.whl").touch()
    _, _, ran = run(str(tmp_path / "wheels"), str(tmp_path / "out"), "1", "configs/demo.py")
    assert ran[0][0] == "pip" and "--no-index" in ran[0] and ran[0][-1].endswith("one.whl")
    status, _, ran = run(str(tmp_path / "wheels"), str(tmp_path / "out"), "1", "configs/demo.py", PIP_FAILS="1")
    assert status == 1 and len(ran) == 1


def test_a_benchmark_that_fails_costs_no_training_and_is_told(run, tmp_path):
    status, _, ran = run(str(tmp_path / "wheels"), str(tmp_path / "out"), "1", "configs/demo.py", BENCHMARK_FAILS="3")
    assert status == 3 and [command[0] for command in ran][1:] == ["launch.train", "launch.release"]


def test_training_that_fails_is_told_with_its_last_lines(run, tmp_path):
    arguments = str(tmp_path / "wheels"), str(tmp_path / "out"), "1", "configs/demo.py"
    status, said, _ = run(*arguments, TRAINING_FAILS="1")
    assert status == 1 and "a step" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "WHEELS OUT MINUTES CONFIG"),
        (("wheels", "out", "ten", "configs/demo.py"), "MINUTES is 'ten'; use a whole number"),
        (("wheels", "out", "0", "configs/demo.py"), "MINUTES is '0'"),
        (("nowhere", "out", "1", "configs/demo.py"), "there is no folder nowhere"),
    ],
)
def test_mistakes_are_told(run, arguments, words):
    status, said, ran = run(*arguments)
    assert status == 2 and words in said and not ran
