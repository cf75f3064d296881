"""Train a spectrogram VAE or a sweep of them, or continue where an earlier run of the same command stopped.

    python -m launch.train configs/vae_base.py --workdir runs/base
    python -m launch.train configs/vae_base.py --workdir runs/small --model.latent-dim 32
    python -m launch.train configs/vae_latent_sweep.py --workdir runs/latent_sweep
    python -m launch.train CONFIG --workdir SHARED/RUN --hosts.coordinator node0:8476 --hosts.count 2 --hosts.index 1

Ctrl-C and SIGTERM save and stop; the same command continues, with the same numbers as an uninterrupted run.
"""

import dataclasses
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from jaxvae import command_line, config
from jaxvae.training import population, run_folder
from jaxvae.training.run import CRITERION, Run, TrainingDiverged
from jaxvae.training.vae_steps import Metrics
from launch.hosts import Hosts, together

SHOWN = (
    "val/negative_elbo",
    "val/mean_squared",
    "val/kl",
    "latent/active_share",
    "val/blind/accuracy",
    "val/dry_aware/accuracy",
    "val/blind/settings_nll",
    "val/dry_aware/settings_nll",
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is not part of the experiment."""

    workdir: Path
    """Folder of the run: checkpoints and TensorBoard logs. An interrupted run in it is continued."""
    member: int | None = None
    """Train only this member of the sweep, as a run without one."""
    hosts: Hosts = Hosts()


class StopRequest:
    """Remembers Ctrl-C and SIGTERM, so that the step under way can end; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._remember) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _remember(self, number: int, _frame: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def train(experiment: config.Experiment, workdir: Path) -> int:
    """Train every group of members in turn. Returns the number of the signal that stopped it, or 0."""
    groups = run_folder.groups(experiment, workdir)
    for number, group in enumerate(groups, start=1):
        name = experiment.name if len(groups) == 1 else f"{experiment.name} {number}/{len(groups)}"
        try:
            stopped = train_group(Run(group), name)
        except TrainingDiverged as error:
            if len(groups) == 1:
                raise
            print(f"{name}: {error}")  # the other groups go on
            continue
        if stopped:
            return stopped
    if jax.process_index() == 0:
        print(f"wrote checkpoints and TensorBoard logs to {workdir} (tensorboard --logdir {workdir})")
    return 0


def train_group(run: Run, name: str) -> int:
    """Train until the steps or everyone's patience run out, or a signal comes. Returns the signal's number, or 0."""
    settings = run.experiment.train
    single = len(run.members) == 1
    finished = run.step >= settings.steps or not run.running.any()
    first_host = jax.process_index() == 0
    try:
        with (
            StopRequest() as request,
            tqdm(
                total=settings.steps,
                initial=run.step,
                unit="step",
                desc=name if single else f"{name}, {len(run.members)} members",
                mininterval=1.0,
                disable=not first_host,
            ) as bar,
        ):
            window: list[Metrics] = []
            since = time.perf_counter()
            for batches in () if finished else run.batches():
                window.append(run.advance(batches))
                bar.update(len(batches))
                last = run.step == settings.steps
                log = last or run.step % settings.log_every == 0 or run.step % settings.validate_every == 0
                # A signal may reach one host only, so hosts agree on it, at steps where they meet anyway.
                meet = log or jax.process_count() == 1
                stop = meet and population.anywhere(request.signal is not None)
                validate = last or run.step % settings.validate_every == 0
                if log or stop:
                    loss, diverged = run.record(window, since)
                    bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
                    window, since = [], time.perf_counter()
                    for member, step in diverged.items() if first_host else ():
                        bar.write(f"{_named(run, member)} diverged at step {step} and is frozen")
                if validate:
                    figures = run.validate()
                    run.consider(figures)
                    finished = last or not run.running.any()
                    if first_host:
                        bar.write(f"step {run.step}: {_summary(run, figures)}")
                    since = time.perf_counter()
                if validate or stop:
                    run.save()
                if finished or stop:
                    break
    finally:
        run.close()
    if not finished:
        print(f"stopped at step {run.step} of {settings.steps}; the same command continues")
        return request.signal or signal.SIGTERM
    for member, validated in enumerate(run.validated) if first_host else ():
        ended = "diverged before" if run.diverged[member] else "finished at"
        best = "it was never validated"
        if validated["best"] is not None:
            figure = "reading" if run.members[member].objective.reads else "-ELBO"
            best = (
                f"validation was best at step {validated['best_step']}: {figure} {validated['best']:.4g} nats per clip"
            )
        print(f"{_named(run, member)} {ended} step {run.step}; {best}")
    return 0


def _named(run: Run, member: int) -> str:
    """A member by its index and what sets it apart."""
    if len(run.members) == 1:
        return run.experiment.name
    changes = run.varied(member)
    return f"member {run.group.indices[member]} ({', '.join(f'{path} {value}' for path, value in changes.items())})"


def _summary(run: Run, figures: list[dict[str, float]]) -> str:
    """The validation figures of one member, or of the best of many."""
    best = int(min(np.flatnonzero(~run.diverged), key=lambda member: figures[member][CRITERION]))
    words = ", ".join(f"{name} {figures[best][name]:.4g}" for name in SHOWN if name in figures[best])
    if len(run.members) == 1:
        return words
    return f"{run.running.sum()} of {len(run.members)} go on; best: {_named(run, best)}: {words}"


def _chosen(experiment: config.Experiment, member: int | None) -> config.Experiment:
    members = config.members(experiment)
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


def _main(experiment: config.Experiment, options: Options) -> None:
    options.hosts.join()
    with together():
        stopped = train(_chosen(experiment, options.member), options.workdir)
    sys.exit(128 + stopped if stopped else 0)


if __name__ == "__main__":
    main()
