"""Domain colouring of an effect: every pair of parameters, coloured by where the setting falls on the effect's map.

    python -m analysis.pair_plot runs/base --effect pedalboard/Delay --out delay_pairs.png

Settings are drawn at random for one dry clip of an unseen recording. Each place on the map has a colour of its own,
shown in the map's panel. Where a panel's colours change smoothly along a parameter, the map is ordered by it; where
they are mixed, the map does not know it. The bars say the same in numbers.
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
    """The .png file to write."""
    settings: int = 600
    """Random settings."""
    clip: int | None = None
    """Dry clip of the test split; none means one drawn by the seed."""
    seed: int = 0
    member: command_line.Member = None
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)


def main(options: Options) -> list[Path]:
    """Draw and write the picture."""
    from analysis.pictures import effect_map, effect_pairs, style

    clip, maps = effect_map.of_run(
        options.run,
        () if options.member is None else (options.member,),
        options.effect,
        options.clip,
        options.settings,
        seed=options.seed,
        directory=options.data.directory,
    )
    style.save(effect_pairs.plot(*maps.values()), options.out)
    print(f"dry clip {clip} of the test split")
    return [options.out]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
