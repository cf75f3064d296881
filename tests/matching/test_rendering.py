"""Recordings of any length through an effect: as the whole would be, in little memory, and whole or absent on disk."""

import dataclasses
import itertools
import resource
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.signal
import soundfile

from jaxvae import effects
from jaxvae.data import waveform
from jaxvae.data.waveform import Recording
from jaxvae.effects import EffectError
from jaxvae.matching.rendering import Render

RATE = 8_000
DELAY = effects.get("pedalboard/Delay")
ECHO = {"delay_seconds": 0.25, "feedback": 0.5, "mix": 0.5}


def noise(seconds, channels=2, seed=0):
    return (0.05 * np.random.default_rng(seed).normal(size=(channels, round(seconds * RATE)))).astype(np.float32)


def in_blocks(audio, lengths):
    """The same recording, whose blocks have these lengths over and over."""

    def blocks():
        first = 0
        for length in itertools.cycle(lengths):
            if first >= audio.shape[1]:
                return
            yield audio[:, first : first + length]
            first += length

    return Recording(blocks, float(RATE), *audio.shape)


@pytest.mark.parametrize("lengths", [(10**9,), (65_536,), (1, 9_001, 70_000), (500,)])
def test_blocks_are_what_the_whole_is_whatever_their_length(lengths):
    audio = noise(20.0)
    render = Render(DELAY, ECHO, in_blocks(audio, lengths), 6.0, RATE)
    level = np.float32(10 ** (6 / 20))
    whole = np.stack([DELAY.render(channel * level, ECHO, RATE) for channel in audio])
    np.testing.assert_array_equal(np.concatenate(list(render.blocks()), axis=1), whole)
    found, short_db = render.audio()
    assert short_db == 0
    assert np.mean(found**2) == pytest.approx(np.mean(audio**2), rel=1e-4)
    np.testing.assert_allclose(found, whole * (np.std(audio) / np.std(whole)), rtol=1e-3, atol=1e-6)


def test_an_effect_that_knows_no_blocks_gives_the_same():
    audio = noise(9.0)
    whole = dataclasses.replace(DELAY, open=None)
    first, second = (Render(kind, ECHO, in_blocks(audio, (3_000,)), 0.0, RATE).audio()[0] for kind in (DELAY, whole))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_rendered_at_another_rate_it_is_as_long_and_what_scipy_resamples(channels):
    time = np.arange(5 * RATE) / RATE
    audio = np.stack([0.1 * np.sin(2 * np.pi * (200 + 150 * n) * time) for n in range(channels)]).astype(np.float32)
    found, _ = Render(DELAY, ECHO, in_blocks(audio, (7_000,)), 0.0, 16_000).audio()
    assert found.shape == audio.shape
    for channel, own in zip(found, audio, strict=True):
        wet = DELAY.render(scipy.signal.resample_poly(own, 2, 1).astype(np.float32), ECHO, 16_000)
        expected = scipy.signal.resample_poly(wet, 1, 2)
        assert np.corrcoef(channel[500:-500], expected[500:-500])[0, 1] > 0.9999


def test_an_answer_stays_below_full_scale_and_says_what_it_is_short_of():
    dry = noise(4.0, channels=1)
    dry *= 0.99 / np.abs(dry).max()
    crest = dataclasses.replace(  # a click of all the power
        DELAY, process=lambda dry, settings, rate: np.eye(1, len(dry), 9, dtype=np.float32)[0], open=None
    )
    found, short_db = Render(crest, {}, in_blocks(dry, (8_000,)), 0.0, RATE).audio()
    assert 20 * np.log10(np.abs(found).max()) == pytest.approx(-1.0, abs=1e-4)
    assert short_db == pytest.approx(20 * np.log10(np.linalg.norm(dry)) + 1.0, abs=1e-3)


@pytest.mark.parametrize("wet", [0.0, np.nan])
def test_nothing_is_written_of_what_cannot_be_used(tmp_path, wet):
    broken = dataclasses.replace(DELAY, process=lambda dry, settings, rate: dry * np.float32(wet), open=None)
    out = tmp_path / "out.wav"
    out.write_text("what was there")
    with pytest.raises(EffectError, match="gives nothing that can be used"):
        Render(broken, ECHO, in_blocks(noise(1.0), (800,)), 0.0, RATE).write(out)
    assert out.read_text() == "what was there" and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["out.wav", "out.flac", "out.ogg"])
