"""One self-contained page about a run: what was found, a map to hear, sounds, pictures, and figures beside baselines.

    python -m analysis.report runs/demo
    python -m analysis.report runs/demo --out demo.html
    python -m analysis.report runs/latent_sweep --member 4

Everything is measured on recordings that the run was not trained on. The figures go beside the page as
NAME_figures.json.
"""

import dataclasses
import json
from pathlib import Path

from analysis.renders.sizes import Sizes
from jaxvae import atomic_file, command_line

SIZES = Sizes(
    fit_clips=100, pairs=240, gallery=0, fixed_clips=40, path_clips=3, path_steps=11, degraded_pairs=60, map_clips=240
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to report on."""

    run: command_line.Run
    out: Path | None = None
    """The page to write; none means report.html in the run's folder, of a given member report_003.html."""
    member: command_line.Member = None
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)
    sizes: Sizes = dataclasses.field(default_factory=lambda: SIZES)
    seed: int = 0


def main(options: Options) -> list[Path]:
    """Measure, draw and write the page and its figures."""
    from analysis.pages import report
    from analysis.pages.scoreboard import advantages
    from analysis.sections import table

    name = "report.html" if options.member is None else f"report_{options.member:03d}.html"
    out = options.run / name if options.out is None else options.out
    page, measured, maps = report.build(
        options.run, options.sizes, options.seed, options.member, options.data.directory
    )
    beside = out.with_name(f"{out.stem}_figures.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    for path, text in ((beside, json.dumps(measured.figures() | {"maps": maps}, indent=1)), (out, page)):
        atomic_file.write_text(path, text)
    print(table.text(advantages(measured)))
    return [out, beside]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
