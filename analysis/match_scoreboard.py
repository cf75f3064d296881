"""The scoreboard of a matcher: how much of the distance to a target its answers close, beside what they have to beat.

    python -m analysis.match_scoreboard runs/match_demo --out runs/match_demo/scoreboard

Unseen recordings are rendered at random settings; from a reference of the same recording, of another one and of another
package the settings are to be found that give a dry clip that sound. Rows know which effect it is, but for the one that
guesses it. `scoreboard.md` and `scoreboard.json` are written.
"""

import dataclasses
import json
from pathlib import Path

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    run: command_line.Run
    out: Path = Path("scoreboard")
    """Folder."""
    audio: tuple[str, ...] = ()
    """Folders of recordings in the place of the run's test recordings; none of them may have been trained on."""
    member: command_line.Member = None
    items: int = 12
    """Of each effect and pairing."""
    candidates: int = 16
    """Renders of the matcher to choose from."""
    refine: int = 48
    """Renders more."""
    pool: int = 48
    """Random renders of the rows that choose among them."""
    fit_clips: int = 1_000
    """Training clips of each effect that rows without a network are fitted on."""
    seed: int = 0
    """Of items and answers."""
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)

    def __post_init__(self) -> None:
        for name in ("items", "candidates", "refine", "pool"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.fit_clips < 20:
            raise ValueError(f"fit_clips is {self.fit_clips}; use 20 or more")


def main(options: Options) -> list[Path]:
    """Measure, print and write."""
    from tqdm import tqdm

    import jaxvae
    from analysis.matching import items, measure, rows
    from analysis.models import compared, members
    from analysis.pages import match_scoreboard

    matcher = jaxvae.load_matcher(options.run, member=options.member)
    data = members.data([matcher], options.data.directory)
    fitted = rows.fit(
        matcher, data.split("train"), data.split("validation"), options.fit_clips, options.pool, options.seed
    )
    rate = matcher.experiment.audio.sample_rate
    test = compared.unseen_split(matcher, data, options.audio) if options.audio else data.split("test")
    drawn = items.draw(test, matcher.kinds, options.items, rate, options.seed)
    with tqdm(total=len(drawn.effect), unit="item", desc="match") as bar:
        measured = measure.measure(
            matcher,
            fitted,
            drawn,
            options.candidates,
            options.refine,
            options.pool,
            options.seed,
            lambda done: bar.update(done - bar.n),
        )
    found = match_scoreboard.figures(measured, drawn, matcher.effects)
    text = match_scoreboard.markdown(found)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    written = [options.out / "scoreboard.md", options.out / "scoreboard.json"]
    atomic_file.write_text(written[0], text)
    atomic_file.write_text(written[1], json.dumps(found, indent=1))
    return written


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
