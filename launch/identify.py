"""What was done to recordings: which effect, at which settings, or none, in words.

    python -m launch.identify song.wav
    python -m launch.identify wet.flac --dry before.flac
    python -m launch.identify chorus.wav --source verse_without_effect.wav
    python -m launch.identify stems/*.wav --run runs/demo --json > stems.json

Files are read piece by piece, of any length, rate and number of channels. Probabilities are of the effects that the run
was trained on and of "no effect"; a setting is given by its median and the interval that holds it with 80 %.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to identify."""

    files: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE [FILE ...]")]
    """Audio files with the effect."""
    run: Path = Path("pretrained")
    """Folder of a trained run; pretrained is the model that comes with the package."""
    dry: Path | None = None
    """The file before the effect, if it is known; then there is one file with it."""
    source: Path | None = None
    """A file of the same recording without the effect, though of another passage, of any length."""
    windows: bool = False
    """Also tell each window of the recordings."""
    json: bool = False
    """Print JSON instead of text."""
    member: command_line.Member = None

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("no file is named; give at least one, such as song.wav")
        if self.known is not None and len(self.files) > 1:
            raise ValueError(f"{len(self.files)} files are named with one dry file; identify them one by one")
        if self.dry is not None and self.source is not None:
            raise ValueError("both --dry and --source are given; use --dry, which says more")

    @property
    def known(self) -> Path | None:
        """The dry file, whichever way it is related."""
        return self.dry or self.source


def main(options: Options) -> None:
    """Identify file after file, and print each as soon as it is known."""
    from tqdm import tqdm

    from jaxvae import inference, program_cache
    from jaxvae.data import waveform

    lengths = [waveform.of_file(path).seconds for path in options.files]  # what cannot be read is said before the work
    if options.known is not None:
        waveform.of_file(options.known)
    program_cache.keep()
    encoder = inference.load_encoder(options.run, member=options.member)
    found = {}
    for path, seconds in zip(options.files, lengths, strict=True):
        with tqdm(total=round(seconds), unit="s", desc=path.name, delay=2.0, leave=False, file=sys.stderr) as bar:

            def show(done: float, bar: tqdm = bar) -> None:
                bar.update(int(done) - bar.n)

            found[str(path)] = encoder.identify_file(
                path, options.known, show, relation="aligned" if options.source is None else "source"
            )
        if not options.json:
            print(f"{path}: {found[str(path)].text(options.windows)}", flush=True)
    if options.json:
        print(json.dumps({path: _plain(answer, options.windows) for path, answer in found.items()}, indent=1))


def _plain(identification: Any, windows: bool) -> dict:
    values = identification.to_dict()
    if not windows:
        del values["windows"]
    return values


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
