"""Tables of how right the answers of a model are, mode by mode, in a column for each package of recordings."""

from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

from analysis.metrics import answers
from analysis.metrics.answers import Answers
from analysis.metrics.confidence import Interval
from analysis.pages import plain_table
from jaxvae import readouts
from jaxvae.data import audibility
from jaxvae.data.dataset import Split
from jaxvae.inference import SpectrogramEncoder

_CLIPS = 500
"""Read at once: 400 MB with what is known beside them."""
_FIGURES: dict[str, Callable[[Answers], Interval | float | None]] = {
    "effect named rightly": answers.accuracy,
    "… of those that can be heard": answers.accuracy_if_audible,
    "NLL of the effect, nats": answers.effect_nll,
    "R² of the settings of the true effect": answers.settings_r2,
    "NLL of a setting, nats": answers.settings_nll,
    f"settings in their interval of {answers.COVERED:.0%}": answers.coverage,
    '"no effect" said of dry clips': answers.no_effect_of_dry,
    "… of effects that cannot be heard": answers.no_effect_if_inaudible,
    "… of effects that can": answers.no_effect_if_audible,
}


def markdown(encoder: SpectrogramEncoder, split: Split) -> str:
    """A table for each mode of an encoder with readouts, of all clips of a split.

    Raises:
        ValueError: the encoder has none.
    """
    if not encoder.readouts:
        raise ValueError(
            f"{encoder.experiment.name} has no readout, whose answers a card is of; the command that trained it, given "
            "again, adds one"
        )
    package = np.array(split.sources)[split.recording]
    columns = {"all": np.ones(split.clips, bool)} | {str(name): package == name for name in np.unique(package)}
    clips = ", ".join(
        f"{name} {chosen.sum():,} of {len(np.unique(split.recording[chosen]))} recordings"
        for name, chosen in columns.items()
    )
    effects = len(encoder.effects)
    parts = [f"Clips: {clips}. Chance is {100 / effects:.0f} % and {np.log(effects):.2f} nats of an effect."]
    for mode, found in _answers(encoder, split):
        lines = [("", *columns)]
        for title, figure in _FIGURES.items():
            lines.append((title, *(plain_table.figure(figure(found.select(chosen))) for chosen in columns.values())))
        parts += [f"### {mode.replace('_', '-').capitalize()}", plain_table.markdown(lines)]
    return "\n\n".join(parts) + "\n"


def _answers(encoder: SpectrogramEncoder, split: Split) -> Iterator[tuple[str, Answers]]:
    """Of all clips, mode by mode."""
    means: dict[str, list] = {mode: [] for mode in encoder.readouts}
    audible = []
    with tqdm(total=split.clips, unit="clip", desc="answers") as bar:
        for first in range(0, split.clips, _CLIPS):
            clips = readouts.sounds(split, np.arange(first, min(first + _CLIPS, split.clips)))
            unchanged = clips._replace(wet=clips.dry)
            audible.append(audibility.audible(clips.wet, clips.dry, encoder.experiment.audio.sample_rate))
            for mode, own in means.items():
                own.append((clips.embed(encoder, mode), unchanged.embed(encoder, mode)))
            bar.update(len(clips.wet))
    for mode, own in means.items():
        wet, dry = (np.concatenate(part) for part in zip(*own, strict=True))
        said, of_dry = encoder.read_mean(wet, mode), encoder.read_mean(dry, mode)
        yield (
            mode,
            Answers(
                said.effect,
                said.settings,
                said.no_effect,
                of_dry.no_effect,
                split.effect,
                split.normalized,
                np.concatenate(audible),
                split.recording,
            ),
        )
