"""Trained models side by side on the scoreboard's clips, as one Markdown table: ablations, sweeps, seeds.

    python -m analysis.comparison runs/ablations --config configs/mda_ablations.py --out analysis/ablations.md

Every member of the runs is a row beside the scoreboard's baselines. Members that differ in nothing but their seed share
one, with the mean and the deviation over seeds. The same command gives the same table.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tyro

from analysis.models import members, replicates, representations
from analysis.pages.scoreboard import summary
from analysis.renders.material import Sizes
from analysis.sections import FIGURES, board
from analysis.sections.board import Board
from analysis.sections.outline import Key
from analysis.sections.score import read_ceiling
from analysis.sections.table import Entries, number
from jaxvae import atomic_file, command_line, config, config_file, fields, sweep
from jaxvae.data.recordings import SPLITS

SIZES = Sizes(pairs=700, gallery=1_100, path_clips=3, map_clips=30)
_HEARS = {"wet": "Blind", "wet and dry": "Dry-aware", "nothing": "By chance"}


def markdown(measured: Board, rows: Mapping[str, Sequence[str]], commands: Mapping[str, str]) -> str:
    """The tables; of those that hear the same, the best is bold."""
    entries, columns, parts = Entries(measured.entries, measured.hears), summary(measured), []
    trained = {representation for row in rows.values() for representation in row}
    for hears, title in _HEARS.items():
        mode = representations.dry_aware if hears == "wet and dry" else str
        lines = {label: [mode(model) for model in row] for label, row in rows.items() if mode(row[0]) in measured.hears}
        aware = {representations.dry_aware(name) for name in trained}
        others = [name for name, own in measured.hears.items() if own == hears and name not in trained | aware]
        lines = ({} if hears == "nothing" else lines) | {name: [name] for name in others}
        if lines:
            parts.append(f"### {title}\n\n{_table(entries, lines, columns, mark=hears != 'nothing')}")
    if commands:
        parts.append("### Commands\n\n" + "\n".join(f"- {label}: `{line}`" for label, line in commands.items()))
    return "\n\n".join(parts) + "\n"


def commands_of(trained: Mapping[str, config.Experiment], path: Path) -> dict[str, str]:
    """How to train each row: the command of the member of the config's sweep that it is, if it is one."""
    swept, commands = sweep.members(config_file.load(path)), {}
    for label, experiment in trained.items():
        for member, other in enumerate(swept):
            if not [line for line in fields.differences(experiment, other) if not line.startswith(members.FREE)]:
                commands[label] = f"python -m launch.train {path} --workdir runs/{path.stem}_{member} --member {member}"
    return commands


def _table(entries: Entries, lines: Mapping[str, Sequence[str]], columns: Mapping[str, Key], mark: bool) -> str:
    cells: dict[str, dict[str, str]] = {label: {} for label in lines}
    used = []
    for title, key in columns.items():
        figure = key["figure"]
        means, deviations = {}, {}
        for label, names in lines.items():
            values = [entries.value(key["section"], figure, key["item"], name) for name in names]
            if all(value is not None for value in values):
                means[label], deviations[label] = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else None
        if not means:
            continue
        used.append(title)
        choose = {"more": max, "less": min}.get(FIGURES[figure].better)
        best = number(figure, choose(means.values())) if mark and choose and len(means) > 1 else None
        for label, mean in means.items():
            text = number(figure, mean)
            deviation = deviations[label]
            spread = "" if deviation is None else f" ± {number(figure, deviation)}"
            cells[label][title] = f"**{text}**{spread}" if text == best else text + spread
    head = ["", *used]
    rows = [[label, *(cells[label].get(title, "") for title in used)] for label in lines]
    ruler = ["---", *("---:" for _ in used)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))


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
    encoders, rows = replicates.load(options.runs, options.members)
    source, ceiling = read_ceiling(options.ceiling)
    data = members.data(list(encoders.values()), options.data.directory)
    splits = [data.split(name) for name in SPLITS]
    measured = board.measure(encoders, *splits, options.sizes, ceiling, seed=options.seed)
    measured = dataclasses.replace(measured, about=measured.about | {"ceiling": source})
    commands = {}
    if options.config:
        trained = {label: encoders[row[0]].experiment for label, row in rows.items()}
        commands = commands_of(trained, options.config)
    tables = markdown(measured, rows, commands)
    print(tables)
    above = ""
    if options.out.is_file():
        above, line, _ = options.out.read_text().partition("\n---\n")
        above = above + line + "\n" if line else ""
    atomic_file.write_text(options.out, above + tables)
    return [options.out]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
