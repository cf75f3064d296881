"""The card of a model: how right its answers are on unseen recordings, package by package and in each mode.

    python -m analysis.card runs/pretrained --out card.md

What is measured are the answers that users get (`identify`): those of the readouts, on the test clips of the data set
that the run was trained on, as they were rendered. The scoreboard has what they are to be compared with.
"""

import dataclasses
from pathlib import Path

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    run: command_line.Run
    out: Path = Path("card.md")
    """A Markdown file of tables."""
    member: command_line.Member = None
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)


def main(options: Options) -> list[Path]:
    """Measure, print and write."""
    from analysis.models import members
    from analysis.pages import card
    from jaxvae import inference

    encoder = inference.load_encoder(options.run, member=options.member)
    split = members.data([encoder], options.data.directory, ("test",)).split("test")
    text = card.markdown(encoder, split)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(options.out, text)
    print(text)
    return [options.out]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
