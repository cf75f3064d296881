"""Composed pieces: what is written in the score is what is heard."""

import io
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from jaxvae.data import composition
from jaxvae.data.composition import KINDS, Note, Score

FONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
PLAYED = range(len(KINDS) - 1)
with_programs = pytest.mark.debian("fluidsynth", "timgm6mb-soundfont", "espeak-ng")


@pytest.mark.parametrize("number", [*PLAYED, 100, 101, 102, 103])
def test_a_score_depends_on_seed_and_number_and_fills_its_time(number):
    score = composition.score(number, seed=3)
    assert score == composition.score(number, seed=3)
    assert score != composition.score(number, seed=4)
    assert score != composition.score(number, seed=3, attempt=1)
    beats = composition.SECONDS * score.tempo / 60
    assert all(0 <= note.start < beats and note.length > 0 for note in score.notes)
    assert all(21 <= note.pitch <= 108 and 1 <= note.velocity <= 127 for note in score.notes)
    assert max(note.start for note in score.notes) > 0.5 * beats


def test_kinds_take_turns_and_differ():
    channels = [{note.channel for note in composition.score(number, 0).notes} for number in PLAYED]
    assert channels[0] == {0} and channels[1] == {0} and channels[2] == {9} and channels[3] >= {1, 2, 9}
    assert [composition.kind_of(number) for number in range(2 * len(KINDS))] == 2 * list(KINDS)
    with pytest.raises(ValueError, match="voice"):
        composition.score(len(KINDS) - 1, 0)


def test_a_midi_file_has_every_note_at_its_time():
    score = Score(
        90.0, {0: 5, 9: 8}, (Note(0.0, 1.0, 0, 60, 100), Note(1.5, 0.5, 9, 38, 90), Note(1.0, 1.0, 0, 60, 80))
    )
    seconds, heard = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(composition.midi(score))):
        seconds += message.time
        if message.type in ("note_on", "note_off"):
            heard.append((message.type, message.note, round(seconds, 3)))
    beat = 60 / 90
    assert heard[:4] == [
        ("note_on", 60, 0.0),
        ("note_off", 60, round(beat, 3)),  # before the same key is struck again
        ("note_on", 60, round(beat, 3)),
        ("note_on", 38, 1.0),
    ]
    assert sorted(heard[4:]) == [("note_off", 38, round(2 * beat, 3)), ("note_off", 60, round(2 * beat, 3))]


def test_languages_are_said_in_numbers():
    said = composition.speech(4, 0)
    assert said == composition.speech(4, 0) != composition.speech(9, 0)
    assert said.voice.partition("+")[0] in composition.LANGUAGES
    assert all(part.strip().isdecimal() for part in said.text.split(","))


@with_programs
def test_a_note_sounds_at_its_pitch(tmp_path, monkeypatch):
    """A4 on an organ, by an independent measure: its spectrum's peaks are multiples of 440 Hz."""
    score = Score(60.0, {0: 19}, (Note(0.0, 4.0, 0, 69, 100),))
    monkeypatch.setattr(composition, "score", lambda *_: score)
    composition.make(tmp_path / "a4.flac", 0, 0, [FONT])
    audio, rate = soundfile.read(tmp_path / "a4.flac")
    assert rate == composition.SAMPLE_RATE and np.abs(audio).max() == pytest.approx(0.98, abs=0.001)
    part = audio[rate : 3 * rate] * np.hanning(2 * rate)
    peak = np.abs(np.fft.rfft(part)).argmax() * rate / len(part)
    assert peak / 440 == pytest.approx(round(peak / 440), abs=0.01)


@with_programs
def test_the_command_makes_what_is_missing(tmp_path):
    command = [sys.executable, "-m", "launch.compose", str(tmp_path), "--minutes", "1.7", "--sound-fonts", str(FONT)]
    subprocess.run(command, check=True, capture_output=True)
    files = sorted(tmp_path.glob("*/*"))
    assert sorted(path.parent.name for path in files) == sorted(KINDS)
    lengths = [soundfile.info(path).duration for path in files]
    assert all(8 < length < 60 for length in lengths)
    before = {path: path.read_bytes() for path in files}
    files[0].unlink()
    (files[1].parent / "notes.txt").write_text("mine")
    subprocess.run(command, check=True, capture_output=True)
    assert {path: path.read_bytes() for path in before} == before
    assert (files[1].parent / "notes.txt").exists()


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="fluidsynth is not installed; apt-get install fluidsynth"):
        composition.require_programs()


@with_programs
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "minutes is 0; use more than 0"),
        (["--sound-fonts", "/nowhere.sf2"], "there is no sound font /nowhere.sf2"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, arguments, message):
    command = [sys.executable, "-m", "launch.compose", str(tmp_path / "out"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (1, 2) and message in done.stderr and "Traceback" not in done.stderr
