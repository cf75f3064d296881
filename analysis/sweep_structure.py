"""Structure of the latent space against latent size, beta and seed, from one sweep.

    python -m analysis.sweep_structure runs/mda_grid --out runs/mda_grid/structure.png

Every member is measured as on the scoreboard, on the same unseen recordings, beside principal components and hand-made
statistics. A dot is a member, a line joins means over seeds, a colour is a beta: its weight beside the reconstruction;
beside what heads read, the KL divergence weighs beta times objective.elbo_weight. Writes the figures as CSV, then the
picture beside them.
"""

import dataclasses
from pathlib import Path

from analysis.renders.sizes import Sizes
from jaxvae import atomic_file, command_line

SIZES = Sizes(pairs=500, gallery=0, fixed_clips=0, degraded_pairs=0, path_clips=2, path_steps=11, map_clips=30)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    run: command_line.Run
    """Folder of a trained sweep."""
    out: Path
    """The picture to write; its figures go beside it, as .csv."""
    x: str = "model.latent_dim"
    """Field along the axis."""
    colour: str = "objective.beta.maximum"
    """Field that is told by colour."""
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)
    sizes: Sizes = dataclasses.field(default_factory=lambda: SIZES)
    seed: int = 0


def main(options: Options) -> list[Path]:
    """Measure, draw and write."""
    from analysis.models import members, replicates
    from analysis.pages import plain_table
    from analysis.pictures import structure, style
    from analysis.sections import board
    from jaxvae.data.recordings import SPLITS

    encoders, _ = replicates.load([options.run], ())
    fields = (options.x, options.colour, members.SEED)
    values = {name: members.values(encoder.experiment, fields) for name, encoder in encoders.items()}
    structure.require_axis(values.values(), options.x)
    data = members.data(list(encoders.values()), options.data.directory)
    splits = [data.split(name) for name in SPLITS]
    measured = board.measure(encoders, *splits, options.sizes, seed=options.seed, source=False)
    made = structure.points(measured, values)
    lines = [
        [point.representation, point.hears, *(point.values.get(path, "") for path in fields), point.panel, point.value]
        for point in made
    ]
    table = plain_table.as_csv([["representation", "hears", *fields, "figure", "value"], *lines])
    atomic_file.write_text(options.out.with_suffix(".csv"), table)  # kept, whatever becomes of the picture
    title = members.short_name(options.colour)
    if options.colour == "objective.beta.maximum":
        weights = {encoder.experiment.objective.elbo_weight for encoder in encoders.values()}
        beside = ", ".join(f"{weight:g}" for weight in sorted(weights))
        title = "β" if weights == {1.0} else f"β (times {beside} beside the heads)"
    style.save(structure.plot(made, options.x, options.colour, title), options.out)
    rings = [point for point in made if point.values and point.panel == structure.PANELS[-1].title]
    found = [point.representation for point in rings if point.value > 0]
    print(f"{len(found)} of {len(rings)} representations have a ring{': ' + ', '.join(found) if found else ''}")
    return [options.out, options.out.with_suffix(".csv")]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
