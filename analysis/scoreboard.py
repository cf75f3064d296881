"""How good a latent space is, on one page: a trained run beside what it has to beat, all on unseen recordings.

    python -m analysis.scoreboard --workdir runs/mine --out board
    python -m analysis.scoreboard --workdir runs/mine --compare runs/grant2023 --ceiling ceiling.json --out board
    python -m analysis.scoreboard --workdir runs/mine --audio ~/other_music --effects pedalboard/Phaser --out board

Writes scoreboard.txt, .json, .csv and .html. Every clip is rendered once and given to every representation, wet and
dry. Those that hear the wet clip only are compared with one another, and so are those that hear the dry clip as well.
The same command gives the same figures.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from analysis.metrics import audibility, paths
from analysis.models import members, representations
from analysis.pictures import style
from analysis.renders.material import Sizes
from analysis.sections import board, structure, table
from analysis.sections.board import PROTOCOLS, Board
from analysis.sections.structure import Ceiling
from analysis.sections.table import FIGURES, Entries, Key, Table
from jaxvae import atomic_file, command_line, effects, inference
from jaxvae.data import dataset, recordings

OURS = "this model"
_TEST_CLIPS = 1_200  # of other folders: 600 crops
_SAME = ("audio.", "data.audio", "data.test_audio", "data.seed", "data.validation_share", "data.test_share")


class Section(NamedTuple):
    """Tables of one subject."""

    title: str
    note: str
    tables: list[Table]


def summary(measured: Board) -> dict[str, Key]:
    """The columns that say most, by their titles."""
    ways = list(dict.fromkeys(entry.item for entry in measured.entries if entry.figure == "retrieval_r1"))
    parameters = "identifiable" if measured.about["ceiling"] else "all"
    return {
        "effect, middle settings, forest (%)": {"section": "effect", "item": "fixed", "figure": "accuracy_forest"},
        "effect, random settings, logistic (%)": {"section": "effect", "item": "random", "figure": "accuracy_logistic"},
        "… head (%)": {"section": "effect", "item": "random", "figure": "accuracy_head"},
        "settings R²": {"section": "settings", "item": "all", "figure": "r2"},
        "… head": {"section": "settings", "item": "all", "figure": "r2_head"},
        "… of ceiling (%)": {"section": "settings", "item": "all", "figure": "share_of_ceiling"},
        "… one clip": {"section": "settings", "item": "all", "figure": "r2_one_clip"},
        "paths, Spearman": {"section": "paths", "item": parameters, "figure": "monotonicity"},
        f"{ways[-1]} R@1 (%)": {"section": "invariance", "item": ways[-1], "figure": "retrieval_r1"},
        f"{ways[-1]} R@10 (%)": {"section": "invariance", "item": ways[-1], "figure": "retrieval_r10"},
        "recording / chance": {"section": "invariance", "item": "", "figure": "recording_ratio"},
        f"error ({measured.about['error_unit']})": {"section": "vae", "item": "", "figure": "reconstruction"},
    }


def sections(measured: Board) -> list[Section]:
    """Every figure, in tables."""
    entries, about = Entries(measured.entries, measured.hears), measured.about
    rows = {row: {"row": row} for row in measured.hears}
    ways = list(dict.fromkeys(entry.item for entry in measured.entries if entry.figure == "retrieval_r1"))
    unit, held = about["error_unit"], about["clips"]["held"]
    means = ("identifiable", "all") if about["ceiling"] else ("all",)

    def of(section: str, item: str, *figures: str) -> dict[str, Key]:
        return {FIGURES[name].title: {"section": section, "figure": name, "item": item} for name in figures}

    def summed(title: str, section: str, item: str, *figures: str) -> Table:
        return entries.table(title, rows, of(section, item, *figures), "column")

    accuracies = [f"accuracy_{name}" for name in ("logistic", "knn", "forest", "head", "audible", "audible_head")]
    f1 = [f"macro_f1_{name}" for name in ("logistic", "knn", "forest")]
    short = _short_names(about["effects"])
    inaudible = {short[name]: {"section": "effect", "figure": "inaudible", "item": name} for name in about["effects"]}
    return [
        Section(
            "Summary",
            "Best of those that hear the same in bold, with 95 % intervals over recordings below.",
            [entries.table("All representations", rows, summary(measured), "column")],
        ),
        Section(
            "Effect",
            f"Probes are fitted on {about['clips']['fit']['used']:,} clips of validation recordings and scored on "
            f"{held['used']:,} of {held['recordings']} unseen recordings at random settings, "
            f"{about['clips']['fixed']['used']:,} with all settings at the middle (Grant's (2023) protocol). Chance is "
            f"{100 / len(about['effects']):.0f} %; clips of each effect: {', '.join(map(str, held['of_effect']))}. "
            f"Inaudible: the log-spectral distance to the dry clip is below {audibility.INAUDIBLE_DB:g} dB.",
            [
                *(summed(f"Accuracy, {words}", "effect", item, *accuracies, *f1) for item, words in PROTOCOLS.items()),
                entries.table(
                    "Inaudible clips (%)",
                    {words: {"row": item} for item, words in PROTOCOLS.items()},
                    inaudible,
                    "column",
                ),
            ],
        ),
        Section(
            "Settings",
            "R² of ridge regressions fitted on validation recordings, and of the model's own heads; 1 is perfect, 0 as "
            "good as the mean. MAE in normalised units; answering the middle has 0.25, a random one 0.33. One clip: "
            f"five folds over {about['sizes']['settings']} settings on one known clip, Grant's (2023) easy protocol. "
            + (
                f"Ceiling: {about['ceiling']}; identifiable: it is above 0.25."
                if about["ceiling"]
                else "No ceiling given."
            ),
            [
                entries.table(
                    "Means over effects",
                    rows,
                    {
                        f"{FIGURES[name].title}, {item}": {"section": "settings", "item": item, "figure": name}
                        for name in ("r2", "r2_head", "mae", "mae_head", "r2_one_clip")
                        for item in means
                    }
                    | of("settings", "all", "share_of_ceiling", "share_of_ceiling_head"),
                    "column",
                ),
                *_by_parameter(measured, entries),
                *_calibration(measured, entries),
            ],
        ),
        Section(
            "Paths",
            f"One parameter moves over {about['sizes']['path_steps']} settings, the others rest in the middle; means "
            f"over {about['sizes']['path_clips']} clips of {about['clips']['paths']['recordings']} unseen recordings. "
            "|ρ|: Spearman of the setting with arc length along the principal curve; smooth: 1 straight and even, 0 a "
            "random walk; straight: distance of the ends over the length; open: 0 for a closed ring; length: in sizes "
            f"of the cloud of all clips, per step of {audibility.INAUDIBLE_DB:g} dB of log-spectral distance. Centre "
            f"occupancy of the cloud of {about['sizes']['settings']} settings of each effect on one clip: disc 1, "
            "Gaussian 1.27, ring 0; low also for a thin bent band, the map of an effect that one parameter dominates. "
            f"Rings: clouds of an occupancy below {paths.RING_OCCUPANCY:g} that leave no angle of "
            f"{paths.RING_GAP:g}° open.",
            [
                *(summed(f"Mean over {item} parameters", "paths", item, *structure.PATH_FIGURES) for item in means),
                *_paths_by_parameter(measured, entries),
                entries.table(
                    "Centre occupancy of the cloud on a plane",
                    rows,
                    {
                        FIGURES[name].title: {"section": "paths", "item": "all", "figure": name}
                        for name in ("rings_pca", "rings_umap")
                    }
                    | {
                        f"{words}: {short.get(item, item)}": {"section": "paths", "item": item, "figure": name}
                        for name, words in (("ring_pca", "PCA"), ("ring_umap", "UMAP"))
                        for item in ("least", *about["effects"])
                    },
                    "column",
                ),
            ],
        ),
        Section(
            "Invariance",
            "Each of the pairs is the same effect at the same settings over two recordings; the second is looked for "
            "among all second clips, by cosine. Chance: R@1 is 1 / ways, mean rank 50 %. The recording is read by "
            "probes from crops that they have not met; from the effect latent less is better, from the content latent "
            "more.",
            [
                *(summed(f"Same setting, other recording, {item}", "invariance", item, *_RETRIEVAL) for item in ways),
                summed(
                    "Which recording?",
                    "invariance",
                    "",
                    *(f"{of}_{name}" for of in ("recording", "content") for name in ("accuracy", "ratio")),
                ),
            ],
        ),
        Section(
            "VAE",
            f"Root-mean-square error of spectrograms in {unit}, at the posterior mean; the constant is each band's "
            "mean. KL divergence and active units (variance of the mean above 0.01) of the effect latent. ELBO of a "
            "Gaussian decoder of the best variance, at the posterior mean. Silhouettes are those of the effects; "
            f"maps by UMAP of {min(about['sizes']['map_clips'], held['used'] // 2)} clips.",
            [
                summed(
                    "",
                    "vae",
                    "",
                    "reconstruction",
                    "elbo",
                    "kl",
                    "active_units",
                    "active_share",
                    "silhouette",
                    "silhouette_map",
                    "trustworthiness",
                )
            ],
        ),
        *(
            [
                Section(
                    "Unseen effects",
                    f"{', '.join(about['unseen_effects'])}: not in training. Probes are fitted on them, latent spaces "
                    "are not.",
                    [
                        summed("Effect", "unseen", "random", *accuracies, *f1),
                        summed("Settings, means", "unseen", "all", "r2", "mae"),
                    ],
                )
            ]
            if about["unseen_effects"]
            else []
        ),
    ]


_RETRIEVAL = ("retrieval_r1", "retrieval_r10", "retrieval_rank")


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """ "Delay" of mda/Delay, unless another effect is called so."""
    short = [style.short_name(name) for name in names]
    return {name: one if short.count(one) == 1 else name for name, one in zip(names, short, strict=True)}


def _items(measured: Board) -> dict[str, Key]:
    """Every parameter."""
    short = _short_names(measured.about["effects"])
    return {
        f"{short[name]} {parameter.name}": {"item": f"{name}/{parameter.name}"}
        for name in measured.about["effects"]
        for parameter in effects.get(name).parameters
    }


def _by_parameter(measured: Board, entries: Entries) -> list[Table]:
    """R² of each parameter, a table for the blind and one for the dry-aware."""
    tables = []
    for hears, words in (("wet", "hearing the wet clip"), ("wet and dry", "hearing the dry clip as well")):
        rows = [row for row, own in measured.hears.items() if own == hears]
        columns = {"ceiling": {"section": "settings", "figure": "ceiling", "row": "ceiling"}}
        for row in rows:
            columns[row] = {"section": "settings", "figure": "r2", "row": row}
            columns[f"{row}: head"] = {"section": "settings", "figure": "r2_head", "row": row}
        if rows:
            tables.append(entries.table(f"R² of each parameter, {words}", _items(measured), columns, "line"))
    return tables


def _calibration(measured: Board, entries: Entries) -> list[Table]:
    lines = _items(measured) | {"all": {"item": "all"}}
    names = ("mae", "mae_head", "r2_one_clip", "coverage_50", "coverage_80", "coverage_90", "nll")
    return [
        entries.table(
            f"{row} in detail",
            lines,
            {FIGURES[name].title: {"section": "settings", "figure": name, "row": row} for name in names}
            | {"MAE constant": {"section": "settings", "figure": "mae", "row": "constant"}},
            "line",
        )
        for row in _ours(measured)
    ]


def _paths_by_parameter(measured: Board, entries: Entries) -> list[Table]:
    return [
        entries.table(
            f"{row}, each parameter",
            _items(measured),
            {FIGURES[name].title: {"section": "paths", "figure": name, "row": row} for name in structure.PATH_FIGURES},
            "line",
        )
        for row in _ours(measured)
    ]


def _ours(measured: Board) -> list[str]:
    return [row for row in (OURS, representations.dry_aware(OURS)) if row in measured.hears]


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
                label + (", dry-aware" if measured.hears[found.row] == "wet and dry" else ""),
                [*map(table.Cell, cells), table.Cell(advantage, interval), table.Cell(verdict(found))],
            )
        )
    return Table(
        "This model against the best of the others that hear the same",
        [OURS, "best other", "its figure", "advantage", "verdict"],
        lines,
    )


def verdict(found: table.Comparison) -> str:
    """What an advantage says, from its interval alone."""
    if found.low is None or found.high is None:
        return f"too few recordings ({found.recordings})"
    if found.low > 0:
        return "better"
    return "worse" if found.high < 0 else "cannot be told"


def page(measured: Board, report: str | None) -> str:
    """The page; `report` is the address of the pictures, relative to it."""
    return (
        environment()
        .get_template("scoreboard.html")
        .render(
            about=measured.about,
            hears=measured.hears,
            sections=sections(measured),
            advantages=advantages(measured),
            confusion=measured.confusion,
            protocols=PROTOCOLS,
            report=report,
        )
    )


def environment() -> jinja2.Environment:
    """Templates of this folder."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("pages"), encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def as_text(measured: Board) -> str:
    """All tables as text; of a line or column the best of those that hear the same has a star."""
    parts = []
    for section in sections(measured):
        parts += [section.title.upper(), section.note, *(table.text(one) for one in section.tables)]
        if section.title == "Summary":
            parts.append(table.text(advantages(measured)))
    return "\n\n".join(part for part in parts if part) + "\n"


