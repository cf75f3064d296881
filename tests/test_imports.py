"""Imports go one way: every file imports only what stands before it in `ORDER`, and no file imports a command.

The imports are read from the source, those inside functions and those by name (`importlib.import_module`) too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# The one list to edit. A module may import what stands before it; `__init__` is the package's own file. A package whose
# `__init__` holds no code needs no place, and neither do configs and commands, which nothing imports.
ORDER = """
    jaxvae: numba_cache program_cache atomic_file backbones block fields sweep config config_file
    jaxvae: devices spectrogram fine_structure
    jaxvae: views
    jaxvae.effects: effect __init__ file_digest trial lv2 pedalboard mda formulas twins vst3_host vst3_workers vst3
    jaxvae.data: mp3 audio_file audio waveform audibility audio_folder augmentation composition degradation
    jaxvae.data: fingerprint decoding recordings clips storage cluster shards manifest dataset order input_pipeline
    jaxvae.models: layers
    jaxvae.models.backbones: grant2023 convolution patch filterbank
    jaxvae.models: effect_encoder convolution_encoder heads readout vae controller
    jaxvae.training: hyperparams schedules optimizer train_state losses checkpoints population summaries task
    jaxvae.training: run_folder rendered
    jaxvae.training: vae_steps pictures vae_task controller_steps match_task run loop
    jaxvae: answer windows
    jaxvae.matching: distances choice match rendering search matcher effect_gradient
    jaxvae: inference readouts release command_line __init__
    launch: hosts contents console
    analysis: __init__
    analysis.metrics: confidence calibration answers paths probes layout reconstruction retrieval
    analysis.models: statistics baselines representations members replicates
    analysis.renders: plan sizes chunks embedding material
    analysis.pictures: style curves sweeps umap effect_map effect_pairs effect_paths
    analysis.pages: templates plain_table
    analysis.sections: score outline section effect settings paths invariance vae unseen __init__ table board
    analysis.metrics: ceiling ratings
    analysis.matching: items rows measure trials gradients end_to_end
    analysis.models: compared
    analysis.pictures: structure matches gradient_cosines
    analysis.pages: card match_scoreboard audio_loss gradient_report scoreboard findings sound listening_map comparison
    analysis.pages: sweep_table projector listening_test report
    analysis.latent_map: plane points store build blend source audition render_queue guard atlas server
    analysis.benchmark: torch_grant2023 network_steps population_steps backbone_training bookkeeping_steps
    analysis.benchmark: accelerator_steps
"""
FOLDERS_OF_COMMANDS = ("launch", "analysis", "analysis.benchmark")  # a file there that has no place is a command
MAY_IMPORT = {
    "jaxvae": ("jaxvae",),
    "launch": ("jaxvae", "launch", "analysis.latent_map"),
    "analysis": ("jaxvae", "analysis", "configs"),
    "configs": ("jaxvae.config", "jaxvae.sweep", "configs"),
}
# These load what stands after them by name, when it is asked for.
LOADERS = ("jaxvae", "jaxvae.backbones", "jaxvae.effects", "jaxvae.training.task")
OURS = (*MAY_IMPORT, "tests")

_ROWS = [row.strip().split(": ") for row in ORDER.strip().splitlines()]
_MODULES = [f"{package}.{name}".removesuffix(".__init__") for package, names in _ROWS for name in names.split()]
PLACES = {module: place for place, module in enumerate(_MODULES)}


def module_name(path: str) -> str:
    """The name by which a file is imported."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def imports(path: str, tree: ast.Module, known: set[str]) -> Iterator[tuple[int, str]]:
    """Line and module of each import of ours. A module that is loaded by a name computed at run time is "?"."""

    def member(module: str, name: str) -> str:
        return f"{module}.{name}" if f"{module}.{name}" in known else module

    folder = path.rpartition("/")[0].split("/")
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                above = folder[: len(folder) - level + 1] if level else []
                origin = ".".join([*above, *([module] if module else [])])
                found = [member(origin, alias.name) for alias in names]
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                if module_name(path) in LOADERS:
                    continue
                name = node.args[0] if node.args else None
                found = [str(name.value) if isinstance(name, ast.Constant) else "?"]
            case _:
                continue
        yield from ((node.lineno, name) for name in found if name == "?" or name.partition(".")[0] in OURS)


def violations(sources: Mapping[str, str]) -> list[str]:
    """A line for each import that goes the wrong way and each file that has no place. Sources are given by path."""
    trees = {path: ast.parse(source) for path, source in sources.items()}
    known = {*PLACES, *map(module_name, sources)}
    packages = {module.rpartition(".")[0] for module in known}

    def is_command(module: str) -> bool:
        return module.rpartition(".")[0] in FOLDERS_OF_COMMANDS and module not in PLACES and module not in packages

    def complaint(module: str, imported: str) -> str | None:
        top = module.partition(".")[0]
        if imported == "?":
            return "whatever a name computed at run time says; only " + ", ".join(LOADERS) + " may do so"
        if not any(f"{imported}.".startswith(f"{allowed}.") for allowed in MAY_IMPORT[top]):
            return f"{imported}; files of {top} may import {', '.join(MAY_IMPORT[top])} only"
        if imported.partition(".")[0] == "configs":
            return None
        if is_command(imported):
            return f"{imported}, a command; move what both need into a folder"
        if imported not in PLACES:
            return f"{imported}, which has no place in ORDER"
        if module in PLACES and PLACES[imported] >= PLACES[module]:
            return f"{imported}, which does not stand before it in ORDER"
        return None

    found = []
    for path, tree in trees.items():
        module = module_name(path)
        has_code = any(not isinstance(node, ast.Expr) for node in tree.body)
        if has_code and module not in PLACES and not is_command(module) and module.partition(".")[0] != "configs":
            found.append(f"{path} has no place in ORDER")
        for line, imported in imports(path, tree, known):
            if wrong := complaint(module, imported):
                found.append(f"{path}:{line} imports {wrong}")
    return found


