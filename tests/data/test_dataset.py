"""Recordings to splits, clips to shards."""

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from jaxvae import config, effects, fields
from jaxvae.data import audio, clips, dataset, shards
from jaxvae.data.audio_file import AudioError
from jaxvae.data.clips import REASONS, RenderError
from jaxvae.data.recordings import SPLITS
from jaxvae.data.storage import Folder
from jaxvae.effects import Effect, EffectError, Parameter, vst3
from launch.contents import describe

RATE, CLIP = 8_000, 2_048


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def write_folder(folder: Path, lengths: list[int], first_seed: int = 0) -> Path:
    """Files 00.wav, 01.wav, ... of noise, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, samples in enumerate(lengths):
        soundfile.write(folder / f"{index:02}.wav", noise(samples, first_seed + index), RATE, "FLOAT")
    return folder


def experiment(tmp_path: Path, *folders: Path, **data) -> config.Experiment:
    values = {
        "effects": ("pedalboard/Distortion", "pedalboard/Delay"),
        "audio": tuple(str(folder) for folder in folders),
        "train_clips": 24,
        "validation_clips": 8,
        "test_clips": 8,
        "untouched": False,
        "degraded_share": 0.0,
        "fade_ms": 5.0,
        "directory": str(tmp_path / "datasets"),
    } | data
    return config.Experiment(
        name="test",
        audio=config.Audio(sample_rate=RATE, clip_samples=CLIP),
        data=config.Data(**values),
        spectrogram=config.Spectrogram(n_fft=256, window_length=256, hop_length=256, n_mels=32),
    )


def render(tmp_path: Path, *folders: Path, workers: int | None = None, **data) -> dataset.Dataset:
    return dataset.render(experiment(tmp_path, *folders, **data), workers, progress=False)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "sound", [3 * CLIP + 100 * index for index in range(8)])


@pytest.fixture
def small_shards(monkeypatch):
    """Three shards of training clips instead of one."""
    monkeypatch.setattr(shards, "_SHARD_CLIPS", 8)
    monkeypatch.setattr(shards, "_CHUNK_CLIPS", 4)


@pytest.fixture
def replace_effects(monkeypatch):
    """Makes every effect a made one: its process takes (dry, value of its only parameter, 0 to 1)."""

    def replace(process):
        parameter = Parameter("amount", 0.0, 1.0, "", "linear", 0.0)

        def replaced(name: str) -> Effect:
            return Effect(name, (parameter,), (), lambda dry, settings, _: process(dry, settings["amount"]))

        made = {name: replaced(name) for name in effects.table()}
        monkeypatch.setattr(effects, "table", lambda: made)

    return replace


def splits_of(made: dataset.Dataset) -> dict[str, str]:
    """By file."""
    return {file: recording.split for recording in made.recordings for file in recording.files}


def every_clip(split: dataset.Split) -> np.ndarray:
    return split.audio(np.arange(split.clips))


def files_of(made: dataset.Dataset) -> dict[str, bytes]:
    return {name: made.folder.path(name).read_bytes() for name in made.folder.sizes()}


# Recordings and splits


def test_every_file_is_in_one_recording_and_every_recording_in_one_split(tmp_path):
    first = write_folder(tmp_path / "a", [3 * CLIP] * 5 + [CLIP // 2] * 7)
    second = write_folder(tmp_path / "b" / "c", [CLIP // 3] * 11, first_seed=50)
    made = render(tmp_path, first, second.parent, vary=False)
    files = [file for recording in made.recordings for file in recording.files]
    assert len(files) == len(set(files)) == 23
    assert {recording.split for recording in made.recordings} == set(SPLITS)
    for name in SPLITS:
        split = made.split(name)
        assert {made.recordings[index].split for index in split.recording} == {name}
        for start, index in zip(split.start, split.recording, strict=True):
            recording = made.recordings[index]
            assert recording.start <= start <= recording.start + recording.length - CLIP


def test_the_split_depends_on_the_seed_and_on_no_other_file(tmp_path):
    folder = write_folder(tmp_path / "a", [CLIP] * 40)
    by_seed = [splits_of(render(tmp_path, folder, seed=seed)) for seed in (0, 1)]
    assert by_seed[0] != by_seed[1]
    soundfile.write(folder / "0.wav", noise(3 * CLIP, 99), RATE, "FLOAT")  # before all others
    (folder / "17.wav").unlink()
    (folder / "elsewhere").mkdir()
    (folder / "03.wav").rename(folder / "elsewhere" / "other.wav")
    after = splits_of(render(tmp_path, folder, seed=0))
    assert after.pop("audio/0/elsewhere/other.wav") == by_seed[0].pop("audio/0/03.wav")
    del after["audio/0/0.wav"], by_seed[0]["audio/0/17.wav"]
    assert after == by_seed[0]


@pytest.mark.parametrize("shares", [(0.01, 0.01), (0.5, 0.49), (0.9, 0.05)])
def test_three_recordings_are_one_for_each_split(tmp_path, shares):
    folder = write_folder(tmp_path / "a", [2 * CLIP, 9 * CLIP, 4 * CLIP])
    made = render(tmp_path, folder, validation_share=shares[0], test_share=shares[1])
    assert sorted(recording.split for recording in made.recordings) == sorted(SPLITS)


def test_held_out_folders_are_the_whole_test_set(tmp_path, folder):
    held_out = write_folder(tmp_path / "held_out", [2 * CLIP, CLIP // 4], first_seed=90)
    made = render(tmp_path, folder, test_audio=(str(held_out),))
    for recording in made.recordings:
        assert (recording.split == "test") == recording.files[0].startswith("test_audio/")
    assert {recording.split for recording in made.recordings} == set(SPLITS)


def test_short_files_of_a_folder_and_split_become_recordings_of_at_least_a_clip(tmp_path):
    write_folder(tmp_path / "a" / "long", [2 * CLIP, 2 * CLIP, 2 * CLIP])
    write_folder(tmp_path / "a" / "short", [900] * 20, first_seed=20)
    write_folder(tmp_path / "a" / "single", [700], first_seed=40)
    made = render(tmp_path, tmp_path / "a")
    recordings = {recording.files: recording for recording in made.recordings}
    short = {name: split for name, split in splits_of(made).items() if "/short/" in name}
    assert sorted(short) == [f"audio/0/short/{index:02}.wav" for index in range(20)]
    for split in SPLITS:
        own = sorted(name for name in short if short[name] == split)
        for first in range(0, len(own) - 2, 3):  # three make a clip; what is left over joins the last of these
            rest = own[first:] if first + 6 > len(own) else own[first : first + 3]
            assert recordings[tuple(rest)].length == 900 * len(rest)
        if 0 < len(own) < 3:
            assert recordings[tuple(own)].length == CLIP
    names = sorted(name for name in short if short[name] == "train")
    single = recordings[("audio/0/single/00.wav",)]
    assert single.length == CLIP
    prepared = np.load(made.folder.path("recordings.npy"))

    joined = prepared[recordings[tuple(names[:3])].start :][:2_700].reshape(3, 900)
    inner = slice(40, -40)  # the fades take 5 ms
    for name, samples in zip(names[:3], joined, strict=True):
        written = noise(900, 20 + int(Path(name).stem))
        assert np.corrcoef(samples[inner], written[inner])[0, 1] > 0.9999
    assert np.abs(joined[:, [0, -1]]).max() < 1_000  # no click where they join
    repeated = prepared[single.start :][:CLIP]
    np.testing.assert_array_equal(repeated[700:1_400], repeated[:700])
    np.testing.assert_array_equal(repeated[1_400:], repeated[: CLIP - 1_400])


def test_prepared_recordings_are_the_files_at_one_peak(tmp_path, folder):
    soundfile.write(folder / "quiet.wav", 0.004 * noise(3 * CLIP, 70), RATE, "FLOAT")
    made = render(tmp_path, folder)
    prepared = np.load(made.folder.path("recordings.npy"))
    quiet = next(recording for recording in made.recordings if recording.files == ("audio/0/quiet.wav",))
    samples = prepared[quiet.start :][: quiet.length] / 32_768
    assert audio.peak_dbfs(samples) == pytest.approx(-0.1, abs=0.001)
    error = samples / np.abs(samples).max() - noise(3 * CLIP, 70) / np.abs(noise(3 * CLIP, 70)).max()
    assert np.abs(error).max() < 1e-4  # 16 bits of the scaled, not of the quiet recording


def test_unusable_files_are_skipped_listed_and_warned_of_once(tmp_path, folder):
    (folder / "text.wav").write_text("no audio")
    soundfile.write(folder / "silent.wav", np.zeros(3 * CLIP), RATE)
    soundfile.write(folder / "nan.wav", np.full(3 * CLIP, np.nan), RATE, "FLOAT")
    shutil.copy(folder / "00.wav", folder / "copy_of_00.wav")
    soundfile.write(folder / "truncated.flac", noise(8_000), RATE)
    (folder / "truncated.flac").write_bytes((folder / "truncated.flac").read_bytes()[:5_000])
    with pytest.warns(UserWarning, match="5 of 13 files are left out"):
        made = render(tmp_path, folder)
    reasons = dict(made.skipped)
    assert reasons.keys() == {
        f"audio/0/{n}" for n in ["text.wav", "silent.wav", "nan.wav", "copy_of_00.wav", "truncated.flac"]
    }
    assert reasons["audio/0/copy_of_00.wav"] == "the same as audio/0/00.wav"
    assert "-inf dBFS" in reasons["audio/0/silent.wav"]
    assert not reasons.keys() & {file for recording in made.recordings for file in recording.files}
    assert render(tmp_path, folder).skipped == made.skipped  # no second warning, which would be an error here


def test_nothing_usable_is_an_error_with_reasons_that_leaves_no_file(tmp_path):
    silent = tmp_path / "silent"
    silent.mkdir()
    for index in range(4):
        soundfile.write(silent / f"{index}.wav", np.zeros(3 * CLIP + index), RATE)
    with pytest.raises(AudioError, match=r"0 usable files[\s\S]*0.wav: silent"):
        render(tmp_path, silent)
    assert not [path for path in (tmp_path / "datasets").rglob("*") if path.is_file()]


def test_folders_that_cannot_be_split_are_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    two = write_folder(tmp_path / "two", [3 * CLIP, 3 * CLIP])
    with pytest.raises(AudioError, match=r"no audio files in .*empty"):
        render(tmp_path, folder, tmp_path / "empty")
    with pytest.raises(AudioError, match=r"no folder at .*nowhere"):
        render(tmp_path, tmp_path / "nowhere")
    with pytest.raises(AudioError, match="2 usable files"):
        render(tmp_path, two)


def test_a_pattern_is_the_folders_it_matches_named_below_its_fixed_part(tmp_path):
    for seed, part in enumerate(("a/cs", "a/nl", "b/cs", "c/de")):
        write_folder(tmp_path / "sound" / part, [3 * CLIP, 3 * CLIP], first_seed=10 * seed)
    made = render(tmp_path, tmp_path / "sound" / "*" / "cs", test_audio=(str(tmp_path / "sound" / "[bc]" / "[dn]*"),))
    expected = {f"audio/0/{part}/{file}.wav" for part in ("a/cs", "b/cs") for file in ("00", "01")}
    expected |= {f"test_audio/0/c/de/{file}.wav" for file in ("00", "01")}
    assert {file for recording in made.recordings for file in recording.files} == expected
    moved = shutil.copytree(tmp_path / "sound", tmp_path / "moved" / "elsewhere")
    again = render(tmp_path, moved / "*" / "cs", test_audio=(str(moved / "[bc]" / "[dn]*"),))
    assert again.identity == made.identity


def test_a_pattern_that_matches_no_folder_or_no_audio_is_refused(tmp_path, folder):
    with pytest.raises(AudioError, match=r"no folder matches .*nowhere"):
        render(tmp_path, folder, tmp_path / "*" / "nowhere")
    with pytest.raises(AudioError, match=r"no folder matches .*wav"):
        render(tmp_path, folder / "*.wav")
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(AudioError, match=r"no audio files in .*empty"):
        render(tmp_path, folder, tmp_path / "empty" / "*")


def test_a_folder_named_like_a_pattern_is_that_folder(tmp_path):
    write_folder(tmp_path / "live [2023]", [3 * CLIP] * 4)
    made = render(tmp_path, tmp_path / "live [2023]")
    assert sorted(recording.files[0] for recording in made.recordings) == [f"audio/0/{i:02}.wav" for i in range(4)]


def test_bundled_recordings_are_the_default_and_all_are_usable(tmp_path):
    made = render(tmp_path)
    assert not made.skipped
    assert len(made.recordings) > 30


# Clips


def test_clips_are_levelled_finite_and_differ(tmp_path, folder):
    made, settings = render(tmp_path, folder, effects=("pedalboard/Distortion", "pedalboard/Bitcrush")), {}
    for name in SPLITS:
        split = made.split(name)
        wet = every_clip(split)
        assert wet.dtype == np.int16
        np.testing.assert_allclose(audio.peak_dbfs(audio.to_float(wet)), clips.WET_PEAK_DBFS, atol=0.001)
        assert len(np.unique(wet, axis=0)) == split.clips
        settings[name] = split.normalized[:8]
        dry = split.dry(np.arange(split.clips))
        np.testing.assert_allclose(audio.peak_dbfs(dry), -12, atol=0.001)
        assert np.abs(dry[:, [0, -1]]).max() < 0.01
    assert not np.array_equal(settings["train"], settings["validation"], equal_nan=True)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 15])
def test_every_round_holds_all_effects_equally_often_and_all_pairs_occur(count):
    rounds = 2 * max(count - 1, 1)
    drawn = np.array([clips.block_effects(block, count) for block in range(rounds * count)])
    assert len(np.unique(drawn, axis=0)) == count**2
    for number, pairs in enumerate(drawn.reshape(rounds, count, 2)):
        np.testing.assert_array_equal(pairs[:, 0], np.arange(count))
        np.testing.assert_array_equal(np.sort(pairs[:, 1]), np.arange(count))
        assert (pairs[:, 0] == pairs[:, 1]).all() == (number % 2 == 0 or count == 1)
        assert (pairs[:, 0] == pairs[:, 1]).any() == (number % 2 == 0 or count == 1)


def test_clips_of_a_block_are_two_contents_at_two_settings(tmp_path, folder):
    made = render(tmp_path, folder, train_clips=400)
    for name in SPLITS:
        split = made.split(name)
        content, setting = (
            (column.reshape(-1, 2, 2) for column in columns)
            for columns in ((split.recording, split.start), (split.effect, *split.normalized.T))
        )
        for column in content:  # block, content, setting
            np.testing.assert_array_equal(column[:, :, 0], column[:, :, 1])
        for column in setting:
            np.testing.assert_array_equal(column[:, 0], column[:, 1])
        normalized = split.normalized.reshape(-1, 2, 2, split.normalized.shape[1])
        assert (normalized[:, 0, 0, 0] != normalized[:, 0, 1, 0]).all()
        recording = split.recording.reshape(-1, 4)
        several = sum(recording.split == name for recording in made.recordings) > 1
        assert (recording[:, 0] != recording[:, 2]).all() == several
        dry = split.dry(np.arange(split.clips))
        np.testing.assert_array_equal(dry[::2], dry[1::2])


def test_untouched_clips_are_their_dry_ones_as_often_as_an_effect_and_never_tested(tmp_path, folder):
    made = render(tmp_path, folder, train_clips=48, validation_clips=16, untouched=True)
    assert (made.split("test").effect < 2).all() and made.split("test").kinds == 2
    for name, clips_of_each in (("train", 24), ("validation", 8)):
        split = made.split(name)
        np.testing.assert_array_equal(np.bincount(split.effect), [clips_of_each] * 3)
        untouched = np.flatnonzero(split.effect == 2)
        assert np.isnan(split.normalized[untouched]).all()
        dry = audio.set_peak(split.dry(untouched), clips.WET_PEAK_DBFS)
        np.testing.assert_allclose(audio.to_float(split.audio(untouched)), dry, atol=0.51 / 32_768)
        settings = split.effect.reshape(-1, 2, 2)[:, 0].tolist()
        assert [2, 2] in settings and any(2 in pair for pair in settings if pair != [2, 2])


def test_something_happens_to_a_share_of_the_clips_that_are_learnt_from_and_to_nothing_else(tmp_path, folder):
    plain, degraded = (render(tmp_path, folder, train_clips=96, degraded_share=share) for share in (0.0, 0.5))
    again = render(tmp_path / "again", folder, train_clips=96, degraded_share=0.5)
    for name in SPLITS:
        first, second = plain.split(name), degraded.split(name)
        for column, other in zip(first.recipe, second.recipe, strict=True):
            np.testing.assert_array_equal(column, other)  # the draws are the same
        np.testing.assert_array_equal(every_clip(second), every_clip(again.split(name)))
        same = (every_clip(first) == every_clip(second)).all(axis=1)
        assert same.all() if name == "test" else not same.all()
        if name == "train":
            assert same.mean() == pytest.approx(0.5, abs=0.16)
            np.testing.assert_allclose(audio.peak_dbfs(audio.to_float(every_clip(second))), -1.0, atol=0.001)


def test_a_passage_is_another_of_the_recording_played_as_the_clip_is(tmp_path):
    folder = write_folder(tmp_path / "a", [12 * CLIP, 12 * CLIP, 12 * CLIP, 12 * CLIP, CLIP])
    made = render(tmp_path, folder, train_clips=48)
    split, every = made.split("train"), np.arange(48)
    passages = split.other_dry(every)
    np.testing.assert_array_equal(passages, split.other_dry(every))
    np.testing.assert_array_equal(passages[::2], passages[1::2])  # of a content
    np.testing.assert_allclose(audio.peak_dbfs(passages), -12, atol=0.001)
    prepared = audio.to_float(np.load(made.folder.path("recordings.npy")))
    for clip in every[::2]:
        recording, played = made.recordings[split.recording[clip]], split.recipe.played(int(clip))
        length, start = played.samples(CLIP), split.start[clip] - recording.start
        own = prepared[recording.start : recording.start + recording.length]
        starts = np.arange(recording.length - length + 1)
        if played.speed == 1.0 and not played.filter:
            match = [np.corrcoef(own[s : s + CLIP][40:-40], passages[clip][40:-40])[0, 1] for s in starts]
            assert abs(int(np.argmax(match)) - start) >= CLIP or recording.length < 3 * CLIP
        at_peak = np.abs(np.fft.rfft(passages[clip]))  # the clip's filter: noise elsewhere has its shape
        shape = np.abs(np.fft.rfft(split.dry(np.array([clip]))[0]))
        bands = [np.log(spectrum[1:].reshape(16, -1).mean(axis=1)) for spectrum in (at_peak, shape)]
        if played.filter:
            assert np.corrcoef(*bands)[0, 1] > 0.7


def test_the_only_passage_of_a_short_recording_is_the_clip(tmp_path):
    folder = write_folder(tmp_path / "a", [CLIP, CLIP, CLIP])
    split = render(tmp_path, folder, vary=False).split("train")
    np.testing.assert_array_equal(split.other_dry(np.arange(8)), split.dry(np.arange(8)))


def test_settings_fill_their_ranges(tmp_path, folder):
    split = render(tmp_path, folder, train_clips=800).split("train")
    counts = np.array([len(effect.parameters) for effect in split.effects])
    np.testing.assert_array_equal(np.isfinite(split.normalized).sum(axis=1), counts[split.effect])
    drawn = split.normalized.reshape(-1, 2, 2, split.normalized.shape[1])[:, 0]
    drawn = drawn[np.isfinite(drawn)]
    assert drawn.min() < 0.02
    assert drawn.max() < 1
    np.testing.assert_allclose(np.quantile(drawn, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.06)


def test_recordings_are_drawn_in_proportion_to_their_length(tmp_path):
    folder = write_folder(tmp_path / "a", [40 * CLIP, 20 * CLIP, 10 * CLIP, 2 * CLIP, 2 * CLIP])
    made = render(tmp_path, folder, train_clips=2_400, validation_share=0.01, test_share=0.01)
    first, _, second, _ = made.split("train").recording.reshape(-1, 4).T
    lengths = np.array([r.length if r.split == "train" else 0 for r in made.recordings])
    share = lengths / lengths.sum()
    np.testing.assert_allclose(np.bincount(first, minlength=len(share)) / 600, share, atol=0.06)
    of_others = sum(
        share[taken] * np.where(np.arange(len(share)) == taken, 0, share) / (1 - share[taken])
        for taken in range(len(share))
    )
    np.testing.assert_allclose(np.bincount(second, minlength=len(share)) / 600, of_others, atol=0.06)


def test_rendering_the_dry_clips_again_gives_the_wet_clips(tmp_path, folder):
    split = render(tmp_path, folder).split("validation")
    everything = np.arange(split.clips)
    chosen = [split.effects[index] for index in split.effect]
    wet = effects.render_many(chosen, split.dry(everything), split.normalized, RATE)
    np.testing.assert_array_equal(audio.to_int16(audio.set_peak(wet, clips.WET_PEAK_DBFS)), split.audio(everything))


def test_wet_is_aligned_with_dry_and_dry_with_the_file(tmp_path, folder, replace_effects):
    replace_effects(lambda dry, amount: dry)
    made = render(tmp_path, folder, vary=False)
    split = made.split("train")
    dry, wet = split.dry(np.arange(24)), audio.to_float(every_clip(split))
    np.testing.assert_allclose(wet, audio.set_peak(dry, -1.0), atol=0.51 / 32_768)
    for clip in range(24):
        recording = made.recordings[split.recording[clip]]
        start = split.start[clip] - recording.start
        file, _ = soundfile.read(folder / Path(recording.files[0]).name)
        inner = slice(40, -40)  # between the fades
        crop = file[start : start + CLIP][inner]
        scale = (dry[clip][inner] @ crop) / (crop @ crop)
        np.testing.assert_allclose(dry[clip][inner], scale * crop, atol=1e-4)


def test_unusable_renders_are_drawn_again_and_counted_by_reason(tmp_path, folder, replace_effects):
    def process(dry: np.ndarray, amount: float) -> np.ndarray:
        gain = np.nan if amount < 0.1 else 0.0 if amount < 0.2 else 1e4 if amount < 0.3 else 1.0
        return dry * np.float32(gain)

    replace_effects(process)
    split = render(tmp_path, folder, train_clips=800).split("train")
    assert (split.normalized >= 0.3).all()
    np.testing.assert_allclose(audio.peak_dbfs(audio.to_float(every_clip(split))), -1, atol=0.001)
    counts = dict(zip(REASONS, split.recipe.redraws[::4].sum(axis=0), strict=True))
    assert counts["dry_silent"] == 0
    for reason in ("wet_silent", "not_finite", "exploding"):
        # Both settings of a block have to do: 200 / 0.7**2 draws, of which a tenth for each reason
        assert counts[reason] == pytest.approx(41, abs=20)
    np.testing.assert_array_equal(
        split.recipe.redraws[::4], split.recipe.redraws[2::4]
    )  # the other content at the same setting


def test_a_block_with_one_unusable_clip_is_drawn_again_whole_and_counted_there(tmp_path, folder, replace_effects):
    # Loud at the end: hardly half of the crops of noise that a slow wave carries.
    replace_effects(lambda dry, amount: dry * np.float32(np.abs(dry[CLIP // 2 :]).argmax() < 0.8 * CLIP // 2))
    split = render(tmp_path, folder, train_clips=400).split("train")
    wet_silent = split.recipe.redraws[:, REASONS.index("wet_silent")].reshape(-1, 2, 2)
    np.testing.assert_array_equal(wet_silent[:, :, 0], wet_silent[:, :, 1])
    assert (wet_silent[:, 0, 0] != wet_silent[:, 1, 0]).any()
    # A crop of these recordings fails in 0.16 of the draws and either of a block's two in 0.29, so 0.16 / 0.71 of each
    # are drawn again: 0.22 on average of many renders, with a deviation of 0.035
    assert wet_silent[:, :, 0].mean() == pytest.approx(0.16 / 0.71, abs=0.14)
    assert np.abs(split.dry(np.arange(400))[:, CLIP // 2 :]).argmax(axis=1).max() < 0.8 * CLIP // 2


@pytest.mark.debian("g++", "dpf-source")
def test_clips_at_which_a_plugin_crashes_are_drawn_again_counted_and_told_of(tmp_path, folder, faulty):
    name = faulty("crash")
    made = render(tmp_path / "one", folder, effects=(name, "pedalboard/Distortion"), workers=1)
    split = made.split("train")
    assert (split.normalized[split.effect == 0, 1] <= 0.8).all() and (split.effect == 0).any()
    crashed = split.recipe.redraws[:, REASONS.index("crashed")]
    assert crashed.sum() > 0 and not crashed[split.effect == 1].any()
    assert f"    of {name}: {crashed.sum()} crashed, 0 hung" in describe(made)
    assert not any("Distortion" in line for line in describe(made))
    again = render(tmp_path / "two", folder, effects=(name, "pedalboard/Distortion"), workers=3)
    assert files_of(again) == files_of(made)


@pytest.mark.debian("g++", "dpf-source")
@pytest.mark.parametrize(
    ("behaviour", "limit", "said"),
    [("crash", "MOST_CRASHES", "1 crashes and 0"), ("hang", "MOST_HANGS", "0 crashes and 1")],
)
def test_a_plugin_that_fails_too_often_in_a_row_stops_the_set(
    tmp_path, folder, faulty, monkeypatch, behaviour, limit, said
):
    monkeypatch.setattr(vst3, limit, 1)
    monkeypatch.setattr(vst3, "LEAST_LIMIT_S", 2.0)
    with pytest.raises(EffectError, match=rf"{behaviour}\.vst3 .* that makes {said} hangs in a row, so it is not used"):
        render(tmp_path, folder, effects=(faulty(behaviour),), workers=1)
    assert not list(tmp_path.rglob("train-*"))


def test_files_do_not_mention_failures_of_plugins_that_there_were_not(tmp_path, folder):
    made = render(tmp_path, folder)
    with np.load(made.folder.path("train-00000.npz")) as file:
        assert file["redraws"].shape == (24, 4)
    assert made.split("train").recipe.redraws.shape == (24, len(REASONS))


@pytest.mark.parametrize("level_db", [-65, 0, 50])
def test_strong_settings_are_kept(tmp_path, folder, replace_effects, level_db):
    replace_effects(lambda dry, amount: dry * np.float32(audio.gain(float(level_db))))
    made = render(tmp_path, folder)
    assert all(made.split(name).recipe.redraws.sum() == 0 for name in SPLITS)


@pytest.mark.parametrize(
    ("gain", "reason"), [(0.0, "wet_silent"), (np.nan, "not_finite"), (np.inf, "not_finite"), (1e5, "exploding")]
)
def test_an_effect_without_a_usable_render_is_named_with_its_settings(tmp_path, folder, replace_effects, gain, reason):
    replace_effects(lambda dry, amount: np.full_like(dry, gain))
    with pytest.raises(
        RenderError, match=rf"Distortion in a row are unusable \(20 {reason}\), the last at {{'amount': 0\."
    ):
        render(tmp_path, folder)


def test_silent_crops_are_drawn_again_and_counted(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    for index in range(3):
        faint = np.float32(audio.gain(-45.0)) * noise(3 * CLIP, 10 + index)
        sparse = np.concatenate([noise(3 * CLIP, index), faint])  # 2 of 5 crops are of the faint part alone
        soundfile.write(folder / f"{index}.wav", sparse, RATE, "FLOAT")
    made = render(tmp_path, folder, train_clips=400, vary=False)
    split = made.split("train")
    prepared = np.load(made.folder.path("recordings.npy"))
    dry_silent = split.recipe.redraws[:, REASONS.index("dry_silent")]
    assert dry_silent[::2].sum() == pytest.approx(200 * 2 / 3, rel=0.3)  # 0.4 / 0.6 more draws
    assert dry_silent[1::2].sum() == 0
    loud = np.abs(np.stack([prepared[start : start + CLIP] for start in split.start])).max(axis=1)
    assert loud.min() > 10 ** (-40 / 20) * 32_768


def test_what_cannot_be_used_is_left_out_by_name_and_ends_nothing(tmp_path, folder):
    click = 1e-4 * noise(2_000 * CLIP, 60)
    click[1_000] = 1
    soundfile.write(folder / "click.wav", click, RATE, "FLOAT")
    (folder / "pipe.wav").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.wav")
    soundfile.write(os.fsencode(folder) + b"/\xff.wav", noise(3 * CLIP, 61), RATE)
    (folder / "phone.m4a").write_bytes(b"audio of a phone")
    soundfile.write(folder / "rate.wav", noise(3 * CLIP, 62), 1)
    soundfile.write(folder / "cut.wav", noise(4 * CLIP, 63), RATE, "PCM_16")
    os.truncate(folder / "cut.wav", 44 + 2 * 3 * CLIP)
    with pytest.warns(UserWarning, match="5 of 15 files are left out"):
        made = render(tmp_path, folder)
    reasons = dict(made.skipped)
    assert "mostly silence: 0.0% of its clips" in reasons.pop("audio/0/click.wav")
    assert "no file at" in reasons.pop("audio/0/pipe.wav")
    assert "no file at" in reasons.pop("audio/0/fifo.wav")
    assert "m4a files are not read" in reasons.pop("audio/0/phone.m4a")
    assert "claims 1 Hz" in reasons.pop("audio/0/rate.wav")
    assert not reasons
    ((cut, how),) = made.remarks
    assert (cut, how) == ("audio/0/cut.wav", "cut: 0.77 s of the 1.02 s that its header says are there")
    used = splits_of(made)
    assert used.keys() >= {"audio/0/\\xff.wav", "audio/0/cut.wav"}
    assert made.counts().startswith("15 audio files: 10 used, 1 of them cut or altered, 5 left out")
    on_disk = {name.decode(errors="backslashreplace") for name in os.listdir(os.fsencode(folder))}
    assert {f"audio/0/{name}" for name in on_disk} == used.keys() | dict(made.skipped).keys()


def test_one_recording_in_several_files_is_used_once(tmp_path, folder):
    sound = np.concatenate([[0], signal.lfilter([1], [1, -0.9], noise(4 * RATE, 80))]) / 3
    soundfile.write(folder / "original.wav", sound, RATE, "PCM_16")
    soundfile.write(folder / "other_format.flac", soundfile.read(folder / "original.wav", dtype="int16")[0], RATE)
    with soundfile.SoundFile(folder / "other_title.wav", "w", RATE, 1, "PCM_16") as file:
        file.title = "another title"
        file.write(soundfile.read(folder / "original.wav", dtype="int16")[0])
    soundfile.write(folder / "quieter.mp3", 0.5 * sound, RATE, bitrate_mode="CONSTANT", compression_level=0.0)
    with pytest.warns(UserWarning, match="3 of 12 files are left out"):
        made = render(tmp_path, folder)
    assert dict(made.skipped) == {
        "audio/0/other_format.flac": "holds the same audio as audio/0/original.wav",
        "audio/0/other_title.wav": "holds the same audio as audio/0/original.wav",
        "audio/0/quieter.mp3": "a copy of audio/0/original.wav, by its fingerprint",
    }


# Identity, shards, interruption


def test_identity_depends_on_content_and_config_but_not_on_where_things_are(tmp_path, folder):
    reference = render(tmp_path, folder)
    moved = shutil.copytree(folder, tmp_path / "other" / "place")
    os.utime(moved / "00.wav", (0, 0))
    elsewhere = render(tmp_path / "other", moved)
    assert elsewhere.identity == reference.identity
    assert files_of(elsewhere) == files_of(reference)
    changes = ({"seed": 1}, {"peak_dbfs": -6.0}, {"train_clips": 32}, {"effects": ("pedalboard/Delay",)})
    identities = {render(tmp_path, folder, **change).identity for change in changes}
    soundfile.write(moved / "00.wav", noise(5 * CLIP, 99), RATE)
    identities.add(render(tmp_path, moved).identity)
    assert len(identities | {reference.identity}) == 6


def test_effect_tables_are_part_of_the_identity(tmp_path, folder, monkeypatch):
    reference = render(tmp_path, folder)
    narrowed = effects.table()
    effect = narrowed["pedalboard/Delay"]
    first = dataclasses.replace(effect.parameters[0], maximum=effect.parameters[0].maximum * 0.9)
    narrowed["pedalboard/Delay"] = dataclasses.replace(effect, parameters=(first, *effect.parameters[1:]))
    monkeypatch.setattr(effects, "table", lambda: narrowed)
    assert render(tmp_path, folder).identity != reference.identity


def test_manifest_holds_no_path_of_the_machine(tmp_path, folder):
    made = render(tmp_path, folder)
    text = made.folder.path("manifest.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["identity"] == made.identity == str(made.folder).rpartition("/")[2]


def test_a_finished_set_is_not_rendered_again(tmp_path, folder, monkeypatch):
    render(tmp_path, folder)
    monkeypatch.setattr(effects, "render_many", None)
    made = render(tmp_path, folder)
    assert made.missing() == []


def test_shards_do_not_depend_on_their_size_or_on_the_number_of_threads(tmp_path, folder, small_shards):
    small = render(tmp_path / "small", folder)
    shards._SHARD_CLIPS, shards._CHUNK_CLIPS = 256, 256  # restored by small_shards
    large = dataset.render(experiment(tmp_path / "large", folder), workers=3, progress=False)
    shards._SHARD_CLIPS = 8
    small_clips = every_clip(small.split("train"))
    shards._SHARD_CLIPS = 256
    np.testing.assert_array_equal(every_clip(large.split("train")), small_clips)


@pytest.mark.parametrize("damage", ["no record", "no audio", "short audio"])
def test_a_damaged_shard_is_rendered_again_the_same(tmp_path, folder, small_shards, damage):
    made = render(tmp_path, folder)
    before = files_of(made)
    if damage == "no record":
        made.folder.path("train-00002.npz").unlink()
    elif damage == "no audio":
        made.folder.path("train-00002.npy").unlink()
    else:
        os.truncate(made.folder.path("train-00002.npy"), 1_000)
    assert [(shard.split, shard.number) for shard in made.missing()] == [("train", 2)]
    with pytest.raises(FileNotFoundError, match="1 of the 3 train shards"):
        made.split("train")
    assert files_of(render(tmp_path, folder)) == before


def test_many_shards_take_few_descriptors(tmp_path):
    own = [shards.Shard("train", number, range(4 * number, 4 * number + 4)) for number in range(400)]
    for shard in own:
        np.save(tmp_path / shard.audio, np.full((4, 8), shard.number, np.int16))
    read = shards.reader(own, Folder(str(tmp_path)))
    opened = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 200, hard))
    try:
        for number in [*range(400), *range(0, 400, 7), 399]:
            assert (read(number) == number).all()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_cut_off_record_is_named(tmp_path, folder):
    made = render(tmp_path, folder)
    os.truncate(made.folder.path("train-00000.npz"), 500)
    with pytest.raises(ValueError, match=r"train-00000\.npz is damaged .*; delete it to render it anew"):
        made.split("train")


def test_parts_together_are_the_whole(tmp_path, folder, small_shards):
    whole = files_of(render(tmp_path, folder))
    shared = experiment(tmp_path / "shared", folder)
    for part in ((2, 3), (3, 3), (1, 3)):
        made = dataset.render(shared, progress=False, part=part)
    assert files_of(made) == whole
    with pytest.raises(ValueError, match="part 4 of 3"):
        dataset.render(shared, progress=False, part=(4, 3))


SLOW_RENDER = """
import json, sys, time
from jaxvae import config, effects
from jaxvae.data import dataset, shards
render_many = effects.render_many
def slowly(*arguments, **options):
    time.sleep(0.03)
    return render_many(*arguments, **options)
