"""Give a dry recording the sound of a reference: effect and settings, and the recording through them.

    python -m launch.match dry.wav reference.wav -o out.wav
    python -m launch.match dry.wav chorus_of_it.wav -o out.wav --same-recording --refine 48
    python -m launch.match dry.wav reference.wav -o out.wav --effects pedalboard/Delay pedalboard/Reverb
    python -m launch.match dry.wav reference.wav -o out.wav --settings out.json --python out.py --run runs/match_demo
    python -m launch.match dry.wav reference.wav -o out.wav --preset out.vstpreset --run runs/mine

The reference may be any recording in the wanted sound, of any length, rate and number of channels. The answer is
rendered at the rate of the dry file, channel by channel, at its power; the format follows from the name of the file.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

import jaxvae
from jaxvae import atomic_file, command_line

_SECONDS = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of the recording [{elapsed}<{remaining}]"


@dataclasses.dataclass(frozen=True)
class Options:
    """What to match."""

    dry: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DRY", help="Audio file to be changed.")]
    reference: Annotated[
        tyro.conf.Positional[Path], tyro.conf.arg(metavar="REFERENCE", help="Audio file in the wanted sound.")
    ]
    run: Path = Path("pretrained")
    """Folder of a trained matcher; pretrained is the one that comes with the package."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("out.wav")
    """Audio file to write: .wav, .flac, .ogg or another that libsndfile writes."""
    settings: Path | None = None
    """JSON file to write: effect, settings with intervals, alternatives."""
    python: Path | None = None
    """Python program to write, which renders any file through the answer."""
    preset: Path | None = None
    """State of the VST3 plug-in to write, a .vstpreset for other hosts, where the answer is one."""
    reference_dry: Path | None = None
    """The reference before the effect, if it is at hand."""
    same_recording: bool = False
    """The reference is another passage of the dry recording."""
    effects: tuple[str, ...] = ()
    """Effects to choose from; none means all that the matcher knows, and a single one is taken as given."""
    candidates: int = 16
    """Renders of an excerpt to choose from."""
    refine: int = 0
    """Renders more, in search of still better settings; 48 take about a second."""
    seed: int = 0
    """Seed of the candidates."""
    member: command_line.Member = None

    def __post_init__(self) -> None:
        for name, least in (("candidates", 1), ("refine", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; use {least} or more")
        written = [path.resolve() for path in (self.out, self.settings, self.python, self.preset) if path is not None]
        read = [path.resolve() for path in (self.dry, self.reference, self.reference_dry) if path is not None]
        if len(set(written)) < len(written) or set(written) & set(read):
            raise ValueError("a file would be written over another of this command; give each a name of its own")


def main(options: Options) -> list[Path]:
    """Match, say what was found, and write the answer."""
    import soundfile
    from tqdm import tqdm

    from jaxvae import program_cache

    kind = options.out.suffix.removeprefix(".").upper()
    if kind not in soundfile.available_formats():
        raise ValueError(f"{options.out} has no ending of an audio format; use .wav, .flac or .ogg")
    if options.effects:
        _require_vst3(options, options.effects)
    for path in (options.out, options.settings, options.python, options.preset):
        if path is not None:
            atomic_file.require_writable(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
    program_cache.keep()
    matcher = jaxvae.load_matcher(options.run, member=options.member)
    _require_vst3(options, options.effects or matcher.effects)
    look = {"delay": 1.0, "leave": False, "file": sys.stderr}
    with (
        tqdm(total=options.candidates + options.refine, unit="render", desc="match", **look) as renders,
        tqdm(unit="s", desc="write", bar_format=_SECONDS, **look) as seconds,
    ):

        def show(bar: tqdm) -> Callable[[Any, Any], None]:
            def update(done: float | int, total: float | int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return update

        found = matcher.match_file(
            options.dry,
            options.reference,
            options.out,
            reference_dry=options.reference_dry,
            same_recording=options.same_recording,
            allowed=options.effects or None,
            candidates=options.candidates,
            refine=options.refine,
            seed=options.seed,
            progress=show(renders),
            written=show(seconds),
        )
    print(found)
    written = [options.out]
    for path, text in ((options.settings, found.json), (options.python, found.snippet)):
        if path is not None:
            atomic_file.write_text(path, text())
            written.append(path)
    if options.preset is not None:
        try:
            state = found.preset()
        except ValueError as error:
            raise ValueError(f"{options.preset} is not written, but {', '.join(map(str, written))}: {error}") from error
        with atomic_file.write(options.preset, len(state)) as file:
            file.write(state)
        written.append(options.preset)
    return written


def _require_vst3(options: Options, names: Sequence[str]) -> None:
    """ValueError where a preset is asked for, and none of the effects that may be the answer has one."""
    if options.preset is not None and not any(map(jaxvae.effects.is_vst3, names)):
        raise ValueError(
            f"{options.preset} cannot be written: it would be the state of a VST3 plug-in, and none of the "
            f"{len(names)} effects that may be the answer is one; use --settings or --python, or a matcher of VST3 "
            "plug-ins (configs/match_vst3.py)"
        )


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
