"""Audio files whose headers say too much, too little or nonsense, and what lies in a folder."""

import os
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from jaxvae.data import audio_file, audio_folder, decoding
from jaxvae.data.audio_file import AudioError, Reading

RATE = 24_000


def noise(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def write_flac_that_claims(path, samples: np.ndarray, claimed: int) -> None:
    soundfile.write(path, samples, RATE)
    content = bytearray(path.read_bytes())
    assert content[:4] == b"fLaC"
    content[21] = content[21] & 0xF0 | claimed >> 32
    content[22:26] = (claimed & 2**32 - 1).to_bytes(4, "big")
    path.write_bytes(content)


def read(path, rate: int = RATE) -> tuple[np.ndarray, Reading]:
    reading = Reading(path, rate)
    return np.concatenate(list(reading)), reading


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 96_000])
def test_blocks_are_resampled_as_the_whole_is(tmp_path, monkeypatch, rate):
    monkeypatch.setattr(audio_file, "_BLOCK_SAMPLES", 1_000)
    soundfile.write(tmp_path / "a.wav", noise(1.7, rate), rate, "FLOAT")
    whole = soxr.resample(noise(1.7, rate), rate, RATE)
    found, _ = read(tmp_path / "a.wav")
    assert len(found) == len(whole)
    np.testing.assert_allclose(found, whole, atol=1e-6)


def test_a_flac_of_unknown_length_is_read_whole(tmp_path):
    write_flac_that_claims(tmp_path / "a.flac", noise(3), 0)
    found, reading = read(tmp_path / "a.flac")
    assert len(found) == 3 * RATE
    assert reading.cut is None


def test_a_header_cannot_ask_for_memory(tmp_path):
    write_flac_that_claims(tmp_path / "a.flac", noise(3), 3_000_000_000)
    tracemalloc.start()
    found, reading = read(tmp_path / "a.flac")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 3 * RATE
    assert most < 20e6
    assert reading.cut == "cut: 3.00 s of the 125000.00 s that its header says are there"


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_a_rate_that_cannot_be_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", noise(1), rate)
    with pytest.raises(AudioError, match=f"a.wav claims {rate:,} Hz"):
        read(tmp_path / "a.wav")


def without_first_frame(path) -> None:
    """Take away the frame of an MP3 file that says its length."""
    content = path.read_bytes()
    assert b"Xing" in content[:100] or b"Info" in content[:100]
    path.write_bytes(content[content.index(content[:2], 4) :])


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (44_100, 2), (24_000, 1), (24_000, 2), (8_000, 1)])
def test_an_mp3_of_falling_bit_rate_is_not_cut_at_an_estimated_length(tmp_path, rate, channels):
    sound = np.concatenate([noise(1, rate), 1e-3 * noise(5, rate)])
    soundfile.write(tmp_path / "a.mp3", np.stack(channels * [sound], axis=1), rate, bitrate_mode="VARIABLE")
    whole, _ = read(tmp_path / "a.mp3")
    without_first_frame(tmp_path / "a.mp3")
    for tag in (b"", b"ID3\4\0\0\0\0\x10\0" + bytes(2_048)):
        (tmp_path / "b.mp3").write_bytes(tag + (tmp_path / "a.mp3").read_bytes())
        found, reading = read(tmp_path / "b.mp3")
        assert len(found) / RATE == pytest.approx(6, abs=0.2)
        assert reading.cut is None
        for part in (slice(RATE // 4, RATE // 2), slice(4 * RATE, 5 * RATE)):  # loud, then quiet
            assert found[part].std() == pytest.approx(whole[part].std(), rel=0.1)


def test_a_wav_that_was_cut_off_says_so(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(2), RATE, "PCM_16")
    os.truncate(tmp_path / "a.wav", 44 + RATE)
    found, reading = read(tmp_path / "a.wav")
    assert len(found) == RATE // 2
    assert reading.cut == "cut: 0.50 s of the 2.00 s that its header says are there"


def test_whole_files_are_not_called_cut(tmp_path):
    for name, subtype in (("a.wav", "FLOAT"), ("a.flac", None), ("a.ogg", None), ("a.mp3", None), ("a.aiff", None)):
        soundfile.write(tmp_path / name, noise(1.3), RATE, subtype)
        assert read(tmp_path / name)[1].cut is None


def test_channels_that_cancel_are_read_by_the_loudest(tmp_path):
    left = noise(1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -1.001 * left], axis=1), RATE, "FLOAT")
    np.testing.assert_allclose(audio_file.read(tmp_path / "a.wav", RATE), -1.001 * left, atol=1e-6)
    decoded = decoding.decode(tmp_path / "a.wav", RATE, RATE, -40.0, tmp_path)
    assert sum(len(block) for block in decoded.blocks()) == RATE
    assert decoded.remarks == ("its channels cancel: channel 2 alone is used",)
    assert decoded.peak == pytest.approx(0.5, abs=0.01)
    soundfile.write(tmp_path / "b.wav", np.stack([left, noise(1, seed=1)], axis=1), RATE, "FLOAT")
    unlike = decoding.decode(tmp_path / "b.wav", RATE, RATE, -40.0, tmp_path)
    unlike.samples.close()
    assert unlike.remarks == ()


