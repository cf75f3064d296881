"""Embeddings of unseen clips for TensorBoard's projector, with their effect and settings and a picture of each.

    python -m analysis.projector runs/base
    python -m analysis.projector runs/latent_sweep --members all
    tensorboard --logdir runs

Clips of the test split of the run's own data set; nothing is rendered for it. The files go beside the TensorBoard logs
of each member, and the Projector page shows them: blind and, where the run can be, dry-aware. Colour by `effect` or by
a setting; settings of other effects are empty.
"""

import dataclasses
from pathlib import Path

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to show."""

    run: command_line.Run
    clips: int = 1_000
    """Clips of the test split, spread evenly over it."""
    members: command_line.Members = ()
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)


def main(options: Options) -> list[Path]:
    """Embed and write."""
    from analysis.models import members
    from analysis.pages import projector

    if options.clips < 2:
        raise ValueError(f"clips is {options.clips}; use at least 2")
    written = []
    for chosen in members.load(options.run, options.members, in_one_figure=False):
        split = members.data([chosen.encoder], options.data.directory, ("test",)).split("test")
        written += projector.write(chosen.logs, chosen.encoder, split, split.effects, options.clips)
    return written


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
