"""Clips on their way to a step: whichever way they travel, the step sees the same examples."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxvae import config, devices, spectrogram
from jaxvae.data import audio, dataset, input_pipeline
from jaxvae.data.clips import WET_PEAK_DBFS
from jaxvae.data.input_pipeline import InputPipeline

MESH = devices.make_mesh(1, 4, config.Execution(devices=1))


@pytest.fixture(scope="module")
def split(tiny):
    return dataset.render(tiny, progress=False).split("train")


@pytest.fixture(scope="module")
def statistics(split, tiny):
    return spectrogram.statistics([split.audio(np.arange(split.clips))], tiny.audio, tiny.spectrogram)


@pytest.fixture(autouse=True)
def nothing_kept(split):
    """No spectrograms of an earlier test."""
    for path in _kept(split):
        path.unlink()


def _kept(split):
    return list(Path(str(split.folder)).glob("spectrograms-*"))


def _seen(source):
    """Examples of four steps of two blocks, the last of which are of the second epoch."""
    compute = jax.jit(source.examples)
    return [jax.device_get(compute(source.pool, batch)) for batch in source.batches(3, 1, 5, 8)]


def _travelling(split, tiny, statistics, monkeypatch, room):
    """Examples that no device has the memory for, with a disk that has room for their spectrograms or not."""
    with monkeypatch.context() as patched:
        patched.setattr(input_pipeline, "SPECTROGRAM_BYTES", 0)
        if room:
            return InputPipeline(split, tiny, statistics, MESH)
        patched.setattr("jaxvae.data.storage.Folder.free", lambda folder: 1_000)
        with pytest.warns(UserWarning, match=r"no room for [\d,]+ bytes of spectrograms.*make room, or use another"):
            return InputPipeline(split, tiny, statistics, MESH)


@pytest.mark.parametrize("chunk", [7, 64])
def test_spectrograms_that_no_memory_holds_are_read_from_their_file(split, statistics, tiny, monkeypatch, chunk):
    monkeypatch.setattr(input_pipeline, "_CHUNK_CLIPS", chunk)  # the last chunk overlaps the one before
    resident = InputPipeline(split, tiny, statistics, MESH)
    (path,) = _kept(split)
    whole = path.read_bytes()
    path.unlink()
    streamed = _travelling(split, tiny, statistics, monkeypatch, room=True)
    assert streamed.pool is None and path.read_bytes() == whole  # bit for bit what devices keep
    assert all(batch.wet.dtype == np.float16 for batch in streamed.batches(3, 1, 5, 8))
    for first, second in zip(_seen(resident), _seen(streamed), strict=True):
        jax.tree.map(np.testing.assert_array_equal, first, second)
    with monkeypatch.context() as patched:
        patched.setattr(spectrogram, "compute", None)  # nothing is computed again
        _travelling(split, tiny, statistics, monkeypatch, room=True)


def test_all_ways_deliver_the_same_examples(split, statistics, tiny, monkeypatch):
    kept = InputPipeline(split, tiny, statistics, MESH)
    (path,) = _kept(split)
    path.unlink()
    streamed = _travelling(split, tiny, statistics, monkeypatch, room=False)
    monkeypatch.setattr(input_pipeline, "SPECTROGRAM_BYTES", 0)
    of_audio = 3 * split.clips * tiny.audio.clip_samples
    monkeypatch.setattr(input_pipeline, "resident", lambda size, devices: size == of_audio)
    resident = InputPipeline(split, tiny, statistics, MESH)
    assert kept.pool.wet.dtype == np.float16 and streamed.pool is None and resident.pool.wet.dtype == np.int16
    for first, second, third in zip(*(_seen(way) for way in (kept, streamed, resident)), strict=True):
        for one, two, three in zip(first, second, third, strict=True):
            np.testing.assert_allclose(one, two, rtol=2**-11, atol=1e-4)  # half a unit of float16
            np.testing.assert_allclose(two, three, atol=1e-4)


def test_spectrograms_are_kept_where_the_memory_of_the_device_is_known_to_suffice(split, statistics, tiny, monkeypatch):
    monkeypatch.setattr(input_pipeline, "SPECTROGRAM_BYTES", 0)
    monkeypatch.setattr(
        input_pipeline, "resident", lambda size, devices: size == 3 * split.clips * tiny.bins * tiny.frames
    )
    assert InputPipeline(split, tiny, statistics, MESH).pool.wet.dtype == np.float16


@pytest.mark.parametrize("chunk", [5, 7, 24, 64])
def test_a_step_gets_wet_and_dry_of_its_clips_with_their_labels(split, statistics, tiny, monkeypatch, chunk):
    monkeypatch.setattr(input_pipeline, "_CHUNK_CLIPS", chunk)  # the last chunk overlaps the one before
    source = InputPipeline(split, tiny, statistics, MESH)
    chosen = np.array([20, 21, 22, 23, 0, 1, 2, 3])
    examples = source.examples(source.pool, source.batch(chosen))
    dry = audio.to_int16(audio.set_peak(split.dry(chosen), WET_PEAK_DBFS))
    for found, clips in ((examples.wet, split.audio(chosen)), (examples.dry, dry)):
        expected = spectrogram.compute(clips, tiny.audio, tiny.spectrogram, statistics)
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-4)  # half a unit of float16
    np.testing.assert_array_equal(examples.effect, split.effect[chosen])
    np.testing.assert_array_equal(examples.normalized, split.normalized[chosen])
    assert examples.wet.dtype == examples.dry.dtype == np.float32


def test_kept_spectrograms_are_used_again_unless_they_are_damaged_or_of_other_settings(
    split, statistics, tiny, monkeypatch
):
    before = jax.device_get(InputPipeline(split, tiny, statistics, MESH).pool)
    (path,) = _kept(split)
    with monkeypatch.context() as patched:
        patched.setattr(spectrogram, "compute", None)  # nothing is computed again
        after = jax.device_get(InputPipeline(split, tiny, statistics, MESH).pool)
    jax.tree.map(np.testing.assert_array_equal, before, after)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1_000])
    with pytest.warns(UserWarning, match=r"spectrograms-train-\w+\.npy is damaged .* made anew"):
        mended = jax.device_get(InputPipeline(split, tiny, statistics, MESH).pool)
    jax.tree.map(np.testing.assert_array_equal, before, mended)
    assert path.read_bytes() == whole
    louder = statistics._replace(mean=statistics.mean + 1)
    assert np.abs(jax.device_get(InputPipeline(split, tiny, louder, MESH).pool.wet) - before.wet).max() > 0.05
    assert len(_kept(split)) == 2


def test_spectrograms_are_not_kept_where_there_is_no_room(split, statistics, tiny, monkeypatch):
    monkeypatch.setattr("jaxvae.data.storage.Folder.free", lambda folder: 1_000)
    assert InputPipeline(split, tiny, statistics, MESH).pool is not None
    assert not _kept(split)


class Device:
    def __init__(self, limit: int | None, used: int = 0) -> None:
        self.limit, self.used = limit, used

    def memory_stats(self) -> dict[str, int] | None:
        return None if self.limit is None else {"bytes_limit": self.limit, "bytes_in_use": self.used}


def test_what_fits_half_of_the_free_memory_of_every_device_may_live_there():
    assert input_pipeline.resident(100, [Device(200)])
    assert not input_pipeline.resident(100, [Device(199)])
    assert not input_pipeline.resident(100, [Device(300, used=101)])
    assert not input_pipeline.resident(100, [Device(1_000), Device(100)])
    assert not input_pipeline.resident(100, [Device(None)])
