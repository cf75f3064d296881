"""Training of one model: what a stop, a kill, a wrong folder or a bad number does to a run."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxvae import config, inference
from jaxvae.checkpoints import CheckpointError
from jaxvae.run import TrainingDiverged
from launch.train import train

# A run in a process of its own, so that it can be killed; takes the experiment as JSON and the workdir.
PROGRAM = """
import json, sys, time
from pathlib import Path
from jaxvae import config
from jaxvae.run import Run
from launch import train
advance = Run.advance
def slow(run, batch):  # a step that lasts long enough to be hit
    time.sleep(0.05)
    return advance(run, batch)
Run.advance = slow
sys.exit(train.train(config.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2])))
"""


def _start(experiment, workdir):
    arguments = [json.dumps(config.to_dict(experiment)), str(workdir)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _parameters(workdir, step):
    """All arrays of a checkpoint, the state's and the best weights', read by Orbax alone."""
    items = {name: ocp.args.StandardRestore() for name in ("state", "best")}
    with ocp.CheckpointManager(Path(workdir).resolve() / "checkpoints") as manager:
        restored = manager.restore(step, args=ocp.args.Composite(**items))
    arrays = {name: restored[name] for name in items}
    arrays["state"]["key"] = jax.random.key_data(arrays["state"]["key"])
    return jax.device_get(arrays)


def _assert_bitwise_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    process = _start(tiny, workdir)
    output = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, output
    return workdir


def test_run_killed_at_random_moments_ends_with_bitwise_the_same_parameters(tiny, uninterrupted, tmp_path):
    moments = random.Random(1)
    resumed_from = []
    for _ in range(5):
        process = _start(tiny, tmp_path)
        before = _newest(tmp_path)
        deadline = time.monotonic() + 120
        while _newest(tmp_path) == before and process.poll() is None:  # let each attempt get somewhere
            assert time.monotonic() < deadline, "no checkpoint within 120 s"
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        resumed_from.append(_newest(tmp_path))
    assert resumed_from[0] < tiny.train.steps, "the first kill came after the end: nothing was tested"
    process = _start(tiny, tmp_path)
    output = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, output
    steps = tiny.train.steps
    _assert_bitwise_equal(_parameters(tmp_path, steps), _parameters(uninterrupted, steps))


def _newest(workdir):
    return max((int(path.name) for path in Path(workdir).glob("checkpoints/[0-9]*") if path.name.isdigit()), default=0)


def test_damaged_checkpoint_is_refused_with_what_to_delete(tiny, trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints" / str(tiny.train.steps)).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"cannot be read .*delete that folder"):
        train(tiny, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_the_same_command_continues_bitwise(tiny, uninterrupted, tmp_path, number):
    process = _start(tiny, tmp_path)
    while _newest(tmp_path) == 0:
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.01)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == number, output
    assert "the same command continues" in output
    train(tiny, tmp_path)
    steps = tiny.train.steps
    _assert_bitwise_equal(_parameters(tmp_path, steps), _parameters(uninterrupted, steps))


def test_training_lowers_the_validation_figure_and_logs_it(uninterrupted, tiny):
    events = EventAccumulator(str(uninterrupted), size_guidance={"images": 0, "audio": 0}).Reload()
    elbo = [event.value for event in events.Scalars("val/negative_elbo")]
    assert len(elbo) == 6 and elbo[-1] < elbo[0]
    for tag in ("train/loss", "train/beta", "train/kl", "speed/clips_per_s", "latent/active_share"):
        assert tag in events.Tags()["scalars"]
    assert "latent/kl_per_dimension" in events.Tags()["histograms"]
    assert {"audio/1_dry", "audio/2_wet", "audio/3_decoded"} <= set(events.Tags()["audio"])
    assert any(tag.startswith("reconstruction/") for tag in events.Tags()["images"])


def test_best_checkpoint_is_the_one_of_the_best_validation(uninterrupted):
    events = EventAccumulator(str(uninterrupted)).Reload().Scalars("val/negative_elbo")
    best = min(events, key=lambda event: event.value)
    assert int(inference.load(uninterrupted).weights.step) == best.step


def test_patience_stops_a_run_that_no_longer_improves_and_it_stays_stopped(tiny, tmp_path, capsys):
    # With no learning rate worth the name nothing improves after the first validation.
    settings = dataclasses.replace(tiny.train, learning_rate=1e-30, patience=2, steps=1_000)
    experiment = dataclasses.replace(tiny, train=settings)
    assert train(experiment, tmp_path) == 0
    stopped = _newest(tmp_path)
    assert stopped <= 30
    assert train(experiment, tmp_path) == 0
    assert _newest(tmp_path) == stopped


def test_loss_that_is_not_finite_stops_and_names_the_last_good_checkpoint(tiny, tmp_path, monkeypatch):
    settings = dataclasses.replace(tiny.train, learning_rate=1e30, warmup_steps=1_000_000, steps=40)
    settings = dataclasses.replace(settings, learning_rate=1e25, gradient_norm=1e30)
    with pytest.raises(TrainingDiverged, match=r"not finite at step \d+; .*train.learning_rate"):
        train(dataclasses.replace(tiny, train=settings), tmp_path)
    for path in (tmp_path / "checkpoints").glob("[0-9]*"):
        params = _parameters(tmp_path, int(path.name))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_folder_of_another_config_is_refused_with_the_difference(tiny, uninterrupted):
    other = dataclasses.replace(tiny, model=config.Model(latent_dim=16))
    with pytest.raises(CheckpointError, match=r"another --workdir(.|\n)*model.latent_dim: 8 -> 16"):
        train(other, uninterrupted)


def test_workdir_that_cannot_be_written_is_refused(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write to the workdir .*choose another --workdir"):
        train(tiny, tmp_path / "file" / "run")


def test_checkpoint_of_another_format_is_refused(uninterrupted, monkeypatch):
    monkeypatch.setattr("jaxvae.checkpoints.FORMAT", 3)
    with pytest.raises(CheckpointError, match="has format 2; this version of jaxvae reads format 3"):
        inference.load(uninterrupted)


def test_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint; make one"):
        inference.load(tmp_path)


def _main(*arguments):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-m", "launch.train", *arguments], capture_output=True, text=True, env=environment, timeout=120
    )


def test_override_that_does_not_exist_is_refused_by_name(tmp_path):
    result = _main("configs/vae_base.py", "--workdir", str(tmp_path), "--model.latent-dimm", "3")
    assert result.returncode != 0
    assert "latent-dimm" in result.stderr + result.stdout
    assert not list(tmp_path.iterdir())


def test_help_lists_the_overrides(tmp_path):
    result = _main("configs/vae_base.py", "--help")
    assert result.returncode == 0
    assert "--model.latent-dim" in result.stdout and "--workdir" in result.stdout
