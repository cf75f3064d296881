"""Paths of an effect's parameters on its map, one panel for each parameter and one for all.

    python -m analysis.interpolate runs/base --effect pedalboard/Delay --out delay.png
    python -m analysis.interpolate runs/latent_sweep --effect pedalboard/Delay --out sizes.png --members all

Each parameter takes 15 settings over its range while the others rest at the middle of theirs; the grey cloud is the
same dry clip at random settings. Of several members of a sweep there is a panel each, with all paths. A map is useful
to a player when paths are monotone, straight and apart.
"""

import dataclasses
from pathlib import Path

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    run: command_line.Run
    effect: str
    """Name of the effect, trained on or not."""
    out: Path
    """The .png file to write; of one model, all paths in one panel go beside it as NAME_joint.png."""
    steps: int = 15
    """Settings along each path, 10 to 20 for a readable picture."""
    clip: int | None = None
    """Dry clip of the test split; none means one drawn by the seed."""
    seed: int = 0
    members: command_line.Members = ()
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)


def main(options: Options) -> list[Path]:
    """Draw and write the pictures."""
    from analysis.pictures import effect_map, effect_paths, style

    clip, maps = effect_map.of_run(
        options.run,
        options.members,
        options.effect,
        options.clip,
        steps=options.steps,
        seed=options.seed,
        directory=options.data.directory,
    )
    print(f"dry clip {clip} of the test split")
    drawings = {options.out: effect_paths.plot_joint(maps)}
    if len(maps) == 1:
        beside = options.out.with_name(f"{options.out.stem}_joint{options.out.suffix}")
        drawings = {options.out: effect_paths.plot_separate(*maps.values()), beside: drawings[options.out]}
    for path, drawing in drawings.items():
        style.save(drawing, path)
    return list(drawings)


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
