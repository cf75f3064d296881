"""Clips on their way to a step: whichever way they travel, the step sees the same spectrograms."""

import jax
import numpy as np
import pytest

from jaxvae import config, dataset, feed, population, spectrogram
from jaxvae.feed import Feed

MESH = population.make_mesh(1, 4, config.Execution(devices=1))


@pytest.fixture(scope="module")
def split(tiny):
    return dataset.render(tiny, progress=False).split("train")


@pytest.fixture(scope="module")
def statistics(split, tiny):
    return spectrogram.statistics([split.audio(np.arange(split.clips))], tiny.audio, tiny.spectrogram)


def _seen(source, tiny):
    """Spectrograms of three steps, the last of which runs into the second epoch."""
    compute = jax.jit(source.spectrograms)
    return [np.asarray(compute(source.pool, batch)) for batch in source.batches(3, 4, 7, tiny.train.batch_size)]


def test_all_three_ways_deliver_the_same_spectrograms(split, statistics, tiny, monkeypatch):
    kept = Feed(split, tiny, statistics, MESH)
    monkeypatch.setattr(feed, "SPECTROGRAM_BYTES", 0)
    streamed = Feed(split, tiny, statistics, MESH)
    monkeypatch.setattr(dataset, "resident", lambda split, devices: True)
    resident = Feed(split, tiny, statistics, MESH)
    assert kept.pool.dtype == np.float32 and streamed.pool is None and resident.pool.dtype == np.int16
    for first, second, third in zip(*(_seen(way, tiny) for way in (kept, streamed, resident)), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)
        np.testing.assert_allclose(first, third, atol=1e-4)


def test_a_step_gets_the_clips_of_its_indices(split, statistics, tiny):
    source = Feed(split, tiny, statistics, MESH)
    batch = next(source.batches(0, 2, 3, 4))
    wet = split.audio(dataset.indices(split, 0, 2, 4))
    expected = spectrogram.compute(wet, tiny.audio, tiny.spectrogram, statistics)
    np.testing.assert_allclose(source.spectrograms(source.pool, batch), expected, atol=1e-4)
