"""Config files: Python files with an experiment named config."""

import importlib.util
from pathlib import Path

from jaxvae.config import Experiment


def load(path: str | Path) -> Experiment:
    """The `config` of a Python file such as configs/vae_base.py.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it defines no experiment named config.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config at {path}; the ones that ship are in configs/")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file; a config is one, with an Experiment named config")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    experiment = getattr(module, "config", None)
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{path} defines no Experiment named config")
    return experiment
