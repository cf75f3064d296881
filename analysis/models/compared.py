"""The models of a scoreboard, and recordings that none of them was trained on."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.models import members
from analysis.sections.outline import OURS
from jaxvae import fields, inference
from jaxvae.data import dataset, recordings
from jaxvae.matching.matcher import Matcher

_TEST_CLIPS = 1_200  # of other folders: 600 crops
_SAME = ("audio.", "data.audio", "data.test_audio", "data.seed", "data.validation_share", "data.test_share")


def unseen_split(
    encoder: inference.SpectrogramEncoder | Matcher, data: dataset.Dataset, folders: Sequence[str]
) -> dataset.Split:
    """Clips of other recordings, as the test split of a data set of their own.

    Raises:
        ValueError: the model was trained on one of the files.
        AudioError: the folders hold nothing that can be used.
    """
    own = json.loads(data.folder.path("manifest.json").read_text())
    digests = {name: digest for name, digest in own["files"]}
    trained = {digests[name] for made in data.recordings if made.split != "test" for name in made.files}
    shared = [
        file.name
        for file in recordings.find((), folders).files
        if file.name.startswith("test_audio/") and file.digest in trained
    ]
    if shared:
        raise ValueError(
            f"{len(shared)} files of --audio were trained on, the first is {shared[0].partition('/')[2]}; name folders "
            "without them"
        )
    least = 4 * len(encoder.effects)
    other = dataclasses.replace(
        encoder.experiment.data,
        audio=(),  # the bundled recordings stand where training recordings have to be
        test_audio=tuple(folders),
        train_clips=least,
        validation_clips=least,
        test_clips=-(-_TEST_CLIPS // least) * least,
        directory=str(data.folder.parent),
    )
    split = dataset.render(dataclasses.replace(encoder.experiment, data=other), splits=("test",)).split("test")
    own = split.recipe.recording + np.int32(len(data.recordings))  # none is a training one
    return dataclasses.replace(
        split,
        recipe=split.recipe._replace(recording=own),
        recordings=(*data.recordings, *split.recordings),
        sources=("",) * len(data.recordings) + split.sources,
    )


def load(run: Path, member: int | None, compared: Sequence[Path]) -> dict[str, inference.SpectrogramEncoder]:
    """The model of a run and those of others by their names.

    Raises:
        CheckpointError: a run has no checkpoint.
        ValueError: another was trained on other recordings, so what is unseen to one is not to the other.
    """
    (chosen,) = members.load(run, () if member is None else (member,))
    models = {OURS: chosen.encoder}
    for path in compared:
        (other,) = members.load(path)
        values = [
            {name: value for name, value in fields.flat(one.experiment).items() if name.startswith(_SAME)}
            for one in (chosen.encoder, other.encoder)
        ]
        different = [name for name in values[0] if values[0][name] != values[1][name]]
        if different:
            raise ValueError(
                f"{path} was trained with another {', '.join(different)}, so on other recordings; compare runs that "
                "share them"
            )
        name = other.encoder.experiment.name
        models[name if name not in models else f"{name} ({path.name})"] = other.encoder
    return models
