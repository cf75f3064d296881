"""Training of one model: what a stop, a kill, a wrong folder or a bad number does to a run."""

import contextlib
import dataclasses
import functools
import json
import os
import random
import re
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

from jaxvae import config, devices, effects, fields, inference
from jaxvae.sweep import grid, listed
from jaxvae.training import run_folder
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.run import TrainingDiverged, start
from jaxvae.training.vae_task import VAETask
from launch.train import train

COLLECTIVES = re.compile(r"\b(all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)")

# A run in a process of its own, so that it can be killed; takes the experiment as JSON and the workdir.
PROGRAM = """
import json, sys, time
from pathlib import Path
from jaxvae import config
from jaxvae.training.run import Run
from launch import train
advance = Run.advance
def slow(run, batch):  # a step that lasts long enough to be hit
    time.sleep(0.05)
    return advance(run, batch)
Run.advance = slow
sys.exit(train.train(config.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2])))
"""


def _start(experiment, workdir):
    arguments = [json.dumps(fields.to_dict(experiment)), str(workdir)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _arrays(workdir, step):
    """All arrays of a checkpoint, the state's and the best weights', read by Orbax alone."""
    items = {name: ocp.args.StandardRestore() for name in ("state", "best")}
    with ocp.CheckpointManager(Path(workdir).resolve() / "checkpoints") as manager:
        restored = manager.restore(step, args=ocp.args.Composite(**items))
    arrays = {name: restored[name] for name in items}
    arrays["state"]["key"] = jax.random.key_data(arrays["state"]["key"])
    return jax.device_get(arrays)


def _assert_bitwise_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_sweep_killed_at_random_moments_ends_with_bitwise_the_same_arrays(tiny, tmp_path):
    experiment = dataclasses.replace(tiny, sweep=grid({"model.latent_dim": (4, 8), "train.seed": (0, 1)}))
    assert train(experiment, tmp_path / "uninterrupted") == 0
    uninterrupted, killed = tmp_path / "uninterrupted" / "group_0", tmp_path / "killed" / "group_0"
    moments = random.Random(1)
    resumed_from = []
    for _ in range(3):
        process = _start(experiment, killed.parent)
        before = _newest(killed)
        deadline = time.monotonic() + 120
        while _newest(killed) == before and process.poll() is None:  # let each attempt get somewhere
            assert time.monotonic() < deadline, "no checkpoint within 120 s"
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        resumed_from.append(_newest(killed))
    assert resumed_from[0] < tiny.train.steps, "the first kill came after the end: nothing was tested"
    assert train(experiment, killed.parent) == 0
    _assert_bitwise_equal(_arrays(killed, tiny.train.steps), _arrays(uninterrupted, tiny.train.steps))


def _newest(workdir):
    return max((int(path.name) for path in Path(workdir).glob("checkpoints/[0-9]*") if path.name.isdigit()), default=0)


def test_damaged_checkpoint_is_refused_with_what_to_delete(tiny, trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints" / str(tiny.train.steps)).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"cannot be read .*delete that folder"):
        train(tiny, tmp_path)


def test_a_disk_without_room_for_a_checkpoint_is_one_sentence_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2_000_000))
    with contextlib.closing(Checkpoints(tmp_path, keep=2)) as checkpoints:
        checkpoints.save(1, {"state": np.zeros(400_000, np.float32)}, {})
        checkpoints.wait()
        with pytest.raises(OSError, match=r"it takes 2\.4 MB and 2\.0 MB are free; make room there, and the same comm"):
            checkpoints.save(2, {"state": np.zeros(600_000, np.float32)}, {})
        assert checkpoints.latest_step() == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_the_same_command_continues_bitwise(tiny, trained, tmp_path, number):
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
    _assert_bitwise_equal(_arrays(tmp_path, steps), _arrays(trained, steps))


def test_training_lowers_the_validation_figure_and_logs_it(trained, tiny):
    events = EventAccumulator(str(trained), size_guidance={"images": 0, "audio": 0}).Reload()
    elbo = [event.value for event in events.Scalars("val/negative_elbo")]
    assert len(elbo) == 6 and elbo[-1] < elbo[0]
    for tag in ("train/loss", "train/beta", "train/kl", "speed/clips_per_s", "latent/active_share"):
        assert tag in events.Tags()["scalars"]
    assert "latent/kl_per_dimension" in events.Tags()["histograms"]
    assert {"audio/1_dry", "audio/2_wet", "audio/3_decoded"} <= set(events.Tags()["audio"])
    assert any(tag.startswith("reconstruction/") for tag in events.Tags()["images"])


def _scalars(logs):
    events = EventAccumulator(str(logs)).Reload()
    return {tag: np.array([event.value for event in events.Scalars(tag)]) for tag in events.Tags()["scalars"]}


def test_best_checkpoint_is_the_one_of_the_best_criterion(trained, tiny):
    scalars = _scalars(trained)
    read = [scalars[f"val/{mode}/{head}_nll"] for mode in config.MODES for head in ("effect", "settings")]
    np.testing.assert_allclose(scalars["val/criterion"], sum(read), rtol=1e-5)
    best = tiny.train.validate_every * (1 + int(np.argmin(scalars["val/criterion"])))
    assert int(inference.load(trained).weights.step) == best
    assert next(iter(run_folder.read(trained).values())).best == pytest.approx(scalars["val/criterion"].min())


