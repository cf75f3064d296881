"""Readouts of a run: fitted after training on clips of validation recordings, and stored beside its logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

from jaxvae import block, inference
from jaxvae.data import audibility, dataset
from jaxvae.data.audio import to_float
from jaxvae.data.dataset import Split
from jaxvae.data.storage import Folder
from jaxvae.inference import SpectrogramEncoder
from jaxvae.models import readout
from jaxvae.models.readout import BLIND, DRY_AWARE, Clips, Readout
from jaxvae.training import run_folder

MOST_CLIPS = 1_200
"""Of validation recordings: more take time and hardly help, for they are of the same recordings."""


class Material(NamedTuple):
    """Clips of validation recordings."""

    split: Split
    rows: np.ndarray
    wet: Float[np.ndarray, "clip sample"]
    dry: Float[np.ndarray, "clip sample"]
    audible: Bool[np.ndarray, " clip"]
    untouched: np.ndarray
    """Rows whose dry clips stand for "no effect": as many as there are clips of an effect."""


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
    rows = np.arange(min(split.clips, MOST_CLIPS))
    wet, dry = to_float(split.audio(rows)), split.dry(rows)
    contents = block.first_clip_of(np.arange(block.content_of(len(rows))))
    chosen = np.linspace(0, len(contents) - 1, min(len(contents), -(-len(rows) // len(split.effects)))).astype(int)
    audible = audibility.audible(wet, dry, experiment.audio.sample_rate)
    return Material(split, rows, wet, dry, audible, contents[chosen])


def fit(encoder: SpectrogramEncoder, material: Material) -> dict[str, Readout]:
    """The readouts of an encoder in each mode that it was trained for."""
    share, rate = encoder.experiment.objective.dry_share, encoder.experiment.audio.sample_rate
    split, rows, dry = material.split, material.rows, material.dry
    effect, normalized, recording = (values[rows] for values in (split.effect, split.normalized, split.recording))
    untouched = dry[material.untouched]
    modes = {BLIND: share < 1 or not encoder.content_dim, DRY_AWARE: encoder.dry_aware}
    found = {}
    for mode in (mode for mode, trained in modes.items() if trained):
        before = (dry, untouched) if mode == DRY_AWARE else (None, None)
        mean, dry_mean = (
            encoder.embed(clips[:, None], rate, None if known is None else known[:, None])
            for clips, known in zip((material.wet, untouched), before, strict=True)
        )
        densities, truths = [], []
        for index, answers in enumerate(encoder.read_by_heads(mean).settings):
            own = effect == index
            densities += list(answers[own].swapaxes(0, 1))
            truths += list(normalized[own, : answers.shape[1]].T)
        clips = Clips(mean, effect, material.audible, recording)
        temperature = readout.temperature(densities, truths)
        found[mode] = readout.fit(clips, dry_mean, recording[material.untouched], len(split.effects), temperature)
    return found
