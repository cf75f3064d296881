"""How much of each setting could be recovered at all: a long search with the true dry clip, for every effect.

    python -m analysis.ceiling configs/mda_six.py --out ceiling.json
    python -m analysis.ceiling configs/mda_six.py --out delay.json --effects mda/Delay --clips 48 --evaluations 2000
    python -m analysis.ceiling configs/supervised.py --out supervised.json --supervised runs/supervised

For unseen dry clips at random settings, CMA-ES (Hansen 2016) looks for settings whose render sounds like the wet clip.
A setting that cannot be heard, or that another one can stand in for, is not recovered: that is the ceiling which a
model that reads settings is measured against. A killed search continues with the same command, from the file of single
searches beside the result.
"""

import dataclasses
from pathlib import Path

from jaxvae import command_line
from jaxvae.config import RenderedExperiment


@dataclasses.dataclass(frozen=True)
class Options:
    """What to search."""

    out: Path
    """The .json file to write; FILE.searches.json beside it holds the single searches."""
    clips: int = 24
    """Unseen dry clips; each meets every effect."""
    evaluations: int = 1_000
    """Renders of one search."""
    effects: tuple[str, ...] = ()
    """Names of effects; empty means the data set's."""
    seed: int = 0
    """Seed of the dry clips, the settings and the searches."""
    workers: int | None = None
    """Threads that render; none means one for each core."""
    supervised: Path | None = None
    """Folder of a run whose heads answer, dry-aware, over all clips of the test split; nothing is searched then."""

    def __post_init__(self) -> None:
        if self.evaluations < 100:
            raise ValueError(f"evaluations is {self.evaluations}; use at least 100")
        if self.supervised and self.effects:
            raise ValueError(f"effects is {self.effects}; leave it out, a network reads all that it was trained on")


def main(experiment: RenderedExperiment, options: Options) -> list[Path]:
    """Search, or ask a network, and write the figures."""
    from analysis.metrics import ceiling
    from analysis.models import members
    from jaxvae import effects, inference
    from jaxvae.data import dataset

    if options.supervised:
        encoder = inference.load_encoder(options.supervised)
        figures = ceiling.supervised(encoder, members.data([encoder], splits=("test",)).split("test"))
    else:
        effects.require_known(options.effects)
        data = dataset.render(experiment, options.workers, splits=("test",))
        kinds = data.kinds(options.effects) or data.effects
        effects.require_available(kinds)
        searches = options.out.with_suffix(".searches.json")
        figures = ceiling.measure(
            data, kinds, options.clips, options.evaluations, searches, options.seed, options.workers
        )
    ceiling.save(options.out, figures)
    print("\n".join(ceiling.table(figures)))
    return [options.out]


if __name__ == "__main__":
    command_line.run_experiment(main, Options, __doc__, interrupted="interrupted; the same command continues")
