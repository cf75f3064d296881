"""Gradients through black boxes beside true ones: how well they point, and what they cost.

    python -m analysis.gradient_report --out runs/gradients

Recordings are rendered through mda Overdrive, RingMod and Delay at random settings, and a loss compares them with
renders at other settings. Its gradient by the settings is estimated by renders of the plug-ins (central differences and
simultaneous perturbation) and taken exactly through their JAX twins. `gradients.md`, `gradients.json` and
`gradients.png` are written.
"""

import dataclasses
import json
from pathlib import Path

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    out: Path = Path("gradients")
    """Folder."""
    audio: tuple[str, ...] = ()
    """Folders of recordings; none means the bundled ones."""
    clips: int = 24
    """Clips that are reported."""
    chosen_on: int = 8
    """Clips more, on which steps are chosen."""
    clip_samples: int = 32_768
    """Samples in one clip."""
    sample_rate: int = 24_000
    """Hz."""
    seed: int = 0
    """Of clips, settings and directions."""

    def __post_init__(self) -> None:
        for name in ("clips", "chosen_on"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.clip_samples < 4_096:
            raise ValueError(f"clip_samples is {self.clip_samples}; use 4096 or more, as long as the longest window")


def main(options: Options) -> list[Path]:
    """Measure, print and write."""
    from tqdm import tqdm

    from analysis.matching import gradients
    from analysis.pages import gradient_report
    from analysis.pictures import gradient_cosines, style
    from jaxvae import effects

    rate, cases = options.sample_rate, gradients.cases()
    effects.require_available([case.kind for case in cases])
    dry = gradients.dry_clips(
        options.audio, options.chosen_on + options.clips, options.clip_samples, rate, options.seed
    )
    found = {}
    with tqdm(total=len(gradients.LOSSES) * len(cases) * len(gradients.STEPS), unit="step", desc="gradients") as bar:
        for loss in gradients.LOSSES:
            found[loss] = {}
            for case in cases:
                items = gradients.draw(case, dry, rate, options.seed)
                estimates = gradients.estimate(case, items, loss, rate, options.seed, bar.update)
                figures = gradients.figures(case, items, loss, rate, estimates, options.chosen_on)
                gradients.add_milliseconds(figures, case, items, loss, rate)
                found[loss][case.title] = figures
    text = gradient_report.markdown(found)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    written = [options.out / f"gradients.{ending}" for ending in ("md", "json", "png")]
    atomic_file.write_text(written[0], text)
    atomic_file.write_text(written[1], json.dumps({"steps": gradients.STEPS, "losses": found}, indent=1))
    loss = next(iter(found))
    style.save(gradient_cosines.plot(found[loss], gradients.STEPS, loss), written[2])
    return written


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
