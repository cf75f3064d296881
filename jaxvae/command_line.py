"""Command lines of one form: options of the command, and for some a config before them and any field of its experiment.

    python -m analysis.report runs/base
    python -m launch.train configs/vae_base.py --workdir runs/base --model.latent-dim 64

What the user can mend ends the program with one line and status 1, as Ctrl-C does; a command ends by naming the files
that it wrote. Of a sweep, analyses of one model take `--member 3`, and those that draw models side by side take
`--members 0 4 8` or `--members all`; without it they read the best member.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from jaxvae import config_file
from jaxvae.config import Experiment
from jaxvae.data.storage import Folder

Member = Annotated[int | None, tyro.conf.arg(help="Of a sweep, which member; none means the best.")]
Members = Annotated[
    tuple[int | Literal["all"], ...],
    tyro.conf.arg(aliases=("--member",), help="Of a sweep, which members, side by side, or all; none means the best."),
]


@dataclasses.dataclass(frozen=True)
class RunData:
    """The data set of a run."""

    directory: str | None = None
    """Folder or fsspec URL of data sets in which it lies; none means where training left it."""


Written = Iterable[Path | Folder] | None
"""Files and folders that a command wrote."""

_Options = TypeVar("_Options")


def run(
    main: Callable[[_Options], Written],
    kind: type[_Options],
    description: str | None,
    interrupted: str = "interrupted",
) -> None:
    """Call `main` with the options of the command line, of which `kind` is the dataclass, and name what it wrote.

    `interrupted` is what Ctrl-C says.
    """
    with _ended_by_one_line(interrupted):
        _name(main(tyro.cli(kind, prog=_program(), description=description)))


def run_experiment(
    main: Callable[[Experiment, _Options], Written],
    kind: type[_Options],
    description: str | None,
    interrupted: str = "interrupted",
) -> None:
    """As `run`, of a command that takes the experiment of a config as well; see `parse`."""
    with _ended_by_one_line(interrupted):
        _name(main(*parse(kind, description)))


def parse(
    kind: type[_Options], description: str | None, arguments: Sequence[str] | None = None
) -> tuple[Experiment, _Options]:
    """The experiment of a config, changed by overrides such as --model.latent-dim 64, and the command's own options.

    `kind` is the dataclass of the options. `--help` shows the values of the config, or the defaults without one.
    Anything unknown, ill-typed or out of range ends the program with a message and status 1 or 2.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    given = bool(arguments) and not arguments[0].startswith("-")
    with _ended_by_one_line():
        loaded = config_file.load(arguments[0]) if given else Experiment(name="unnamed")
        line = dataclasses.make_dataclass(
            "CommandLine",
            [
                ("config", Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Python file; comes first.")]),
                ("options", Annotated[kind, tyro.conf.arg(name="")]),
                ("experiment", Annotated[Experiment, tyro.conf.arg(name="")], loaded),
            ],
        )
        parsed = tyro.cli(line, args=arguments, prog=_program(), description=description)
        if not given:  # the overrides were parsed before the config was known
            raise ValueError(f"{parsed.config} comes after options; put the config first")
    return parsed.experiment, parsed.options


@contextlib.contextmanager
def _ended_by_one_line(interrupted: str = "interrupted") -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except RuntimeError as error:
        # Imported when something has failed, so that a command that needs no JAX does not wait for it.
        from jaxvae.effects import EffectError
        from jaxvae.training.checkpoints import CheckpointError
        from jaxvae.training.run import TrainingDiverged

        if not isinstance(error, (CheckpointError, EffectError, TrainingDiverged)):
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(interrupted)


def _name(written: Written) -> None:
    for path in written or ():
        print(f"wrote {path}")


def _program() -> str | None:
    """Such as python -m analysis.report, where the program was started so."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return None if spec is None else f"python -m {spec.name.removesuffix('.__main__')}"
