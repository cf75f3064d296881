"""Copies of a recording are found in any format and level; other recordings are none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import jaxvae
from jaxvae.data import audio_file, fingerprint
from jaxvae.data.fingerprint import Fingerprint, Listener

RATE = 24_000
BUNDLED = Path(jaxvae.__file__).parent / "bundled_audio"


def of(samples: np.ndarray, block: int = 50_000) -> Fingerprint:
    listener = Listener(RATE)
    for first in range(0, len(samples), block):
        listener.hear(samples[first : first + block].astype(np.float32))
    return listener.fingerprint()


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """Bundled recordings of at least three seconds."""
    paths = [path for path in sorted(BUNDLED.rglob("*.ogg")) if soundfile.info(path).duration >= 3]
    return [audio_file.read(path, RATE) for path in paths[::5]]


@pytest.fixture(scope="module")
def fingerprints(sounds) -> list[Fingerprint]:
    return [of(samples) for samples in sounds]


def test_recordings_are_no_copies_of_one_another(fingerprints):
    assert len(fingerprints) >= 6
    assert fingerprint.copies(fingerprints) == []


@pytest.mark.parametrize(
    ("name", "rate", "settings", "share"),
    [
        ("a.flac", 16_000, {}, 0.9),
        ("a.mp3", 44_100, {"bitrate_mode": "CONSTANT", "compression_level": 0.5}, 0.9),
        ("a.ogg", 22_050, {"compression_level": 0.5}, 0.8),
        ("a.opus", 48_000, {"subtype": "OPUS", "format": "OGG", "compression_level": 0.5}, 0.8),
    ],
)
def test_copies_at_another_rate_level_and_start_are_found(tmp_path, sounds, fingerprints, name, rate, settings, share):
    found = 0
    for samples, original in zip(sounds, fingerprints, strict=True):
        shifted = np.concatenate([np.zeros(1_234, np.float32), 0.4 * samples / np.abs(samples).max()])
        soundfile.write(tmp_path / name, soxr.resample(shifted, RATE, rate), rate, **settings)
        found += fingerprint.copies([original, of(audio_file.read(tmp_path / name, RATE))]) == [(0, 1)]
    assert found >= share * len(sounds)


def test_a_part_is_a_copy_of_the_whole(sounds, fingerprints):
    longest = max(range(len(sounds)), key=lambda index: len(sounds[index]))
    part = of(sounds[longest][RATE : RATE + 4 * RATE])
    assert fingerprint.copies([*fingerprints, part]) == [(longest, len(fingerprints))]


def test_what_is_too_short_or_silent_is_never_a_copy():
    short = of(np.random.default_rng(0).normal(0, 0.1, RATE))
    silent = of(np.zeros(10 * RATE))
    assert fingerprint.copies([short, short, silent, silent, of(np.zeros(10))]) == []


def test_blocks_do_not_change_a_fingerprint(sounds, fingerprints):
    for block in (999, 10**9):
        np.testing.assert_array_equal(of(sounds[0], block).bits, fingerprints[0].bits)


def test_parts_of_the_search_give_what_the_whole_gives(monkeypatch, sounds, fingerprints):
    both = [*fingerprints, *fingerprints]
    whole = fingerprint.copies(both)
    monkeypatch.setattr(fingerprint, "_SORTED_FRAMES", 500)
    assert fingerprint.copies(both) == whole == [(n, n + len(fingerprints)) for n in range(len(fingerprints))]
