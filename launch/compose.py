"""Recordings composed at random: melodies, chords, drums, bands and voices, for training on more kinds of sound.

    apt-get install fluidsynth fluid-soundfont-gm timgm6mb-soundfont espeak-ng
    python -m launch.compose runs/composed --minutes 120

A piece of some 20 seconds depends on the seed and its number alone. A killed command continues: what is there stays.
"""

import concurrent.futures
import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compose."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Where the FLAC files go, into a folder of each kind."""
    minutes: float = 120.0
    """Of sound, about."""
    seed: int = 0
    sound_fonts: tuple[Path, ...] = (
        Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
        Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
    )
    """Take turns."""

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes:g}; use more than 0")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; use 0 or more")
        if not self.sound_fonts:
            raise ValueError("sound_fonts is empty; name one file or more")


def main(options: Options) -> list[Path]:
    """Make the pieces that are missing, one on each core at a time."""
    from tqdm import tqdm

    from jaxvae import effects
    from jaxvae.data import composition

    composition.require_programs()
    for font in options.sound_fonts:
        if not font.is_file():
            raise OSError(f"there is no sound font {font}; apt-get install fluid-soundfont-gm timgm6mb-soundfont")
    pieces = {}
    for number in range(max(1, round(options.minutes * 60 / composition.SECONDS))):
        pieces[number] = options.folder / composition.kind_of(number) / f"{number:05d}.flac"
    for folder in {path.parent for path in pieces.values()}:
        atomic_file.require_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        atomic_file.remove_abandoned(folder)
    missing = [number for number, path in pieces.items() if not path.exists()]

    def make(number: int) -> None:
        composition.make(pieces[number], number, options.seed, options.sound_fonts)

    with concurrent.futures.ThreadPoolExecutor(effects.cores()) as pool:
        made = [pool.submit(make, number) for number in missing]
        try:
            for piece in tqdm(concurrent.futures.as_completed(made), total=len(made), unit="piece", desc="compose"):
                piece.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return [options.folder]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__, interrupted="interrupted; the same command makes what is missing")
