"""Tables as text, Markdown and CSV."""

import csv
import io

from analysis.pages import plain_table

LINES = [["name", "r2"], ["a longer name", "0.5"], ["b", ""]]


def test_text_has_columns_of_equal_width_to_the_right():
    text = plain_table.text(LINES).split("\n")
    assert len({len(line) for line in text}) == 1
    assert [line.split("  ")[-1].strip() for line in text] == ["r2", "0.5", ""]
    assert text[0].startswith("         name")


def test_markdown_has_a_cell_for_each_and_a_ruler_below_the_head():
    head, ruler, *rest = plain_table.markdown(LINES).split("\n")
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *rest)] == LINES
    assert set(ruler) == {"|", "-"} and ruler.count("|") == head.count("|")


def test_csv_keeps_every_digit_and_leaves_none_empty():
    read = list(csv.reader(io.StringIO(plain_table.as_csv([["a", "b, c"], [1 / 3, None]]))))
    assert read[0] == ["a", "b, c"]
    assert float(read[1][0]) == 1 / 3 and read[1][1] == ""
