"""Reading audio files, and the level and shape of a clip."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

import jaxvae
from jaxvae.data import audio, audio_file, audio_folder
from jaxvae.data.audio_file import AudioError

BUNDLED = Path(jaxvae.__file__).parent / "bundled_audio"
RATE = 24_000


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0, channels: int = 1) -> np.ndarray:
    samples = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.tile(samples.astype(np.float32)[:, None], (1, channels))


def loudest_hz(samples: np.ndarray, rate: int) -> float:
    frequencies, power = signal.periodogram(samples, rate)
    return float(frequencies[power.argmax()])


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [
        ("a.wav", "PCM_16", 44_100),
        ("a.WAV", "FLOAT", 44_100),
        ("a.flac", "PCM_24", 44_100),
        ("a.ogg", "VORBIS", 44_100),
        ("a.opus", "OPUS", 48_000),
        ("a.mp3", "MPEG_LAYER_III", 44_100),
        ("a.aiff", "PCM_16", 44_100),
    ],
)
def test_every_format_gives_the_same_tone(tmp_path, name, subtype, rate):
    container = "OGG" if subtype == "OPUS" else None
    soundfile.write(tmp_path / name, tone(rate, channels=2), rate, subtype, format=container)
    samples = audio_file.read(tmp_path / audio_folder.find(tmp_path).files[0], RATE)
    assert samples.dtype == np.float32
    assert abs(len(samples) - RATE // 2) <= (0 if subtype not in ("OPUS", "MPEG_LAYER_III") else 0.05 * RATE)
    assert loudest_hz(samples, RATE) == pytest.approx(440, abs=4)
    assert np.abs(samples[2_000:-2_000]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_rate_and_channels_do_not_change_the_sound(tmp_path, rate, channels):
    soundfile.write(tmp_path / "a.wav", tone(rate, channels=channels), rate, "FLOAT")
    samples = audio_file.read(tmp_path / "a.wav", RATE)
    expected = tone(RATE)[:, 0]
    assert len(samples) == len(expected)
    middle = slice(1_000, -1_000)  # away from the ends, where the resampling filter meets nothing
    np.testing.assert_allclose(samples[middle], expected[middle], atol=2e-3)


def test_channels_are_averaged(tmp_path):
    left, right = tone(RATE)[:, 0], 0.5 * tone(RATE, hz=1_000)[:, 0]
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, "FLOAT")
    np.testing.assert_allclose(audio_file.read(tmp_path / "a.wav", RATE), (left + right) / 2, atol=1e-6)


def test_what_lies_above_the_new_nyquist_frequency_does_not_fold_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(96_000, hz=20_000), 96_000, "FLOAT")
    assert np.abs(audio_file.read(tmp_path / "a.wav", RATE)[500:-500]).max() < 0.5 * audio.gain(-90.0)


def write_text(path: Path) -> None:
    path.write_text("this is no audio\n" * 100)


def write_empty(path: Path) -> None:
    path.touch()


def write_no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros((0, 1), np.float32), RATE)


def write_one_sample(path: Path) -> None:
    soundfile.write(path, np.zeros((1, 1), np.float32), 192_000)


def write_half_a_flac(path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    soundfile.write(path, noise, RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_nan(path: Path) -> None:
    samples = tone(RATE)
    samples[100] = np.nan
    soundfile.write(path, samples, RATE, "FLOAT")


def write_infinity(path: Path) -> None:
    samples = tone(RATE)
    samples[100] = np.inf
    soundfile.write(path, samples, RATE, "FLOAT")


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("text.wav", write_text, "cannot be read as audio"),
        ("empty.wav", write_empty, "cannot be read as audio"),
        ("no_samples.wav", write_no_samples, "holds no samples"),
        ("one_sample.wav", write_one_sample, "none at 24000 Hz"),
        ("half.flac", write_half_a_flac, "cannot be read as audio"),
        ("nan.wav", write_nan, "NaN"),
        ("infinity.wav", write_infinity, "infinite"),
        ("missing.wav", lambda path: None, "no file"),
    ],
)
def test_an_unusable_file_is_refused_with_its_name_and_the_reason(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(AudioError, match=reason) as error:
        audio_file.read(tmp_path / name, RATE)
    assert name in str(error.value)


def test_an_mp3_without_a_length_header_is_read_whole(tmp_path):
    quiet_then_noise = np.concatenate([np.zeros(44_100), np.random.default_rng(0).normal(0, 0.1, 44_100)])
    soundfile.write(tmp_path / "a.mp3", quiet_then_noise, 44_100, bitrate_mode="VARIABLE")
    encoded = (tmp_path / "a.mp3").read_bytes()
    assert b"Xing" in encoded[:100]
    second_frame = encoded.index(encoded[:2], 4)  # the length is in the first frame; leave that out
    (tmp_path / "a.mp3").write_bytes(encoded[second_frame:])
    assert len(audio_file.read(tmp_path / "a.mp3", RATE)) == pytest.approx(2 * RATE, rel=0.1)


def test_find_is_recursive_sorted_and_leaves_out_what_is_no_audio(tmp_path):
    for name in ("b/z.wav", "b/a.FLAC", "a.mp3", "c/d/e.opus", "notes.txt", ".hidden/x.wav", "b/._a.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.as_posix() for path in audio_folder.find(tmp_path).files]
    assert found == ["a.mp3", "b/a.FLAC", "b/z.wav", "c/d/e.opus"]


def test_find_refuses_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(AudioError, match="no folder at"):
        audio_folder.find(tmp_path / "nowhere")


@pytest.mark.parametrize("level", [0.0, -1.0, -12.0, -60.0])
def test_set_peak_gives_every_clip_that_peak_and_keeps_its_shape(level):
    clips = np.random.default_rng(0).normal(0, [[0.001], [1.0], [50.0]], (3, 1_000)).astype(np.float32)
    levelled = audio.set_peak(clips, level)
    np.testing.assert_allclose(audio.peak_dbfs(levelled), level, atol=1e-4)
    for before, after in zip(clips, levelled, strict=True):
        assert np.corrcoef(before, after)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_set_peak_refuses_a_clip_without_a_peak(value):
    with pytest.raises(AudioError, match="silent or non-finite"):
        audio.set_peak(np.full((2, 10), value, np.float32), -12.0)


def test_peak_of_silence_is_minus_infinity_and_of_full_scale_zero():
    np.testing.assert_array_equal(audio.peak_dbfs(np.array([[0.0, 0.0], [0.5, -1.0]])), [-np.inf, 0.0])
    assert audio.gain(-20.0) == pytest.approx(0.1)


def test_fades_are_mirror_images_start_near_zero_and_leave_the_middle():
    faded = audio.fade(np.ones((2, 1_000), np.float32), 100)
    np.testing.assert_allclose(faded, faded[:, ::-1], atol=1e-7)
    assert (np.diff(faded[0, :100]) > 0).all()
    assert faded[0, 0] < 1e-3
    np.testing.assert_allclose(faded[:, :100] + faded[:, 99::-1], 1, atol=1e-6)  # raised cosine: the halves add to one
    np.testing.assert_array_equal(faded[:, 100:-100], 1)


def test_fades_may_be_absent_but_not_longer_than_the_clip():
    clip = np.ones(100, np.float32)
    np.testing.assert_array_equal(audio.fade(clip, 0), clip)
    with pytest.raises(ValueError, match="fade_ms"):
        audio.fade(clip, 51)


def test_sixteen_bits_cost_at_most_half_a_step_and_come_back_exactly():
    clip = np.linspace(-1, 0.999, 10_001, dtype=np.float32)
    integers = audio.to_int16(clip)
    assert np.abs(audio.to_float(integers) - clip).max() <= 0.501 / 32_768
    np.testing.assert_array_equal(audio.to_int16(audio.to_float(integers)), integers)
    np.testing.assert_array_equal(audio.to_int16(np.array([1.0, 2.0, -2.0])), [32_767, 32_767, -32_768])


def test_every_bundled_recording_is_declared_readable_and_nothing_else_is_there():
    with open(BUNDLED / "LICENSES.csv", newline="") as file:
        declared = {row["file"]: row for row in csv.DictReader(file)}
    present = {path.relative_to(BUNDLED).as_posix() for path in BUNDLED.rglob("*") if path.is_file()}
    assert present - {"LICENSES.csv", "NOTICE.txt"} == set(declared)
    assert {row["licence"] for row in declared.values()} == {"CC0-1.0", "Public domain"}
    assert all(row["author"] and row["source"].startswith("http") for row in declared.values())
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*")) < 2.3e6
    for name in declared:
        assert -20 < audio.peak_dbfs(audio_file.read(BUNDLED / name, RATE)) < 2  # dBFS; Vorbis overshoots a little
