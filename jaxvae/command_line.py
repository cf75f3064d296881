"""Command lines of one form: options of the command, and for some a config before them and any field of its experiment.

    python -m analysis.report runs/base
    python -m launch.train configs/vae_base.py --workdir runs/base --model.latent-dim 64

A command imports what takes long to import in its `main`, so that `--help` and mistakes do not wait for it.

What the user can mend ends the program with one line and status 1, as Ctrl-C does; a command ends by naming the files
that it wrote. Of a sweep, analyses of one model take `--member 3`, and those that draw models side by side take
`--members 0 4 8` or `--members all`; without it they read the best member.
"""

import collections
import contextlib
import dataclasses
import importlib.metadata
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from jaxvae import atomic_file, config_file, fields, sweep
from jaxvae.config import Experiment, MatchExperiment
from jaxvae.data.storage import Folder
from jaxvae.sweep import Sweep

Member = Annotated[int | None, tyro.conf.arg(help="Of a sweep, which member; none means the best.")]
Members = Annotated[
    tuple[int | Literal["all"], ...],
    tyro.conf.arg(aliases=("--member",), help="Of a sweep, which members, side by side, or all; none means the best."),
]
Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Folder of a trained run.")]


@dataclasses.dataclass(frozen=True)
class RunData:
    """The data set of a run."""

    directory: str | None = None
    """Folder or fsspec URL of data sets in which it lies; none means where training left it."""


Written = Iterable[Path | Folder] | None
"""Files and folders that a command wrote."""

_Options = TypeVar("_Options")
_Experiment = TypeVar("_Experiment")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Options of a command that trains the sweep of a config, or one that is given in words."""

    sweep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIELD=VALUES ...")] = ()
    """Train every combination of these values, such as: --sweep model.latent_dim=32,64,128,256 train.seed=0..3. Values
    are separated by commas; a range of whole numbers includes both ends, so 0..3 is 0,1,2,3."""
    replace_sweep: bool = False
    """Drop the sweep that the config has, or let --sweep take its place."""


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
        _require_sense(sys.argv[1:])
        options = tyro.cli(kind, prog=_program(), description=description)
        _require_values(sys.argv[1:], options)
        _try_out(options)
        _name(main(options))


def run_experiment(
    main: Callable[[Any, _Options], Written],
    kind: type[_Options],
    description: str | None,
    interrupted: str = "interrupted",
) -> None:
    """As `run`, of a command that takes the experiment of a config as well; see `parse`."""
    with _ended_by_one_line(interrupted):
        experiment, options = parse(kind, description)
        _try_out(options)
        _name(main(experiment, options))


def parse(
    kind: type[_Options], description: str | None, arguments: Sequence[str] | None = None
) -> tuple[Experiment | MatchExperiment, _Options]:
    """The experiment of a config, changed by overrides such as --model.latent-dim 64, and the command's own options.

    `kind` is the dataclass of the options. `--help` shows the values of the config, or the defaults without one.
    Anything unknown, ill-typed or out of range ends the program with a message and status 1 or 2.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    given = bool(arguments) and not arguments[0].startswith("-")
    with _ended_by_one_line():
        _require_sense(arguments)
        loaded = config_file.load(arguments[0]) if given else Experiment(name="unnamed")
        line = dataclasses.make_dataclass(
            "CommandLine",
            [
                (
                    "config",
                    Annotated[
                        tyro.conf.Positional[Path],
                        tyro.conf.arg(
                            metavar="CONFIG", help="Python file, or the name of one that ships; comes first."
                        ),
                    ],
                ),
                ("options", Annotated[kind, tyro.conf.arg(name="")]),
                ("experiment", Annotated[type(loaded), tyro.conf.arg(name="")], loaded),
            ],
        )
        parsed = tyro.cli(line, args=arguments, prog=_program(), description=description)
        if not given:  # the overrides were parsed before the config was known
            raise ValueError(f"{parsed.config} comes after options; put the config first")
        _require_values(arguments, parsed.options, parsed.experiment)
        experiment = parsed.experiment
        if isinstance(parsed.options, SweepOptions):
            experiment = _with_sweep(experiment, parsed.options)
        _require_effect(arguments, experiment)
    return experiment, parsed.options


def _try_out(options: Any) -> None:
    """OSError where what a command is to write could not be written: before the work, not after it."""
    out = getattr(options, "out", None)
    if out is not None:
        atomic_file.require_writable(out.parent if out.suffix and not out.is_dir() else out)


def _given(arguments: Iterable[str]) -> Iterator[str]:
    """Options by their paths, such as model.latent_dim of --model.latent-dim 64."""
    for argument in arguments:
        if argument.startswith("--"):
            yield argument[2:].partition("=")[0].replace("-", "_")


