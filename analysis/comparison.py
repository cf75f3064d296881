"""Trained models side by side on the scoreboard's clips, as one Markdown table: ablations, sweeps, seeds.

    python -m analysis.comparison runs/ablations --config configs/mda_ablations.py --out analysis/ablations.md

Every member of the runs is a row beside the scoreboard's baselines. Members that differ in nothing but their seed share
one, with the mean and the deviation over seeds. The same command gives the same table.
"""

import dataclasses
from pathlib import Path

import tyro

from analysis.renders.sizes import Sizes
from jaxvae import atomic_file, command_line

SIZES = Sizes(pairs=700, gallery=1_100, path_clips=3, map_clips=30, degraded_pairs=0)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of trained runs on the same recordings."""
    out: Path
    """The Markdown file to write. What stands in it above a line of three dashes stays."""
    config: Path | None = None
    """The file that the members were trained from, for the command of each row."""
    ceiling: tuple[Path, ...] = ()
    """What can be reached of each parameter, files of analysis.ceiling, of which the best counts."""
    members: command_line.Members = ()
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)
    sizes: Sizes = dataclasses.field(default_factory=lambda: SIZES)
    seed: int = 0


def main(options: Options) -> list[Path]:
    """Measure, print and write."""
    from analysis.models import members, replicates
    from analysis.pages import comparison
    from analysis.sections import board
    from analysis.sections.score import read_ceiling
    from jaxvae.data.recordings import SPLITS

    encoders, rows = replicates.load(options.runs, options.members)
    source, ceiling = read_ceiling(options.ceiling)
    data = members.data(list(encoders.values()), options.data.directory)
    splits = [data.split(name) for name in SPLITS]
    measured = board.measure(encoders, *splits, options.sizes, ceiling, seed=options.seed)
    measured = dataclasses.replace(measured, about=measured.about | {"ceiling": source})
    commands = {}
    if options.config:
        trained = {label: encoders[row[0]].experiment for label, row in rows.items()}
        commands = comparison.commands_of(trained, options.config)
    tables = comparison.markdown(measured, rows, commands)
    above = ""
    if options.out.is_file():
        above, line, _ = options.out.read_text().partition("\n---\n")
        above = above + line + "\n" if line else ""
    atomic_file.write_text(options.out, above + tables)
    print(tables)
    return [options.out]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
