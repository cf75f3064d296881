"""Command lines of the analyses: one dataclass of options, and errors of the user as one line.

Of a sweep, analyses of one model take `--member 3`, and those that draw models side by side take `--members 0 4 8` or
`--members all`. Without it they read the best member.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import tyro

from jaxvae.training.checkpoints import CheckpointError

Member = Annotated[int | None, tyro.conf.arg(help="Of a sweep, which member; none means the best.")]
Members = Annotated[
    tuple[int | Literal["all"], ...],
    tyro.conf.arg(aliases=("--member",), help="Of a sweep, which members, side by side, or all; none means the best."),
]
_Options = TypeVar("_Options")


def run(main: Callable[[_Options], None], kind: type[_Options], description: str | None) -> None:
    """Call `main` with the options of the command line; what the user can mend ends the program with one line."""
    options = tyro.cli(kind, description=description)
    try:
        main(options)
    except (CheckpointError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