@pytest.mark.parametrize(("name", "kind"), [("a.w64", "W64"), ("a.aifc", "AIFF"), ("a.caf", "CAF"), ("a.au", "AU")])
def test_more_formats_are_found_and_read(tmp_path, name, kind):
    soundfile.write(tmp_path / name, noise(1), RATE, "PCM_16", format=kind)
    (found,) = audio_folder.find(tmp_path).files
    assert len(audio_file.read(tmp_path / found, RATE)) == RATE


def test_whatever_a_library_raises_names_the_file(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    soundfile.write(tmp_path / "a.wav", noise(1), RATE)
    monkeypatch.setattr(audio_file, "_Forward", fail)
    with pytest.raises(AudioError, match=r"a.wav cannot be read as audio \(no room\)"):
        read(tmp_path / "a.wav")


# Folders


def test_linked_folders_are_walked_and_a_circle_ends(tmp_path):
    outside = tmp_path / "outside"
    (tmp_path / "music" / "own").mkdir(parents=True)
    outside.mkdir()
    for path in (outside / "a.wav", tmp_path / "music" / "own" / "b.wav"):
        path.touch()
    (tmp_path / "music" / "linked").symlink_to(outside)
    (outside / "back").symlink_to(tmp_path / "music")
    found = audio_folder.find(tmp_path / "music")
    assert [path.as_posix() for path in found.files] == ["linked/a.wav", "own/b.wav"]
    assert [(path.as_posix(), reason) for path, reason in found.left_out] == [
        ("linked/back", "a link to a folder that it lies in")
    ]


def test_a_folder_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    (tmp_path / "private").mkdir()
    (tmp_path / "a.wav").touch()
    scandir = os.scandir

    def refuse(path):  # root may read every folder
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = audio_folder.find(tmp_path)
    assert [str(path) for path in found.files] == ["a.wav"]
    assert [(str(path), reason) for path, reason in found.left_out] == [
        ("private", "cannot be read (Permission denied)")
    ]


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    open(path, "w").close()
    (found,) = audio_folder.find(tmp_path).files
    assert audio_folder.printable(found) == "\\xff.wav"
    audio_folder.printable(found).encode()


# Memory


def test_a_long_file_is_decoded_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MEMORY_BYTES", 2**22)
    part = noise(10, 48_000)
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 48_000, 1, "PCM_16") as file:
        for _ in range(30):
            file.write(part)
    tracemalloc.start()
    decoded = decoding.decode(tmp_path / "a.wav", RATE, 65_536, -40.0, tmp_path)
    written = sum(len(block) for block in decoded.blocks())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written == decoded.length == 300 * RATE
    assert most < 25e6  # the whole would take 29 MB as it is kept, 58 MB as it is read


def test_threads_are_as_many_as_the_process_may_use(monkeypatch):
    if hasattr(os, "sched_setaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
        monkeypatch.setattr(os, "cpu_count", lambda: 64)
        assert decoding.ahead_at_most() == 3
