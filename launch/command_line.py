"""Command lines of one form: a config, options of the command, and any field of the experiment.

python -m launch.train configs/vae_base.py --workdir runs/base --model.latent-dim 64
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from jaxvae import config_file
from jaxvae.config import Experiment

_Options = TypeVar("_Options")


def parse(
    kind: type[_Options], description: str | None, arguments: Sequence[str] | None = None
) -> tuple[Experiment, _Options]:
    """The experiment of a config, changed by overrides such as --model.latent-dim 64, and the command's own options.

    `kind` is the dataclass of the options. `--help` shows the values of the config, or the defaults without one.
    Anything unknown, ill-typed or out of range ends the program with a message and status 1 or 2.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    given = bool(arguments) and not arguments[0].startswith("-")
    try:
        loaded = config_file.load(arguments[0]) if given else Experiment(name="unnamed")
        line = dataclasses.make_dataclass(
            "CommandLine",
            [
                ("config", Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Python file; comes first.")]),
                ("options", Annotated[kind, tyro.conf.arg(name="")]),
                ("experiment", Annotated[Experiment, tyro.conf.arg(name="")], loaded),
            ],
        )
        parsed = tyro.cli(line, args=arguments, description=description)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    if not given:  # the overrides were parsed before the config was known
        sys.exit(f"error: {parsed.config} comes after options; put the config first")
    return parsed.experiment, parsed.options
