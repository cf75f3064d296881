"""The training loop, whatever the task: steps, logs, validations, checkpoints, signals, hosts."""

import signal
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxvae import devices
from jaxvae.training import run_folder
from jaxvae.training.run import CRITERION, Run, TrainingDiverged, require_same, start
from jaxvae.training.task import Task
from jaxvae.training.train_state import Metrics


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


def train(experiment: Any, workdir: Path, kind: type[Task]) -> int:
    """Train every group of members in turn, or continue. Returns the number of the signal that stopped it, or 0.

    Raises:
        TrainingDiverged: no member of the only group is left.
        CheckpointError, OSError, ValueError: as `jaxvae.training.run.start`.
    """
    groups = run_folder.groups(experiment, workdir)
    run_folder.require_own(groups, workdir)
    for group in groups[1:]:  # now, not after the groups before it were trained
        require_same(group, kind)
    for number, group in enumerate(groups, start=1):
        name = experiment.name if len(groups) == 1 else f"{experiment.name} {number}/{len(groups)}"
        try:
            stopped = train_group(start(group, kind), name)
        except TrainingDiverged as error:
            if len(groups) == 1:
                raise
            tqdm.write(f"{name}: {error}")  # the other groups go on
            continue
        if stopped:
            return stopped
    if jax.process_index() == 0:
        tqdm.write(f"wrote checkpoints and TensorBoard logs to {workdir} (tensorboard --logdir {workdir})")
    return 0


def train_group(run: Run, name: str) -> int:
    """Train until the steps or everyone's patience run out, or a signal comes. Returns the signal's number, or 0."""
    length = run.experiment.train
    single = len(run.members) == 1
    finished = run.step >= length.steps or not run.running.any()
    first_host = jax.process_index() == 0
    try:
        with (
            StopRequest() as request,
            tqdm(
                total=length.steps,
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
                bar.update(len(jax.tree.leaves(batches)[0]))
                last = run.step == length.steps
                log = last or run.step % length.log_every == 0 or run.step % length.validate_every == 0
                # A signal may reach one host only, so hosts agree on it, at steps where they meet anyway.
                meet = log or jax.process_count() == 1
                stop = meet and devices.anywhere(request.signal is not None)
                validate = last or run.step % length.validate_every == 0
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
        run.close(finished)
    if not finished:
        tqdm.write(f"stopped at step {run.step} of {length.steps}; the same command continues")
        return request.signal or signal.SIGTERM
    for member, validated in enumerate(run.validated) if first_host else ():
        ended = "diverged before" if run.diverged[member] else "finished at"
        best = "it was never validated"
        if validated["best"] is not None:
            words = run.task.criterion_words(run.members[member], validated["best"])
            best = f"validation was best at step {validated['best_step']}: {words}"
        tqdm.write(f"{_named(run, member)} {ended} step {run.step}; {best}")
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
    words = ", ".join(f"{name} {figures[best][name]:.4g}" for name in run.task.SHOWN if name in figures[best])
    if len(run.members) == 1:
        return words
    return f"{run.running.sum()} of {len(run.members)} go on; best: {_named(run, best)}: {words}"
