"""Write what a trained model is used by, without what trains it, into a folder that `jaxvae.load` reads.

python -m launch.release runs/mda_six release
python -m launch.release runs/sizes release --member 3
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to release."""

    run: command_line.Run
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """A new folder."""
    member: command_line.Member = None


def main(options: Options) -> list[Path]:
    """Write it, and tell its size."""
    from jaxvae import release

    release.write(options.run, options.folder, options.member)
    size = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB")
    return [options.folder]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
