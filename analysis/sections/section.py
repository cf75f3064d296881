"""What a section of the scoreboard is made of; each has a file of its own, which ends with its `SECTION`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from analysis.models.representations import Representation
from analysis.sections.outline import Contents, Outline
from analysis.sections.score import Figure, Score, Study


class Section(NamedTuple):
    """One subject: its figures, how they are measured, and how they are laid out."""

    name: str
    """As entries name it."""
    title: str
    figures: Mapping[str, Figure]
    """Those that it declares, by the names in which scores give them."""
    of_row: Callable[[Study, Representation], Iterable[Score]]
    """Scores of one representation."""
    note: Callable[[Contents], str]
    outlines: Callable[[Contents], list[Outline]]
    """Its tables; without any it is left out."""
    compared: Sequence[str] = ()
    """Figures in which the model is compared with the best baseline."""
    of_models: Callable[[Study], Iterable[tuple[str, Score]]] = lambda study: ()
    """Scores of all models side by side, each with its row."""
    of_effect: Callable[[Study, int], Iterable[tuple[str, Score]]] = lambda study, index: ()
    """Scores of one effect, whatever hears it, each with its row."""
