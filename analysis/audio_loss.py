"""Does an audio loss add to a matcher? The seed's way, end to end through the plug-in, beside the matcher's posterior.

    python -m analysis.audio_loss runs/match_six --effects mda/Overdrive mda/RingMod --out runs/match_six/audio_loss

For each effect, three controllers answer unseen recordings with one render, told which effect it is: the matcher as it
is, the matcher trained on by an audio loss, and one that the audio loss alone has trained from the beginning, as Grant
(2023) did, but with pairs enough to point. `audio_loss.md` and `audio_loss.json` are written.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to train and to measure."""

    run: command_line.Run
    out: Path = Path("audio_loss")
    """Folder."""
    effects: tuple[str, ...] = ()
    """Some of the run's; none means all."""
    audio: tuple[str, ...] = ()
    """Folders of recordings in the place of the run's test recordings; none of them may have been trained on."""
    member: command_line.Member = None
    steps: int = 300
    """Of the optimiser, for each controller."""
    batch_size: int = 16
    """Clips of a step, each rendered once and for its derivative."""
    method: Literal["central", "spsa"] = "central"
    """Estimate of the derivative: two renders a parameter, or two a pair."""
    pairs: int = 4
    """Of spsa; 1 is the seed's."""
    learning_rate: float = 3e-4
    items: int = 24
    """Of each effect and pairing."""
    seed: int = 0
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "pairs", "items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; use more than 0")


def main(options: Options) -> list[Path]:
    """Train, measure, print and write."""
    from tqdm import tqdm

    import jaxvae
    from analysis.matching import end_to_end, items
    from analysis.models import compared, members
    from analysis.pages import audio_loss

    atomic_file.require_writable(options.out)
    matcher = jaxvae.load_matcher(options.run, member=options.member)
    names = options.effects or matcher.effects
    if unknown := [name for name in names if name not in matcher.effects]:
        raise ValueError(f"{options.run} knows no {unknown[0]}; it knows {', '.join(matcher.effects)}")
    data = members.data([matcher], options.data.directory)
    rate = matcher.experiment.audio.sample_rate
    train = data.split("train")
    test = compared.unseen_split(matcher, data, options.audio) if options.audio else data.split("test")
    training = end_to_end.Training(
        options.steps, options.batch_size, options.learning_rate, options.method, options.pairs, options.seed
    )
    found = {}
    with tqdm(total=2 * options.steps * len(names), unit="step", desc="train through the effect") as bar:

        def show(loss: float) -> None:
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

        for name in names:
            index = matcher.effects.index(name)
            begun = end_to_end.fresh(matcher, options.seed)
            rows = {
                "posterior": matcher.weights,
                "posterior, then audio loss": end_to_end.train(matcher, matcher.weights, train, index, training, show),
                "audio loss alone": end_to_end.train(matcher, begun, train, index, training, show),
            }
            drawn = items.draw(test, [matcher.kinds[index]], options.items, rate, options.seed)
            found[name] = audio_loss.figures(end_to_end.shares(matcher, rows, drawn, index), drawn)
    text = audio_loss.markdown(found)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    written = [options.out / "audio_loss.md", options.out / "audio_loss.json"]
    atomic_file.write_text(written[0], text)
    atomic_file.write_text(written[1], json.dumps(found, indent=1))
    return written


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