def test_member_is_judged_by_what_it_trains_whatever_others_of_its_program_do(tiny, tmp_path):
    """Everything; no settings; blind only; nothing to read, which is what a run without heads is."""
    changes = [
        {"train.seed": 1},
        {"objective.settings_weight": 0.0},
        {"objective.dry_share": 0.0, "objective.source_share": 0.0},
        {"objective.effect_weight": 0.0, "objective.settings_weight": 0.0},
    ]
    judged = [
        tuple(f"{mode}/{head}_nll" for mode in config.MODES for head in ("effect", "settings")),
        tuple(f"{mode}/effect_nll" for mode in config.MODES),
        ("blind/effect_nll", "blind/settings_nll"),
        ("negative_elbo",),
    ]
    settings = dataclasses.replace(tiny.train, steps=5)
    assert train(dataclasses.replace(tiny, train=settings, sweep=listed(changes)), tmp_path) == 0
    for index, names in enumerate(judged):
        scalars = _scalars(run_folder.logs(tmp_path)[index])
        expected = sum(scalars[f"val/{name}"][-1] for name in names)
        assert scalars["val/criterion"][-1] == pytest.approx(expected, rel=1e-5)
        assert inference.load(tmp_path, member=index).has_heads == (index < 3)


def test_members_of_a_sweep_are_compared_by_what_all_of_them_train(tiny):
    def names(*changes):
        return VAETask.criterion([fields.changed(tiny, list(one.items())) for one in changes])

    blind, aware = {"objective.dry_share": 0.0, "objective.source_share": 0.0}, {"objective.dry_share": 1.0}
    no_settings = {"objective.settings_weight": 0.0}
    no_heads = {**no_settings, "objective.effect_weight": 0.0}
    assert names({}, blind) == ("val/blind/effect_nll", "val/blind/settings_nll")
    assert names({}, blind, no_settings) == ("val/blind/effect_nll",)
    assert names({}, aware, no_settings) == ("val/dry_aware/effect_nll",)
    assert names(blind, aware) == names({}, no_heads) == ("val/negative_elbo",)
    assert names({}, no_heads, {"spectrogram.hop_length": 128}) == ()  # an ELBO of other pixels
    assert names(blind, {"spectrogram.hop_length": 128}) == names(blind)


def member(experiment, best, step=5, **figures):
    return run_folder.Member(experiment, Path("run"), 0, VAETask, best, step, figures, False, step, Path("run"))


def test_the_best_member_is_the_best_by_one_sum_for_all(tiny):
    """Blind only trains for less, so that its own sum is lower, though it reads blind clips worse."""
    blind = fields.changed(tiny, [("objective.dry_share", 0.0), ("objective.source_share", 0.0)])
    both = {"val/blind/effect_nll": 0.5, "val/blind/settings_nll": 0.7, "val/dry_aware/effect_nll": 0.3}
    found = {
        3: member(tiny, 1.9, **both, **{"val/dry_aware/settings_nll": 0.4}),
        4: member(blind, 1.6, **{"val/blind/effect_nll": 0.8, "val/blind/settings_nll": 0.8}),
        5: member(tiny, None),
    }
    names, sums = run_folder.criteria(found)
    assert names == ("val/blind/effect_nll", "val/blind/settings_nll")
    assert sums == pytest.approx({3: 1.2, 4: 1.6}) and run_folder.best(found) == 3
    assert run_folder.best({4: found[4], 5: found[5]}) == 4 and run_folder.best({5: found[5]}) == 5
    old = {index: one._replace(figures={}) for index, one in found.items()}
    with pytest.raises(CheckpointError, match=r"no figure to compare them by \(val/blind/effect_nll \+ .* member 3"):
        run_folder.best(old)
    alike = {index: member(tiny, value) for index, value in enumerate((2.0, 1.0, None))}
    assert run_folder.best(alike) == 1  # of older versions too, where all train for the same
    shorter = fields.changed(tiny, [("spectrogram.hop_length", 128), ("objective.dry_share", 1.0)])
    with pytest.raises(CheckpointError, match=r"says the same of all 2 members.*name one by its index"):
        run_folder.best({0: member(blind, 1.0), 1: member(shorter, 1.0)})


def test_record_of_a_checkpoint_holds_what_the_heads_read(trained, tiny):
    with contextlib.closing(Checkpoints(trained / "checkpoints", keep=2)) as checkpoints:
        record = checkpoints.record(tiny.train.steps)
    assert record["parameters"] == [len(effects.get(name).parameters) for name in tiny.data.effects]
    assert inference.load(trained).parameters == tuple(record["parameters"])


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
        params = _arrays(tmp_path, int(path.name))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_folder_of_another_config_is_refused_with_the_difference(tiny, trained):
    other = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, latent_dim=16))
    with pytest.raises(CheckpointError, match=r"another --workdir(.|\n)*model.latent_dim: 8 -> 16"):
        train(other, trained)


