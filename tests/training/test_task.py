"""The loop trains a task of which it knows nothing: it learns, survives a kill, sweeps, and is loaded as what it is."""

import contextlib
import dataclasses
import functools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import linen as nn

from jaxvae import fields, inference
from jaxvae.sweep import grid, listed
from jaxvae.training import loop, run_folder, task
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.hyperparams import hyperparams
from jaxvae.training.run import TrainingDiverged, start
from jaxvae.training.vae_task import VAETask
from tests.training.regressor import Line, Regressor


def weights(workdir, step=None):
    """All arrays of the newest checkpoint, or of a given one, by the shapes of a fresh state."""
    experiment = next(iter(run_folder.read(workdir).values())).experiment
    members = len(run_folder.read(workdir))
    one = jax.eval_shape(Regressor(experiment).create, hyperparams(experiment))
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype), one)
    folder = workdir if (workdir / "checkpoints").exists() else workdir / "group_0"
    with contextlib.closing(Checkpoints(folder / "checkpoints", keep=2)) as checkpoints:
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        latest = checkpoints.latest_step() if step is None else step
        restored = checkpoints.restore(latest, {"state": like, "best": like.weights}, device)
    return restored["state"].replace(key=jax.random.key_data(restored["state"].key)), restored["best"]


def test_a_line_is_learned_far_better_than_its_mean(tmp_path, capsys):
    assert loop.train(Line(), tmp_path, Regressor) == 0
    (member,) = run_folder.read(tmp_path).values()
    assert member.experiment == Line() and member.step == 60
    assert member.best < 0.1 * 1.5  # the mean of the line is 1.5 away on average
    assert "line finished at step 60; validation was best at step" in capsys.readouterr().out


def test_killed_run_ends_with_bitwise_the_same_arrays(tmp_path):
    assert loop.train(Line(), tmp_path / "whole", Regressor) == 0
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.training.regressor", json.dumps(fields.to_dict(Line())), str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoints/[0-9]*[0-9]")):
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < deadline, "no checkpoint within 120 s"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (member,) = run_folder.read(killed).values()
    assert member.step < 60, "the kill came after the end: nothing was tested"
    assert loop.train(Line(), killed, Regressor) == 0
    jax.tree.map(np.testing.assert_array_equal, weights(killed), weights(tmp_path / "whole"))


def test_members_of_a_sweep_are_what_they_are_alone_and_one_that_diverges_stays_alone(tmp_path, capsys):
    sweep = grid({"slope": (-2.0, 3.0), "train.learning_rate": (0.3, 1e30)})
    assert loop.train(dataclasses.replace(Line(), sweep=sweep), tmp_path / "sweep", Regressor) == 0
    members = run_folder.read(tmp_path / "sweep")
    assert [member.diverged for member in members.values()] == [False, True, False, True]
    assert loop.train(dataclasses.replace(Line(), slope=-2.0), tmp_path / "alone", Regressor) == 0
    (together, _), (alone, _) = weights(tmp_path / "sweep"), weights(tmp_path / "alone")
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda many, one: close(many[0], one[0]), together.params, alone.params)
    with pytest.raises(TrainingDiverged, match="not finite"):
        wild = dataclasses.replace(Line(), train=dataclasses.replace(Line().train, learning_rate=1e30))
        loop.train(wild, tmp_path / "wild", Regressor)


def test_what_is_loaded_is_what_the_record_says(tmp_path, monkeypatch):
    loop.train(Line(), tmp_path, Regressor)
    with pytest.raises(CheckpointError, match="holds a run of task 'regressor', which cannot be loaded"):
        inference.load(tmp_path)

    def line(stored):
        return functools.partial(nn.Dense(1).apply, stored.restore(_shapes(stored)).variables)

    monkeypatch.setitem(inference.LOADERS, "regressor", line)
    predict = inference.load(tmp_path)
    np.testing.assert_allclose(predict(np.array([[0.0], [1.0]], np.float32)), [[1.0], [4.0]], atol=0.3)


def test_folder_of_another_task_is_refused(tmp_path, trained, tiny):
    loop.train(Line(), tmp_path, Regressor)
    with pytest.raises(CheckpointError, match="holds a run of task 'regressor', not 'vae'; use another --workdir"):
        loop.train(tiny, tmp_path, VAETask)
    with pytest.raises(CheckpointError, match="holds a run of task 'vae', not 'regressor'"):
        loop.train(Line(), trained, Regressor)


