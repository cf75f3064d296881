"""What `make test` does about Debian packages: the script, with made-up programs in the place of Debian's."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(".ci/system_packages").resolve()
FAKES = {
    "dpkg-query": 'for last; do :; done; case "$last" in g++) echo installed;; *) exit 1;; esac',
    "apt-get": 'echo "apt-get $*" >> "$LOG"; exit ${APT_FAILS:-0}',
    "sudo": 'echo "sudo $1" >> "$LOG"; [ "$1" = -n ] && shift; [ -z "${NO_SUDO:-}" ] && exec "$@"',
    "id": 'echo "${ID_U:-0}"',
}


@pytest.fixture
def run(tmp_path):
    """Runs the script; returns its status, what it printed, and which programs it called."""
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755 | stat.S_IXUSR)

    def call(*packages, hide=(), **variables):
        for name in hide:
            (tmp_path / name).unlink()
        log = tmp_path / "log"
        log.write_text("")
        environment = {"PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin", "LOG": str(log), **variables}
        done = subprocess.run(
            ["bash", str(SCRIPT), *packages], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout + done.stderr, log.read_text().splitlines()

    return call


INSTALL = "apt-get install --yes --quiet=2 --no-install-recommends mda-lv2"


def test_what_is_there_is_left_alone(run):
    assert run("g++") == (0, "", [])


def test_root_installs_what_is_missing_and_no_more(run):
    status, printed, called = run("g++", "mda-lv2")
    assert (status, printed) == (0, "installing mda-lv2\n")
    assert called == ["apt-get update --quiet=2", INSTALL]


def test_others_install_by_sudo_without_waiting_for_a_password_that_nobody_types(run):
    status, _, called = run("g++", "mda-lv2", ID_U="1000")
    assert status == 0
    assert called == ["sudo -n", "apt-get update --quiet=2", "sudo -n", INSTALL]


@pytest.mark.parametrize("why", [{"APT_FAILS": "100"}, {"NO_SUDO": "1", "ID_U": "1000"}])
def test_where_nothing_can_be_installed_they_are_named_which_only_ci_takes_for_a_failure(run, why):
    status, printed, _ = run("g++", "mda-lv2", "lv2-dev", **why)
    assert status == 0
    wanted = (
        "WARNING: missing mda-lv2 lv2-dev, which tests need: apt-get install --no-install-recommends mda-lv2 lv2-dev"
    )
    assert printed.splitlines()[-1] == wanted
    assert run("g++", "mda-lv2", CI="1", **why)[0] == 1
