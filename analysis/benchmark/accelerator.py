"""What an accelerator makes of this project, in minutes: is it right, how fast is it, and how far from the most it can.

    python -m analysis.benchmark.accelerator
    python -m analysis.benchmark.accelerator --out runs/accelerator --members 1 4 16

Ceilings of the first device in matrix products and memory, the training steps of 1 to 256 members by vmap and in turn,
and checks of what it computes against the CPU. It writes accelerator.md anew after every row, so that what was measured
is kept when the time of a borrowed machine runs out. What matters most comes first.
"""

import dataclasses
import os
import platform
from pathlib import Path

from jaxvae import atomic_file, command_line
from jaxvae.config import Experiment, Model


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    out: Path = Path("runs/accelerator")
    """Folder for accelerator.md."""
    members: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Sizes of population; one model is always measured."""
    steps: tuple[int, ...] = (1, 5, 25)
    """Steps a call of one model; populations take the most."""
    calls: int = 5
    """Timed calls of each row, after one that is not."""
    backbone: str = Model().backbone


def main(options: Options) -> list[Path]:
    """Check, time and write."""
    import jax
    from tqdm import tqdm

    from analysis.benchmark import accelerator_steps, population_steps
    from analysis.pages import plain_table

    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "accelerator.md"
    experiment = Experiment("benchmark", model=dataclasses.replace(Model(), backbone=options.backbone))
    device = jax.devices()[0]
    parts = [
        f"{device.device_kind} ({device.platform}), jax {jax.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores; {options.backbone}, batch {accelerator_steps.BATCH_SIZE}, spectrogram "
        f"{experiment.bins} x {experiment.frames}, latent {experiment.model.latent_dim} + "
        f"{experiment.model.content_dim}"
    ]

    def write(*more: str) -> None:
        atomic_file.write_text(path, "\n\n".join((*parts, *more)) + "\n")

    ceilings = accelerator_steps.ceilings()
    lines = [("ceiling", "measured")] + [(name, f"{rate:.1f} {unit}") for name, rate, unit in ceilings]
    parts.append(plain_table.markdown(lines))
    write()
    tqdm.write("\n".join(f"{name}: {rate:.1f} {unit}" for name, rate, unit in ceilings))
    flops, bytes_accessed = population_steps.cost(experiment, accelerator_steps.BATCH_SIZE)
    most = {"highest": ceilings[0].rate, "default": ceilings[1].rate, "memory": ceilings[-1].rate}
    parts.append(
        f"One step of one model: {flops / 1e9:.1f} GFLOP, {bytes_accessed / 1e9:.2f} GB read and written, as the "
        "compiler counts them."
    )
    timings: list[accelerator_steps.Timing] = []
    rows = accelerator_steps.plan(options.members, options.steps)
    for row in tqdm(rows, unit="row", desc="populations"):
        timings.append(accelerator_steps.measure(experiment, row, options.calls))
        tqdm.write(str(timings[-1]))
        write(accelerator_steps.table(timings, flops, bytes_accessed, most))
    parts.append(accelerator_steps.table(timings, flops, bytes_accessed, most))
    lines = [("law", "difference", "limit", "")]
    for law, difference, limit in accelerator_steps.checks(experiment):
        lines.append((law, f"{difference:.2g}", f"{limit:g}", "holds" if difference <= limit else "does not hold"))
        tqdm.write(" | ".join(lines[-1]))
        write(plain_table.markdown(lines))
    parts.append(plain_table.markdown(lines))
    write()
    print(path.read_text(encoding="utf-8"))
    return [path]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
