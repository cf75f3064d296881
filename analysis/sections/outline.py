"""Which entries of the scoreboard stand where: the tables of a section before they are filled.

Conventions
    A table crosses labelled lines with labelled columns. Each fixes some of section, figure, item and row, and both
    together name one entry.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from analysis.models import representations
from analysis.models.representations import Hears
from analysis.pictures import style
from analysis.sections.score import Figure
from jaxvae import effects

OURS = "this model"
Key = Mapping[str, str]
"""Some of section, figure, item and row."""


class Outline(NamedTuple):
    """A table to be filled; lines and columns without any entry are left out."""

    title: str
    lines: Mapping[str, Key]
    columns: Mapping[str, Key]
    best: Literal["line", "column"] = "column"
    """Along which the best is marked."""


def columns(figures: Mapping[str, Figure], names: Iterable[str], **fixed: str) -> dict[str, Key]:
    """A column for each of some figures, by its title; what they share is fixed, such as their section and item."""
    return {figures[name].title: {"figure": name, **fixed} for name in names}


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a board holds, as far as the outline of its tables depends on it."""

    about: Mapping[str, Any]
    hears: Mapping[str, Hears]
    """What each row hears, in order."""
    items: Mapping[str, Sequence[str]]
    """Of each figure, in order."""

    @property
    def rows(self) -> dict[str, Key]:
        """A line for each representation."""
        return {row: {"row": row} for row in self.hears}

    @property
    def ours(self) -> list[str]:
        """The rows of the model that the scoreboard is about, mode by mode."""
        rows = (representations.named(OURS, hears) for hears in representations.MODES)
        return [row for row in rows if row in self.hears]

    @property
    def means(self) -> tuple[str, ...]:
        """The items of means over parameters."""
        return ("identifiable", "all") if self.about["ceiling"] else ("all",)

    @property
    def short_names(self) -> dict[str, str]:
        """ "Delay" of mda/Delay, unless another effect is called so."""
        names = self.about["effects"]
        short = [style.short_name(name) for name in names]
        return {name: one if short.count(one) == 1 else name for name, one in zip(names, short, strict=True)}

    @property
    def parameters(self) -> dict[str, Key]:
        """A line for each parameter of each effect."""
        return {
            f"{short} {parameter.name}": {"item": f"{name}/{parameter.name}"}
            for name, short in self.short_names.items()
            for parameter in effects.get(name).parameters
        }
