"""A listening test of a matcher as one page to send: MUSHRA (ITU-R BS.1534-3), and a picture of every match.

    python -m analysis.listening_test runs/match_demo --out runs/match_demo/listening

Items are drawn as for the scoreboard of a matcher, of those whose effect can be heard. The target is the dry clip at
the true settings. Listeners rate how like it are what the matcher and the baselines make of the dry clip, the dry clip
as it is and, without knowing, the target itself. Each saves a CSV file, which analysis.listening_ratings reads. The
page needs a browser and nothing else; the pictures are shown at its end, and lie beside it.
"""

import dataclasses
from pathlib import Path

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to listen to."""

    run: command_line.Run
    out: Path = Path("listening")
    """Folder."""
    audio: tuple[str, ...] = ()
    """Folders of recordings in the place of the run's test recordings; none of them may have been trained on."""
    member: command_line.Member = None
    items: int = 12
    """How many; a listener takes one to two minutes for each."""
    candidates: int = 16
    """Renders of the matcher to choose from."""
    refine: int = 48
    """Renders more."""
    fit_clips: int = 1_000
    """Training clips of each effect that the baselines are fitted on."""
    seed: int = 0
    """Of items and answers."""
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)

    def __post_init__(self) -> None:
        for name in ("items", "candidates", "refine"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.fit_clips < 20:
            raise ValueError(f"fit_clips is {self.fit_clips}; use 20 or more")


def main(options: Options) -> list[Path]:
    """Draw items, answer them, draw the pictures and write the page."""
    from tqdm import tqdm

    import jaxvae
    from analysis.matching import items, rows, trials
    from analysis.models import compared, members
    from analysis.pages import listening_test
    from analysis.pictures import style

    atomic_file.require_writable(options.out)
    matcher = jaxvae.load_matcher(options.run, member=options.member)
    data = members.data([matcher], options.data.directory)
    rate = matcher.experiment.audio.sample_rate
    test = compared.unseen_split(matcher, data, options.audio) if options.audio else data.split("test")
    each = _LEAST_DRAWN + options.items // len(matcher.kinds)
    drawn = items.draw(test, matcher.kinds, each, rate, options.seed)
    chosen = trials.choose(drawn, options.items)
    if not len(chosen):
        raise ValueError(f"of {len(drawn.effect)} items none can be heard; use other recordings or another seed")
    if len(chosen) < options.items:
        print(f"only {len(chosen)} of {len(drawn.effect)} items can be heard; the test has no more")
    drawn = items.Items(*(field[chosen] for field in drawn))
    fitted = rows.fit(matcher, data.split("train"), data.split("validation"), options.fit_clips, _POOL, options.seed)
    answered = trials.answer(matcher, fitted, drawn, options.candidates, options.refine, options.seed)
    made = list(tqdm(answered, total=len(chosen), unit="item", desc="match"))
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, trial in enumerate(tqdm(made, unit="picture", desc="draw"), start=1):
        pictures.append(style.png(listening_test.picture(number, trial, rate)))
    page = listening_test.render(made, pictures, rate, matcher.experiment.name)
    written = [options.out / f"match_{number:02d}.png" for number in range(1, len(made) + 1)]
    for path, png in zip(written, pictures, strict=True):
        with atomic_file.write(path, len(png)) as file:
            file.write(png)
    atomic_file.write_text(options.out / "listening_test.html", page)
    return [options.out / "listening_test.html", *written]


_LEAST_DRAWN = 4  # items of each effect and pairing, of which some cannot be heard
_POOL = 48  # settings that the constant is one of


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
