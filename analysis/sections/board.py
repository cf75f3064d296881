"""All figures of models and of what they have to beat, measured on the same clips of unseen recordings.

Probes are fitted on validation recordings, which are as new to the models as those they are scored on. An effect that
cannot be heard in the clips of a protocol is left out of its figures, and with fewer than two effects there is no
question which one it is.

What is measured stands in the files of the sections, which `analysis.sections.SECTIONS` lists.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from analysis.metrics import reconstruction
from analysis.models import representations
from analysis.models.baselines import PrincipalComponents
from analysis.models.representations import Hears
from analysis.renders.material import Material, Renders
from analysis.renders.sizes import Sizes
from analysis.sections import SECTIONS, effect, table, vae
from analysis.sections.outline import Contents
from analysis.sections.score import Ceiling, Score, Study
from analysis.sections.section import Section
from analysis.sections.table import Comparison, Entry
from jaxvae import effects, inference
from jaxvae.data import dataset
from jaxvae.effects import Effect


@dataclasses.dataclass(frozen=True)
class Board:
    """All figures, and the clips that pictures are drawn of."""

    about: dict[str, Any]
    hears: dict[str, Hears]
    """What each row hears, in order."""
    entries: list[Entry]
    comparisons: list[Comparison]
    confusion: dict[str, dict[str, Any]]
    """Of logistic regression, by protocol: names of effects, and of each model counts, a line for each true effect."""
    kl_per_dimension: dict[str, list[float]]
    """Nats, by model."""
    held: Renders
    components: PrincipalComponents

    @property
    def contents(self) -> Contents:
        """What the outline of its tables depends on."""
        items: dict[str, dict[str, None]] = {}
        for entry in self.entries:
            items.setdefault(entry.figure, {})[entry.item] = None
        return Contents(self.about, self.hears, {figure: tuple(own) for figure, own in items.items()})

    def figures(self) -> dict[str, Any]:
        """Everything but the clips, ready for JSON."""
        return {
            "about": self.about,
            "hears": self.hears,
            "entries": [entry._asdict() for entry in self.entries],
            "comparisons": [comparison._asdict() for comparison in self.comparisons],
            "confusion": self.confusion,
            "kl_per_dimension": self.kl_per_dimension,
        }


class _Scores:
    """Scores of all rows as they come in."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], dict[str, Score]] = {}

    def add(self, section: str, scores: Iterable[tuple[str, Score]]) -> None:
        for row, score in scores:
            self._found.setdefault((section, score.figure, score.item), {})[row] = score

    def entries(self) -> list[Entry]:
        return [
            table.entry(section, row, score)
            for (section, _, _), rows in self._found.items()
            for row, score in rows.items()
        ]

    def comparisons(self, ours: str, others: Sequence[str]) -> list[Comparison]:
        compared = {(section.name, figure) for section in SECTIONS for figure in section.compared}
        found = [
            table.compare(key[0], ours, {ours: rows[ours], **{name: rows[name] for name in others if name in rows}})
            for key, rows in self._found.items()
            if key[:2] in compared and "/" not in key[2] and ours in rows  # means over parameters only
        ]
        return [comparison for comparison in found if comparison is not None]

    def confusion(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for (section, figure, protocol), rows in self._found.items():
            if (section, figure) == (effect.SECTION.name, "accuracy_logistic"):
                counts = {row: score.confusion.counts.tolist() for row, score in rows.items()}
                found[protocol] = {"effects": next(iter(rows.values())).confusion.effects, "counts": counts}
        return found


def measure(
    models: Mapping[str, inference.SpectrogramEncoder],
    train: dataset.Split,
    validation: dataset.Split,
    test: dataset.Split,
    sizes: Sizes,
    ceiling: Ceiling | None = None,
    unseen: Sequence[Effect] = (),
    seed: int = 0,
    sections: Sequence[Section] = (),
    source: bool = True,
) -> Board:
    """The figures of these sections, or of all, on the recordings of `test`: of models, the first ahead, and baselines.

    Rows that hear the source are left out if they are not wanted. Principal components are those of `train`; probes
    are fitted on `validation`: on recordings that a model was trained on, its latents are better than on others, and a
    probe would trust them too much.

    Raises:
        ValueError: nothing can be heard.
    """
    ours, encoder = next(iter(models.items()))
    kinds = [effects.get(name) for name in encoder.effects]
    rows, components = representations.rows(models, train, sizes.components, seed, source)
    hears = {row.name: row.hears for row in rows}
    rate = encoder.experiment.audio.sample_rate
    made = Material(rows, validation, test, kinds, unseen, rate, sizes, seed)
    study = Study(made, models, components, test, ceiling or {}, sizes, seed)

    sections, scores = sections or SECTIONS, _Scores()
    with tqdm(rows, unit="row", desc="figures") as bar:
        for row in bar:
            bar.set_postfix_str(row.name)
            for section in sections:
                scores.add(section.name, ((row.name, score) for score in section.of_row(study, row)))
    for section in sections:
        scores.add(section.name, section.of_models(study))
    for index in range(len(kinds)):
        for section in sections:
            scores.add(section.name, section.of_effect(study, index))
    comparisons = []
    for name in (representations.named(ours, heard) for heard in representations.MODES):
        if name in hears:
            peers = [peer for peer in hears if peer != name and hears[peer] in (hears[name], "nothing")]
            comparisons += scores.comparisons(name, peers)
    return Board(
        about={
            "seed": seed,
            "sizes": dataclasses.asdict(sizes),
            "effects": [kind.name for kind in kinds],
            "unseen_effects": [kind.name for kind in unseen],
            "components_fitted_on": components.fitted_on,
            "ceiling": None,
            "error_unit": reconstruction.unit(encoder.experiment),
            "clips": {name: _counts(renders) for name, renders in made.made.items()},
        },
        hears=hears,
        entries=scores.entries(),
        comparisons=comparisons,
        confusion=scores.confusion(),
        kl_per_dimension={
            row.name: vae.kl_per_dimension(made.held.posterior(row.name)).tolist()
            for row in rows
            if row.encoder is not None
        },
        held=made.held,
        components=components,
    )


def _counts(renders: Renders) -> dict[str, Any]:
    return {
        "rendered": renders.rendered,
        "used": len(renders.recording),
        "recordings": len(np.unique(renders.recording)),
        "of_effect": np.bincount(renders.plan.effect, minlength=len(renders.plan.effects)).tolist(),
    }