def test_single_run_and_sweep_do_not_share_a_folder(tmp_path):
    """Nor do two sweeps of which one has more groups."""
    for folder in ("single", "sweep/group_0", "sweep/group_1"):
        (tmp_path / folder / "checkpoints" / "60").mkdir(parents=True)
    (tmp_path / "stopped" / "checkpoints").mkdir(parents=True)  # before a checkpoint: in nobody's way
    sweep = dataclasses.replace(Line(), sweep=grid({"slope": (1.0, 2.0)}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=r"single holds a single run; use another --workdir for a sweep of 1 gr"):
        loop.train(sweep, tmp_path / "single", Regressor)
    with pytest.raises(CheckpointError, match=r"holds a sweep with group_0, group_1; use another .* for a single run"):
        loop.train(Line(), tmp_path / "sweep", Regressor)
    with pytest.raises(CheckpointError, match=r"holds a sweep with group_1; use another --workdir for a sweep of 1 gr"):
        loop.train(sweep, tmp_path / "sweep", Regressor)
    assert sorted(tmp_path.rglob("*")) == before
    run_folder.require_own(run_folder.groups(sweep, tmp_path / "stopped"), tmp_path / "stopped")


def test_folder_of_another_sweep_is_refused_before_the_first_group_is_trained(tmp_path):
    short = dataclasses.replace(Line(), train=dataclasses.replace(Line().train, steps=10))
    assert loop.train(dataclasses.replace(short, sweep=grid({"train.batch_size": (8, 16)})), tmp_path, Regressor) == 0
    shutil.rmtree(tmp_path / "group_0")
    other = dataclasses.replace(short, sweep=listed([{"train.batch_size": 8}, {"train.batch_size": 16, "slope": 2.0}]))
    with pytest.raises(CheckpointError, match=r"group_1 holds a run of another config; .*\n  slope: 3.0 -> 2.0"):
        loop.train(other, tmp_path, Regressor)
    assert not (tmp_path / "group_0").exists()


def test_run_that_was_never_validated_has_no_best_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(inference.LOADERS, "regressor", lambda stored: stored.restore(_shapes(stored)))
    run = start(run_folder.groups(Line(), tmp_path)[0], Regressor)
    run.advance(next(run.batches()))
    run.save()
    run.close()
    step = run.step
    with pytest.raises(CheckpointError, match=rf"stopped at step {step}, before its first validation.* continues it"):
        inference.load(tmp_path)
    assert int(inference.load(tmp_path, step=step).step) == step


def _shapes(stored):
    return jax.eval_shape(Regressor(stored.experiment).create, hyperparams(stored.experiment)).weights


def test_loading_one_member_of_many_reads_that_member(tmp_path):
    """A member of 4 MB among eight: less is read than two of them, as the kernel counts it."""
    members, like = 8, {"kernel": jax.ShapeDtypeStruct((1_024, 1_024), np.float32)}
    kernel = np.random.default_rng(0).normal(size=(members, 1_024, 1_024)).astype(np.float32)
    with contextlib.closing(Checkpoints(tmp_path, keep=2)) as checkpoints:
        checkpoints.save(1, {"best": {"kernel": jnp.asarray(kernel)}}, {})
        checkpoints.wait()
        before = _bytes_read()
        member = checkpoints.restore_member(1, "best", like, 5)
        assert _bytes_read() - before < 2 * kernel[0].nbytes
        np.testing.assert_array_equal(member["kernel"], kernel[5])
        with pytest.raises(CheckpointError, match="kernel of a member has shape"):
            checkpoints.restore_member(1, "best", {"kernel": jax.ShapeDtypeStruct((4, 4), np.float32)}, 5)


def _bytes_read():
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])


def test_member_of_a_checkpoint_that_was_stored_whole_is_loaded_too(tmp_path):
    """As versions before this one stored all members of an array together."""
    arrays = {"kernel": jnp.arange(12.0).reshape(4, 3), "step": jnp.arange(4)}
    folder = tmp_path / "100 % Größe"
    with ocp.CheckpointManager(folder) as manager:
        manager.save(1, args=ocp.args.Composite(best=ocp.args.StandardSave(arrays)))
    with contextlib.closing(Checkpoints(folder, keep=2)) as checkpoints:
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), arrays)
        member = checkpoints.restore_member(1, "best", like, 2)
    np.testing.assert_array_equal(member["kernel"], [6.0, 7.0, 8.0])
    assert member["step"] == 2


def test_task_that_is_not_known_is_named_with_those_that_are():
    with pytest.raises(CheckpointError, match=r"of a task named 'matcher'; known are vae, match, regressor"):
        task.kind_of({"task": "matcher"})
    assert task.kind_of({}) is VAETask  # of records from before tasks had names
