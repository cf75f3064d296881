"""Training throughput of a plain VAE of every backbone and of Grant's (2023) network in PyTorch, interleaved.

    python -m analysis.benchmark.network
    python -m analysis.benchmark.network --calls 50 --batch-size 96

A table: clips per second (the median call), the ratio to PyTorch by wall time and by the processor's time (which other
programs on the machine disturb less), how much the calls of one network vary, and its size. A call is one step of Adam
on spectrograms that are ready. Needs the extra `benchmark`. On a machine that others use, pin it to one core (`taskset
-c 0 python -m ...`): PyTorch's threads spin while they wait for one another, and lose more than JAX's when displaced.
"""

import dataclasses
import os
import platform

from jaxvae import command_line
from jaxvae.config import Experiment

DEFAULT = Experiment("benchmark")


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time."""

    calls: int = 20
    """Timed calls of each network."""
    batch_size: int = DEFAULT.train.batch_size
    bins: int = DEFAULT.bins
    frames: int = DEFAULT.frames


def main(options: Options) -> None:
    """Compile, time and print."""
    import jax
    import torch

    from analysis.benchmark import network_steps

    shape, latent_dim = (options.batch_size, options.bins, options.frames), DEFAULT.model.latent_dim
    networks = {network_steps.TWIN: network_steps.torch_step(*shape, latent_dim)}
    networks |= {backbone: network_steps.jax_step(backbone, *shape) for backbone in network_steps.BACKBONES}
    device = jax.devices()[0]
    print(
        f"batch {shape[0]}, spectrogram {shape[1]} x {shape[2]}, latent {latent_dim}; "
        f"jax {jax.__version__} on {device.platform} ({device.device_kind}), torch {torch.__version__} on "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    print(network_steps.table(network_steps.measure(networks, options.calls), options.batch_size))


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
