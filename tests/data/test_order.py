"""The order of training: every block once an epoch, the same batches whenever they are asked for."""

import functools
import threading

import numpy as np
import pytest
import soundfile

from jaxvae import config
from jaxvae.data import audio, dataset, order
from jaxvae.data.clips import WET_PEAK_DBFS

RATE, CLIP = 8_000, 2_048


@pytest.fixture(scope="module", params=[False, True], ids=["", "untouched"])
def train(tmp_path_factory, request):
    """Training clips of three kinds, 11 blocks of each: of three effects, or of two and untouched ones."""
    folder = tmp_path_factory.mktemp("sound")
    for index in range(4):
        noise = np.random.default_rng(index).uniform(-0.5, 0.5, 3 * CLIP)
        soundfile.write(folder / f"{index}.wav", noise, RATE)
    data = config.Data(
        effects=("pedalboard/Distortion", "pedalboard/Delay", "pedalboard/Clipping")[: 3 - request.param],
        untouched=request.param,
        degraded_share=0.0,
        audio=(str(folder),),
        train_clips=132 - 44 * request.param,
        validation_clips=24,
        test_clips=24,
        directory=str(tmp_path_factory.mktemp("datasets")),
    )
    short = config.Audio(sample_rate=RATE, clip_samples=CLIP)
    spectrogram = config.Spectrogram(n_fft=256, window_length=256, hop_length=256, n_mels=32)
    made = dataset.render(config.Experiment("train", audio=short, data=data, spectrogram=spectrogram), progress=False)
    return made.split("train")


def test_a_batch_is_a_pure_function(train):
    chosen = order.indices(train, 0, 5, 8)
    order.indices(train, 1, 2, 8)
    order._epoch.cache_clear()
    np.testing.assert_array_equal(order.indices(train, 0, 5, 8), chosen)
    assert not np.array_equal(order.indices(train, 1, 5, 8), chosen)
    batch = order.batch(train, chosen)
    np.testing.assert_array_equal(batch.wet, train.audio(chosen))
    np.testing.assert_array_equal(batch.effect, train.effect[chosen])
    np.testing.assert_array_equal(batch.normalized, train.normalized[chosen])
    passage = audio.set_peak(train.other_dry(chosen), WET_PEAK_DBFS)
    np.testing.assert_allclose(audio.to_float(batch.passage).repeat(2, axis=0), passage, atol=0.51 / 32_768)


def test_contents_are_the_dry_clips_at_the_peak_of_wet_clips(train):
    dry = audio.to_float(order.batch(train, np.arange(132)).dry)
    expected = audio.set_peak(train.dry(np.arange(132)), WET_PEAK_DBFS)
    np.testing.assert_allclose(dry.repeat(2, axis=0), expected, atol=0.51 / 32_768)


@pytest.mark.parametrize("batch_size", [4, 12, 32, 132, 200])
def test_an_epoch_visits_every_block_once_and_batches_lose_none(train, batch_size):
    steps = -(-132 * 4 // batch_size)
    visited = np.concatenate([order.indices(train, 7, step, batch_size) for step in range(steps)])
    blocks = visited[: 132 * 4].reshape(4, 33, 4)
    np.testing.assert_array_equal(blocks, blocks[:, :, :1] + np.arange(4))  # whole, in order
    np.testing.assert_array_equal(np.sort(blocks[:, :, 0], axis=1), np.tile(np.arange(0, 132, 4), (4, 1)))
    assert len(np.unique(blocks[:, :, 0], axis=0)) == 4  # each in an order of its own


@pytest.mark.parametrize("batch_size", [12, 16, 28, 32, 160])
def test_first_settings_of_every_batch_hold_all_effects_almost_equally_often(train, batch_size):
    for step in range(40):
        first = train.effect[order.indices(train, 0, step, batch_size)][::4]
        counts = np.bincount(first, minlength=3)
        assert counts.min() >= 1
        assert np.ptp(counts) <= 1


def test_blocks_are_not_tied_together(train):
    """The effects are shuffled apart, so that a batch does not always hold the same blocks side by side."""
    partner = {}
    for step in range(60):
        chosen = order.indices(train, 0, step, 12)
        partner.setdefault(int(chosen[0]), set()).add(int(chosen[4]))
    assert min(len(partners) for partners in partner.values()) > 1


def prefetching() -> int:
    """Threads that read ahead; while they read, those that play the dry clips come and go."""
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_prefetch_gives_the_batches_and_leaves_no_thread(train):
    read = functools.partial(order.batch, train)
    fetched = list(order.prefetch(read, train, 3, 2, 9, 8))
    assert len(fetched) == 7
    for step, one in zip(range(2, 9), fetched, strict=True):
        for found, expected in zip(one, order.batch(train, order.indices(train, 3, step, 8)), strict=True):
            np.testing.assert_array_equal(found, expected)
    stopped = order.prefetch(read, train, 3, 0, 1_000, 8)
    next(stopped)
    assert prefetching() == 1
    stopped.close()
    assert prefetching() == 0
    assert list(order.prefetch(read, train, 3, 4, 4, 8)) == []


def test_prefetch_passes_errors_on_and_leaves_no_thread(train):
    def fails_at_four(indices: np.ndarray) -> order.Batch:
        if np.array_equal(indices, order.indices(train, 0, 4, 4)):
            raise OSError("the disk is gone")
        return order.batch(train, indices)

    fetched = []
    with pytest.raises(OSError, match="the disk is gone"):
        for one in order.prefetch(fails_at_four, train, 0, 0, 10, 4):
            fetched.append(one)
    assert len(fetched) == 4
    assert prefetching() == 0
