"""All figures of models and of what they have to beat, measured on the same clips of unseen recordings.

Probes are fitted on validation recordings, which are as new to the models as those they are scored on. An effect that
cannot be heard in the clips of a protocol is left out of its figures, and with fewer than two effects there is no
question which one it is.

Sections
    effect      which effect it was, at random settings and with all at the middle.
    settings    at which settings.
    paths       what a moving parameter draws, and the cloud of all settings of an effect on one clip.
    invariance  whether the same setting is found over other recordings, and whether the recording can be read.
    vae         reconstruction, divergence, and how the space maps to a plane.
    unseen      effect and settings of effects that the models were not trained on.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from tqdm import tqdm

from analysis.metrics import layout, reconstruction
from analysis.metrics.probes import NEIGHBOURS
from analysis.models import representations
from analysis.models.baselines import PrincipalComponents
from analysis.models.representations import Hears, Representation
from analysis.renders import material
from analysis.renders.material import Material, Renders, Sizes
from analysis.renders.plan import pairs
from analysis.sections import structure, table
from analysis.sections.structure import Ceiling, Score
from analysis.sections.table import Comparison, Entry
from jaxvae import effects, inference
from jaxvae.data import audio, dataset
from jaxvae.effects import Effect
from jaxvae.training import losses

PROTOCOLS = {"random": "random settings", "fixed": "all settings at the middle"}
WAYS = (1_024, 4_096)
_COMPARED = {
    "effect": ("accuracy_logistic", "accuracy_knn", "accuracy_forest"),
    "settings": ("r2", "r2_one_clip"),
    "paths": ("monotonicity", "smoothness"),
    "invariance": ("retrieval_r1", "retrieval_r10", "retrieval_rank"),
    "vae": ("reconstruction",),
}


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

    def add(self, section: str, row: str, scores: Iterable[Score]) -> None:
        for score in scores:
            self._found.setdefault((section, score.figure, score.item), {})[row] = score

    def entries(self, seed: int) -> list[Entry]:
        return [
            table.entry(section, row, score, seed)
            for (section, _, _), rows in self._found.items()
            for row, score in rows.items()
        ]

    def comparisons(self, ours: str, others: Sequence[str], seed: int) -> list[Comparison]:
        found = [
            table.compare(
                key[0], ours, {ours: rows[ours], **{name: rows[name] for name in others if name in rows}}, seed
            )
            for key, rows in self._found.items()
            if key[1] in _COMPARED.get(key[0], ()) and "/" not in key[2] and ours in rows  # means over parameters only
        ]
        return [comparison for comparison in found if comparison is not None]


def measure(
    models: Mapping[str, inference.SpectrogramEncoder],
    train: dataset.Split,
    validation: dataset.Split,
    test: dataset.Split,
    sizes: Sizes,
    ceiling: Ceiling | None = None,
    unseen: Sequence[Effect] = (),
    seed: int = 0,
) -> Board:
    """All figures of the first model, of the others and of the baselines, on the recordings of `test`.

    Principal components are those of `train`; probes are fitted on `validation`: on recordings that a model was trained
    on, its latents are better than on others, and a probe would trust them too much.

    Raises:
        ValueError: nothing can be heard.
    """
    ceiling = ceiling or {}
    ours, encoder = next(iter(models.items()))
    kinds = [effects.get(name) for name in encoder.effects]
    rows, components = representations.rows(models, train, sizes.components, seed)
    trained = [row for row in rows if row.encoder is not None]
    hears = {row.name: row.hears for row in rows}
    rate = encoder.experiment.audio.sample_rate
    made = material.render(rows, validation, test, kinds, unseen, rate, sizes, seed)

    scores, confusion = _Scores(), {}
    with tqdm(rows, unit="row", desc="figures") as bar:
        for row in bar:
            bar.set_postfix_str(row.name)
            for protocol, (names, counts) in _effect(scores, row.name, made, seed).items():
                confusion.setdefault(protocol, {"effects": names, "counts": {}})["counts"][row.name] = counts
            _settings(scores, row.name, made, ceiling, seed)
            # Lengths are in units of the whole cloud, so that spaces of any scale compare.
            size = np.sqrt(made.held.features[row.name].var(axis=0).sum()) or 1.0
            moved, cloud = made.paths.features[row.name] / size, made.cloud.features[row.name]
            along = structure.along(moved, made.paths.plan, made.paths.distance_db, made.paths.recording, ceiling)
            scores.add("paths", row.name, [*along, *structure.ring(cloud, made.cloud.plan, "ring_pca", _flatten)])
            if row.encoder is encoder:
                scores.add("paths", row.name, structure.ring(cloud, made.cloud.plan, "ring_umap", layout.fit))
            _invariance(scores, row.name, made, seed)
            _latent(scores, row, made, sizes, seed)
            _unseen(scores, row.name, made, seed)
    _reconstruction(scores, models, components, test, seed)
    for index, kind in enumerate(kinds):
        for protocol, renders in (("random", made.held), ("fixed", made.fixed)):
            heard = renders.audible[renders.plan.effect == index]
            scores.add(
                "effect", protocol, [Score("inaudible", kind.name, float(np.mean(~heard)) if len(heard) else None)]
            )
        for name, limit in ceiling.get(kind.name, {}).items():
            scores.add("settings", "ceiling", [Score("ceiling", f"{kind.name}/{name}", limit)])
    comparisons = []
    for name in (ours, representations.dry_aware(ours)):
        if name in hears:
            peers = [peer for peer in hears if peer != name and hears[peer] in (hears[name], "nothing")]
            comparisons += scores.comparisons(name, peers, seed)
    return Board(
        about={
            "seed": seed,
            "sizes": dataclasses.asdict(sizes),
            "effects": [kind.name for kind in kinds],
            "unseen_effects": [kind.name for kind in unseen],
            "components_fitted_on": components.fitted_on,
            "ceiling": None,
            "error_unit": reconstruction.unit(encoder.experiment),
            "clips": {
                field.name: _counts(renders)
                for field in dataclasses.fields(made)
                if (renders := getattr(made, field.name)) is not None
            },
        },
        hears=hears,
        entries=scores.entries(seed),
        comparisons=comparisons,
        confusion=confusion,
        kl_per_dimension={
            row.name: np.asarray(losses.kl_per_dimension(made.held.posterior(row.name))).mean(axis=0).tolist()
            for row in trained
        },
        held=made.held,
        components=components,
    )


def _flatten(features: Float[np.ndarray, "clip feature"]) -> Float[np.ndarray, "clip 2"]:
    """The two first principal components."""
    return PCA(2, random_state=0).fit_transform(features)


def _counts(renders: Renders) -> dict[str, Any]:
    return {
        "rendered": renders.rendered,
        "used": len(renders.recording),
        "recordings": len(np.unique(renders.recording)),
        "of_effect": np.bincount(renders.plan.effect, minlength=len(renders.plan.effects)).tolist(),
    }


def _effect(scores: _Scores, name: str, made: Material, seed: int) -> dict[str, tuple[list[str], list[list[int]]]]:
    """Names of the effects that can be heard, and the confusion, by protocol; none where there is no question."""
    confusion = {}
    for protocol, first, second in (("random", made.fit, made.held), ("fixed", made.fixed_fit, made.fixed)):
        fit, held, kept = structure.both_heard(first.labelled(name), second.labelled(name))
        names = [second.plan.effects[index].name for index in np.unique(held.effect)]
        if len(names) > 1:
            found, counts = structure.effect(fit, held, second.audible[kept], protocol, seed)
            scores.add("effect", name, found)
            confusion[protocol] = (names, counts.tolist())
            if answers := second.reading(name):
                scores.add(
                    "effect", name, structure.head_effect(answers[0][kept], held, second.audible[kept], protocol)
                )
    return confusion


def _settings(scores: _Scores, name: str, made: Material, ceiling: Ceiling, seed: int) -> None:
    kinds = made.held.plan.effects
    fit, held, kept = structure.both_heard(made.fit.labelled(name), made.held.labelled(name))
    scores.add("settings", name, structure.settings(structure.ridge(fit, held), held, kinds, ceiling))
    if answers := made.held.reading(name):
        settings = [probabilities[kept] for probabilities in answers[1]]
        scores.add("settings", name, structure.settings(structure.head(settings, held), held, kinds, ceiling, "_head"))
        scores.add("settings", name, structure.calibrated(settings, held, kinds))
    cloud = made.cloud.labelled(name)
    scores.add(
        "settings", name, structure.settings(structure.one_clip(cloud, seed), cloud, kinds, ceiling, "_one_clip")
    )


def _invariance(scores: _Scores, name: str, made: Material, seed: int) -> None:
    first, second = pairs(made.held.plan)
    features, recording = made.held.features[name], made.held.recording
    scores.add("invariance", name, structure.recording_read(features, made.held.plan.dry, recording, seed))
    if (content := made.held.content(name)) is not None:
        found = structure.recording_read(content, made.held.plan.dry, recording, seed, "content")
        scores.add("invariance", name, found)
    queries, answers, own = features[first], features[second], recording[first]
    ways = [number for number in WAYS if number <= len(first)] or [len(first)]
    scores.add("invariance", name, structure.same_setting(queries, answers, own, ways[-1]))
    if made.gallery is not None:
        answers = np.concatenate([answers, made.gallery.features[name]])
        for number in WAYS:
            if ways[-1] < number <= len(answers):
                scores.add("invariance", name, structure.same_setting(queries, answers, own, number))


def _latent(scores: _Scores, row: Representation, made: Material, sizes: Sizes, seed: int) -> None:
    """Structure of the space on the first clip of each pair, whose effects take turns."""
    if row.encoder is not None:
        scores.add("vae", row.name, structure.latent(made.held.posterior(row.name)))
    chosen = pairs(made.held.plan)[0][: sizes.map_clips]
    features, effect = made.held.features[row.name][chosen], made.held.plan.effect[chosen]
    scores.add("vae", row.name, structure.silhouette(features, effect))
    if row.mapped and len(chosen) > 2 * NEIGHBOURS:
        scores.add("vae", row.name, structure.plane(features, layout.fit(features, seed), effect))


def _unseen(scores: _Scores, name: str, made: Material, seed: int) -> None:
    if made.new_fit is None or made.new is None:
        return
    fit, held, kept = structure.both_heard(made.new_fit.labelled(name), made.new.labelled(name))
    if len(np.unique(held.effect)) > 1:
        scores.add("unseen", name, structure.effect(fit, held, made.new.audible[kept], "random", seed)[0])
    scores.add("unseen", name, structure.settings(structure.ridge(fit, held), held, made.new.plan.effects, {}))


def _reconstruction(
    scores: _Scores,
    models: Mapping[str, inference.SpectrogramEncoder],
    components: PrincipalComponents,
    test: dataset.Split,
    seed: int,
) -> None:
    """Errors on clips of the data set, of the models that see the same spectrograms; and the ELBO of those."""
    encoder = components.encoder
    same = {
        name: model
        for name, model in models.items()
        if (model.experiment.audio, model.experiment.spectrogram)
        == (encoder.experiment.audio, encoder.experiment.spectrogram)
    }
    guesses = {name: model.reconstruct for name, model in same.items()}
    guesses |= {components.name: components.reconstruct, "constant": lambda wet, rate: components.band_mean}
    chosen, squares = reconstruction.squared_errors(encoder, guesses, test, seed)
    wet, recording = audio.to_float(test.audio(chosen)), test.recording[chosen]
    for name, (errors, _) in squares.items():
        scores.add("vae", name, [structure.of_clips("reconstruction", "", errors, recording, np.sqrt)])
    pixels = encoder.experiment.bins * encoder.experiment.frames
    for name, model in same.items():
        if not model.content_dim:  # whose divergence is not known here
            posterior = model.posterior(wet, encoder.experiment.audio.sample_rate)
            kl = np.asarray(losses.kl_per_dimension(posterior)).sum(axis=1).mean()
            elbo = -float(losses.calibrated_negative_elbo(squares[name][1].mean(), kl, pixels))
            scores.add("vae", name, [Score("elbo", "", elbo)])
