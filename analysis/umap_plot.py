"""A map of the latent space: unseen recordings through each effect at random settings, coloured by effect.

    python -m analysis.umap_plot runs/base --out effects.png
    python -m analysis.umap_plot runs/base --out four.png --effects 4
    python -m analysis.umap_plot runs/latent_sweep --out sizes.png --members 0 4 8 12

UMAP of posterior means, blind and dry-aware, each beside UMAP of the principal components of the same spectrograms,
which a latent space has to beat; or of several members of a sweep side by side, dry-aware if they can be. UMAP is
seeded; its distances between far groups mean little, so figures are printed beside the picture.
"""

import dataclasses
from pathlib import Path

from analysis.renders.sizes import Sizes
from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    run: command_line.Run
    out: Path
    """The .png file to write."""
    effects: int = 0
    """Draw the first so many of the run's effects; 0 means all."""
    clips: int = 200
    """Unseen dry clips; each meets every effect."""
    seed: int = 0
    members: command_line.Members = ()
    data: command_line.RunData = dataclasses.field(default_factory=command_line.RunData)


def main(options: Options) -> list[Path]:
    """Draw and write the picture."""
    from analysis.metrics import layout
    from analysis.models import members, representations
    from analysis.pictures import style, umap
    from analysis.renders import chunks, material
    from analysis.renders.plan import draw_dry, random_settings

    chosen = members.load(options.run, options.members)
    encoder = chosen[0].encoder
    names = encoder.effects[: options.effects or None]
    if len(names) < 2:
        raise ValueError(
            f"a map of effects needs two, but of {', '.join(encoder.effects)} it would show {len(names)}; "
            "raise --effects, or draw one effect with analysis.interpolate or analysis.pair_plot"
        )
    if options.clips * len(names) < layout.LEAST:
        raise ValueError(
            f"clips is {options.clips}, and {len(names)} effects make a map of {options.clips * len(names)} points; "
            f"use at least {-(-layout.LEAST // len(names))}"
        )
    splits = ("train", "test") if len(chosen) == 1 else ("test",)
    data = members.data([member.encoder for member in chosen], options.data.directory, splits)
    test, rate = data.split("test"), encoder.experiment.audio.sample_rate
    kinds = data.kinds(names)
    plan = random_settings(kinds, draw_dry(test, options.clips, options.seed), options.seed)
    if len(chosen) == 1:
        train, components = data.split("train"), Sizes().components
        rows, _ = representations.rows({"latent space": encoder}, train, components, options.seed, source=False)
        mapped = [row for row in rows if row.mapped]
        seen = material.represent(plan, test, rate, mapped, "random settings")
        panels = {
            f"{row.name} ({seen.features[row.name].shape[1]} dimensions)": seen.labelled(row.name) for row in mapped
        }
    else:
        functions = {member.title: representations.means(member.encoder) for member in chosen}
        plan, features = chunks.evaluate(plan, test, rate, chunks.Functions(functions))
        panels = {title: plan.labelled(values, test) for title, values in features.items()}
    drawing, scores = umap.plot(panels, umap.fit(panels, options.seed), tuple(kind.name for kind in kinds))
    style.save(drawing, options.out)
    for title, score in scores.items():
        print(title, score._asdict())
    return [options.out]


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
