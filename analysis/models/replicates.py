"""Members of runs side by side, those that differ in nothing but their seed as replicates of one row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.models import members
from jaxvae import inference


def load(
    runs: Sequence[Path], chosen: Sequence[Any]
) -> tuple[dict[str, inference.SpectrogramEncoder], dict[str, list[str]]]:
    """Encoders by a name of their own, and the names of each row: of members that differ in their seed only.

    Raises:
        CheckpointError: a run has no checkpoint or no such member.
        ValueError: the models were trained on different clips.
    """
    found = [member for run in runs for member in members.load(run, chosen or ("all",), in_one_figure=False)]
    members.require_same_clips([member.encoder.experiment for member in found])
    fields = [path for path in members.swept([one.encoder.experiment for one in found]) if path != members.SEED]
    named = "name" in fields
    encoders, rows = {}, {}
    for member in found:
        experiment = member.encoder.experiment
        values = members.values(experiment, [path for path in fields if path != "name"])
        title = experiment.name if named else members.words(values) or experiment.name
        row = rows.setdefault((title, *values.items()), [])
        name = f"{title}, {len(encoders)}"
        encoders[name] = member.encoder
        row.append(name)
    titles = [key[0] for key in rows]
    # Two rows of one name differ in their values.
    return encoders, {
        title if titles.count(title) == 1 else f"{title} ({members.words(dict(key[1:]))})": row
        for title, (key, row) in zip(titles, rows.items(), strict=True)
    }
