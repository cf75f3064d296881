"""Tables, comparisons and verdicts of scores that are made up."""

import csv
import io

import numpy as np
import pytest

from analysis.pages.scoreboard import verdict
from analysis.sections import FIGURES, table
from analysis.sections.outline import Outline
from analysis.sections.score import Score, of_clips
from analysis.sections.table import Comparison, Entries, Entry


def entries(*rows, hears=None):
    hears = hears or {
        "ours": "wet",
        "pca": "wet",
        "aware": "wet and dry",
        "pca, dry": "wet and dry",
        "noise": "nothing",
    }
    return Entries([Entry(*row) for row in rows], hears)


def test_the_best_is_marked_among_those_that_hear_the_same():
    found = entries(
        ("effect", "accuracy_logistic", "random", "ours", 0.702, 0.65, 0.75, 9),
        ("effect", "accuracy_logistic", "random", "pca", 0.698),
        ("effect", "accuracy_logistic", "random", "aware", 0.9),
        ("effect", "accuracy_logistic", "random", "pca, dry", 0.8),
        ("effect", "accuracy_logistic", "random", "noise", 0.99),
        ("settings", "mae", "all", "ours", 0.2),
        ("settings", "mae", "all", "pca", 0.1),
    )
    columns = {
        "accuracy": {"section": "effect", "figure": "accuracy_logistic", "item": "random"},
        "MAE": {"section": "settings", "figure": "mae", "item": "all"},
        "nothing": {"section": "settings", "figure": "mae", "item": "identifiable"},
    }
    lines = {name: {"row": name} for name in ("ours", "pca", "aware", "pca, dry", "noise", "absent")}
    drawn = found.table(Outline("title", lines, columns))
    assert drawn.columns == ["accuracy", "MAE"]
    assert [line.label for line in drawn.lines] == ["ours", "pca", "aware", "pca, dry", "noise"]
    marked = [[cell.best for cell in line.cells] for line in drawn.lines]
    assert marked == [[True, False], [True, True], [True, False], [False, False], [False, False]]  # 70 % is 70 %
    assert drawn.lines[0].cells[0] == table.Cell("70", "65 – 75", True)
    text = table.text(drawn)
    assert "70* [65 – 75]" in text and "absent" not in text


def test_the_best_of_a_line_is_of_one_figure():
    found = entries(
        ("settings", "r2", "a", "ours", 0.5),
        ("settings", "r2", "a", "pca", 0.6),
        ("settings", "mae", "a", "ours", 0.2),
        ("settings", "mae", "a", "pca", 0.1),
    )
    columns = {
        f"{row} {figure}": {"section": "settings", "figure": figure, "row": row}
        for figure in ("r2", "mae")
        for row in ("ours", "pca")
    }
    (line,) = found.table(Outline("", {"a": {"item": "a"}}, columns, "line")).lines
    assert [cell.best for cell in line.cells] == [False, True, False, True]


def test_numbers_have_the_digits_of_their_figure():
    assert table.number("accuracy_logistic", 0.1249) == "12"
    assert table.number("r2", -0.256) == "−0.26"
    assert table.number("r2", -0.001) == "0.00"
    assert table.number("elbo", -12345.6) == "−12,346"
    assert table.number("r2", None) == ""


def test_every_number_comes_back_from_the_csv():
    written = [Entry("a", "r2", "all", "x, y", 0.1 + 0.2, None, None, None), Entry("a", "r2", "", "z", None)]
    read = list(csv.reader(io.StringIO(table.as_csv(written))))
    assert read[0] == list(Entry._fields)
    assert float(read[1][4]) == 0.1 + 0.2 and read[1][3] == "x, y" and read[2][4] == ""


@pytest.mark.parametrize(
    ("figure", "ours", "sign"), [("retrieval_r1", 0.6, 1), ("retrieval_rank", 0.2, 1), ("mae", 0.9, -1)]
)
def test_an_advantage_is_positive_where_this_model_is_better(figure, ours, sign):
    recording = np.repeat(np.arange(10), 3)
    values = {"ours": ours, "close": 0.4, "far": 0.9 if FIGURES[figure].better == "less" else 0.1}
    scores = {name: of_clips(figure, "", np.full(30, x), recording) for name, x in values.items()}
    found = table.compare("s", "ours", scores)
    assert found.baseline == "close"
    np.testing.assert_allclose([found.value, found.low, found.high], sign * abs(ours - 0.4))
    assert verdict(found) == ("better" if sign > 0 else "worse")


def test_verdicts_follow_the_interval():
    def comparison(low, high):
        return Comparison("effect", "r2", "all", "ours", "pca", 0.1, low, high, 4)

    assert verdict(comparison(-0.1, 0.3)) == "cannot be told"
    assert verdict(comparison(0.0, 0.0)) == "cannot be told"
    assert verdict(comparison(None, None)) == "too few recordings (4)"


def test_only_the_same_clips_are_compared():
    few, many = (of_clips("r2", "all", np.ones(count), np.arange(count)) for count in (8, 9))
    with pytest.raises(ValueError, match="is of 8 clips, that of pca of 9"):
        table.compare("settings", "ours", {"ours": few, "pca": many})
    assert table.compare("settings", "ours", {"ours": few, "pca": Score("r2", "all", 0.5)}) is None
