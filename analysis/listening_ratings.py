"""Means of what listeners rated in a listening test, with 95 % intervals, from the files that its page saves.

    python -m analysis.listening_ratings anna.csv ben.csv

Listeners who rated the hidden reference below 90 in more than 15 % of items are left out and named (post-screening of
ITU-R BS.1534-3, section 4.1.2). The intervals are those of the bootstrap over listeners and items.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to read."""

    files: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="FILE.csv ...", help="One of each listener, all of one test."),
    ]

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("no file is named; name the CSV files of the listeners")


def main(options: Options) -> None:
    """Read and print."""
    from analysis.metrics import ratings
    from analysis.pages import plain_table

    every = ratings.read(options.files)
    kept, left_out = ratings.screen(every)
    for name, share in left_out.items():
        print(
            f"{name} is left out: the hidden reference below {ratings.LEAST} in {share:.0%} of items, "
            f"more than {ratings.SHARE:.0%}"
        )
    if not kept.listeners:
        print("nobody is left")
        return
    lines = [("condition", "mean", "95 % interval")]
    for condition, figure in sorted(ratings.means(kept).items(), key=lambda pair: -pair[1].mean):
        lines.append((condition, f"{figure.mean:.1f}", f"{figure.low:.1f} – {figure.high:.1f}"))
    print(plain_table.text(lines, str.ljust))
    print(f"{len(kept.listeners)} of {len(every.listeners)} listeners, {len(kept.items)} items")


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
