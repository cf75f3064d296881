"""Clips on their way to a step: whichever way they travel, the step sees the same examples."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxvae import config, devices, fields, views
from jaxvae.data import audio, dataset, input_pipeline
from jaxvae.data.clips import WET_PEAK_DBFS
from jaxvae.data.input_pipeline import InputPipeline

MESH = devices.make_mesh(1, 4, config.Execution(devices=1))


@pytest.fixture(scope="module")
def split(tiny):
    return dataset.render(tiny, progress=False).split("train")


@pytest.fixture(scope="module")
def normalisation(split, tiny):
    return views.measure(split.audio(np.arange(split.clips)), tiny)


@pytest.fixture(autouse=True)
def nothing_kept(split):
    """No views of an earlier test, and none for a later one."""
    for path in _kept(split):
        path.unlink()
    yield
    for path in _kept(split):
        path.unlink()


def _kept(split):
    folder = Path(str(split.folder))
    return [*folder.glob("spectrograms-*"), *folder.glob("fine_structure-*")]


def _types(clips):
    return {leaf.dtype for leaf in jax.tree.leaves(clips)}


def _seen(source):
    """Examples of four steps of two blocks, the last of which are of the second epoch."""
    compute = jax.jit(source.examples)
    return [jax.device_get(compute(source.pool, batch)) for batch in source.batches(3, 1, 5, 8)]


def _travelling(split, tiny, normalisation, monkeypatch, room):
    """Examples that no device has the memory for, with a disk that has room for their spectrograms or not."""
    with monkeypatch.context() as patched:
        patched.setattr(input_pipeline, "VIEWS_BYTES", 0)
        if room:
            return InputPipeline(split, tiny, normalisation, MESH)
        patched.setattr("jaxvae.data.storage.Folder.free", lambda folder: 1_000)
        with pytest.warns(UserWarning, match=r"no room for [\d,]+ bytes of spectrograms.*make room, or use another"):
            return InputPipeline(split, tiny, normalisation, MESH)


@pytest.mark.parametrize("chunk", [7, 64])
def test_spectrograms_that_no_memory_holds_are_read_from_their_file(split, normalisation, tiny, monkeypatch, chunk):
    monkeypatch.setattr(input_pipeline, "_CHUNK_CLIPS", chunk)  # the last chunk overlaps the one before
    resident = InputPipeline(split, tiny, normalisation, MESH)
    paths = _kept(split)
    whole = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    streamed = _travelling(split, tiny, normalisation, monkeypatch, room=True)
    assert len(paths) == 2 and streamed.pool is None
    assert [path.read_bytes() for path in paths] == whole  # bit for bit what devices keep
    assert all(_types(batch[:3]) == {np.dtype(np.float16)} for batch in streamed.batches(3, 1, 5, 8))
    for first, second in zip(_seen(resident), _seen(streamed), strict=True):
        jax.tree.map(np.testing.assert_array_equal, first, second)
    with monkeypatch.context() as patched:
        patched.setattr(views, "compute", None)  # nothing is computed again
        _travelling(split, tiny, normalisation, monkeypatch, room=True)


def test_all_ways_deliver_the_same_examples(split, normalisation, tiny, monkeypatch):
    kept = InputPipeline(split, tiny, normalisation, MESH)
    for path in _kept(split):
        path.unlink()
    streamed = _travelling(split, tiny, normalisation, monkeypatch, room=False)
    monkeypatch.setattr(input_pipeline, "VIEWS_BYTES", 0)
    of_audio = 4 * split.clips * tiny.audio.clip_samples
    monkeypatch.setattr(input_pipeline, "resident", lambda size, devices: size == of_audio)
    resident = InputPipeline(split, tiny, normalisation, MESH)
    assert _types(kept.pool[:3]) == {np.dtype(np.float16)} and streamed.pool is None
    assert _types(resident.pool[:3]) == {np.dtype(np.int16)}
    for first, second, third in zip(*(_seen(way) for way in (kept, streamed, resident)), strict=True):
        for one, two, three in zip(*map(jax.tree.leaves, (first, second, third)), strict=True):
            np.testing.assert_allclose(one, two, rtol=2**-10, atol=1e-4)  # a unit of float16
            np.testing.assert_allclose(two, three, rtol=2**-10, atol=1e-4)


def test_spectrograms_are_kept_where_the_memory_of_the_device_is_known_to_suffice(
    split, normalisation, tiny, monkeypatch
):
    monkeypatch.setattr(input_pipeline, "VIEWS_BYTES", 0)
    of_views = 3 * split.clips * tiny.bins * tiny.frames + 4 * split.clips * views.numbers(tiny)
    monkeypatch.setattr(input_pipeline, "resident", lambda size, devices: size == of_views)
    assert _types(InputPipeline(split, tiny, normalisation, MESH).pool[:3]) == {np.dtype(np.float16)}


@pytest.mark.parametrize("chunk", [5, 7, 24, 64])
def test_a_step_gets_wet_and_dry_of_its_clips_with_their_labels(split, normalisation, tiny, monkeypatch, chunk):
    monkeypatch.setattr(input_pipeline, "_CHUNK_CLIPS", chunk)  # the last chunk overlaps the one before
    source = InputPipeline(split, tiny, normalisation, MESH)
    chosen = np.array([20, 21, 22, 23, 0, 1, 2, 3])
    examples = source.examples(source.pool, source.batch(chosen))
    dry, passage = (
        audio.to_int16(audio.set_peak(clips, WET_PEAK_DBFS)) for clips in (split.dry(chosen), split.other_dry(chosen))
    )
    for found, clips in ((examples.wet, split.audio(chosen)), (examples.dry, dry)):
        expected = views.compute(clips, tiny.audio, tiny.spectrogram, normalisation)
        for view, whole in zip(found, expected, strict=True):
            np.testing.assert_allclose(view, whole, rtol=2**-11, atol=2e-4)  # half a unit of float16
    expected = views.compute(passage, tiny.audio, tiny.spectrogram, normalisation).fine
    np.testing.assert_allclose(examples.passage, expected, rtol=2**-11, atol=2e-4)
    np.testing.assert_array_equal(examples.effect, split.effect[chosen])
    np.testing.assert_array_equal(examples.normalized, split.normalized[chosen])
    assert _types(examples[:3]) == {np.dtype(np.float32)}


def test_a_network_without_fine_structure_has_files_of_spectrograms_alone(split, tiny):
    blind = fields.changed(tiny, [("objective.source_share", 0.0), ("model.fine_structure", False)])
    normalisation = views.measure(split.audio(np.arange(split.clips)), blind)
    source = InputPipeline(split, blind, normalisation, MESH)
    examples = source.examples(source.pool, source.batch(np.arange(8)))
    assert examples.wet.fine.shape == examples.passage.shape == (8, 0)
    assert [path.name.split("-")[0] for path in _kept(split)] == ["spectrograms"]
    again = InputPipeline(split, blind, normalisation, MESH)
    np.testing.assert_array_equal(again.pool.wet.spectrogram, source.pool.wet.spectrogram)


@pytest.mark.parametrize("kind", ["spectrograms", "fine_structure"])
def test_kept_views_are_used_again_unless_they_are_damaged(split, normalisation, tiny, monkeypatch, kind):
    before = jax.tree.map(
        np.array, jax.device_get(InputPipeline(split, tiny, normalisation, MESH).pool)
    )  # not the file
    with monkeypatch.context() as patched:
        patched.setattr(views, "compute", None)  # nothing is computed again
        after = jax.device_get(InputPipeline(split, tiny, normalisation, MESH).pool)
    jax.tree.map(np.testing.assert_array_equal, before, after)
    (path,) = (path for path in _kept(split) if path.name.startswith(kind))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1_000])
    with pytest.warns(UserWarning, match=rf"{kind}-train-\w+\.npy is damaged .* made anew"):
        mended = jax.device_get(InputPipeline(split, tiny, normalisation, MESH).pool)
    jax.tree.map(np.testing.assert_array_equal, before, mended)
    assert path.read_bytes() == whole


def test_views_of_other_settings_are_kept_beside(split, normalisation, tiny):
    before = jax.device_get(InputPipeline(split, tiny, normalisation, MESH).pool)
    spectrogram, fine = normalisation
    louder = normalisation._replace(spectrogram=spectrogram._replace(mean=spectrogram.mean + 1))
    other = jax.device_get(InputPipeline(split, tiny, louder, MESH).pool)
    assert np.abs(other.wet.spectrogram - before.wet.spectrogram).max() > 0.05
    np.testing.assert_array_equal(other.wet.fine, before.wet.fine)
    assert len(_kept(split)) == 3
    wider = normalisation._replace(fine=fine._replace(std=2 * fine.std))
    other = jax.device_get(InputPipeline(split, tiny, wider, MESH).pool)
    np.testing.assert_allclose(2 * other.wet.fine.astype(np.float32), before.wet.fine, atol=1e-3)
    np.testing.assert_array_equal(other.wet.spectrogram, before.wet.spectrogram)
    assert len(_kept(split)) == 4


def test_spectrograms_are_not_kept_where_there_is_no_room(split, normalisation, tiny, monkeypatch):
    monkeypatch.setattr("jaxvae.data.storage.Folder.free", lambda folder: 1_000)
    assert InputPipeline(split, tiny, normalisation, MESH).pool is not None
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
