"""Views of clips: what a network sees of them, a spectrogram and numbers pooled over time, both normalised.

Conventions
    A relation says what the network is given beside a wet clip: nothing (NONE), another dry passage of the recording
    (SOURCE), of which the pooled numbers alone can be compared, or the very clip before the effect (ALIGNED). It is a
    number for each clip, so that one program serves all three.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Int16, Key

from jaxvae import block, config, fine_structure, spectrogram
from jaxvae.fine_structure import Standard
from jaxvae.spectrogram import Statistics

NONE, SOURCE, ALIGNED = 0, 1, 2
RELATIONS = dict(zip(config.MODES, (NONE, SOURCE, ALIGNED), strict=True))
"""Of each mode of a network."""
_CHUNK_CLIPS = 64
_Audio = Float[Array | np.ndarray, "batch sample"] | Int16[Array | np.ndarray, "batch sample"]


class Views(NamedTuple):
    """What a network sees of clips."""

    spectrogram: Float[Array | np.ndarray, "batch bin frame"]
    fine: Float[Array | np.ndarray, "batch number"]
    """Fine structure; no numbers for a network that does not see it."""


class Normalisation(NamedTuple):
    """What views are normalised by: measured on training clips, and kept in a checkpoint's record."""

    spectrogram: Statistics
    fine: Standard | None
    """None for a network that does not see fine structure."""


def draw_relation(
    key: Key[Array, ""], batch: int, dry_share: ArrayLike, source_share: ArrayLike
) -> Int[Array, "batch"]:
    """What a network is given beside each clip of whole blocks, alike for the clips of a block.

    ALIGNED for a share of them, SOURCE for a share of the others.
    """
    drawn = jax.random.uniform(key, (block.block_of(batch),))
    known_share = dry_share + (1 - dry_share) * source_share
    relation = jnp.where(drawn < dry_share, ALIGNED, jnp.where(drawn < known_share, SOURCE, NONE))
    return jnp.repeat(relation, block.CLIPS)


def fine(audio: _Audio, sample_rate: int, normalisation: Normalisation) -> Float[Array, "batch number"]:
    """The fine structure of clips as a network sees it."""
    if normalisation.fine is None:
        return jnp.zeros((len(audio), 0))
    return normalisation.fine(fine_structure.compute(audio, sample_rate))


def compute(
    audio: _Audio, audio_config: config.Audio, spectrogram_config: config.Spectrogram, normalisation: Normalisation
) -> Views:
    """The views of clips."""
    return Views(
        spectrogram.compute(audio, audio_config, spectrogram_config, normalisation.spectrogram),
        fine(audio, audio_config.sample_rate, normalisation),
    )


compiled = jax.jit(compute, static_argnames=("audio_config", "spectrogram_config"))
"""`compute` as one program for each form of clips."""


def measure(clips: Int16[np.ndarray, "clip sample"], experiment: config.RenderedExperiment) -> Normalisation:
    """That of these clips, for the network of an experiment."""
    audio = experiment.audio

    def chunks() -> Iterator[np.ndarray]:
        return iter(np.array_split(clips, -(-len(clips) // _CHUNK_CLIPS)))

    statistics = spectrogram.statistics(chunks(), audio, experiment.spectrogram)
    if not experiment.sees_fine_structure:
        return Normalisation(statistics, None)
    transform = jax.jit(lambda chunk: fine_structure.compute(chunk, audio.sample_rate))
    numbers = np.concatenate([np.asarray(transform(chunk)) for chunk in chunks()])
    return Normalisation(statistics, fine_structure.standard(numbers))


def numbers(experiment: config.RenderedExperiment) -> int:
    """How many numbers of fine structure the network of an experiment sees."""
    if not experiment.sees_fine_structure:
        return 0
    return fine_structure.size(experiment.audio.clip_samples, experiment.audio.sample_rate)


def as_record(normalisation: Normalisation) -> dict[str, dict[str, list[float]]]:
    """As plain lists, for the record of a checkpoint."""
    parts = {"statistics": normalisation.spectrogram, "fine_structure": normalisation.fine}
    return {
        key: {name: value.tolist() for name, value in part._asdict().items()}
        for key, part in parts.items()
        if part is not None
    }


def from_record(record: Mapping[str, Any]) -> Normalisation:
    """The inverse of `as_record`, of records of older versions as well, which have no fine structure."""
    fine = record.get("fine_structure")
    return Normalisation(
        spectrogram.statistics_from(record["statistics"]), None if fine is None else fine_structure.standard_from(fine)
    )
