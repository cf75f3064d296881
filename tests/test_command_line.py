"""The command line: config, overrides, options, and how it ends; and the render command."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jaxvae import command_line
from jaxvae.effects import EffectError
from jaxvae.sweep import Sweep, grid
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


@dataclasses.dataclass(frozen=True)
class Rounds:
    """Options of a made command that has defaults for all."""

    rounds: int = 3


@dataclasses.dataclass(frozen=True)
class Named:
    """Options of a made command that takes several values."""

    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Swept(command_line.SweepOptions):
    """Options of a made command that trains a sweep."""


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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["--data.audio", ""], "an argument after --data.audio is empty"),
        (["--data.audio="], "is empty, as an unset variable is in quotes"),
        (["--data.audio"], "--data.audio is given without a value, as by an unset variable"),
        (["--data.audio", "a", "--data.audio", "b"], "--data.audio is given 2 times; give it once, with all its val"),
        (["--model.latent-dim", "4", "--model.latent_dim=8"], "--model.latent-dim is given 2 times"),
    ],
)
def test_what_would_be_read_as_if_it_were_not_there_is_refused(monkeypatch, path, override, message):
    with pytest.raises(SystemExit, match=message):
        command_line.parse(Options, "Doc.", [path, "--workdir", "w", *override])
    if "audio" in override[0]:
        monkeypatch.setattr("sys.argv", ["made", *(word.replace("data.audio", "names") for word in override)])
        with pytest.raises(SystemExit, match=message.replace("data.audio", "names")):
            command_line.run(lambda options: None, Named, "Doc.")


def test_a_sweep_may_be_given_in_words_and_takes_the_place_of_another_only_when_told(path, tmp_path):
    def parse(config, *arguments):
        return command_line.parse(Swept, "Doc.", [str(config), *arguments])[0]

    given = parse(path, "--sweep", "model.latent_dim=4,8", "train.seed=0..1", "--train.steps", "9")
    assert given.sweep == grid({"model.latent_dim": (4, 8), "train.seed": (0, 1)})
    assert given.train.steps == 9
    own = tmp_path / "own.py"
    text = Path(path).read_text() + "import dataclasses\nfrom jaxvae.sweep import grid\n"
    own.write_text(text + "config = dataclasses.replace(config, sweep=grid({'model.latent_dim': (2, 3)}))\n")
    with pytest.raises(
        SystemExit, match=r"base has a sweep of 2 members already, over model.latent_dim; add --replace"
    ):
        parse(own, "--sweep", "train.seed=0..1")
    assert parse(own, "--sweep", "train.seed=0..1", "--replace-sweep").sweep == grid({"train.seed": (0, 1)})
    assert parse(own, "--replace-sweep", "--model.latent-dim", "5").sweep == Sweep()
    for kind in (Swept, Rounds):
        with pytest.raises(SystemExit, match=r"the sweep of base sets model.latent_dim, so --model.latent-dim would"):
            command_line.parse(kind, "Doc.", [str(own), "--model.latent-dim", "32"])  # the value that it has
    with pytest.raises(SystemExit, match="base has no sweep that --replace-sweep could replace"):
        parse(path, "--replace-sweep")
    with pytest.raises(SystemExit, match=r"did you mean train.seed"):
        parse(path, "--sweep", "train.sed=1")


def test_a_device_that_is_not_there_is_one_line():
    code = "import jax; from jaxvae import command_line; from tests.test_command_line import Rounds\n"
    code += "command_line.run(lambda options: jax.devices() and None, Rounds, 'Doc.')"
    environment = os.environ | {"JAX_PLATFORMS": "cuda"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: JAX can use no device of JAX_PLATFORMS=cuda here; unset it")
    assert "Traceback" not in done.stderr


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


COMMANDS = sorted(
    ".".join(path.with_suffix("").parts)
    for folder in ("launch", "analysis", "analysis/benchmark")
    for path in Path(folder).glob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
SLOW_TO_IMPORT = (
    "cma distributed flax jax librosa matplotlib numba optax orbax pedalboard rdflib scipy sklearn soundfile soxr "
    "tensorboard torch umap"
)
HELP = """
import os, runpy, sys
from jaxvae import command_line  # once for all commands, which are forked below

SLOW, COMMANDS = (argument.split() for argument in sys.argv[1:])

class Absent:
    asked_for = []

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in SLOW:
            cls.asked_for.append(name)
            raise ModuleNotFoundError(f"{name} was asked for", name=name)

