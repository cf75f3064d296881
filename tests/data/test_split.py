"""The split of recordings: what one file is drawn for depends on no other file."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from jaxvae.data import clips, recordings
from jaxvae.data.recordings import SPLITS, File, Recording

SHARES = (0.15, 0.15)


def made(count: int, first: int = 0) -> list[File]:
    """Files of made content, no two alike."""
    return [File(Path(f"{n}.wav"), f"audio/0/{n:06}.wav", f"{n:032x}") for n in range(first, first + count)]


def splits(files: list[File], seed: int = 0) -> dict[str, str]:
    """By content."""
    found = recordings.draw_splits(files, False, SHARES, seed)
    return {file.digest: found[file.name] for file in files}


@pytest.mark.parametrize("count", [*range(3, 31), 50, 100, 200])
def test_a_file_more_or_less_moves_no_other_but_the_one_that_an_empty_split_takes(count):
    files, added = made(count), made(1, first=10_000)[0]
    before = splits(files)
    after = splits([added, *files])  # in front: order means nothing
    assert set(before.values()) == set(after.values()) == set(SPLITS)
    moved = [digest for digest in before if before[digest] != after[digest]]
    # A split that was empty held a file of another; it gives that back when it has one of its own.
    assert len(moved) <= (2 if count < 50 else 0)
    free = Counter(before.values()), Counter(after.values())
    for digest in moved:
        assert 1 in (free[0][before[digest]], free[1][after[digest]])


def test_most_small_sets_move_nothing_at_all():
    moved = 0
    for seed in range(100):
        files = made(10)
        before, after = splits(files, seed), splits(made(11), seed)
        moved += any(before[digest] != after[digest] for digest in before)
    assert moved < 30


def test_names_and_folders_do_not_matter_to_the_split_of_a_file():
    files = made(100)
    renamed = [file._replace(name=f"audio/1/other/{n}.wav") for n, file in enumerate(reversed(files))]
    assert splits(files) == splits(renamed)


def test_other_seeds_are_other_splits():
    assert splits(made(100), seed=0) != splits(made(100), seed=1)


def test_shares_of_the_duration_are_met_by_many_recordings():
    files = made(4_000)
    lengths = np.random.default_rng(0).lognormal(3, 1, len(files))
    found = recordings.draw_splits(files, False, (0.2, 0.1), 0)
    for split, share in (("train", 0.7), ("validation", 0.2), ("test", 0.1)):
        own = [length for file, length in zip(files, lengths, strict=True) if found[file.name] == split]
        assert sum(own) / lengths.sum() == pytest.approx(share, abs=0.03)


def test_held_out_files_leave_the_split_of_the_others_between_training_and_validation():
    files = made(100)
    held_out = [file._replace(name=file.name.replace("audio", "test_audio")) for file in made(3, first=500)]
    found = recordings.draw_splits(files + held_out, True, SHARES, 0)
    assert [found[file.name] for file in held_out] == ["test"] * 3
    alone = recordings.draw_splits(files, False, SHARES, 0)
    for file in files:
        assert found[file.name] == ("validation" if alone[file.name] == "validation" else "train")


def test_many_recordings_are_split_in_time_that_grows_as_they_do():
    files = made(10_000)
    began = time.process_time()
    recordings.draw_splits(files, False, SHARES, 0)
    assert time.process_time() - began < 3  # 0.05 s but for the checks of types in tests; 4 s by comparing all with all


def test_a_crop_costs_no_more_of_a_hundred_thousand_recordings_than_of_a_few():
    many = [Recording((f"{n}",), 10 * n, 10, "train") for n in range(100_000)]
    members = clips.Members.of(many, "train")
    generator = np.random.default_rng(0)
    began = time.process_time()
    taken = [members.draw(generator, 5) for _ in range(1_000)]
    assert time.process_time() - began < 2  # listing all of them a thousand times takes a minute
    assert 5 not in taken


def test_recordings_are_drawn_as_if_the_one_that_is_taken_were_not_there():
    lengths = [5, 1, 7, 3]
    some = [Recording((f"{n}",), 0, length, "train") for n, length in enumerate(lengths)]
    members = clips.Members.of(some, "train")
    for taken in (None, 0, 1, 2, 3):
        drawn = [members.draw(np.random.default_rng(seed), taken) for seed in range(1_000)]
        expected = np.array([0 if n == taken else length for n, length in enumerate(lengths)])
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 1_000, expected / expected.sum(), atol=0.06)
