"""Render the data set of an experiment, or what is missing of it.

    python -m launch.render configs/vae_base.py
    python -m launch.render configs/vae_base.py --part 2/4     # one of four processes that share the work
    python -m launch.render configs/vae_base.py --cluster tcp://host:8786 --data.directory s3://bucket/sets

A killed render continues with the same command. Training renders by itself what is missing.
"""

import dataclasses

from jaxvae import command_line
from jaxvae.config import Experiment
from jaxvae.data import dataset
from jaxvae.data.clips import REASONS
from jaxvae.data.dataset import Dataset
from jaxvae.data.recordings import SPLITS
from jaxvae.data.storage import Folder


@dataclasses.dataclass(frozen=True)
class Options:
    """How to render."""

    workers: int | None = None
    """Threads; none means one for each core, or, on a cluster, one for each worker."""
    cluster: str | None = None
    """Such as local:2, for two worker processes of this machine, or the address of a Dask scheduler."""
    part: str = "1/1"
    """Such as 2/4, to render every fourth shard, from the second on."""

    def __post_init__(self) -> None:
        self.numbers()

    def numbers(self) -> tuple[int, int]:
        """The two numbers of `part`."""
        numbers = self.part.split("/")
        if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise ValueError(f"part is {self.part!r}; use two numbers such as 2/4")
        return int(numbers[0]), int(numbers[1])


def describe(made: Dataset) -> list[str]:
    """Lines that say what a data set holds."""
    seconds = made.experiment.audio.clip_samples / made.experiment.audio.sample_rate
    lines = [f"{made.folder}: {len(made.effects)} effects, clips of {seconds:.2f} s"]
    missing = {shard.split for shard in made.missing()}
    for name in SPLITS:
        members = [recording for recording in made.recordings if recording.split == name]
        minutes = sum(recording.length for recording in members) / made.experiment.audio.sample_rate / 60
        source = f"from {len(members)} recordings, {minutes:.1f} min"
        if name in missing:
            lines.append(f"  {name:<10} not complete, {source}")
            continue
        split = made.split(name)
        counts = zip(REASONS, split.recipe.redraws.sum(axis=0), strict=True)
        redraws = ", ".join(f"{count} {reason}" for reason, count in counts if count) or "none"
        lines.append(f"  {name:<10} {split.clips} clips {source}; draws repeated: {redraws}")
    lines.append(f"  {len(made.skipped)} files left out")
    return lines + [f"    {file}: {reason}" for file, reason in made.skipped]


def main(experiment: Experiment, options: Options) -> list[Folder]:
    """Render, and say what the data set holds."""
    made = dataset.render(experiment, options.workers, part=options.numbers(), cluster=options.cluster)
    print("\n".join(describe(made)))
    return [made.folder]


if __name__ == "__main__":
    command_line.run_experiment(
        main, Options, __doc__, interrupted="interrupted; the same command renders what is missing"
    )