def test_imports_go_one_way():
    paths = sorted(path for top in MAY_IMPORT for path in Path(top).rglob("*.py"))
    assert len(paths) > 60
    found = violations({path.as_posix(): path.read_text() for path in paths})
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("jaxvae/config.py", "from jaxvae.training import losses", "jaxvae.training.losses, which does not stand"),
        ("jaxvae/config.py", "from jaxvae.training.losses import kl", "jaxvae.training.losses, which does not stand"),
        ("jaxvae/config.py", "import jaxvae.models.vae as network", "jaxvae.models.vae, which does not stand before"),
        ("jaxvae/data/audio.py", "from jaxvae.data import dataset", "jaxvae.data.dataset, which does not stand"),
        ("jaxvae/data/audio.py", "from . import dataset", "jaxvae.data.dataset, which does not stand before"),
        ("jaxvae/data/audio.py", "from ..models.vae import VAE", "jaxvae.models.vae, which does not stand before"),
        ("jaxvae/data/audio.py", "from .. import inference", "jaxvae.inference, which does not stand before"),
        ("jaxvae/data/audio.py", "import jaxvae", "jaxvae, which does not stand before"),
        ("jaxvae/data/audio.py", "from jaxvae import load", "jaxvae, which does not stand before"),
        ("jaxvae/effects/mda.py", "from jaxvae.effects import vst3", "jaxvae.effects.vst3, which does not stand"),
        ("jaxvae/effects/__init__.py", "from jaxvae.effects import mda", "jaxvae.effects.mda, which does not stand"),
        ("jaxvae/data/audio.py", "def f():\n    from jaxvae import inference", "jaxvae.inference, which does not"),
        ("jaxvae/data/audio.py", "if TYPE_CHECKING:\n    import jaxvae.inference", "jaxvae.inference, which does"),
        ("jaxvae/data/audio.py", 'importlib.import_module("jaxvae.inference")', "jaxvae.inference, which does not"),
        ("jaxvae/data/audio.py", 'import_module(f"jaxvae.{name}")', "imports whatever a name computed at run time"),
        ("jaxvae/data/audio.py", "from analysis.metrics import probes", "analysis.metrics.probes; files of jaxvae"),
        ("jaxvae/data/audio.py", "from configs import demo", "configs; files of jaxvae may import jaxvae only"),
        ("jaxvae/data/audio.py", "import tests.conftest", "tests.conftest; files of jaxvae may import jaxvae only"),
        ("jaxvae/data/audio.py", "import launch.hosts", "launch.hosts; files of jaxvae may import jaxvae only"),
        ("jaxvae/data/audio.py", "import jaxvae.helpers", "jaxvae.helpers, which has no place in ORDER"),
        ("jaxvae/helpers.py", "import numpy", "jaxvae/helpers.py has no place in ORDER"),
        ("analysis/metrics/helpers.py", "import numpy", "analysis/metrics/helpers.py has no place in ORDER"),
        ("analysis/metrics/__init__.py", "import numpy", "analysis/metrics/__init__.py has no place in ORDER"),
        ("launch/train.py", "from analysis.metrics import probes", "probes; files of launch may import jaxvae, launch"),
        ("launch/train.py", "from launch import render", "launch.render, a command"),
        ("analysis/metrics/paths.py", "from analysis import embed", "analysis.embed, a command"),
        ("analysis/metrics/paths.py", "from analysis.sections import table", "table, which does not stand before it"),
        ("analysis/report.py", "from analysis import embed", "analysis.embed, a command"),
        ("analysis/report.py", "from analysis.benchmark import network", "analysis.benchmark.network, a command"),
        ("analysis/benchmark/network.py", "import analysis.embed", "analysis.embed, a command"),
        ("analysis/report.py", "from launch import hosts", "launch.hosts; files of analysis may import"),
        ("configs/demo.py", "from jaxvae import effects", "jaxvae.effects; files of configs may import"),
    ],
)
def test_an_import_turned_round_is_seen(path, source, complaint):
    others = {"analysis/embed.py": "", "analysis/benchmark/network.py": "", "launch/render.py": ""}
    (found,) = violations({**others, path: source})
    assert complaint in found


def test_imports_of_what_stands_before_are_let_pass():
    sources = {
        "jaxvae/__init__.py": 'def __getattr__(name):\n    return importlib.import_module("jaxvae.inference")',
        "jaxvae/effects/__init__.py": 'importlib.import_module(f"{__name__}.{name}")',
        "jaxvae/effects/mda.py": "from jaxvae.effects import Effect, lv2\nfrom . import pedalboard",
        "jaxvae/data/__init__.py": '"""What is heard."""',
        "jaxvae/data/dataset.py": "import numpy, jaxvae.config\nfrom jaxvae import effects, sweep",
        "launch/train.py": "from jaxvae.training import loop\nfrom launch.hosts import Hosts",
        "analysis/report.py": "import configs\nimport jaxvae\nfrom analysis.sections import table",
        "analysis/sections/table.py": "from analysis.metrics.probes import Labelled",
        "configs/vae_base.py": "from jaxvae.config import Experiment\nfrom jaxvae.sweep import grid",
        "configs/demo.py": "from configs import vae_base",
    }
    assert violations(sources) == []


def test_importing_the_package_loads_nothing_of_it_but_what_has_to_come_first():
    known = "['jaxvae.numba_cache']\n"
    code = "import sys, jaxvae; print([name for name in sys.modules if name.startswith('jaxvae.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == known