effects.render_many = slowly
shards._SHARD_CLIPS, shards._CHUNK_CLIPS = 8, 4
dataset.render(config.from_dict(json.loads(sys.argv[1])), progress=False)
"""


def start_render(wanted: config.Experiment) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SLOW_RENDER, json.dumps(fields.to_dict(wanted))])


def test_a_killed_render_continues_to_the_same_files(tmp_path, folder, small_shards):
    whole = files_of(render(tmp_path, folder))
    killed = experiment(tmp_path / "killed", folder)
    with start_render(killed) as process:
        target = tmp_path / "killed" / "datasets"
        while not list(target.glob("*/train-00001.npy.*")) and process.poll() is None:  # half-way into the second
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -9
    found = next(target.iterdir())
    assert (found / "train-00000.npz").is_file()
    assert not (found / "test-00000.npz").exists()
    left = list(found.glob("*.part"))
    for path in left:  # what the killed process left is removed once it is old
        os.utime(path, (0, 0))
    assert files_of(dataset.render(killed, progress=False)) == whole


def test_two_processes_may_render_the_same_set_at_once(tmp_path, folder, small_shards):
    whole = files_of(render(tmp_path, folder))
    shared = experiment(tmp_path / "shared", folder)
    with start_render(shared) as first, start_render(shared) as second:
        assert first.wait(60) == second.wait(60) == 0
    assert files_of(dataset.render(shared, progress=False)) == whole


def test_a_full_disk_is_an_error_that_leaves_no_half_shard(tmp_path, folder, small_shards):
    whole = files_of(render(tmp_path, folder))
    wanted = experiment(tmp_path / "full", folder)
    size = 2 * 8 * CLIP
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, hard))  # a write beyond fails as on a full disk, also for root
    try:
        with pytest.raises(OSError, match=r"cannot write recordings.npy to .*full"):
            dataset.render(wanted, progress=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        dataset._prepare(wanted, progress=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
        with pytest.raises(OSError, match=rf"cannot write train-00000.npy of {size:,} bytes to .*full.*make room"):
            dataset.render(wanted, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    made = dataset._prepare(wanted, progress=False)
    assert files_of(made).keys() == {"manifest.json", "recordings.npy"}
    assert files_of(dataset.render(wanted, progress=False)) == whole


def test_too_little_space_is_seen_before_rendering(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(effects, "render_many", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1_000))
    needed = 2 * (24 + 8 + 8) * CLIP
    with pytest.raises(OSError, match=rf"datasets.* needs {needed:,} bytes .* 1,000 bytes free"):
        render(tmp_path, folder)


def test_a_directory_that_cannot_be_made_is_named(tmp_path, folder):
    (tmp_path / "datasets").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"cannot make the folder .*datasets.*data\.directory"):
        render(tmp_path, folder)


def test_an_unknown_effect_is_refused_before_anything_is_written(tmp_path, folder):
    with pytest.raises(ValueError, match="pedalboard/Dealy"):
        render(tmp_path, folder, effects=("pedalboard/Dealy",))
    assert not (tmp_path / "datasets").exists()


def test_an_unknown_split_is_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="no split is named 'valid'"):
        render(tmp_path, folder).split("valid")


def test_missing_plugin_is_reported_before_anything_is_rendered_and_a_finished_set_needs_none(
    tmp_path, folder, monkeypatch
):
    made = render(tmp_path, folder, effects=("mda/Delay", "mda/Combo"))
    monkeypatch.setenv("LV2_PATH", str(tmp_path))
    assert render(tmp_path, folder, effects=("mda/Delay", "mda/Combo")).identity == made.identity
    with pytest.raises(FileNotFoundError, match=r"mda/RingMod cannot be rendered here: .*apt-get install mda-lv2"):
        render(tmp_path, folder, effects=("mda/RingMod", "mda/Combo"))
