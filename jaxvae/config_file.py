"""Config files: Python files with an experiment named config, the ones that ship by their name too."""

import importlib.util
from pathlib import Path

from jaxvae.config import Experiment, MatchExperiment

_HERE = Path(__file__).parent
FOLDER = next(folder for folder in (_HERE / "configs", _HERE.parent / "configs") if folder.is_dir())
"""Of the configs that ship: in the package where it is installed, beside it in a checkout."""


def load(path: str | Path) -> Experiment | MatchExperiment:
    """The `config` of a Python file such as configs/vae_base.py, or of one that ships, such as vae_base.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it defines no experiment named config.
    """
    path = Path(path)
    if not path.is_file() and path.name == str(path) and (shipped := FOLDER / f"{path.stem}.py").is_file():
        path = shipped
    if not path.is_file():
        names = sorted(shipped.stem for shipped in FOLDER.glob("[!_]*.py"))
        raise FileNotFoundError(f"no config at {path}; the ones that ship are {', '.join(names)}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file; a config is one, with an experiment named config")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    experiment = getattr(module, "config", None)
    if not isinstance(experiment, Experiment | MatchExperiment):
        raise ValueError(f"{path} defines no Experiment or MatchExperiment named config")
    return experiment