def test_a_file_holds_what_the_array_does(tmp_path, name):
    render = Render(DELAY, ECHO, in_blocks(noise(20.0), (9_999,)), 6.0, RATE)
    done = []
    assert render.write(tmp_path / name, done.append) == 0.0
    audio, rate = soundfile.read(tmp_path / name, dtype="float32")
    expected, _ = render.audio()
    assert rate == RATE and audio.shape == expected.T.shape
    if name == "out.ogg":  # which loses what is hard to hear, of noise the most
        assert np.corrcoef(audio.T.ravel(), expected.ravel())[0, 1] > 0.8
    else:
        np.testing.assert_allclose(audio.T, expected, atol=2**-23)
    assert done == sorted(done) and done[-1] == expected.shape[1]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_memory_does_not_grow_with_the_recording(tmp_path):
    block = noise(1.0)

    def peak(seconds):
        recording = Recording(lambda: itertools.repeat(block, seconds), float(RATE), 2, seconds * RATE)
        tracemalloc.start()
        Render(DELAY, ECHO, recording, 0.0, RATE).write(tmp_path / "out.wav")
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    short, long = peak(60), peak(600)
    assert long < 1.2 * short
    assert long < 600 * block.nbytes / 4  # where the whole would be as much as that, and several times over


def test_a_full_disk_is_an_error_that_leaves_what_was_there(tmp_path):
    out = tmp_path / "out.wav"
    out.write_text("what was there")
    render = Render(DELAY, ECHO, in_blocks(noise(10.0), (8_000,)), 0.0, RATE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (100_000, 640_000 + 1_000, 400_000):  # samples of the render, then the file
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # a write beyond fails as on a full disk
            if limit > 640_000:
                render.write(out)  # 480,000 bytes at 24 bits a sample
                out.write_text("what was there")
                continue
            with pytest.raises(OSError, match=r"cannot write out.wav of 640,000 bytes to .*make room"):
                render.write(out)
            assert out.read_text() == "what was there" and list(tmp_path.iterdir()) == [out]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


KILLED = """
import itertools, pathlib, sys, numpy as np
from jaxvae import effects
from jaxvae.data.waveform import Recording
from jaxvae.matching.rendering import Render
block = np.full((2, 8_000), 0.1, np.float32)
recording = Recording(lambda: itertools.repeat(block), 8_000.0, 2, 8_000 * 10**6)
said = []
def progress(samples):
    if not said and samples > 800_000:
        said.append(print("half-way", flush=True))
Render(effects.get("pedalboard/Delay"), {}, recording, 0.0, 8_000).write(pathlib.Path(sys.argv[1]), progress)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_of_a_killed_writing_nothing_bears_the_name(tmp_path, number):
    out = tmp_path / "out.wav"
    command = [sys.executable, "-c", KILLED, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "half-way\n"
        process.send_signal(number)
        assert process.wait(60) != 0
    left = [path.name for path in tmp_path.iterdir()]
    assert all(name.endswith(".part") for name in left)
    assert number == signal.SIGKILL or not left, "an interrupted one tidies up"


def test_recordings_of_files_are_those_of_arrays(tmp_path):
    audio = noise(40.0)
    soundfile.write(tmp_path / "dry.flac", audio.T, RATE, subtype="PCM_24")
    recording = waveform.recording_of_file(tmp_path / "dry.flac")
    assert (recording.sample_rate, recording.channels, recording.samples) == (RATE, 2, audio.shape[1])
    for _ in range(2):
        np.testing.assert_allclose(np.concatenate(list(recording.blocks()), axis=1), audio, atol=2**-23)
    mono = np.concatenate(list(recording.mono().blocks()))
    np.testing.assert_allclose(mono, audio.mean(axis=0), atol=2**-23)
    of_array = waveform.recording(audio, RATE)
    assert len(list(of_array.blocks())) > 1
    np.testing.assert_array_equal(np.concatenate(list(of_array.blocks()), axis=1), audio)
