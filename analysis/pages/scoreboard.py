"""The scoreboard as a page and as text: a summary, the verdicts, and a chapter for each section."""

from typing import NamedTuple

from analysis.models import representations
from analysis.pages import templates
from analysis.sections import FIGURES, SECTIONS, table
from analysis.sections.board import Board
from analysis.sections.effect import PROTOCOLS
from analysis.sections.outline import OURS, Key, Outline
from analysis.sections.table import Comparison, Entries, Table


class Chapter(NamedTuple):
    """The tables of one subject as they are printed."""

    title: str
    note: str
    tables: list[Table]


def summary(measured: Board) -> dict[str, Key]:
    """The columns that say most, by their titles."""
    ways = measured.contents.items["retrieval_r1"][-1]
    parameters = measured.contents.means[0]
    return {
        "effect, middle settings, forest (%)": {"section": "effect", "item": "fixed", "figure": "accuracy_forest"},
        "effect, random settings, logistic (%)": {"section": "effect", "item": "random", "figure": "accuracy_logistic"},
        "… head (%)": {"section": "effect", "item": "random", "figure": "accuracy_head"},
        "settings R²": {"section": "settings", "item": "all", "figure": "r2"},
        "… head": {"section": "settings", "item": "all", "figure": "r2_head"},
        "… of ceiling (%)": {"section": "settings", "item": "all", "figure": "share_of_ceiling"},
        "… one clip": {"section": "settings", "item": "all", "figure": "r2_one_clip"},
        "paths, Spearman": {"section": "paths", "item": parameters, "figure": "monotonicity"},
        f"{ways} R@1 (%)": {"section": "invariance", "item": ways, "figure": "retrieval_r1"},
        f"{ways} R@10 (%)": {"section": "invariance", "item": ways, "figure": "retrieval_r10"},
        "recording / chance": {"section": "invariance", "item": "", "figure": "recording_ratio"},
        f"error ({measured.about['error_unit']})": {"section": "vae", "item": "", "figure": "reconstruction"},
    }


def chapters(measured: Board) -> list[Chapter]:
    """Every figure, in tables."""
    contents, entries = measured.contents, Entries(measured.entries, measured.hears)
    first = Chapter(
        "Summary",
        "Best of those that hear the same in bold, with 95 % intervals over recordings below.",
        [entries.table(Outline("All representations", contents.rows, summary(measured)))],
    )
    return [
        first,
        *(
            Chapter(section.title, section.note(contents), [entries.table(outline) for outline in own])
            for section in SECTIONS
            if (own := section.outlines(contents))
        ),
    ]


def advantages(measured: Board) -> Table:
    """This model against the best baseline that hears the same, figure by figure, on the same clips."""
    entries, lines = Entries(measured.entries, measured.hears), []
    for found in measured.comparisons:
        values = [
            table.number(found.figure, entries.value(found.section, found.figure, found.item, row))
            for row in (found.row, found.baseline)
        ]
        advantage = table.number(found.figure, found.value)
        interval = (
            "" if found.low is None else " – ".join(table.number(found.figure, x) for x in (found.low, found.high))
        )
        cells = [values[0], found.baseline, values[1]]
        label = f"{found.section}, {found.item}: {FIGURES[found.figure].title}".replace(", :", ":")
        lines.append(
            table.Line(
                representations.named(label, measured.hears[found.row]),
                [*map(table.Cell, cells), table.Cell(advantage, interval), table.Cell(verdict(found))],
            )
        )
    return Table(
        "This model against the best of the others that hear the same",
        [OURS, "best other", "its figure", "advantage", "verdict"],
        lines,
    )


def verdict(found: Comparison) -> str:
    """What an advantage says, from its interval alone."""
    if found.low is None or found.high is None:
        return f"too few recordings ({found.recordings})"
    if found.low > 0:
        return "better"
    return "worse" if found.high < 0 else "cannot be told"


def page(measured: Board, report: str | None) -> str:
    """The page; `report` is the address of the pictures, relative to it."""
    return templates.get("scoreboard.html").render(
        about=measured.about,
        hears=measured.hears,
        sections=chapters(measured),
        advantages=advantages(measured),
        confusion=measured.confusion,
        protocols=PROTOCOLS,
        report=report,
    )


def as_text(measured: Board) -> str:
    """All tables as text; of a line or column the best of those that hear the same has a star."""
    parts = []
    for chapter in chapters(measured):
        parts += [chapter.title.upper(), chapter.note, *(table.text(one) for one in chapter.tables)]
        if chapter.title == "Summary":
            parts.append(table.text(advantages(measured)))
    return "\n\n".join(part for part in parts if part) + "\n"
