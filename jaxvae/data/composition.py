"""Pieces composed at random and played by free programs: melodies, chords, drums, bands and voices.

They stand in for the kinds of sound that collections of recordings lack: single notes of a hundred instruments, dry
chords, patterns on drum kits, voices of seventy languages. A piece depends on the seed and its number alone, so any
of them can be made anew. A synthesiser of sound fonts (FluidSynth) plays the scores, without its reverberation and
chorus, which are effects; one of speech (eSpeak NG) says numbers, which it can in every language that it has.
"""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import mido
import numpy as np
import soundfile
from jaxtyping import Float

from jaxvae import atomic_file

KINDS = ("melody", "chords", "drums", "band", "voice")
_LANGUAGES = """
af am ar az be bg bn bs ca cmn cs cy da de el en-gb en-us eo es et eu fa fi fr-fr ga gu hi hr hu hy id is it ja ka kk kn
ko ku la lt lv mk ml mr ms mt nb ne nl pa pl pt pt-br ro ru sk sl sq sr sv sw ta te th tr uk ur uz vi
"""
LANGUAGES = tuple(_LANGUAGES.split())
"""Of voices."""
SECONDS = 20.0
"""About as long is a piece."""
SAMPLE_RATE = 44_100
_PROGRAMS = 120
"""Instruments of General MIDI before the sound effects."""
_BASSES = range(32, 40)
_KITS = (0, 8, 16, 24, 25, 32, 40, 48)
_KICK, _SNARES, _HATS = 36, (38, 40, 37, 39), (42, 44, 46, 51)
_MORE_DRUMS = (41, 43, 45, 47, 48, 50, 49, 54, 56, 60, 61, 62, 64, 69, 70, 75, 76)
_DRUM_CHANNEL = 9
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 6, 7, 10), tuple(range(12)))
_TICKS = 480  # a beat
_ATTEMPTS = 10
_PEAK = 0.98  # of every file, so that 16 bits add no noise to quiet ones


class Note(NamedTuple):
    """A note of a score; times in beats."""

    start: float
    length: float
    channel: int
    pitch: int
    velocity: int


class Score(NamedTuple):
    """What is played."""

    tempo: float
    """Beats a minute."""
    programs: dict[int, int]
    """Instrument of each channel."""
    notes: tuple[Note, ...]


class Speech(NamedTuple):
    """What is said."""

    voice: str
    speed: int
    """Words a minute."""
    pitch: int
    """0 to 99."""
    text: str


def kind_of(number: int) -> str:
    """The kind of a piece."""
    return KINDS[number % len(KINDS)]


def score(number: int, seed: int, attempt: int = 0) -> Score:
    """The score of a piece that is played, for other instruments at another attempt: a few play no low or high notes.

    Raises:
        ValueError: the piece is one that is said.
    """
    kind, random = kind_of(number), np.random.default_rng([seed, number, attempt])
    tempo = float(random.uniform(60, 170))
    beats = SECONDS * tempo / 60
    root, scale = int(random.integers(12)), _SCALES[random.integers(len(_SCALES))]
    programs = {channel: int(random.integers(_PROGRAMS)) for channel in (0, 1)}
    programs |= {2: int(random.choice(_BASSES)), _DRUM_CHANNEL: int(random.choice(_KITS))}
    if kind == "melody":
        notes = list(_melody(random, 0, beats, root, scale, octave=int(random.integers(3, 7))))
    elif kind == "chords":
        notes = list(_chords(random, 0, beats, root, scale))
    elif kind == "drums":
        notes = list(_drums(random, beats))
    elif kind == "band":
        notes = [
            *_drums(random, beats),
            *_melody(random, 2, beats, root, scale, octave=3),
            *_chords(random, 1, beats, root, scale),
            *(_melody(random, 0, beats, root, scale, octave=5) if random.random() < 0.7 else ()),
        ]
    else:
        raise ValueError(f"piece {number} is a {kind}, which has no score")
    used = {note.channel for note in notes}
    return Score(tempo, {channel: programs[channel] for channel in sorted(used)}, tuple(notes))


def _melody(
    random: np.random.Generator, channel: int, beats: float, root: int, scale: Sequence[int], octave: int
) -> Iterator[Note]:
    """A walk on the scale, with rests, in notes of one mood: long or short, bound or detached."""
    lengths = random.choice([0.25, 0.5, 1.0, 2.0], size=2)
    bound, rests = random.uniform(0.3, 1.05), random.uniform(0, 0.3)
    step, beat = 0, 0.0
    while beat < beats:
        length = float(random.choice(lengths))
        if random.random() > rests:
            step = int(np.clip(step + random.integers(-3, 4), -len(scale), 2 * len(scale)))
            above, degree = divmod(step, len(scale))
            pitch = int(np.clip(12 * (octave + above + 1) + root + scale[degree], 21, 108))
            yield Note(beat, length * bound, channel, pitch, int(random.integers(50, 125)))
        beat += length


