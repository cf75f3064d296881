"""Posteriors and their file."""

import dataclasses

import numpy as np

from analysis.renders import embedding
from analysis.renders.embedding import Embedding
from analysis.renders.plan import random_settings


def test_an_embedding_survives_its_file(encoder, data, kinds, tmp_path):
    split = data.split("test")
    written = embedding.embed(encoder, split, "test", random_settings(kinds, np.arange(3), seed=0))
    written.save(tmp_path / "folder" / "embedding.npz")
    read = Embedding.load(tmp_path / "folder" / "embedding.npz")
    for field in dataclasses.fields(Embedding):
        first, second = getattr(written, field.name), getattr(read, field.name)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second)
            assert first.dtype == second.dtype
        else:
            assert first == second
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["embedding.npz"]
    wet = kinds[0].render(split.dry(np.array([1]))[0], kinds[0].settings(written.normalized[1]), 8_000)
    np.testing.assert_allclose(written.mean[1], encoder.embed(wet, 8_000)[0], atol=1e-5)
