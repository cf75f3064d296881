"""The gradient report as a table."""

from collections.abc import Mapping
from typing import Any

from analysis.pages import plain_table

_COLUMNS = ("median cosine", "10th percentile", "bias", "limit", "renders", "ms", "lower")


def markdown(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Of figures by loss and case (`analysis.matching.gradients`), a table for each loss."""
    parts = []
    for loss, cases in found.items():
        lines = [("effect", "gradient", "step", *_COLUMNS)]
        for title, case in cases.items():
            lines.append((f"{title} ({', '.join(case['parameters'])})", "true, by the twin", *_true(case)))
            lines += [
                ("", name, f"{row['step']:g}", *(_cell(row, column) for column in _COLUMNS))
                for name, row in _rows(case)
            ]
        beside = [
            ("true gradient beside", *(f"{float(d):g}" for d in next(iter(cases.values()))["true gradient beside"]))
        ]
        beside += [
            (title, *(f"{x:.2f}" for x in case["true gradient beside"].values())) for title, case in cases.items()
        ]
        clips = next(iter(cases.values()))["clips"]
        parts.append(
            f"### {loss}, {clips} clips\n\n{plain_table.markdown(lines)}\n\n"
            "Mean cosine of the true gradient to itself where every parameter is so far away, as a share of its "
            f"range:\n\n{plain_table.markdown(beside)}"
        )
    return "\n\n".join([*parts, _WORDS]) + "\n"


def _rows(case: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(case["rows"].items())


def _true(case: Mapping[str, Any]) -> tuple[str, ...]:
    ms = case["true gradient, ms"]
    return ("–", "1.00", "1.00", "1.00", "1.00", "0", f"{ms:.0f}", f"{case['true gradient, lower']:.0%}")


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column == "renders":
        return str(row[column])
    return (
        f"{row[column]:.0f}" if column == "ms" else f"{row[column]:.0%}" if column == "lower" else f"{row[column]:.2f}"
    )


_WORDS = (
    "Cosines are to the true gradient, over the parameters in brackets; each step was chosen on other clips, by the "
    "median. Bias: cosine of the mean of many pairs, or of the one estimate there is. Limit: cosine that K pairs along "
    "random signs of P parameters have where nothing is curved, √(K / (K + P − 1)). Renders and ms are of one clip; "
    "ms of estimates are without the loss, but for those of the loss itself; those of the true gradient are with it. "
    "Lower: share of clips whose loss is lower after a step of .03 against the gradient."
)
