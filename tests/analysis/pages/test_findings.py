"""What was found, as sentences: they say what the figures say, and no more."""

from types import SimpleNamespace
from unittest import mock

import pytest

from analysis.pages import findings
from analysis.sections.board import Board
from analysis.sections.outline import OURS
from analysis.sections.table import Comparison, Entry

AWARE = f"{OURS}, dry-aware"
HEARS = {OURS: "wet", AWARE: "wet and dry", "PCA": "wet", "PCA, wet − dry": "wet and dry", "constant": "nothing"}


def board(blind=(0.05, 0.01, 0.09), aware=(0.2, 0.1, 0.3), names=("a/Delay", "a/Gain")):
    """A board of two modes with these advantages and their intervals in naming effects."""
    entries, comparisons = [], []
    for row, other, advantage in ((OURS, "PCA", blind), (AWARE, "PCA, wet − dry", aware)):
        value = 0.7 if row == OURS else 0.9
        for name, number in ((row, value), (other, value - advantage[0])):
            entries.append(Entry("effect", "accuracy_logistic", "random", name, number))
            entries.append(Entry("settings", "r2", "all", name, number / 2))
        comparisons.append(Comparison("effect", "accuracy_logistic", "random", row, other, *advantage, 9))
        comparisons.append(Comparison("settings", "r2", "all", row, other, 0.0, -0.02, 0.03, 9))
        entries += [Entry("settings", "r2", f"{name}/level_db", row, 0.05) for name in names]
        entries.append(Entry("settings", "r2", f"{names[0]}/time_ms", row, 0.6))
    entries.append(Entry("effect", "accuracy_logistic", "random", "constant", 0.5))
    confusion = {"random": {"effects": list(names), "counts": {OURS: [[9, 1], [6, 4]], AWARE: [[8, 2], [1, 9]]}}}
    contents = SimpleNamespace(ours=[OURS, AWARE])
    return mock.Mock(
        Board, entries=entries, hears=HEARS, comparisons=comparisons, confusion=confusion, contents=contents
    )


def answers(measured):
    return {
        finding.question: finding.answer.replace("\N{NO-BREAK SPACE}", " ") for finding in findings.sentences(measured)
    }


def test_there_are_three_sentences_with_both_modes_their_rivals_and_chance():
    found = findings.sentences(board())
    assert len(found) == 3
    assert all(finding.answer.endswith(".") and ". " not in finding.answer for finding in found)
    effect = answers(board())["Which effect?"]
    for said in (
        "70 %",
        "best baseline, PCA: 65 %",
        "90 %",
        "best baseline, PCA, wet − dry: 70 %",
        "blind",
        "dry-aware",
        "chance, a constant answer, is 50 %",
    ):
        assert said in effect
    assert "0.35" in found[1].answer and "0.45" in found[1].answer


@pytest.mark.parametrize(
    "advantage, said",
    [
        ((0.05, 0.01, 0.09), "better by 5 points, 95 % interval 1 to 9"),
        ((-0.05, -0.09, -0.01), "worse by 5 points, 95 % interval 1 to 9"),
        ((0.05, -0.01, 0.11), "5 points apart, which cannot be told from nothing, 95 % interval −1 to 11"),
        ((0.05, None, None), "too few recordings (9) for an interval"),
    ],
)
def test_the_interval_decides_what_is_said(advantage, said):
    assert said in answers(board(blind=advantage))["Which effect?"]


def test_what_falls_short_is_counted_and_named():
    lost = answers(board(blind=(-0.05, -0.09, -0.01)))["Where does it fall short?"]
    assert "baseline that hears the same, it is better in 1 of 4 and worse in 1, and 2 cannot be told" in lost
    assert "R² is below 0.1 for 2 of 3 settings blind and 2 of 3 settings dry-aware" in lost
    assert "named least often is Gain, 40 % blind and Delay, 80 % dry-aware" in lost


def test_a_run_of_one_effect_has_no_sentence_about_which_it_is():
    measured = board()
    measured.confusion = {}
    measured.comparisons = [one for one in measured.comparisons if one.section != "effect"]
    assert list(answers(measured)) == ["Which settings?", "Where does it fall short?"]
