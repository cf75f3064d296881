"""Audio as people have it: what is understood, what is refused and how, and files of any form and length."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import jaxvae
from jaxvae.data import waveform
from jaxvae.data.audio_file import AudioError

RATE = 8_000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 4_000).astype(np.float32)


def _mono(audio, rate=RATE):
    return [np.concatenate(list(track.blocks())) for track in waveform.tracks(audio, rate)]


def test_forms_of_arrays_are_told_apart():
    for one in (NOISE, NOISE[None], NOISE[None, None], [NOISE], NOISE.tolist(), NOISE.astype(np.float64)):
        (found,) = _mono(one)
        np.testing.assert_array_equal(found, NOISE)
    stereo = np.stack([NOISE, 0.5 * NOISE])
    np.testing.assert_allclose(_mono(stereo[None])[0], 0.75 * NOISE, rtol=1e-6)
    for several in (np.tile(NOISE, (9, 1)), np.tile(NOISE, (9, 1, 1)).swapaxes(0, 1).swapaxes(0, 1), [NOISE] * 9):
        assert len(_mono(several)) == 9
    assert [len(clip) for clip in _mono([NOISE, NOISE[:100]])] == [4_000, 100]


def test_integers_are_full_scale_floats_whatever_their_width():
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        half = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
        found = _mono(np.array([-half, -half / 2, 0, half / 2] * 10, np.float64).astype(dtype))[0]
        np.testing.assert_array_equal(found[:4], [-1.0, -0.5, 0.0, 0.5])
    np.testing.assert_array_equal(_mono(np.array([0, 64, 128, 192] * 10, np.uint8))[0][:4], [-1.0, -0.5, 0.0, 0.5])


def _spoiled(value):
    spoiled = NOISE.astype(np.float64)
    spoiled[7] = value
    return spoiled


STEREO = np.stack([NOISE, NOISE], axis=1)  # as soundfile gives it
# What is given, the rate, and what the message says: the value, the limit and the fix.
WRONG = [
    (STEREO, RATE, r"shape \(4000, 2\), whose last axis .*more than 32.*audio.mean\(axis=1\)"),
    (STEREO[:, :1], RATE, r"shape \(4000, 1\).*audio.mean\(axis=1\)"),
    (np.tile(STEREO, 3), RATE, r"shape \(4000, 6\).*audio.mean\(axis=1\)"),
    (STEREO.tolist(), RATE, r"audio\[0\] has shape \(2,\); use one-dimensional arrays of more than 32 samples"),
    (STEREO[None], RATE, r"shape \(1, 4000, 2\).*audio.swapaxes\(1, 2\)"),
    (np.stack([STEREO] * 12), RATE, r"shape \(12, 4000, 2\).*audio.swapaxes\(1, 2\)"),
    (STEREO.T, RATE, r"may be 2 channels or 2 clips; use audio.mean\(axis=0\) .*, audio\[:, None\] for 2 clips"),
    (np.tile(NOISE, (6, 1)), RATE, r"shape \(6, 4000\), which may be 6 channels or 6 clips"),
    (np.tile(NOISE, (8, 1)), RATE, r"may be 8 channels"),
    (np.tile(NOISE, (1, 33, 1)), RATE, r"shape \(1, 33, 4000\) of 33 channels; .* at most 32"),
    (np.zeros((1, 1, 1, 4_000)), RATE, r"shape \(1, 1, 1, 4000\); use \(sample,\)"),
    (np.float32(0.5), RATE, r"shape \(\); use \(sample,\)"),
    (0.5, RATE, r"shape \(\)"),
    (1, RATE, r"shape \(\)"),
    (None, RATE, "dtype object; use floats"),
    ([], RATE, r"shape \(0,\)"),
    (np.zeros(0), RATE, r"shape \(0,\).*none of them 0"),
    (np.zeros((0, 4_000)), RATE, r"shape \(0, 4000\)"),
    (np.zeros((12, 0)), RATE, r"shape \(12, 0\)"),
    ([NOISE, []], RATE, r"audio\[1\] has shape \(0,\)"),
    ([NOISE, NOISE[None]], RATE, r"audio\[1\] has shape \(1, 4000\); use one-dimensional"),
    ([NOISE, None], RATE, r"audio\[1\] is of dtype object"),
    ([[[0.1, 0.2], [0.3]]], RATE, "audio is no array .* use a list of one-dimensional arrays"),
    ("song.wav", RATE, r"audio is 'song.wav'; read a file first: .*jaxvae.read_audio\(path\)"),
    (Path("song.wav"), RATE, "read a file first"),
    (b"RIFF", RATE, "read a file first"),
    (["a.wav", "b.wav"], RATE, "is 'a.wav'; read a file first"),
    (NOISE > 0, RATE, "dtype bool; use floats, or integers"),
    (NOISE + 1j, RATE, "dtype complex"),
    (NOISE.astype(object), RATE, "dtype object"),
    (NOISE.astype(str), RATE, "dtype <U"),
    (np.array(["2020-01-01"], "M8[s]"), RATE, "dtype datetime64"),
    (NOISE.astype(np.longdouble), RATE, "dtype float(96|128)"),
    (_spoiled(np.nan), RATE, "1 samples that are not finite; mend or drop them"),
    (_spoiled(np.inf), RATE, "1 samples that are not finite"),
    (_spoiled(1e300), RATE, r"peak of 1e\+300; scale it to 1e\+10 or less, full scale is 1"),
    ({"audio": NOISE}, RATE, "dtype object"),
    (NOISE, 0, r"sample_rate is 0 Hz; use 1,000 to 1,000,000 Hz"),
    (NOISE, -44_100, "sample_rate is -44100 Hz"),
    (NOISE, 1, "sample_rate is 1 Hz"),
    (NOISE, 1e9, r"sample_rate is 1000000000.0 Hz; use 1,000 to 1,000,000"),
    (NOISE, float("nan"), "sample_rate is nan Hz"),
    (NOISE, float("inf"), "sample_rate is inf Hz"),
    (NOISE, "44100", "sample_rate is '44100'; use a number of Hz, such as 44_100"),
    (NOISE, None, "sample_rate is None; use a number"),
    (NOISE, True, "sample_rate is True; use a number"),
    (NOISE, 44_100j, r"sample_rate is 44100j; use a number"),
    (NOISE, [44_100], r"sample_rate is \[44100\]; use a number"),
    (NOISE, np.array([44_100]), r"sample_rate is array\(\[44100\]\)"),
]


@pytest.mark.parametrize(("audio", "rate", "message"), WRONG)
def test_what_is_no_audio_is_refused_with_the_value_and_the_fix(audio, rate, message):
    with pytest.raises(ValueError, match=message) as refused:
        waveform.tracks(audio, rate)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


def test_rates_are_any_numbers():
    for rate in (44_100, 44_100.0, np.int64(48_000), np.float32(22_050)):
        assert waveform.require_rate(rate) == float(rate)


@pytest.mark.parametrize(("rate", "channels", "suffix"), [(44_100, 2, "wav"), (96_000, 1, "flac"), (8_000, 6, "wav")])
def test_files_are_read_as_soundfile_and_soxr_read_them(tmp_path, rate, channels, suffix):
    path = tmp_path / f"file.{suffix}"
    audio = np.random.default_rng(1).uniform(-0.3, 0.3, (150_001, channels))
    soundfile.write(path, audio, rate)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    found, own = jaxvae.read_audio(path)
    assert (found.dtype, own) == (np.float32, rate)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    resampled, asked = jaxvae.read_audio(str(path), 16_000)
    reference = soxr.resample(expected, rate, 16_000)
    assert asked == 16_000 and abs(len(resampled) - len(reference)) <= 1
    same = min(len(resampled), len(reference))
    np.testing.assert_allclose(resampled[:same], reference[:same], atol=1e-4)


def _cancelling(path):
    soundfile.write(path, np.stack([NOISE, -NOISE], axis=1), RATE)


FILES = [
    ("missing.wav", lambda path: None, "no file at .*missing.wav"),
    ("folder.wav", lambda path: path.mkdir(), "is a folder; name a file in it"),
    ("song.m4a", lambda path: path.write_bytes(b"\0\0\0\x20ftypM4A "), r"wav, .*flac, .*: ffmpeg -i song.m4a song.wav"),
    ("notes.txt", lambda path: path.write_text("no audio"), "notes.txt cannot be read as audio .*files of wav, .*flac"),
    ("empty.wav", lambda path: path.write_bytes(b""), "cannot be read as audio"),
    ("none.wav", lambda path: soundfile.write(path, NOISE[:0], RATE), "holds no samples"),
    ("nan.wav", lambda path: soundfile.write(path, _spoiled(np.nan), RATE, "FLOAT"), "holds NaN or infinite samples"),
    ("slow.wav", lambda path: soundfile.write(path, NOISE, 1), "claims 1 Hz; rates of 1,000 to 1,000,000 Hz are read"),
    ("apart.wav", _cancelling, "silent in mono: its channels cancel"),
]


@pytest.mark.parametrize(("name", "make", "message"), FILES, ids=[name for name, _, _ in FILES])
def test_files_that_cannot_be_read_are_named_in_one_line(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(AudioError, match=message) as refused:
        jaxvae.read_audio(tmp_path / name)
    assert "\n" not in str(refused.value) and name in str(refused.value)


def test_windows_follow_one_another_whatever_blocks_they_come_in():
    track = waveform.tracks(np.arange(200_000, dtype=np.float32), RATE)[0]
    pieces = list(waveform.windows(track, RATE, 30_000))
    np.testing.assert_array_equal(np.concatenate(pieces), np.arange(180_000))
    assert waveform.repetitions(track, RATE, 30_000) == 1
    short = waveform.tracks(NOISE, RATE)[0]
    (piece,) = waveform.windows(short, RATE, 10_000)
    np.testing.assert_array_equal(piece, np.tile(NOISE, 3)[:10_000])
    assert waveform.repetitions(short, RATE, 10_000) == 3
    assert [len(block) for block in waveform.shortened(track, 10.0).blocks()] == [65_536, 80_000 - 65_536]


PROGRAM = """
import resource, sys
import numpy as np
from jaxvae.data import waveform
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
windows = sum(1 for _ in waveform.windows(waveform.of_file(sys.argv[1]), 24_000, 65_536))
print(windows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_long_files_take_no_more_memory_than_short_ones(tmp_path):
    """Twenty minutes of stereo are 100 MB in memory."""
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 11_025, 2) as file:
        for _ in range(20):
            file.write(np.zeros((60 * 11_025, 2), np.int16))
    output = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, check=True).stdout
    windows, kilobytes = map(int, output.split())
    assert windows == 20 * 60 * 24_000 // 65_536
    assert kilobytes < 20_000
