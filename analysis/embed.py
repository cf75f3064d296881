"""One file with the posteriors of many settings of effects, rendered over recordings of one split.

    python -m analysis.embed runs/base --out test.npz
    python -m analysis.embed runs/base --out delay.npz --effects pedalboard/Delay --settings sweep --clips 3
    python -m analysis.embed runs/base --out million.npz --clips 200000 --cluster tcp://host:8786

`random` draws every setting uniformly on [0, 1]; `fixed` holds all at 0.5, Grant's (2023) protocol, so effects differ
by kind only; `sweep` moves one parameter at a time over its range while the others rest at 0.5. Every effect meets the
same dry clips. Renders that the data set would not keep (silent, not finite, exploding) are left out, and counted.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to embed."""

    run: command_line.Run
    out: Path
    """The .npz file to write."""
    split: Literal["train", "validation", "test"] = "test"
    """Whose recordings are used; those of test were never trained on."""
    effects: tuple[str, ...] = ()
    """Names of effects, trained on or not; empty means the run's."""
    settings: Literal["random", "fixed", "sweep"] = "random"
    clips: int = 100
    """Dry clips; each meets every effect, and in a sweep every parameter at every step."""
    steps: int = 15
    """Settings along a sweep."""
    seed: int = 0
    """Seed of the dry clips and the random settings."""
    step: int | None = None
    """Checkpoint; none means the best."""
    member: command_line.Member = None
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)
    cluster: str | None = None
    """Such as local:2, for two worker processes of this machine, or the address of a Dask scheduler."""


def main(options: Options) -> list[Path]:
    """Embed and write the file."""
    from analysis.models import members
    from analysis.renders import embedding
    from analysis.renders.embedding import Source
    from analysis.renders.plan import draw_dry, fixed_settings, random_settings, sweep_settings
    from jaxvae import effects, inference

    if options.clips < 1 or options.steps < 2:
        raise ValueError(f"clips is {options.clips} and steps {options.steps}; use at least 1 and 2")
    source = Source(options.run, options.step, options.member)
    encoder = inference.load_encoder(*source)
    names = options.effects or encoder.effects
    effects.require_known(name for name in names if name not in encoder.effects)
    data = members.data([encoder], options.data.directory, (options.split,), options.cluster)
    split, kinds = data.split(options.split), data.kinds(names)
    dry = draw_dry(split, options.clips, options.seed)
    plan = {
        "random": lambda: random_settings(kinds, dry, options.seed),
        "fixed": lambda: fixed_settings(kinds, dry),
        "sweep": lambda: sweep_settings(kinds, dry, options.steps),
    }[options.settings]()
    if options.cluster:
        made = embedding.embed_on(options.cluster, source, encoder, data, options.split, plan)
    else:
        made = embedding.embed(encoder, split, options.split, plan)
    made.save(options.out)
    print(f"{len(made.mean)} of {len(plan.effect)} clips, {encoder.latent_dim} latent dimensions")
    return [options.out]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
