"""The command line: config, overrides, options, and how it ends; and the render command."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from jaxvae import command_line
from jaxvae.effects import EffectError
from jaxvae.training.checkpoints import CheckpointError
from launch import render

CONFIG = """
from jaxvae import config as c
config = c.Experiment(name="base", model=c.Model(latent_dim=32), data=c.Data(audio={audio}, directory={directory},
    effects=("pedalboard/Clipping",), train_clips=16, validation_clips=8, test_clips=8),
    audio=c.Audio(8_000, 8_192))
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a made command."""

    workdir: Path
    """Where."""
    rounds: int = 3
    """How many."""


@pytest.fixture
def path(tmp_path, recordings):
    text = CONFIG.format(audio=repr((str(recordings),)), directory=repr(str(tmp_path / "datasets")))
    (tmp_path / "base.py").write_text(text)
    return str(tmp_path / "base.py")


def test_overrides_change_these_fields_and_no_others(path):
    plain, options = command_line.parse(Options, "Doc.", [path, "--workdir", "w"])
    assert (plain.name, plain.model.latent_dim, options) == ("base", 32, Options(Path("w"), 3))
    arguments = [path, "--model.latent-dim", "64", "--workdir", "w", "--rounds", "4", "--data.effects", "a", "b"]
    changed, options = command_line.parse(Options, "Doc.", arguments)
    assert options == Options(Path("w"), 4)
    assert changed == dataclasses.replace(
        plain,
        model=dataclasses.replace(plain.model, latent_dim=64),
        data=dataclasses.replace(plain.data, effects=("a", "b")),
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["--model.latent-dims", "64"], "--model.latent-dims"),
        (["--train.steps", "many"], "many"),
        (["--train.steps", "0"], "train.steps is 0"),
        (["--model.backbone", "transformer"], "transformer"),
        (["another.py"], "another.py"),
        ([], "--workdir"),
    ],
)
def test_what_is_unknown_ill_typed_or_out_of_range_is_refused(path, capsys, override, message):
    arguments = [path, *override] if not override else [path, "--workdir", "w", *override]
    with pytest.raises(SystemExit) as stop:
        command_line.parse(Options, "Doc.", arguments)
    assert stop.value.code not in (0, None)
    assert message in capsys.readouterr().err + str(stop.value.code)


def test_a_config_that_is_missing_or_last_is_refused(path):
    with pytest.raises(SystemExit, match="no config at nowhere"):
        command_line.parse(Options, "Doc.", ["nowhere.py", "--workdir", "w"])
    with pytest.raises(SystemExit, match="put the config first"):
        command_line.parse(Options, "Doc.", ["--workdir", "w", path])


@pytest.mark.parametrize("given", [True, False])
def test_help_works_with_and_without_a_config(path, capsys, given):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(Options, "What it is for.", [path, "--help"] if given else ["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "What it is for." in text
    assert "--model.latent-dim" in text
    assert ("base" in text) == given


@dataclasses.dataclass(frozen=True)
class Rounds:
    """Options of a made command that has defaults for all."""

    rounds: int = 3


@pytest.mark.parametrize("error", [ValueError("bad"), OSError("bad"), CheckpointError("bad"), EffectError("bad")])
def test_what_the_user_can_mend_is_one_line_and_all_else_a_traceback(monkeypatch, path, error):
    def fail(*_):
        raise error

    def break_down(*_):
        raise RuntimeError("broken")

    def interrupt(*_):
        raise KeyboardInterrupt

    for run, arguments in ((command_line.run, []), (command_line.run_experiment, [path])):
        monkeypatch.setattr("sys.argv", ["made", *arguments])
        with pytest.raises(SystemExit, match=r"^error: bad$"):
            run(fail, Rounds, "Doc.")
        with pytest.raises(RuntimeError, match="broken"):
            run(break_down, Rounds, "Doc.")
        with pytest.raises(SystemExit, match=r"^stopped$"):
            run(interrupt, Rounds, "Doc.", interrupted="stopped")


def test_a_command_ends_by_naming_what_it_wrote(monkeypatch, path, capsys):
    monkeypatch.setattr("sys.argv", ["made", "--rounds", "5"])
    command_line.run(lambda options: [Path(f"file_{index}") for index in range(options.rounds)], Rounds, "Doc.")
    assert capsys.readouterr().out.splitlines() == [f"wrote file_{index}" for index in range(5)]
    monkeypatch.setattr("sys.argv", ["made", path, "--model.latent-dim", "5"])
    command_line.run_experiment(lambda changed, _: [Path(f"file_{changed.model.latent_dim}")], Rounds, "Doc.")
    assert capsys.readouterr().out == "wrote file_5\n"


def test_usage_names_the_module_that_was_run(path):
    command = [sys.executable, "-m", "launch.render", path, "--help"]
    assert "python -m launch.render" in subprocess.run(command, capture_output=True, text=True).stdout


def test_a_command_that_needs_no_jax_does_not_wait_for_it():
    code = "import sys, launch.render; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_render_says_what_it_wrote(path, tmp_path):
    command = [sys.executable, "-m", "launch.render", path]
    part = subprocess.run([*command, "--part", "1/3"], capture_output=True, text=True, check=True)
    assert "16 clips from" in part.stdout
    assert "test       not complete" in part.stdout
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "test       8 clips from" in whole.stdout
    assert whole.stdout.splitlines()[-1] == f"wrote {next((tmp_path / 'datasets').iterdir())}"
    assert "clip/s" in whole.stderr  # progress


@pytest.mark.parametrize("part", ["2", "1/2/3", "a/b", "-1/2"])
def test_a_part_that_is_no_fraction_is_refused(part):
    with pytest.raises(ValueError, match="use two numbers"):
        render.Options(part=part)


def test_render_ends_with_one_line_for_a_mistake(path, tmp_path):
    command = [sys.executable, "-m", "launch.render", path, "--data.audio", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no folder at")
    assert "Traceback" not in done.stderr
