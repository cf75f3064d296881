"""Readouts of a run: fitted after training on clips of validation recordings, and stored beside its logs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from jaxvae import block, config, effects, inference
from jaxvae.data import audibility, dataset, degradation
from jaxvae.data.audio import set_peak, to_float
from jaxvae.data.clips import WET_PEAK_DBFS
from jaxvae.data.dataset import Split
from jaxvae.data.storage import Folder
from jaxvae.inference import SpectrogramEncoder
from jaxvae.models import readout
from jaxvae.models.readout import Clips, Readout
from jaxvae.training import run_folder

MOST_CLIPS = 1_200
"""Of validation recordings: more take time and hardly help, for they are of the same recordings."""


class Sounds(NamedTuple):
    """Wet clips with what may be known beside them."""

    wet: Float[np.ndarray, "clip sample"]
    dry: Float[np.ndarray, "clip sample"]
    passage: Float[np.ndarray, "clip sample"]
    """Another dry passage of the recording."""
    recording: Int[np.ndarray, " clip"]

    def embed(self, encoder: SpectrogramEncoder, mode: str) -> Float[np.ndarray, "clip latent"]:
        """Their embeddings in a mode."""
        rate = encoder.experiment.audio.sample_rate
        if mode == "blind":
            return encoder.embed(self.wet[:, None], rate)
        if mode == "dry_aware":
            return encoder.embed(self.wet[:, None], rate, self.dry[:, None])
        return encoder.embed(self.wet[:, None], rate, self.passage[:, None], "source")


class Material(NamedTuple):
    """Clips of validation recordings."""

    clips: Sounds
    effect: Int[np.ndarray, " clip"]
    normalized: Float[np.ndarray, "clip parameter"]
    audible: Bool[np.ndarray, " clip"]
    untouched: Sounds
    """The contents of those clips, to which nothing was done but what happens to half of the clips as well."""


def missing(workdir: Path) -> Iterator[int]:
    """Members of a run whose best weights have heads, but no readout."""
    for index, member in run_folder.read(workdir).items():
        heads = getattr(getattr(member.experiment, "objective", None), "heads", ())
        trained = member.best is not None and heads
        if trained and not readout.load(inference.readout_path(member), member.best_step):
            yield index


def complete(workdir: Path) -> list[Path]:
    """Fit the readouts that a run lacks, member by member. Returns the files written.

    Raises:
        CheckpointError: the folder holds no checkpoint.
        OSError: the folder cannot be written.
    """
    members, written, material = run_folder.read(workdir), [], None
    lacking = list(missing(workdir))
    for index in tqdm(lacking, desc="fit readouts", unit="member", disable=len(lacking) < 2):
        encoder = inference.load(workdir, member=index)
        if material is None:  # members of a run share their data
            material = prepare(encoder)
        path = inference.readout_path(members[index])
        path.parent.mkdir(parents=True, exist_ok=True)
        readout.save(path, members[index].best_step, fit(encoder, material))
        written.append(path)
    return written


def prepare(encoder: SpectrogramEncoder) -> Material:
    """Clips of the validation recordings of an encoder, of the data set that it was trained on.

    Where that is not found, its validation clips are rendered anew.
    """
    experiment = encoder.experiment
    data = dataset.find(experiment, encoder.dataset, [Folder(folder) for folder in encoder.dataset_folders])
    if data is None:
        data = dataset.render(experiment, splits=("validation",), recorded=encoder.dataset)
    split = data.split("validation")
    rows = np.flatnonzero(split.effect < len(split.effects))[:MOST_CLIPS]
    contents = block.first_clip_of(np.arange(block.content_of(len(rows))))
    unchanged = sounds(split, contents)
    unchanged = unchanged._replace(wet=_after_nothing(unchanged.dry, experiment))
    clips = sounds(split, rows)
    audible = audibility.audible(clips.wet, clips.dry, experiment.audio.sample_rate)
    return Material(clips, split.effect[rows], split.normalized[rows], audible, unchanged)


def _after_nothing(
    dry: Float[np.ndarray, "clip sample"], experiment: config.Experiment
) -> Float[np.ndarray, "clip sample"]:
    """Clips that were degraded as those of the data set are, though there was no effect."""
    rate, share = experiment.audio.sample_rate, experiment.data.degraded_share
    dry = set_peak(dry, WET_PEAK_DBFS)  # of which the level of noise is counted

    def changed(index: int) -> np.ndarray:
        random = np.random.default_rng([experiment.data.seed, index])
        return degradation.draw(random, dry[index], rate) if random.random() < share else dry[index]

    with ThreadPoolExecutor(effects.cores()) as threads:
        return np.stack(list(threads.map(changed, range(len(dry)))))


def sounds(split: Split, rows: Int[np.ndarray, " clip"]) -> Sounds:
    """Of some clips of a split."""
    return Sounds(to_float(split.audio(rows)), split.dry(rows), split.other_dry(rows), split.recording[rows])


def fit(encoder: SpectrogramEncoder, material: Material) -> dict[str, Readout]:
    """The readouts of an encoder in each mode that it was trained for."""
    found, effect = {}, material.effect
    for mode in encoder.experiment.modes:
        mean, dry_mean = (sounds.embed(encoder, mode) for sounds in (material.clips, material.untouched))
        densities, truths = [], []
        for index, answers in enumerate(encoder.read_by_heads(mean).settings):
            own = effect == index
            densities += list(answers[own].swapaxes(0, 1))
            truths += list(material.normalized[own, : answers.shape[1]].T)
        clips = Clips(mean, effect, material.audible, material.clips.recording)
        temperature = readout.temperature(densities, truths)
        recording = material.untouched.recording
        found[mode] = readout.fit(clips, dry_mean, recording, len(encoder.effects), temperature)
    return found
