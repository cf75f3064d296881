"""Tables of scores: entries with intervals, comparisons with the best baseline, and how they are laid out.

Conventions
    An entry is one number: of a section, a figure, an item (a protocol, an effect, a parameter, ...) and a row (a
    representation). A table lays entries out as its outline says (`analysis.sections.outline`).
    The best of a line or column is marked among the rows that hear the same, by what is printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from analysis.metrics import confidence
from analysis.models.representations import Hears
from analysis.pages import plain_table
from analysis.sections import FIGURES
from analysis.sections.outline import Outline
from analysis.sections.score import Score


class Entry(NamedTuple):
    """One number of the scoreboard, with its 95 % interval where it is a mean over clips of recordings enough."""

    section: str
    figure: str
    item: str
    row: str
    value: float | None
    low: float | None = None
    high: float | None = None
    recordings: int | None = None


class Comparison(NamedTuple):
    """How much better a row is than the best baseline that hears the same; above 0 it is better."""

    section: str
    figure: str
    item: str
    row: str
    baseline: str
    value: float
    low: float | None
    high: float | None
    recordings: int


def entry(section: str, row: str, score: Score) -> Entry:
    """A score with its interval over recordings."""
    if score.clips is None or score.recording is None:
        return Entry(section, score.figure, score.item, row, score.value)
    found = confidence.interval(score.clips, score.recording, score.score)
    return Entry(section, score.figure, score.item, row, score.value, found.low, found.high, found.recordings)


def compare(section: str, row: str, scores: Mapping[str, Score]) -> Comparison | None:
    """A row against the best of the others, all of the same figure and item; None where there is nothing to compare."""
    ours = scores[row]
    others = {name: score for name, score in scores.items() if name != row and score.clips is not None}
    if ours.clips is None or not others:
        return None
    sign = -1 if FIGURES[ours.figure].better == "less" else 1
    best = max(others, key=lambda name: sign * others[name].value)
    theirs = others[best]
    if len(theirs.clips) != len(ours.clips):
        raise ValueError(
            f"{ours.figure} of {row} is of {len(ours.clips)} clips, that of {best} of {len(theirs.clips)}; compare the "
            "same clips"
        )
    found = confidence.difference(ours.clips, theirs.clips, ours.recording, lambda mean: sign * ours.score(mean))
    return Comparison(section, ours.figure, ours.item, row, best, *found)


class Cell(NamedTuple):
    """A number as it is printed."""

    text: str
    interval: str = ""
    best: bool = False


class Line(NamedTuple):
    """One line of a table; `hears` where it is a representation."""

    label: str
    cells: list[Cell]
    hears: str = ""


class Table(NamedTuple):
    """A table as it is printed."""

    title: str
    columns: list[str]
    lines: list[Line]


class Entries:
    """Entries by what they are of."""

    def __init__(self, entries: Iterable[Entry], hears: Mapping[str, Hears]) -> None:
        self._entries = {(entry.section, entry.figure, entry.item, entry.row): entry for entry in entries}
        self._hears = hears

    def value(self, section: str, figure: str, item: str, row: str) -> float | None:
        """The number, None where there is none."""
        found = self._entries.get((section, figure, item, row))
        return None if found is None else found.value

    def table(self, outline: Outline) -> Table:
        """Entries at the crossings of an outline's lines and columns; lines and columns without any are left out."""
        title, lines, columns, best = outline
        grid = {
            (line, column): self._entries.get(tuple((first | second)[name] for name in Entry._fields[:4]))
            for line, first in lines.items()
            for column, second in columns.items()
        }
        grid = {place: entry for place, entry in grid.items() if entry is not None and entry.value is not None}
        shown_columns = [column for column in columns if any(place[1] == column for place in grid)]
        along = 0 if best == "line" else 1
        marked = set()
        groups: dict[tuple, list[tuple[str, str]]] = {}
        for place, entry in grid.items():
            groups.setdefault((place[along], entry.figure, self._hears.get(entry.row, "")), []).append(place)
        for (_, name, hears), places in groups.items():
            better = FIGURES[name].better
            if better and hears != "nothing" and len(places) > 1:
                choose = max if better == "more" else min
                top = number(name, choose(grid[place].value for place in places))
                marked |= {place for place in places if number(name, grid[place].value) == top}
        made = [
            Line(
                line,
                [_cell(grid.get((line, column)), (line, column) in marked) for column in shown_columns],
                self._hears.get(first.get("row", ""), ""),
            )
            for line, first in lines.items()
            if any(place[0] == line for place in grid)
        ]
        return Table(title, shown_columns, made)


def number(figure: str, value: float | None) -> str:
    """A value in the digits of its figure."""
    if value is None:
        return ""
    known = FIGURES[figure]
    text = f"{known.scale * value:,.{known.digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def _cell(found: Entry | None, best: bool) -> Cell:
    if found is None:
        return Cell("")
    interval = "" if found.low is None else f"{number(found.figure, found.low)} – {number(found.figure, found.high)}"
    return Cell(number(found.figure, found.value), interval, best)


def text(table: Table) -> str:
    """A table in columns of equal width; intervals follow their number, the best has a star."""
    rows = [["", *table.columns]]
    for line in table.lines:
        cells = [f"{c.text}{'*' if c.best else ' '}" + (f" [{c.interval}]" if c.interval else "") for c in line.cells]
        rows.append([line.label, *cells])
    body = "\n".join(line.rstrip() for line in plain_table.text(rows, str.ljust).splitlines())
    return f"{table.title}\n{body}"


def as_csv(entries: Sequence[Entry]) -> str:
    """One line an entry, with every digit; cells without a value are empty."""
    return plain_table.as_csv([Entry._fields, *entries])