# The command


def unseen_split(encoder: inference.SpectrogramEncoder, data: dataset.Dataset, folders: Sequence[str]) -> dataset.Split:
    """Clips of other recordings, as the test split of a data set of their own.

    Raises:
        ValueError: the model was trained on one of the files.
        AudioError: the folders hold nothing that can be used.
    """
    own = json.loads(data.folder.path("manifest.json").read_text())
    digests = {name: digest for name, digest in own["files"]}
    trained = {digests[name] for made in data.recordings if made.split != "test" for name in made.files}
    shared = [
        file.name
        for file in recordings.find((), folders)
        if file.name.startswith("test_audio/") and file.digest in trained
    ]
    if shared:
        raise ValueError(
            f"{len(shared)} files of --audio were trained on, the first is {shared[0].partition('/')[2]}; name folders "
            "without them"
        )
    least = 4 * len(encoder.effects)
    other = dataclasses.replace(
        encoder.experiment.data,
        audio=(),  # the bundled recordings stand where training recordings have to be
        test_audio=tuple(folders),
        train_clips=least,
        validation_clips=least,
        test_clips=-(-_TEST_CLIPS // least) * least,
    )
    split = dataset.render(dataclasses.replace(encoder.experiment, data=other)).split("test")
    own = split.recipe.recording + np.int32(len(data.recordings))  # none is a training one
    return dataclasses.replace(split, recipe=split.recipe._replace(recording=own))


def read_ceiling(paths: Sequence[Path]) -> tuple[str | None, Ceiling]:
    """The sources of ceilings, and the best R² of them by effect and parameter, 0 at the least; or none."""
    best: dict[str, dict[str, float]] = {}
    contents = [json.loads(path.read_text()) for path in paths]
    for content in contents:
        for effect, parameters in content["effects"].items():
            known = best.setdefault(effect, {})
            for name, scores in parameters.items():
                known[name] = max(known.get(name, 0.0), float(scores["r2"]))
    return "; ".join(content["source"] for content in contents) or None, best


def load(run: Path, member: int | None, compared: Sequence[Path]) -> dict[str, inference.SpectrogramEncoder]:
    """The model of a run and those of others by their names.

    Raises:
        CheckpointError: a run has no checkpoint.
        ValueError: another was trained on other recordings, so what is unseen to one is not to the other.
    """
    (chosen,) = members.load(run, () if member is None else (member,))
    models = {OURS: chosen.encoder}
    for path in compared:
        (other,) = members.load(path)
        values = [
            {name: value for name, value in fields.flat(one.experiment).items() if name.startswith(_SAME)}
            for one in (chosen.encoder, other.encoder)
        ]
        different = [name for name in values[0] if values[0][name] != values[1][name]]
        if different:
            raise ValueError(
                f"{path} was trained with another {', '.join(different)}, so on other recordings; compare runs that "
                "share them"
            )
        name = other.encoder.experiment.name
        models[name if name not in models else f"{name} ({path.name})"] = other.encoder
    return models


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    workdir: Path
    """Folder of a trained run."""
    out: Path
    """Folder for scoreboard.txt, .json, .csv and .html."""
    audio: tuple[str, ...] = ()
    """Folders of recordings in the place of the run's test recordings; none of them may have been trained on."""
    effects: tuple[str, ...] = ()
    """Effects that were left out of training, to be measured as such."""
    compare: tuple[Path, ...] = ()
    """Folders of other runs on the same recordings, each a row."""
    ceiling: tuple[Path, ...] = ()
    """What can be reached of each parameter, files of analysis.ceiling, of which the best counts."""
    member: command_line.Member = None
    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    seed: int = 0


def main(options: Options) -> None:
    """Measure, print and write."""
    models = load(options.workdir, options.member, options.compare)
    encoder = models[OURS]
    if known := [name for name in options.effects if name in encoder.effects]:
        raise ValueError(f"{', '.join(known)} was trained on; name effects that were not")
    unseen = [effects.get(name) for name in options.effects]
    source, ceiling = read_ceiling(options.ceiling)
    data = dataset.render(encoder.experiment)
    test = unseen_split(encoder, data, options.audio) if options.audio else data.split("test")
    splits = data.split("train"), data.split("validation"), test
    measured = board.measure(models, *splits, options.sizes, ceiling, unseen, options.seed)
    about = {
        "run": options.workdir.resolve().name,
        "member": options.member,
        "experiment": encoder.experiment.name,
        "data": data.identity,
        "audio": list(options.audio),
        "compare": [path.name for path in options.compare],
        "ceiling": source,
    }
    measured = dataclasses.replace(measured, about=measured.about | about)
    options.out.mkdir(parents=True, exist_ok=True)
    name = "report.html" if options.member is None else f"report_{options.member:03d}.html"
    pictures = options.workdir / name
    report = os.path.relpath(pictures, options.out) if pictures.is_file() else None
    text = as_text(measured)
    print(text)
    for name, content in {
        "scoreboard.txt": text,
        "scoreboard.json": json.dumps(measured.figures(), indent=1, allow_nan=False, ensure_ascii=False),
        "scoreboard.csv": table.as_csv(measured.entries),
        "scoreboard.html": page(measured, report),
    }.items():
        with atomic_file.write(options.out / name) as file:
            file.write(content.encode())
    print(f"wrote {options.out / 'scoreboard.html'}")


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