def test_folder_of_a_run_on_other_recordings_is_refused_by_name(tiny, trained, recordings, tmp_path):
    others = shutil.copytree(recordings, tmp_path / "others")
    (others / "sweep_7.wav").unlink()
    other = dataclasses.replace(tiny, data=dataclasses.replace(tiny.data, audio=(str(others),)))
    with pytest.raises(
        CheckpointError, match=rf"{trained}: the run was trained on data set \w+, but .*another --workd"
    ):
        train(other, trained)


def test_sweep_of_another_config_is_refused_with_the_members_difference(tiny, swept):
    sweep = grid({"model.latent_dim": (4, 8), "train.seed": (0, 2)})
    experiment = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, steps=10), sweep=sweep)
    with pytest.raises(CheckpointError, match=r"member 1: train.seed: 1 -> 2\n  member 3: train.seed: 1 -> 2"):
        train(experiment, swept)


def test_members_are_loaded_one_by_one_and_are_what_they_are_alone(tiny, swept, tmp_path):
    settings = dataclasses.replace(tiny.train, steps=10, seed=1)
    alone = dataclasses.replace(tiny, train=settings, model=dataclasses.replace(tiny.model, latent_dim=4))
    assert train(alone, tmp_path) == 0
    expected, member = inference.load(tmp_path).weights, inference.load(swept, member=1).weights
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), member, expected)
    members = run_folder.read(swept)
    assert [inference.load(swept, member=index).latent_dim for index in members] == [4, 4, 8, 8]
    best = min(members, key=lambda index: members[index].best)
    _assert_bitwise_equal(inference.load(swept).weights, inference.load(swept, member=best).weights)
    with pytest.raises(CheckpointError, match="has no member 4; it has 0, 1, 2, 3"):
        inference.load(swept, member=4)


@pytest.mark.parametrize("execution", [config.Execution(devices=4), config.Execution(devices=8)], ids=["4", "8"])
def test_sweep_continues_on_another_number_of_devices(tiny, swept, tmp_path, execution):
    """Of ten steps five on one device, the rest on four (a member each) or eight (two to a member)."""
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "group_0" / "checkpoints" / "10")
    sweep = grid({"model.latent_dim": (4, 8), "train.seed": (0, 1)})
    settings = dataclasses.replace(tiny.train, steps=10)
    assert train(dataclasses.replace(tiny, train=settings, sweep=sweep, execution=execution), tmp_path) == 0
    for name in ("state", "best"):
        found, expected = (_arrays(folder / "group_0", 10)[name]["params"] for folder in (tmp_path, swept))
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), found, expected)


def test_program_of_a_run_on_several_devices_has_no_collective(tiny, tmp_path):
    sweep = grid({"train.seed": range(4)})
    experiment = dataclasses.replace(tiny, sweep=sweep, execution=config.Execution(devices=4))
    run = start(run_folder.groups(experiment, tmp_path)[0], VAETask)
    batches = devices.place(next(run.batches()), run.mesh, jax.P(None, "data"))
    running = devices.place(run.running, run.mesh, devices.MEMBERS)
    program = run._advance.lower(run.state, run.hyperparams, running, run.task.train.pool, batches).compile()
    run.close()
    assert not COLLECTIVES.findall(program.as_text())


def test_members_that_diverge_are_reported_and_the_rest_finish(tiny, tmp_path, capsys):
    settings = dataclasses.replace(tiny.train, steps=10, warmup_steps=0)
    sweep = grid({"train.learning_rate": (1e-3, 1e3)})
    assert train(dataclasses.replace(tiny, train=settings, sweep=sweep), tmp_path) == 0
    printed = capsys.readouterr().out
    assert "member 1 (train.learning_rate 1000.0) diverged before step 10" in printed
    assert "member 0 (train.learning_rate 0.001) finished at step 10" in printed
    members = run_folder.read(tmp_path)
    assert [member.diverged for member in members.values()] == [False, True]
    assert members[0].step == 10 and members[1].step < 10


def test_groups_of_a_sweep_share_a_data_set_and_a_diverged_group_does_not_stop_the_others(tiny, tmp_path, capsys):
    tiny = fields.changed(tiny, [("objective.beta.schedule", "constant")])
    changes = [{"train.learning_rate": 1e3, "train.batch_size": 4}, {"train.seed": 1}]
    settings = dataclasses.replace(tiny.train, steps=5, warmup_steps=0)
    assert train(dataclasses.replace(tiny, train=settings, sweep=listed(changes)), tmp_path) == 0
    assert "tiny 1/2: the loss" in capsys.readouterr().out
    assert list(run_folder.read(tmp_path)) == [1]


def test_workdir_that_cannot_be_written_is_refused(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write to the workdir .*choose another --workdir"):
        train(tiny, tmp_path / "file" / "run")


def test_checkpoint_of_another_format_is_refused(trained, monkeypatch):
    monkeypatch.setattr("jaxvae.training.checkpoints.FORMAT", 4)
    with pytest.raises(CheckpointError, match="has format 3; this version of jaxvae reads format 4"):
        inference.load(trained)


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
