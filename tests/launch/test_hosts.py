"""Two hosts of four devices as one run: what they train, and what a lost host does to the other."""

import dataclasses
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jaxvae import fields, inference
from jaxvae.config import Execution
from jaxvae.sweep import grid
from jaxvae.training import run_folder
from launch.hosts import Hosts
from launch.train import train

# One host of a run whose steps last long enough to be hit; takes the experiment, the workdir and the host's options.
PROGRAM = """
import json, sys, time
from pathlib import Path
from jaxvae.training import run_folder
from jaxvae import command_line, config, inference
from jaxvae.training.run import Run
from launch import train
experiment, workdir, *hosts = sys.argv[1:]
advance = Run.advance
def slow(run, batches):
    time.sleep(0.3)
    return advance(run, batches)
Run.advance = slow
options = train.Options(Path(workdir), hosts=train.Hosts(hosts[0], 2, int(hosts[1])))
command_line.parse = lambda *_: (config.from_dict(json.loads(experiment)), options)
train.main()
"""


def _start(experiment, workdir):
    """Two processes that share a workdir."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=4")}
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(fields.to_dict(experiment)), str(workdir), coordinator]
    return [
        subprocess.Popen([*arguments, str(host)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        for host in range(2)
    ]


def _wait(hosts):
    outputs = [host.communicate(timeout=240)[0].decode() for host in hosts]
    return [host.returncode for host in hosts], outputs


def _steps(workdir):
    return sorted(int(path.name) for path in workdir.glob("group_0/checkpoints/[0-9]*") if path.name.isdigit())


def _wait_for_step(hosts, workdir, step):
    while not any(found >= step for found in _steps(workdir)):
        assert all(host.poll() is None for host in hosts), _wait(hosts)
        time.sleep(0.05)


def _weights(workdir):
    """Newest weights of all members and the best of one: written by two hosts, or by one, and read on one device."""
    newest = _steps(workdir)[-1]
    chosen = [(newest, index) for index in run_folder.read(workdir)] + [(None, 0)]
    return [inference.load(workdir, step, index).weights for step, index in chosen]


def test_two_hosts_equal_one_and_outlive_a_signal_and_a_lost_host(tiny, tmp_path):
    experiment = dataclasses.replace(
        tiny,
        train=dataclasses.replace(tiny.train, steps=25),
        sweep=grid({"model.latent_dim": (4, 8), "train.seed": range(4)}),
        execution=Execution(),
    )
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert train(experiment, alone) == 0  # eight devices of this process

    hosts = _start(experiment, together)
    _wait_for_step(hosts, together, 5)
    hosts[1].send_signal(signal.SIGTERM)  # reaches one host, stops both at the same step
    codes, outputs = _wait(hosts)
    assert codes == [128 + signal.SIGTERM] * 2, outputs
    stopped = _steps(together)[-1]
    assert stopped < 20

    hosts = _start(experiment, together)
    _wait_for_step(hosts, together, stopped + 5)
    hosts[1].kill()
    codes, outputs = _wait(hosts)
    assert codes == [1, -signal.SIGKILL], outputs
    assert "error: host 0 of 2 lost another one" in outputs[0]
    assert "start the same command on every host again" in outputs[0]
    assert _steps(together)[-1] < 25

    codes, outputs = _wait(_start(experiment, together))
    assert codes == [0, 0], outputs
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)  # two programs, other roundings
    jax.tree.map(close, _weights(together), _weights(alone))


def test_hosts_that_do_not_meet_are_named():
    with pytest.raises(ValueError, match=r"hosts.count is 2; name the first one by hosts.coordinator.*node0:8476"):
        Hosts(count=2)
    with pytest.raises(ValueError, match=r"hosts.index is 2; use 0 to 1"):
        Hosts("node0:8476", 2, 2)