def _chords(random: np.random.Generator, channel: int, beats: float, root: int, scale: Sequence[int]) -> Iterator[Note]:
    """Thirds stacked on degrees of the scale, struck at once or one after the other."""
    length = float(random.choice([1.0, 2.0, 4.0]))
    broken, bound = random.random() < 0.5, random.uniform(0.4, 1.0)
    for beat in np.arange(0, beats, length):
        first, size = int(random.integers(len(scale))), int(random.integers(3, 6))
        velocity = int(random.integers(50, 120))
        for place in range(size):
            above, degree = divmod(first + 2 * place, len(scale))
            pitch = int(np.clip(48 + 12 * above + root + scale[degree], 21, 108))
            delay = length * place / size if broken else 0.0
            if beat + delay < beats:
                yield Note(beat + delay, (length - delay) * bound, channel, pitch, velocity)


def _drums(random: np.random.Generator, beats: float) -> Iterator[Note]:
    """One bar of sixteen steps, repeated with changes."""
    voices = [_KICK, random.choice(_SNARES), random.choice(_HATS), *random.choice(_MORE_DRUMS, size=2, replace=False)]
    density = random.uniform([0.1, 0.05, 0.2, 0.0, 0.0], [0.35, 0.25, 0.8, 0.15, 0.15])
    struck = random.random((len(voices), 16)) < density[:, None]
    struck[0, 0] = True
    for step in range(int(beats * 4)):
        for voice, pattern in zip(voices, struck, strict=True):
            if pattern[step % 16] != (random.random() < 0.05):
                yield Note(step / 4, 0.2, _DRUM_CHANNEL, int(voice), int(random.integers(50, 125)))


def midi(piece: Score) -> bytes:
    """A standard MIDI file."""
    events = []
    for note in piece.notes:
        start, end = (round(beat * _TICKS) for beat in (note.start, note.start + note.length))
        of_note = {"channel": note.channel, "note": note.pitch}
        events.append((start, 1, mido.Message("note_on", velocity=note.velocity, **of_note)))
        events.append((max(end, start + 1), 0, mido.Message("note_off", **of_note)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(piece.tempo))])
    track += [mido.Message("program_change", channel=channel, program=kit) for channel, kit in piece.programs.items()]
    last = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):  # at one time, ends come before beginnings
        track.append(message.copy(time=tick - last))
        last = tick
    content = io.BytesIO()
    mido.MidiFile(ticks_per_beat=_TICKS, tracks=[track]).save(file=content)
    return content.getvalue()


def speech(number: int, seed: int, attempt: int = 0) -> Speech:
    """What a voice says: numbers. Another attempt is another voice."""
    random = np.random.default_rng([seed, number, attempt])
    variants = ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5")
    voice = str(random.choice(LANGUAGES)) + str(random.choice(variants))
    digits = random.integers(1, 6, size=int(random.integers(8, 13)))
    text = ", ".join(str(random.integers(10 ** (size - 1), 10**size)) for size in digits.tolist())
    return Speech(voice, int(random.integers(110, 220)), int(random.integers(10, 90)), text)


def require_programs() -> None:
    """Nothing, where the programs are installed.

    Raises:
        OSError: one is not.
    """
    for program in ("fluidsynth", "espeak-ng"):
        if shutil.which(program) is None:
            raise OSError(f"the program {program} is not installed; apt-get install {program}")


def make(path: Path, number: int, seed: int, sound_fonts: Sequence[Path]) -> None:
    """Write the FLAC file of a piece, whole or not at all.

    Raises:
        OSError: a program fails, or the file cannot be written.
    """
    for attempt in range(_ATTEMPTS):
        sound, rate = _sound(number, seed, attempt, sound_fonts)
        peak = np.abs(sound).max(initial=0.0)
        if peak > 0:
            break
    else:
        raise OSError(f"piece {number}, a {kind_of(number)}, is silent; install the programs and sound fonts anew")
    content = io.BytesIO()
    soundfile.write(content, sound * (_PEAK / peak), rate, format="FLAC", subtype="PCM_16")
    with atomic_file.write(path, content.tell()) as file:
        file.write(content.getvalue())


def _sound(
    number: int, seed: int, attempt: int, sound_fonts: Sequence[Path]
) -> tuple[Float[np.ndarray, " sample"], int]:
    """A piece and its sample rate."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "piece.wav"
        if kind_of(number) == "voice":
            said = speech(number, seed, attempt)
            options = ["-v", said.voice, "-s", str(said.speed), "-p", str(said.pitch), "-w", str(wave)]
            _run(["espeak-ng", *options, said.text])
        else:
            played = Path(folder) / "piece.mid"
            played.write_bytes(midi(score(number, seed, attempt)))
            font = sound_fonts[number // len(KINDS) % len(sound_fonts)]
            dry = ["-R", "0", "-C", "0", "-g", "0.4"]
            out = ["-F", str(wave), "-r", str(SAMPLE_RATE)]
            _run(["fluidsynth", "-ni", "-q", *dry, *out, str(font), str(played)])
        audio, rate = soundfile.read(wave, always_2d=True)
    return audio.mean(axis=1), rate


def _run(command: Sequence[str]) -> bytes:
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode:
        last = made.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"{command[0]} ended with status {made.returncode}: {last}")
    return made.stdout
