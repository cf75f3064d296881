"""A sweep against its members trained one after another: wall time of whole commands, from start to last checkpoint.

    python -m analysis.benchmark.sweep configs/vae_latent_sweep.py --steps 50

The data set is rendered first. Each mode of the sweep, and each single run, is a process of its own with a workdir of
its own; nothing is shared between them but the data set.
"""

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro

from jaxvae import command_line, config_file, sweep


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time."""

    config: tyro.conf.Positional[Path]
    """An experiment with a sweep."""
    steps: int = 50
    singles: int = 0
    """How many members are trained alone, evenly spread; the sum for all is scaled up from them. 0: all."""
    modes: tuple[int, ...] = (1, 4, 16)
    """Values of execution.members_at_once: 1 is lax.map, all members is vmap."""


def timed(arguments: list[str]) -> float:
    """Wall seconds of a training command."""
    with tempfile.TemporaryDirectory() as workdir:
        began = time.perf_counter()
        command = [sys.executable, "-m", "launch.train", *arguments, "--workdir", workdir]
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise OSError(f"{' '.join(command)} failed: {done.stderr[-500:]}")
    return seconds


def main(options: Options) -> None:
    """Time and print."""
    import numpy as np

    from jaxvae.data import dataset

    experiment = config_file.load(options.config)
    members = len(sweep.members(experiment))
    dataset.render(experiment)
    steps = ["--train.steps", str(options.steps), "--train.validate-every", str(options.steps)]
    print(f"{options.config}: {members} members, {options.steps} steps of {experiment.train.batch_size} clips")
    chosen = np.linspace(0, members - 1, options.singles or members).round().astype(int).tolist()
    alone = []
    for member in chosen:
        alone.append(timed([str(options.config), *steps, "--member", str(member)]))
        print(f"member {member} alone: {alone[-1]:.1f} s", flush=True)
    singles = members * float(np.mean(alone))
    print(f"all {members} one after another: {singles:.1f} s, from {len(chosen)} of them")
    for mode in options.modes:
        seconds = timed([str(options.config), *steps, "--execution.members-at-once", str(mode)])
        print(f"sweep, {mode} at once: {seconds:.1f} s, {singles / seconds:.2f} x as fast", flush=True)


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