def _option(path: str) -> str:
    return f"--{path.replace('_', '-')}"


def _require_sense(arguments: Sequence[str]) -> None:
    """Refuse what would be read as if it were not there."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            raise ValueError(
                f"an argument{f' after {before}' if before else ''} is empty, as an unset variable is in quotes; give "
                "it a value or leave the option out"
            )
    for path, count in collections.Counter(_given(arguments)).items():
        if count > 1:
            raise ValueError(f"{_option(path)} is given {count} times; give it once, with all its values behind it")


def _require_values(arguments: Sequence[str], *parsed: Any) -> None:
    """Refuse options of several values that were given without one."""
    values = {path: value for options in parsed for path, value in fields.flat(options).items()}
    for path in _given(arguments):
        if values.get(path) == ():
            raise ValueError(
                f"{_option(path)} is given without a value, as by an unset variable; give it one or leave it out"
            )


def _require_effect(arguments: Sequence[str], experiment: Experiment | MatchExperiment) -> None:
    """Refuse to change a field that every member of the sweep sets anyway."""
    swept = {path for changes in experiment.sweep.members for path, _ in changes}
    if both := sorted(swept & set(_given(arguments))):
        raise ValueError(
            f"the sweep of {experiment.name} sets {', '.join(both)}, so {_option(both[0])} would change nothing; leave "
            "it out, choose one of the values by --member, or drop the sweep by --replace-sweep"
        )


def _with_sweep(experiment: _Experiment, options: SweepOptions) -> _Experiment:
    present = experiment.sweep.members
    if present and options.sweep and not options.replace_sweep:
        swept = ", ".join(dict.fromkeys(path for changes in present for path, _ in changes))
        raise ValueError(
            f"{experiment.name} has a sweep of {len(present)} members already, over {swept}; add --replace-sweep to "
            "train the one of --sweep in its place"
        )
    if options.replace_sweep and not present:
        raise ValueError(f"{experiment.name} has no sweep that --replace-sweep could replace; leave it out")
    if options.sweep:
        return dataclasses.replace(experiment, sweep=sweep.parse(options.sweep, experiment))
    return dataclasses.replace(experiment, sweep=Sweep()) if options.replace_sweep else experiment


@contextlib.contextmanager
def _ended_by_one_line(interrupted: str = "interrupted") -> Iterator[None]:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that lacks a letter must not end a command
    try:
        yield
    except BrokenPipeError:  # whoever read the output has seen enough; files are written before it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, OSError) as error:
        told = isinstance(error, OSError) and error.filename is None and error.strerror
        sys.exit(f"error: {told or error}")  # without the number that Python puts before it
    except ModuleNotFoundError as error:
        if not (extra := _extra_of(error.name or "")):
            raise
        sys.exit(
            f"error: this needs the package {error.name}, of the extra {extra}: pip install 'jaxvae[{extra}]', in a "
            f"checkout pip install -e '.[{extra}]'"
        )
    except (RuntimeError, AssertionError) as error:
        if _from_module(error) == "jax._src.xla_bridge":
            asked = os.environ.get("JAX_PLATFORMS", "")
            sys.exit(
                f"error: JAX can use no device of JAX_PLATFORMS={asked} here; unset it, or install what the device "
                "needs (the extra cuda)"
            )
        # Imported when something has failed, so that a command that needs no JAX does not wait for it.
        from jaxvae.effects import EffectError
        from jaxvae.training.checkpoints import CheckpointError
        from jaxvae.training.run import TrainingDiverged

        if not isinstance(error, (CheckpointError, EffectError, TrainingDiverged)):
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(interrupted)


def _extra_of(module: str) -> str | None:
    """The extra that a missing module is part of; None where it is no dependency of an extra."""
    package = {"PIL": "pillow", "dask": "distributed", "sklearn": "scikit-learn", "umap": "umap-learn"}
    name = module.partition(".")[0]
    try:
        requirements = importlib.metadata.requires("jaxvae") or ()
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return None
    needing = [
        re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        for requirement in requirements
        if re.match(rf"{re.escape(package.get(name, name))}\b(?!-)", requirement)
    ]
    return needing[0][1] if needing and all(needing) else None


def _from_module(error: BaseException) -> str:
    """Name of the module that raised an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")


def _name(written: Written) -> None:
    for path in written or ():
        print(f"wrote {path}")


def _program() -> str | None:
    """Such as python -m analysis.report, where the program was started so."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return None
    module, _, command = spec.name.removesuffix(".__main__").partition("jaxvae.")
    if not module and command:  # the package is installed, and this is one of its commands
        return f"jaxvae {command.partition('.')[2]}"
    return f"python -m {spec.name.removesuffix('.__main__')}"
