"""What is installed: one package with one console command, that needs no extra to embed and disturbs nobody's names."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jaxvae import command_line

sys.path.insert(0, ".ci")
import build_backend

sys.path.remove(".ci")
MINE = ("analysis", "configs", "launch")
COMMANDS = ("train", "benchmark.sweep")
TINY = """
from jaxvae import config as c
from jaxvae.configs import demo
config = c.Experiment(name="mine", audio=c.Audio(8_000, 8_192), spectrogram=c.Spectrogram(256, 256, 256, n_mels=32),
    data=c.Data(effects=("pedalboard/Distortion", "pedalboard/Delay"), audio=("sound",), train_clips=8,
    validation_clips=8, test_clips=8), model=c.Model(latent_dim=4),
    train=c.Train(steps=2, batch_size=8, validate_every=1, log_every=1, warmup_steps=0),
    execution=c.Execution(devices=1))
"""
ABSENT = """
import sys

class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"{name} was asked for", name=name)

sys.meta_path.insert(0, Absent)
import json, jaxvae, numpy
noise = numpy.random.default_rng(0).normal(size=(2, 8_192)).astype("float32")
print(json.dumps(jaxvae.load(sys.argv[2]).embed(noise[:, None], 8_000).tolist()))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    code = f"import build_backend as b; b.build_wheel({str(folder)!r}); b.build_sdist({str(folder)!r})"
    environment = os.environ | {"PYTHONPATH": str(Path(".ci").resolve())}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    return folder


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The wheel's content, as it lies when it is installed."""
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(folder)
    return folder


@pytest.fixture
def beside(tmp_path):
    """A user's folder with packages of the names that the checkout has."""
    for name in MINE:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from analysis import report\n    from launch.hosts import Hosts", "from jaxvae.analysis import report\n"
         "    from jaxvae.launch.hosts import Hosts"),
        ("from configs import demo", "from jaxvae.configs import demo"),
        ("from analysis.train import page", "from jaxvae.analysis.train import page"),
        ("python -m launch.train configs/demo.py --workdir w", "jaxvae train demo --workdir w"),
        ("python -m analysis.benchmark.sweep.", "jaxvae benchmark.sweep."),
        ('[sys.executable, "-m", "launch.train"]', '[sys.executable, "-m", "jaxvae.launch.train"]'),
        ('files of launch.train"', 'files of jaxvae train"'),
        ("see `analysis.metrics.paths.is_ring`", "see `jaxvae.analysis.metrics.paths.is_ring`"),
        ("an analysis, in analysis/pages/a.py", "an analysis, in analysis/pages/a.py"),
        ("from jaxvae.training import loop", "from jaxvae.training import loop"),
    ],
)  # fmt: skip
def test_a_text_of_the_checkout_names_the_package_inside_it(text, expected):
    assert build_backend.inside(text, COMMANDS) == expected


def test_a_name_that_the_package_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"'import analysis\.embed' binds a name"):
        build_backend.inside("import analysis.embed", COMMANDS)


def test_a_page_loses_links_that_lead_nowhere_on_an_index():
    page = "![A picture](a.png) [here](docs/a.md) [there](https://example.org/a)"
    assert build_backend.without_links(page) == "A picture here [there](https://example.org/a)"


def test_the_wheel_is_one_package_with_one_command(unpacked):
    (about,) = unpacked.glob("*.dist-info")
    assert {path.name for path in unpacked.iterdir()} == {"jaxvae", about.name}
    assert (about / "top_level.txt").read_text() == "jaxvae\n"
    assert "jaxvae = jaxvae.launch.console:main" in (about / "entry_points.txt").read_text()
    metadata = HeaderParser().parsestr((about / "METADATA").read_text())
    assert metadata["Version"] == importlib.metadata.version("jaxvae")
    inside = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert {"jaxvae/py.typed", "jaxvae/bundled_audio/LICENSES.csv"} <= inside
    shipped = {str(path) for path in Path("jaxvae/pretrained").rglob("*") if path.is_file()}
    assert len(shipped) > 10 and shipped <= inside
    assert {f"jaxvae/analysis/pages/report.{kind}" for kind in ("html", "js")} <= inside
    for top in ("jaxvae", *MINE):  # nothing that the checkout imports is left out
        folder = Path("jaxvae") if top == "jaxvae" else Path("jaxvae") / top
        assert {(folder / path.relative_to(top)).as_posix() for path in Path(top).rglob("*.py")} <= inside
    known = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in inside}
    for path in unpacked.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                assert module.partition(".")[0] not in MINE, f"{path}: {module}"
                assert module.partition(".")[0] != "jaxvae" or module in known, f"{path}: {module}"