assert not (loaded := [name for name in SLOW if name in sys.modules]), loaded
sys.meta_path.insert(0, Absent)
for command in COMMANDS:
    sys.stdout.flush()
    if os.fork() == 0:
        sys.argv = [command, "--help"]
        try:
            runpy.run_module(command, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit((end.code or 0) + 2 * bool(Absent.asked_for))
        os._exit(4)
    if code := os.waitstatus_to_exitcode(os.wait()[1]):
        sys.exit(f"{command} ends with {code}")
"""


@dataclasses.dataclass(frozen=True)
class Written:
    """Options of a made analysis that writes."""

    out: Path


@pytest.mark.parametrize(
    ("out", "why"),
    [("file/board", "Not a directory"), ("/proc/board/figures.png", "No such file|Permission|not permitted")],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(monkeypatch, tmp_path, out, why):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["made", "--out", out])
    with pytest.raises(SystemExit, match=rf"error: cannot write to .*({why}).*; use another folder"):
        command_line.run(lambda options: pytest.fail("it was measured"), Written, None)


def test_a_place_that_can_be_written_is_left_as_it_was(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["made", "--out", str(tmp_path / "new" / "board.png")])
    command_line.run(lambda options: None, Written, None)
    assert list(tmp_path.iterdir()) == []


PRINTS = """
import dataclasses
from jaxvae import command_line

@dataclasses.dataclass(frozen=True)
class Options:
    lines: int = 1

def main(options):
    open("figures.txt", "w").write("kept")
    for line in range(options.lines):
        print("−ELBO of β", line)

command_line.run(main, Options, None)
"""


def test_output_that_the_console_cannot_show_ends_nothing(tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", PRINTS],
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.strip() == b"?ELBO of ? 0" and (tmp_path / "figures.txt").read_text() == "kept"


def test_a_pipe_that_is_closed_ends_nothing(tmp_path):
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -c {shlex.quote(PRINTS)} --lines 100000 | head -1"
    shown = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "") and shown.stdout.strip().endswith("0")


def test_help_waits_for_no_package_that_is_slow_to_import_and_needs_none_of_them():
    assert {"launch.train", "analysis.report", "analysis.benchmark.network"} <= set(COMMANDS)
    command = [sys.executable, "-c", HELP, SLOW_TO_IMPORT, " ".join(COMMANDS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usages = [line.split(" [")[0] for line in done.stdout.splitlines() if line.startswith("usage: ")]
    assert usages == [f"usage: python -m {command}" for command in COMMANDS]
    usages = re.findall(r"(?ms)^usage: python -m (\S+) (.*?)\n\n", done.stdout)
    of_a_run = {command for command, usage in usages if "RUN" in usage.split()}
    sources = {command: Path(*command.split(".")).with_suffix(".py").read_text() for command in COMMANDS}
    takes_a_run = {command for command, source in sources.items() if "\n    run: command_line.Run" in source}
    assert of_a_run == takes_a_run and len(of_a_run) >= 8


@pytest.mark.parametrize("command", ["-m launch.render --help", "-c 'from launch.console import main; main()' --help"])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(command):
    line = f"set -o pipefail; {sys.executable} {command} | head -c 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("u", "")


def test_the_map_goes_by_its_short_name_too():
    code = "from launch.console import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "map", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Hear the latent map of a run" in done.stdout


def test_render_says_what_it_wrote(path, tmp_path):
    command = [sys.executable, "-m", "launch.render", path]
    part = subprocess.run([*command, "--part", "1/3"], capture_output=True, text=True, check=True)
    assert "32 clips from" in part.stdout
    assert "test       not complete" in part.stdout
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "test       8 clips from" in whole.stdout
    assert whole.stdout.splitlines()[-1] == f"wrote {next((tmp_path / 'datasets').iterdir())}"
    assert "clip/s" in whole.stderr  # progress


@pytest.mark.parametrize("part", ["2", "1/2/3", "a/b", "-1/2"])
def test_a_part_that_is_no_fraction_is_refused(part):
    with pytest.raises(ValueError, match="use two numbers"):
        render.Options(part=part)


def test_a_full_disk_is_said_once_in_one_line(path, tmp_path):
    command = [sys.executable, "-m", "launch.render", path, "--data.directory", str(tmp_path)]
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash"]  # 100 KiB a file, as a full disk
    done = subprocess.run(limited + command, capture_output=True, text=True)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert re.search(r"error: .*cannot write recordings.npy to .*; make room or use another folder", said)
    assert len(said) < 400
    assert done.stderr.count("make room") == 1


def test_render_ends_with_one_line_for_a_mistake(path, tmp_path):
    command = [sys.executable, "-m", "launch.render", path, "--data.audio", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no folder at")
    assert "Traceback" not in done.stderr
