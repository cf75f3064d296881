"""Render the data set of an experiment, or what is missing of it.

    python -m launch.render configs/vae_base.py
    python -m launch.render configs/vae_base.py --part 2/4     # one of four processes that share the work
    python -m launch.render configs/vae_base.py --cluster tcp://host:8786 --data.directory s3://bucket/sets

A killed render continues with the same command. Training renders by itself what is missing.
"""

import dataclasses

from jaxvae import command_line
from jaxvae.config import RenderedExperiment
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


def main(experiment: RenderedExperiment, options: Options) -> list[Folder]:
    """Render, and say what the data set holds."""
    from jaxvae.data import dataset
    from launch.contents import describe

    made = dataset.render(experiment, options.workers, part=options.numbers(), cluster=options.cluster)
    print("\n".join(describe(made)))
    return [made.folder]


if __name__ == "__main__":
    command_line.run_experiment(
        main, Options, __doc__, interrupted="interrupted; the same command renders what is missing"
    )
