"""Files of TensorBoard's projector, read as its plug-in reads them."""

import csv

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig
from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME

from analysis import projector
from jaxvae import effects, inference
from jaxvae.data import dataset
from jaxvae.data.audio import to_float


def test_every_point_has_its_embedding_effect_settings_and_picture(trained):
    projector.main(projector.Options(trained, clips=7))
    encoder = inference.load(trained)
    split = dataset.render(encoder.experiment, progress=False).split("test")
    chosen = np.array([0, 1, 2, 4, 5, 6, 7])  # of eight
    config = text_format.Parse((trained / PROJECTOR_FILENAME).read_text(), ProjectorConfig())
    wet, rate = to_float(split.audio(chosen)), encoder.experiment.audio.sample_rate
    expected = {
        "blind": encoder.embed(wet[:, None], rate),
        "dry-aware": encoder.embed(wet[:, None], rate, split.dry(chosen)[:, None]),
    }
    assert [embedding.tensor_name for embedding in config.embeddings] == list(expected)
    for embedding in config.embeddings:
        tensor = np.loadtxt(trained / embedding.tensor_path, delimiter="\t")
        assert tensor.shape == tuple(embedding.tensor_shape)
        np.testing.assert_allclose(tensor, expected[embedding.tensor_name], rtol=1e-4, atol=1e-5)
    with open(trained / config.embeddings[0].metadata_path) as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row, clip in zip(rows, chosen, strict=True):
        kind = effects.get(encoder.effects[split.effect[clip]])
        settings = kind.settings(split.normalized[clip])
        assert (row["effect"], row["recording"]) == (kind.name, str(split.recording[clip]))
        numbers = {name: float(value) for name, value in row.items() if "/" in name and value}
        assert numbers.keys() == {f"{kind.name} {name}" for name in settings}
        np.testing.assert_allclose(list(numbers.values()), list(settings.values()), rtol=1e-3)
    sheet = Image.open(trained / config.embeddings[0].sprite.image_path)
    side, height = config.embeddings[0].sprite.single_image_dim
    assert side == height and sheet.size == (3 * side, 3 * side)  # seven pictures, three in a row
    spectrograms = encoder.spectrogram(wet[:, None], rate)
    for place, spectrogram in enumerate(spectrograms):
        row, column = divmod(place, 3)
        small = np.asarray(sheet.convert("L"), float)[
            row * side : (row + 1) * side, column * side : (column + 1) * side
        ]
        across = spectrogram[::-1].mean(axis=1)  # the highest frequencies above
        brightness = np.asarray(small, float).reshape(len(across), -1, side).mean(axis=(1, 2))
        assert np.corrcoef(across, brightness)[0, 1] > 0.9
    assert not np.asarray(sheet)[2 * side :, side:].any()  # no eighth
