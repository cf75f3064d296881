"""Command lines of the analyses: one dataclass of options, and errors of the user as one line."""

import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

from jaxvae.checkpoints import CheckpointError

_Options = TypeVar("_Options")


def run(main: Callable[[_Options], None], kind: type[_Options], description: str | None) -> None:
    """Call `main` with the options of the command line; what the user can mend ends the program with one line."""
    options = tyro.cli(kind, description=description)
    try:
        main(options)
    except (CheckpointError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
