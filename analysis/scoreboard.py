"""How good a latent space is, on one page: a trained run beside what it has to beat, all on unseen recordings.

    python -m analysis.scoreboard runs/mine --out board
    python -m analysis.scoreboard runs/mine --compare runs/grant2023 --ceiling ceiling.json --out board
    python -m analysis.scoreboard runs/mine --audio ~/other_music --effects pedalboard/Phaser --out board

Writes scoreboard.txt, .json, .csv and .html. Every clip is rendered once and given to every representation, wet and
dry. Those that hear the wet clip only are compared with one another, and so are those that hear the dry clip as well.
The same command gives the same figures.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tyro

from analysis.models import members
from analysis.pages.scoreboard import as_text, page
from analysis.renders.material import Sizes
from analysis.sections import board, table
from analysis.sections.outline import OURS
from analysis.sections.score import read_ceiling
from jaxvae import atomic_file, command_line, effects, fields, inference
from jaxvae.data import dataset, recordings

_TEST_CLIPS = 1_200  # of other folders: 600 crops
_SAME = ("audio.", "data.audio", "data.test_audio", "data.seed", "data.validation_share", "data.test_share")


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
        directory=str(data.folder.parent),
    )
    split = dataset.render(dataclasses.replace(encoder.experiment, data=other), splits=("test",)).split("test")
    own = split.recipe.recording + np.int32(len(data.recordings))  # none is a training one
    return dataclasses.replace(
        split, recipe=split.recipe._replace(recording=own), sources=("",) * len(data.recordings) + split.sources
    )


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

    run: tyro.conf.Positional[Path]
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
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)
    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    seed: int = 0


def main(options: Options) -> list[Path]:
    """Measure, print and write."""
    models = load(options.run, options.member, options.compare)
    encoder = models[OURS]
    if known := [name for name in options.effects if name in encoder.effects]:
        raise ValueError(f"{', '.join(known)} was trained on; name effects that were not")
    unseen = [effects.get(name) for name in options.effects]
    source, ceiling = read_ceiling(options.ceiling)
    data = members.data([encoder], options.data.directory)
    test = unseen_split(encoder, data, options.audio) if options.audio else data.split("test")
    splits = data.split("train"), data.split("validation"), test
    measured = board.measure(models, *splits, options.sizes, ceiling, unseen, options.seed)
    about = {
        "run": options.run.resolve().name,
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
    pictures = options.run / name
    report = os.path.relpath(pictures, options.out) if pictures.is_file() else None
    text = as_text(measured)
    print(text)
    contents = {
        options.out / "scoreboard.txt": text,
        options.out / "scoreboard.json": json.dumps(measured.figures(), indent=1, allow_nan=False, ensure_ascii=False),
        options.out / "scoreboard.csv": table.as_csv(measured.entries),
        options.out / "scoreboard.html": page(measured, report),
    }
    for path, content in contents.items():
        atomic_file.write_text(path, content)
    return list(contents)


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
