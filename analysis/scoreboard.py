"""How good a latent space is, on one page: a trained run beside what it has to beat, all on unseen recordings.

    python -m analysis.scoreboard runs/mine --out board
    python -m analysis.scoreboard runs/mine --compare runs/grant2023 --ceiling ceiling.json --out board
    python -m analysis.scoreboard runs/mine --audio ~/other_music --effects pedalboard/Phaser --out board

Writes scoreboard.txt, .json, .csv and .html. Every clip is rendered once and given to every representation, wet and
dry. Those are compared with one another that hear the same: the wet clip only, another dry passage of the recording as
well, or the dry clip as well. The same command gives the same figures.
"""

import dataclasses
import json
import os
from pathlib import Path

from analysis.renders.sizes import Sizes
from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    run: command_line.Run
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
    from analysis.models import compared, members
    from analysis.pages.scoreboard import as_text, page
    from analysis.sections import board, table
    from analysis.sections.outline import OURS
    from analysis.sections.score import read_ceiling
    from jaxvae import effects

    models = compared.load(options.run, options.member, options.compare)
    encoder = models[OURS]
    if known := [name for name in options.effects if name in encoder.effects]:
        raise ValueError(f"{', '.join(known)} was trained on; name effects that were not")
    unseen = [effects.get(name) for name in options.effects]
    source, ceiling = read_ceiling(options.ceiling)
    data = members.data([encoder], options.data.directory)
    test = compared.unseen_split(encoder, data, options.audio) if options.audio else data.split("test")
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
    contents = {
        options.out / "scoreboard.txt": text,
        options.out / "scoreboard.json": json.dumps(measured.figures(), indent=1, allow_nan=False, ensure_ascii=False),
        options.out / "scoreboard.csv": table.as_csv(measured.entries),
        options.out / "scoreboard.html": page(measured, report),
    }
    for path, content in contents.items():
        atomic_file.write_text(path, content)
    print(text)
    return list(contents)


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
