"""One sorted table of the members of a sweep, as text, CSV and a page with curves and the Pareto front.

    python -m analysis.sweep_table runs/latent_sweep
    python -m analysis.sweep_table runs/latent_sweep --no-structure --sort kl

Figures of a member are those at its best validation. Structure is what probes read from unseen recordings, blind and
dry-aware, measured as on the scoreboard beside its baselines: probes are fitted on validation recordings. It takes
minutes, because clips are rendered and encoded with every member; --no-structure leaves it out. The criterion is the
validation figure that all members were trained for, by which `jaxvae.load` chooses one.
"""

import dataclasses
import datetime
from pathlib import Path

from analysis.renders.sizes import Sizes
from jaxvae import atomic_file, command_line

SIZES = Sizes(fit_clips=100, pairs=240, gallery=0, fixed_clips=0, settings=0, degraded_pairs=0)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to tabulate."""

    run: command_line.Run
    """Folder of a sweep, finished or not."""
    out: Path | None = None
    """Folder for sweep_table.csv and sweep_table.html; none means the run's."""
    sort: str = "criterion"
    """Column of the CSV file, the better first: criterion, negative_elbo, accuracy, member, model.latent_dim, ..."""
    structure: bool = True
    """Measure what probes read from unseen recordings; takes minutes."""
    sizes: Sizes = dataclasses.field(default_factory=lambda: SIZES)
    seed: int = 0
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)


def main(options: Options) -> list[Path]:
    """Print the table, write it and draw the page."""
    from analysis.models import members
    from analysis.pages import plain_table, sweep_table, templates
    from analysis.pictures import style, sweeps
    from analysis.pictures.sweeps import Row
    from jaxvae import inference

    rows, scalars = sweep_table.read(options.run)
    measured = [row.name for row in rows if row.figures]
    compared = any("criterion" in row.figures for row in rows)
    sort = ("negative_elbo" if options.sort == "criterion" and not compared else options.sort) if measured else "member"
    if not (options.structure and sort in sweep_table.MEASURED):
        sweep_table.ordered(rows, sort)  # a mistake is told before minutes have passed
    reference: list[Row] = []
    unit = ""
    if options.structure and measured:
        encoders = {name: inference.load_encoder(options.run, member=int(name)) for name in measured}
        best = sweep_table.ordered(rows, sort)[0].name if sort == "criterion" else measured[0]
        figures, unit = sweep_table.measure(encoders, best, options.sizes, options.seed, options.data.directory)
        rows = [dataclasses.replace(row, figures=row.figures | figures.pop(row.name, {})) for row in rows]
        reference = [Row(name, {}, "baseline", 0, scores) for name, scores in figures.items()]
    rows = sweep_table.ordered(rows, sort)
    headings = sweep_table.columns(rows, unit)
    lines = [
        [sweep_table.shown(name, sweep_table.cells(row).get(name)) for name in headings] for row in [*rows, *reference]
    ]
    seeds = sweep_table.seeds_table(rows, headings) if members.SEED in rows[0].values else []
    folder = options.run if options.out is None else options.out
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "sweep_table.csv"
    atomic_file.write_text(table, sweep_table.as_csv([*rows, *reference], headings))  # kept, whatever is drawn of it
    pictures = sweeps.plot_all(rows, reference, scalars, unit)
    page = templates.get("sweep_table.html").render(
        name=options.run.resolve().name,
        verdicts=sweep_table.verdicts(rows, unit),
        headings=list(headings.values()),
        lines=lines,
        members=len(rows),
        seeds=seeds,
        pictures=[
            (title, caption, style.data_url(style.png(drawn), "image/png")) for title, caption, drawn in pictures
        ],
        options=options,
        sort=sort,
        structure=bool(reference),
        date=datetime.date.today().isoformat(),
    )
    atomic_file.write_text(table.with_suffix(".html"), page)
    print(plain_table.text([list(headings.values()), *lines]), end="\n\n")
    if seeds:
        print(plain_table.text(seeds), end="\n\n")
    return [table, table.with_suffix(".html")]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
