"""One sorted table of the members of a sweep, as text, CSV and a page with curves and the Pareto front.

    python -m analysis.sweep_table runs/latent_sweep
    python -m analysis.sweep_table runs/latent_sweep --no-structure --sort kl

Figures of a member are those at its best validation. Structure is what probes read from the posterior means of unseen
recordings, beside principal components and an encoder with fresh weights. It is measured by rendering clips and
encoding them with every member, which takes minutes; --no-structure leaves it out.
"""

import dataclasses
import datetime
from pathlib import Path

from jaxvae import atomic_file, command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to tabulate."""

    run: command_line.Run
    """Folder of a sweep, finished or not."""
    out: Path | None = None
    """Folder for sweep_table.csv and sweep_table.html; none means the run's."""
    sort: str = "negative_elbo"
    """Column of the CSV file, the better first: negative_elbo, accuracy, kl, member, model.latent_dim, ..."""
    structure: bool = True
    """Measure what probes read from unseen recordings; takes minutes."""
    train_clips: int = 100
    """Dry clips that probes are fitted on; each meets every effect."""
    test_clips: int = 80
    """Unseen dry clips that they are scored on; each meets every effect."""
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
    sort = options.sort if measured else "member"
    if not (options.structure and sort in sweep_table.MEASURED):
        sweep_table.ordered(rows, sort)  # a mistake is told before minutes have passed
    reference: list[Row] = []
    unit = ""
    if options.structure and measured:
        encoders = {name: inference.load(options.run, member=int(name)) for name in measured}
        best = sweep_table.ordered(rows, "negative_elbo")[0].name
        figures, unit = sweep_table.measure(
            encoders, best, (options.train_clips, options.test_clips), options.seed, options.data.directory
        )
        rows = [dataclasses.replace(row, figures=row.figures | figures.pop(row.name, {})) for row in rows]
        reference = [Row(name, {}, "baseline", 0, scores) for name, scores in figures.items()]
    rows = sweep_table.ordered(rows, sort)
    headings = sweep_table.columns(rows, unit)
    lines = [
        [sweep_table.shown(name, sweep_table.cells(row).get(name)) for name in headings] for row in [*rows, *reference]
    ]
    seeds = sweep_table.seeds_table(rows, headings) if members.SEED in rows[0].values else []
    for table in ([list(headings.values()), *lines], seeds):
        if table:
            print(plain_table.text(table), end="\n\n")
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
        structure=bool(reference),
        date=datetime.date.today().isoformat(),
    )
    folder = options.run if options.out is None else options.out
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        folder / "sweep_table.csv": sweep_table.as_csv([*rows, *reference], headings),
        folder / "sweep_table.html": page,
    }
    for path, content in contents.items():
        atomic_file.write_text(path, content)
    return list(contents)


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
