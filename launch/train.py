"""Train a spectrogram VAE, or continue where an earlier run of the same command stopped.

    python -m launch.train configs/vae_base.py --workdir runs/base
    python -m launch.train configs/vae_base.py --workdir runs/small --model.latent-dim 32

Ctrl-C and SIGTERM save and stop; the same command continues, with the same numbers as an uninterrupted run.
"""

import dataclasses
import signal
import sys
import time
from pathlib import Path

import jax
from tqdm import tqdm

from jaxvae import config
from jaxvae.checkpoints import CheckpointError
from jaxvae.effects import EffectError
from jaxvae.run import Run, TrainingDiverged
from launch import command_line

SHOWN = ("val/negative_elbo", "val/mean_squared", "val/kl", "latent/active_share")


@dataclasses.dataclass(frozen=True)
class Options:
    """What is not part of the experiment."""

    workdir: Path
    """Folder of the run: checkpoints and TensorBoard logs. An interrupted run in it is continued."""


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
    """Train until the steps or the patience run out, or a signal comes. Returns the signal's number, or 0."""
    settings = experiment.train
    run = Run(experiment, workdir)
    finished = run.step >= settings.steps or run.exhausted()
    try:
        with (
            StopRequest() as request,
            tqdm(total=settings.steps, initial=run.step, unit="step", desc=experiment.name, mininterval=1.0) as bar,
        ):
            window: list[dict[str, jax.Array]] = []
            since = time.perf_counter()
            for batch in () if finished else run.batches():
                window.append(run.advance(batch))
                bar.update()
                last = run.step == settings.steps
                stop = request.signal is not None
                validate = last or run.step % settings.validate_every == 0
                if validate or stop or run.step % settings.log_every == 0:
                    loss = run.record(window, since)
                    bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
                    window, since = [], time.perf_counter()
                if validate:
                    figures = run.validate()
                    bar.write(f"step {run.step}: " + ", ".join(f"{name} {figures[name]:.4g}" for name in SHOWN))
                    finished = run.consider(figures) or last
                    since = time.perf_counter()
                if validate or stop:
                    run.save()
                if finished or stop:
                    break
    finally:
        run.close()
    if not finished:
        print(f"stopped at step {run.step} of {settings.steps}; the same command continues")
        return request.signal or 0
    print(
        f"finished at step {run.step}; validation was best at step {run.validated['best_step']}: "
        f"-ELBO {run.validated['best']:.1f} nats per clip\n"
        f"wrote {workdir / 'best'}, {workdir / 'checkpoints'} and TensorBoard logs (tensorboard --logdir {workdir})"
    )
    return 0


def main() -> None:
    """Read the command line, train, and exit with 128 + N when signal N stopped the run."""
    experiment, options = command_line.parse(Options, __doc__)
    try:
        stopped = train(experiment, options.workdir)
    except (CheckpointError, TrainingDiverged, EffectError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted before or between steps; the same command continues from what is on disk")
    sys.exit(128 + stopped if stopped else 0)


if __name__ == "__main__":
    main()
