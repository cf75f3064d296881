"""Trained models side by side, as a Markdown table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.models import members, representations
from analysis.pages.scoreboard import summary
from analysis.sections import FIGURES
from analysis.sections.board import Board
from analysis.sections.outline import Key
from analysis.sections.table import Entries, number
from jaxvae import config, config_file, fields, sweep


def markdown(measured: Board, rows: Mapping[str, Sequence[str]], commands: Mapping[str, str]) -> str:
    """The tables; of those that hear the same, the best is bold."""
    entries, columns, parts = Entries(measured.entries, measured.hears), summary(measured), []
    trained = {representation for row in rows.values() for representation in row}
    modes = {representations.named(name, hears) for name in trained for hears in representations.MODES}
    for hears, words in representations.WORDS.items():
        title, lines = words.capitalize(), {}
        if hears != "nothing":
            of_mode = {label: [representations.named(name, hears) for name in row] for label, row in rows.items()}
            lines = {label: row for label, row in of_mode.items() if row[0] in measured.hears}
        lines |= {name: [name] for name, own in measured.hears.items() if own == hears and name not in modes}
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
