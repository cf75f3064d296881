"""Hear the latent map of a run: settings of its effects as points, and the sound of any place at a click.

    python -m launch.latent_map
    python -m launch.latent_map runs/demo --effects pedalboard/Delay pedalboard/Reverb
    python -m launch.latent_map --effects mda/Leslie --source guitar.wav --points 100000

A server on this machine answers a page in the browser. The first 1,000 points of a map are there within a minute; the
others are added while it is in use. Maps are kept, and go on where they were when the program ended.
"""

import dataclasses
import os
import sys
from pathlib import Path

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to map."""

    run: command_line.Run = Path("pretrained")
    effects: tuple[str, ...] = ()
    """Effects of the run to map; none means all. The first one is built at once, others when they are opened."""
    source: Path | None = None
    """Recording that the maps are made of, its loudest part; none means a drum loop that comes with the package."""
    points: int = 10_000
    """Points of each map, up to a million."""
    seed: int = 0
    """Seed of the points and of the layout."""
    maps: Path | None = None
    """Folder of all maps; none means maps in $JAXVAE_CACHE or ~/.cache/jaxvae."""
    port: int = 8_765
    """Port of the server; where it is taken, the next free one is used."""
    browser: bool = True
    """Open the page in the browser."""
    member: command_line.Member = None

    def __post_init__(self) -> None:
        if not 50 <= self.points <= 1_000_000:
            raise ValueError(f"points is {self.points}; use 50 to 1,000,000")
        if not 1_024 <= self.port <= 65_535:
            raise ValueError(f"port is {self.port}; use 1024 to 65535")


def main(options: Options) -> None:
    """Load the run, open its maps, and serve them until the program is told to end."""
    from analysis.latent_map import server, source
    from analysis.latent_map.atlas import Atlas
    from jaxvae import inference, program_cache

    with server.private_folder() as uploads:
        at = server.listen(options.port)
        program_cache.keep()
        encoder = inference.load_encoder(options.run, member=options.member)
        if options.source is None:
            path = next(source.BUNDLED.rglob(f"{source.DEFAULT}.*"))
            of = source.of_file(path, path.stem.replace("_", " "), path.stem, bundled=True)
        else:
            of = source.of_file(options.source, str(options.source), "map-source")
            of = dataclasses.replace(of, name=options.source.name)
        folder = options.maps or Path(os.environ.get("JAXVAE_CACHE") or Path.home() / ".cache" / "jaxvae") / "maps"
        names = options.effects or encoder.effects
        atlas = Atlas(encoder, names, of, folder, uploads, options.points, options.seed)
        first = next(iter(atlas.builds))
        atlas.builder.ask(first)
        print(f"maps of {encoder.experiment.name} in {folder}", file=sys.stderr)
        server.serve(atlas, at, options.browser)


if __name__ == "__main__":
    command_line.run(main, Options, __doc__, interrupted="the map is closed")
