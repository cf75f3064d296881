"""Commands and code of the README, of configs and of commands' own help: as they are written, they are understood."""

import ast
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jaxvae import command_line
from launch import console

README = Path("README.md").read_text()
PLACEHOLDERS = {
    "CONFIG": "configs/demo.py",
    "RUN": "runs/a",
    "…": "runs/b",
    "NAME": "pedalboard/Delay",
    "FILE": "file",
    "DIR": "folder",
    "SHARED/RUN": "runs/a",
}
NOT_RUN = {
    "make": "the continuous integration runs them",
    "pip": "packages are fetched; tests/test_wheel.py installs the wheel",
    "apt-get": "packages of Debian",
    "dask": "other machines",
    "tensorboard": "a server, which tests/training/test_logs.py asks without it",
    "export": "a variable",
    ".": "the environment that these tests run in",
}
BIG = ("mda_six", "grant2023_objective", "supervised", "CONFIG", "RUN")  # other packages' audio, and other machines
# What is put behind a command so that it takes seconds.
SMALL = {
    "launch.train": "--data.train-clips 48 --data.validation-clips 24 --data.test-clips 48 --train.steps 2 "
    "--train.validate-every 2 --train.batch-size 8 --train.warmup-steps 0",
    "launch.match": "--candidates 3",
    "analysis.gradient_report": "--clips 2 --chosen-on 1 --clip-samples 16384",
    "analysis.match_scoreboard": "--items 1 --fit-clips 20 --candidates 3 --refine 6 --pool 4",
    "analysis.listening_test": "--items 2 --fit-clips 20 --candidates 3 --refine 6",
    "analysis.report": "--sizes.fit-clips 6 --sizes.pairs 120 --sizes.fixed-clips 6 --sizes.path-clips 1 "
    "--sizes.path-steps 3 --sizes.map-clips 48 --sizes.settings 20",
    "analysis.projector": "--clips 20",
    "analysis.sweep_table": "--no-structure",
    "analysis.umap_plot": "--clips 8",
}


def blocks(kind=""):
    """The blocks of the README between three ticks, of a language or of none, which is that of commands."""
    return [text for own, text in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", README) if own == kind]


def lines(text):
    """Commands of a text, one a line, without comments."""
    joined = re.sub(r"\\+\n\s*", "", text)
    return [line for line in (re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines()) if line]


def documented():
    """Every command of ours that a text shows."""
    shown = [line for block in blocks() for line in lines(block)]
    shown += re.findall(r"(?m)^\| `(python -m [^`]*)` \|", README)
    for folder in ("configs", "launch", "analysis", "analysis/benchmark"):
        for path in sorted(Path(folder).glob("*.py")):
            shown += lines(ast.get_docstring(ast.parse(path.read_text())) or "")
    return dict.fromkeys(
        line for line in shown if line.startswith(("python -m launch", "python -m analysis", "jaxvae "))
    )


OURS = documented()


def parse(line, monkeypatch):
    """Run a command up to the work itself."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(line.partition(" > ")[0])]
    words = [re.sub(r"^FILE\b", "file", word) for word in words]
    module = words[2] if words[0] == "python" else console.commands()[words[1]][0]
    for name in ("run", "run_experiment"):
        real = getattr(command_line, name)
        monkeypatch.setattr(
            command_line, name, lambda main, *rest, real=real, **more: real(lambda *_: None, *rest, **more)
        )
    monkeypatch.setattr(sys, "argv", [module, *words[3 if words[0] == "python" else 2 :]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # another test has imported the module
        runpy.run_module(module, run_name="__main__")


@pytest.mark.parametrize("line", [line for line in OURS if "--help" not in line])
def test_a_command_that_a_text_shows_is_understood(line, monkeypatch):
    parse(line, monkeypatch)


def test_every_other_command_of_the_readme_is_known_and_make_has_its_targets():
    others = [line for block in blocks() for line in lines(block) if line not in OURS]
    assert {line.split()[0] for line in others} == set(NOT_RUN)
    targets = [line.split()[1] for line in others if line.startswith("make ")]
    assert {"demo", "test", "setup", "wheel"} <= set(targets)
    for target in targets:
        assert re.search(rf"(?m)^{target}:", Path("Makefile").read_text()), target


def test_the_code_of_the_readme_runs_as_it_is_written(tmp_path, monkeypatch):
    (code,) = blocks("python")
    (tmp_path / "jaxvae").mkdir()
    (tmp_path / "jaxvae" / "bundled_audio").symlink_to(Path("jaxvae/bundled_audio").absolute())
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["mean"].shape == (1, 128) and names["wet"].shape == names["dry"].shape
    assert names["match"].audio.shape == names["dry"].shape


@pytest.mark.readme
def test_the_commands_of_the_readme_run_in_a_fresh_shell(tmp_path):
    """As they are written but for their size, one after another, in a folder that holds nothing but the configs."""
    for folder in ("music", "speech"):
        (tmp_path / folder).mkdir()
        for index in range(4):
            time = np.arange(20 * 24_000) / 24_000
            tone = np.sin(2 * np.pi * (200 + 90 * index) * time) * np.abs(np.sin(3 * time + index))
            soundfile.write(tmp_path / folder / f"{index}.wav", 0.5 * tone, 24_000)
    for name in ("dry", "reference", "chorus"):
        shutil.copyfile(tmp_path / "music" / "0.wav", tmp_path / f"{name}.wav")
    (tmp_path / "configs").symlink_to(Path("configs").resolve())
    script = ["set -e", f". {shlex.quote(sys.prefix)}/bin/activate"]
    for block in blocks():
        for line in lines(block):
            module = line.split()[2] if line.startswith("python -m ") else ""
            if module in SMALL and not any(big in line for big in BIG):
                small = SMALL[module]
                if module == "launch.train" and "configs/match_" not in line:
                    small += " --objective.beta.schedule constant"  # a ramp of more steps than there are is refused
                script += [f"echo {shlex.quote(line)}", f"{line} {small}"]
    assert len(script) > 15
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2_000:]
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
