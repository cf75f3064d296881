"""Tables of cells, line by line with the headings first, as text, Markdown and CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from analysis.metrics.confidence import Interval


def text(lines: Sequence[Sequence[str]], justify: Callable[[str, int], str] = str.rjust) -> str:
    """Columns of equal width, to the right as numbers are, or to the left by `str.ljust`."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (map(justify, line, widths) for line in lines)
    return "\n".join("  ".join(row) for row in rows)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def figure(value: Interval | float | None) -> str:
    """A cell of two digits, with the interval if there is one; a dash for what was not measured."""
    if value is None:
        return "–"
    if not isinstance(value, Interval):
        return f"{value:.2f}"
    if value.low is None or value.high is None:
        return f"{value.value:.2f}"
    return f"{value.value:.2f} ({value.low:.2f} – {value.high:.2f})"


def as_csv(lines: Iterable[Iterable[Any]]) -> str:
    """A CSV file with every digit; None is an empty cell."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()
