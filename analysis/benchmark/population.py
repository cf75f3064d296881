"""Throughput of populations, mode by mode, beside one model: the same steps of the same network.

    python -m analysis.benchmark.population                       # modes of 1, 4 and 16 members
    python -m analysis.benchmark.population --members 1 4 16 64 256 --steps 25 --calls 5

A table: clips per second of all members and of each, the ratio to as many single models one after another, seconds to
compile, memory of the program (beside the members' own, which is listed as state), and the arithmetic rate as a share
of the device's measured ceiling. Spectrograms are ready; calls of the rows alternate.
"""

import dataclasses
import os
import platform

from jaxvae import command_line
from jaxvae.config import Experiment, Model, Train


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time."""

    members: tuple[int, ...] = (1, 4, 16)
    """Sizes of population; 1 is always among them, as the reference."""
    backbone: str = Model().backbone
    batch_size: int = Train().batch_size
    steps: int = 1
    """Steps in a call; one model is timed at 1, 5 and this many."""
    calls: int = 5
    """Timed calls of each row, after one that is not."""


def main(options: Options) -> None:
    """Compile, time and print."""
    import jax

    from analysis.benchmark import population_steps

    experiment = Experiment("benchmark", model=dataclasses.replace(Model(), backbone=options.backbone))
    rows = [
        population_steps.make(experiment, 1, 1, steps, options.batch_size) for steps in sorted({1, 5, options.steps})
    ]
    for members in sorted(set(options.members) - {1}):
        for at_once in sorted({1, min(4, members), members}):
            rows.append(population_steps.make(experiment, members, at_once, options.steps, options.batch_size))
    seconds = population_steps.measure(rows, options.calls)
    device, most = jax.devices()[0], population_steps.ceiling()
    print(
        f"{options.backbone}, batch {options.batch_size}, spectrogram {experiment.bins} x {experiment.frames}, "
        f"latent {experiment.model.latent_dim} + {experiment.model.content_dim}; jax {jax.__version__} on "
        f"{device.platform} ({device.device_kind}), population_steps.ceiling {most / 1e9:.0f} GFLOP/s; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    print(
        population_steps.table(
            rows, seconds, options.batch_size, population_steps.cost(experiment, options.batch_size)[0], most
        )
    )


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