def test_the_sdist_has_what_the_tests_and_the_build_need(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/conftest.py", "tests/effects/vst3_shim/shim.cpp", "tests/golden_configs/demo.txt"} <= names
    assert {"Makefile", "requirements.txt", ".ci/build_backend.py", "configs/demo.py", "analysis/report.py"} <= names


def test_the_console_command_lists_all_others_and_runs_them_beside_a_users_own_packages(unpacked, beside):
    environment = os.environ | {"PYTHONPATH": str(unpacked)}

    def run(*arguments, code=0):
        code_of_script = "from jaxvae.launch.console import main; main()"
        command = [sys.executable, "-c", code_of_script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=beside, env=environment)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    listed = [line.split()[0] for line in run("--help").splitlines() if line.startswith("  ")]
    assert {"train", "render", "report", "embed", "scoreboard", "benchmark.sweep"} <= set(listed)
    assert "console" not in listed and "hosts" not in listed
    help_of_train = run("train", "--help")
    assert help_of_train.startswith("usage: jaxvae train ") and "python -m" not in help_of_train
    assert "did you mean report?" in run("reprot", code=1)
    missing = run("train", "dmo", "--workdir", "w", code=1)
    assert missing.startswith("error: no config at dmo; the ones that ship are demo, grant2023,")
    assert "(default: demo)" in run("render", "demo", "--help")


def test_embedding_needs_no_package_of_an_extra(trained):
    extras = "matplotlib sklearn umap librosa numba tensorboard PIL jinja2 distributed dask torch"
    command = [sys.executable, "-c", ABSENT, extras, str(trained)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.shape(json.loads(done.stdout)) == (2, 8)


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("PIL", "train"),
        ("tensorboard.plugins", "train"),
        ("sklearn.decomposition", "analysis"),
        ("umap", "analysis"),
        ("dask", "cluster"),
        ("torch", "benchmark"),
        ("jax", None),
        ("made_up", None),
    ],
)
def test_a_missing_package_is_one_line_that_names_its_extra(monkeypatch, module, extra):
    def fail(options):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    from tests.test_command_line import Rounds

    monkeypatch.setattr("sys.argv", ["made"])
    if extra is None:
        with pytest.raises(ModuleNotFoundError):
            command_line.run(fail, Rounds, "Doc.")
    else:
        with pytest.raises(SystemExit, match=rf"needs the package {module}, of the extra {extra}: pip install 'jaxvae"):
            command_line.run(fail, Rounds, "Doc.")


@pytest.mark.package
def test_an_installed_wheel_embeds_without_extras_and_trains_with_them(built, beside):
    """In an empty environment, on made audio; packages come from wherever this machine installs from."""
    wheel, environment = next(built.glob("*.whl")), beside / "environment"
    uv = [sys.executable, "-m", "uv"]

    def run(*command):
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=beside, env=clean)
        assert done.returncode == 0, done.stderr
        return done.stdout

    python, jaxvae = environment / "bin" / "python", environment / "bin" / "jaxvae"
    run(*uv, "venv", "--python", sys.executable, environment)
    run(*uv, "pip", "install", "--python", python, f"{wheel}[train]")
    (beside / "sound").mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        time = np.arange(24_000) / 8_000
        tone = 0.5 * np.sin(2 * np.pi * (300 + 200 * index + 100 * time) * time) + 0.02 * rng.normal(size=len(time))
        soundfile.write(beside / "sound" / f"{index}.wav", tone, 8_000)
    (beside / "mine.py").write_text(TINY)
    listed = run(jaxvae, "--help")
    run(jaxvae, "train", "mine.py", "--workdir", "run")
    run(*uv, "pip", "uninstall", "--python", python, "librosa", "matplotlib", "tensorboard", "pillow", "scikit-learn")
    code = "import analysis, configs, launch, jaxvae, numpy; assert analysis.MINE and configs.MINE and launch.MINE\n"
    code += "noise = numpy.random.default_rng(0).normal(size=(2, 8_192)).astype('float32')\n"
    code += "print(jaxvae.load('run').embed(noise[:, None], 8_000).shape, jaxvae.__version__)"
    assert run(python, "-c", code).split() == ["(2,", "4)", importlib.metadata.version("jaxvae")]
    if "\n  identify " in listed:
        run(jaxvae, "identify", "sound/0.wav", "--run", "run")
