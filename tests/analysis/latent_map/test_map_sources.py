"""Recordings that users give: what is read, and what is refused."""

import io
import wave
import zipfile

import numpy as np
import pytest
import soundfile

from analysis.latent_map import source
from analysis.latent_map.source import Sources
from jaxvae.data.audio_file import AudioError


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    return Sources(folder)


def added(sources, name, content):
    path = sources.temporary(name)
    path.write_bytes(content)
    return sources.add(path, name)


def sound(seconds=1.0, rate=16_000, channels=1, kind="WAV"):
    file = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).normal(size=(round(seconds * rate), channels))
    soundfile.write(file, noise, rate, format=kind)
    return file.getvalue()


def test_the_window_is_the_loudest_six_seconds_and_the_peak_that_of_the_whole(tmp_path):
    rate = 12_000
    audio = 0.01 * np.random.default_rng(1).normal(size=(20 * rate, 2))
    audio[9 * rate : 14 * rate] *= 20
    audio[2 * rate] = 0.9
    soundfile.write(tmp_path / "long.wav", audio, rate, "FLOAT")
    found = source.of_file(tmp_path / "long.wav", "long", "id")
    assert found.window.shape == (2, 6 * rate) and found.seconds == 20
    assert 8 * rate <= found.start <= 9 * rate
    np.testing.assert_array_equal(found.window.T, audio[found.start : found.start + 6 * rate].astype(np.float32))
    assert found.peak_dbfs == pytest.approx(20 * np.log10(0.9), abs=1e-4)
    assert source.clip(found, rate, 3 * rate).shape == (3 * rate,)
    blocks = np.concatenate(list(found.recording.blocks()), axis=1)
    np.testing.assert_array_equal(blocks.T, audio.astype(np.float32))


def test_a_short_recording_is_its_own_window_and_its_clip_is_repeated(sources):
    found = added(sources, "short.flac", sound(0.5, kind="FLAC"))
    assert found.window.shape == (1, 8_000) and found.start == 0
    clip = source.clip(found, 16_000, 20_000)
    np.testing.assert_array_equal(clip[:8_000], clip[8_000:16_000])


def test_every_bundled_recording_that_is_offered_can_be_read_and_the_default_is_one_of_them(sources):
    rows = sources.list()
    assert len(rows) > 20 and source.DEFAULT in {row["id"] for row in rows}
    found = sources.get(source.DEFAULT)
    assert found.bundled and sources.get(source.DEFAULT) is found
    with pytest.raises(source.Unknown, match="there is no recording nothing"):
        sources.get("nothing")


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.wav", sound())
    return file.getvalue()


def long_of_silence():
    file = io.BytesIO()
    soundfile.write(file, np.zeros((601 * 1_000, 1), np.int16) + 5, 1_000, format="FLAC")
    return file.getvalue()


def false_header():
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("zip.wav", zipped, "zip.wav cannot be read as audio"),
        ("text.mp3", lambda: b"not a song" * 1_000, "text.mp3 cannot be read as audio"),
        ("empty.wav", false_header, "empty.wav holds no samples"),
        ("long.flac", long_of_silence, "long.flac is longer than 10 minutes"),
        ("many.wav", lambda: sound(channels=4), "many.wav has 4 channels; use a file of one or two"),
        ("silent.wav", lambda: sound()[:44] + bytes(32_000), "silent.wav is silent"),
        ("nan.wav", lambda: _not_finite(), "nan.wav holds NaN"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name_and_not_kept(sources, name, content, why):
    with pytest.raises(AudioError, match=why) as found:
        added(sources, name, content())
    assert str(sources._folder) not in str(found.value)
    assert not list(sources._folder.iterdir())


def _not_finite():
    file = io.BytesIO()
    soundfile.write(file, np.full((1_000, 1), np.nan), 8_000, "FLOAT", format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("name", ["a.exe", "../../etc/passwd", "wav", "", "a.wav/../b"])
def test_a_name_without_the_ending_of_audio_is_refused(sources, name):
    with pytest.raises(AudioError, match="has no ending of an audio file; use one of wav"):
        sources.temporary(name)


@pytest.mark.parametrize("name", ["../../../tmp/evil.wav", "C:\\evil.wav", "/etc/evil.wav", "a\x00\n\u202eevil.wav"])
def test_a_path_in_a_name_leads_nowhere(sources, name):
    found = added(sources, name, sound())
    assert found.path.parent == sources._folder
    assert "evil" not in found.path.name and found.path.suffix == ".wav"
    assert found.name.endswith("evil.wav") and not set(found.name) & set("/\\\0\n\u202e")


def test_only_the_last_files_are_kept(sources, monkeypatch):
    monkeypatch.setattr(source, "MOST_FILES", 2)
    ids = [added(sources, f"{index}.wav", sound()).id for index in range(3)]
    assert [row["id"] for row in sources.list() if not row["bundled"]] == [ids[2], ids[1]]
    assert len(list(sources._folder.iterdir())) == 2
    with pytest.raises(source.Unknown):
        sources.get(ids[0])
