"""Ratings of listening tests: what is read is what was written, and means and intervals are those of known ones."""

import csv

import numpy as np
import pytest

from analysis import listening_ratings
from analysis.metrics import ratings
from analysis.metrics.ratings import COLUMNS, HIDDEN, Ratings, RatingsError

CONDITIONS = (HIDDEN, "dry input", "matcher")


def write(path, listener, value, items=8, **changes):
    """A file of a listener; `value` gives the rating of an item's condition."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for order, item in enumerate(np.random.default_rng(len(listener)).permutation(items).tolist()):
            for condition in CONDITIONS:
                about = (item + 1, changes.get("effect", "mda/Delay"), "same recording")
                rows.writerow([listener, 3, *about, condition, value(item, condition), 2.5, order])
    return path


def steady(item, condition):
    return {HIDDEN: 100, "dry input": 20 + item, "matcher": 60 + 2 * (item % 2)}[condition]


def deaf(low):
    """Rates the hidden reference 89 in so many items, and all else at 0."""
    return lambda item, condition: (89 if item < low else 90) if condition == HIDDEN else 0


def test_the_command_prints_the_means_without_those_who_do_not_hear_the_reference(tmp_path, capsys):
    files = [write(tmp_path / "a.csv", "Anna", steady), write(tmp_path / "b.csv", "Ben", steady)]
    files += [write(tmp_path / "c.csv", "Cleo", deaf(2))]  # 25 %
    listening_ratings.main(listening_ratings.Options(tuple(files)))
    left_out, head, *lines, last = capsys.readouterr().out.splitlines()
    assert left_out.startswith("Cleo is left out: the hidden reference below 90 in 25% of items")
    assert head.split()[:2] == ["condition", "mean"]
    assert [line.split("  ")[0] for line in lines] == [HIDDEN, "matcher", "dry input"]
    assert "100.0" in lines[0] and "61.0" in lines[1] and "23.5" in lines[2]
    assert last == "2 of 3 listeners, 8 items"


@pytest.mark.parametrize(("low", "kept"), [(0, True), (3, True), (4, False)])
def test_up_to_15_percent_of_items_are_let_pass(tmp_path, low, kept):
    """3 of 20 is not more than 15 %."""
    every = ratings.read([write(tmp_path / "a.csv", "A", deaf(low), items=20)])
    left, left_out = ratings.screen(every)
    assert left.listeners == (("A",) if kept else ())
    assert left_out == ({} if kept else {"A": low / 20})


def test_means_are_those_of_numpy_and_intervals_hold_the_truth_in_95_percent_of_studies():
    """Listeners and items each bring a deviation of their own, as in Owen (2007)."""
    rng, inside, studies = np.random.default_rng(0), 0, 200
    for study in range(studies):
        of_listener, of_item = rng.normal(0, 8, (12, 1, 1)), rng.normal(0, 8, (1, 14, 1))
        value = 50 + of_listener + of_item + rng.normal(0, 5, (12, 14, 1))
        names = tuple(map(str, range(14)))
        figure = ratings.means(Ratings(value, names[:12], names, ("matcher",)), study)["matcher"]
        assert figure.mean == pytest.approx(value.mean())
        inside += figure.low <= 50 <= figure.high
    assert 0.88 <= inside / studies <= 0.99


def test_of_one_listener_items_are_drawn_and_of_equal_ratings_there_is_no_interval():
    value = np.arange(12.0).reshape(1, 12, 1)
    names = tuple(map(str, range(12)))
    figure = ratings.means(Ratings(value, ("A",), names, ("matcher",)))["matcher"]
    error = value.std() / np.sqrt(12)  # of a mean of items drawn with replacement
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert ratings.means(Ratings(0 * value + 7, ("A",), names, ("matcher",)))["matcher"] == (7, 7, 7)


def test_what_was_not_rated_counts_for_nothing():
    value = np.array([[[10.0], [np.nan]], [[30.0], [50.0]]])
    assert ratings.means(Ratings(value, ("A", "B"), ("1", "2"), ("matcher",)))["matcher"].mean == 30


def test_files_that_are_not_ratings_of_one_test_are_refused(tmp_path):
    good = write(tmp_path / "a.csv", "A", steady)
    with pytest.raises(RatingsError, match=r"rates hidden reference of item \d+ for A again"):
        ratings.read([good, write(tmp_path / "b.csv", "A", steady)])
    with pytest.raises(RatingsError, match=r"is of mda/Delay, same recording in .*a.csv and of mda/Combo"):
        ratings.read([good, write(tmp_path / "b.csv", "B", steady, effect="mda/Combo")])
    with pytest.raises(RatingsError, match="a rating of '101'; use numbers of 0 to 100"):
        ratings.read([write(tmp_path / "b.csv", "B", lambda *_: 101)])
    with pytest.raises(RatingsError, match="a rating of 'null'"):
        ratings.read([write(tmp_path / "b.csv", "B", lambda *_: "null")])
    (tmp_path / "b.csv").write_text("listener,rating\nB,5\n")
    with pytest.raises(RatingsError, match="has no column seed"):
        ratings.read([tmp_path / "b.csv"])
    (tmp_path / "b.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(RatingsError, match="hold no rating"):
        ratings.read([tmp_path / "b.csv"])


def test_a_file_that_went_through_a_spreadsheet_is_read(tmp_path):
    path = write(tmp_path / "a.csv", "Ä, B", steady)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert ratings.read([path]).listeners == ("Ä, B",)
