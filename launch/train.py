"""Train a spectrogram VAE, a matcher or a sweep of them, or continue where an earlier run of the same command stopped.

    python -m launch.train configs/vae_base.py --workdir runs/base
    python -m launch.train configs/vae_base.py --workdir runs/small --model.latent-dim 32
    python -m launch.train configs/vae_latent_sweep.py --workdir runs/latent_sweep
    python -m launch.train configs/vae_base.py --workdir runs/sizes --sweep model.latent_dim=32,64,128 train.seed=0..3
    python -m launch.train CONFIG --workdir SHARED/RUN --hosts.coordinator node0:8476 --hosts.count 2 --hosts.index 1

Ctrl-C and SIGTERM save and stop; the same command continues, with the same numbers as an uninterrupted run. At the end
readouts are fitted on validation recordings (`jaxvae.models.readout`), so that what is read is as sure as it is right;
of a finished run that has none, the same command fits them.
"""

import dataclasses
import sys
from pathlib import Path

from jaxvae import command_line, config, sweep
from jaxvae.config import MatchExperiment
from launch.hosts import Hosts, together

Experiment = config.Experiment | MatchExperiment


@dataclasses.dataclass(frozen=True)
class Options(command_line.SweepOptions):
    """What is not part of the experiment."""

    workdir: Path
    """Folder of the run: checkpoints and TensorBoard logs. An interrupted run in it is continued."""
    member: int | None = None
    """Train only this member of the sweep, as a run without one."""
    hosts: Hosts = Hosts()


def train(experiment: Experiment, workdir: Path) -> int:
    """Train a VAE, a matcher, or every member of a sweep. Returns the number of the signal that stopped it, or 0."""
    from jaxvae.training import loop  # here, so that --help does not wait for JAX
    from jaxvae.training.match_task import MatchTask
    from jaxvae.training.vae_task import VAETask

    return loop.train(experiment, workdir, MatchTask if isinstance(experiment, MatchExperiment) else VAETask)


def _chosen(experiment: Experiment, member: int | None) -> Experiment:
    members = sweep.members(experiment)
    if member is None:
        return experiment
    if not 0 <= member < len(members):
        raise ValueError(f"member is {member}; the sweep of {experiment.name} has members 0 to {len(members) - 1}")
    return members[member]


def main() -> None:
    """Read the command line, train, and exit with 128 + N when signal N stopped the run."""
    command_line.run_experiment(
        _main, Options, __doc__, "interrupted before or between steps; the same command continues from what is on disk"
    )


def _main(experiment: Experiment, options: Options) -> None:
    options.hosts.join()
    with together():
        stopped = train(_chosen(experiment, options.member), options.workdir)
    if not stopped:
        _complete(options.workdir)
    sys.exit(128 + stopped if stopped else 0)


def _complete(workdir: Path) -> None:
    """Fit the readouts that the run lacks, which one process does alone."""
    import jax

    from jaxvae import readouts

    if jax.process_count() == 1:
        for path in readouts.complete(workdir):
            print(f"wrote {path}")
    elif jax.process_index() == 0:
        print("the same command on one host, without --hosts, fits the readouts of this run")


if __name__ == "__main__":
    main()
