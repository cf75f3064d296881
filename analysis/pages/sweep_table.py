"""The table of a sweep: its rows, their order and their words."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.metrics import reconstruction
from analysis.models import members
from analysis.models.representations import difference, dry_aware
from analysis.pages import plain_table
from analysis.pictures import curves, sweeps
from analysis.pictures.sweeps import Row
from analysis.renders.sizes import Sizes
from analysis.sections import board, effect, settings
from analysis.sections.table import Entries
from jaxvae import config, inference
from jaxvae.data.recordings import SPLITS
from jaxvae.sweep import Value
from jaxvae.training import run_folder
from jaxvae.training.checkpoints import CheckpointError
from jaxvae.training.run_folder import Member
from jaxvae.training.vae_task import VAETask

_STRUCTURE = {"accuracy": ("effect", "accuracy_logistic", "random"), "r2": ("settings", "r2", "all")}
_BETTER_HIGH = tuple(figure + mode for figure in _STRUCTURE for mode in ("", sweeps.DRY_AWARE))
MEASURED = (*_BETTER_HIGH, "rms_error")
"""Figures that are not in the logs."""
_DIGITS = {"criterion": 2, "negative_elbo": 1, "mean_squared": 4, "kl": 2, "active_units": 0, "rms_error": 2}
_DIGITS |= {name: 1 if name.startswith("accuracy") else 3 for name in _BETTER_HIGH}

Scalars = Mapping[str, Float[np.ndarray, "point 2"]]


def read(run: Path) -> tuple[list[Row], dict[str, Scalars]]:
    """Members of a run with their validation figures, and the curves of each by name.

    Among the figures is the criterion by which `jaxvae.load` chooses, where there is one for all members.

    Raises:
        CheckpointError: the run has no checkpoint.
    """
    saved = run_folder.read(run)
    found = dict(saved)
    for index, logs in run_folder.logs(run).items():  # of groups that have no checkpoint yet, or never will
        if index not in saved:
            found[index] = Member(_logged_experiment(logs), logs, 0, VAETask, None, 0, {}, False, 0, logs)
    fields = members.swept([member.experiment for member in found.values()])
    rows, scalars, criteria = [], {}, {}
    with contextlib.suppress(CheckpointError):  # of members that cannot be compared the column is left out
        criteria = run_folder.criteria(saved)[1]
    for index, member in sorted(found.items()):
        scalars[str(index)] = points = curves.read_scalars(member.logs)
        values = members.values(member.experiment, fields)
        figures = {} if member.diverged or member.best is None else _at_best(points, member)
        if figures and index in criteria:
            figures = {"criterion": criteria[index], **figures}
        came = status(member, points) if index in saved else "no checkpoint"
        rows.append(Row(str(index), values, came, member.best_step, figures))
    return rows, scalars


def _logged_experiment(logs: Path) -> config.Experiment:
    events = EventAccumulator(str(logs)).Reload()
    markdown = events.Tensors("config")[0].tensor_proto.string_val[0].decode()
    return config.from_dict(json.loads(markdown.removeprefix("```json\n").removesuffix("\n```")))


def _at_best(scalars: Scalars, member: Member) -> dict[str, float]:
    at_best = {tag: points[points[:, 0] == member.best_step, 1] for tag, points in scalars.items()}
    figures = {name: at_best[f"val/{name}"] for name in ("negative_elbo", "mean_squared", "kl")}
    figures["active_units"] = at_best["latent/active_share"] * member.experiment.model.latent_dim
    return {name: float(values[-1]) for name, values in figures.items() if len(values)}


def status(member: Member, scalars: Scalars) -> str:
    """How far a member has come, as its checkpoint and its logs say; logs count in steps of `train.log_every`."""
    train = member.experiment.train
    step = max((int(points[-1, 0]) for points in scalars.values()), default=0)
    validated = scalars.get("val/negative_elbo", np.empty((0, 2)))
    stale = np.sum(validated[:, 0] > member.best_step)
    if member.diverged:
        return f"diverged at step {member.step}"
    if step >= train.steps:
        return "finished"
    if 0 < train.patience <= stale:
        return f"stopped by patience at step {step}"
    return f"step {step} of {train.steps}"


def measure(
    encoders: Mapping[str, inference.SpectrogramEncoder],
    best: str,
    sizes: Sizes,
    seed: int = 0,
    directory: str | None = None,
) -> tuple[dict[str, dict[str, float]], str]:
    """Structure and reconstruction of encoders and of baselines on the same unseen clips, and the error's unit.

    Structure is measured as on the scoreboard (`board.measure`), blind and dry-aware; a baseline of the wet clip and
    that of the difference of wet and dry share a line. Baselines are made for the spectrogram and the network of the
    best encoder.

    Raises:
        ValueError: the encoders were trained on different clips.
    """
    data = members.data(list(encoders.values()), directory)
    splits = [data.split(name) for name in SPLITS]
    first = {best: encoders[best]} | encoders
    sections = effect.SECTION, settings.SECTION
    measured = board.measure(first, *splits, sizes, seed=seed, sections=sections, source=False)
    entries, figures = Entries(measured.entries, measured.hears), {}
    for name, hears in measured.hears.items():
        if hears == "wet and dry":
            continue
        other = next((row for row in (dry_aware(name), difference(name)) if row in measured.hears), None)
        modes = {"": name} if other is None else {"": name, sweeps.DRY_AWARE: other}
        found = {
            figure + mode: entries.value(*key, row) for figure, key in _STRUCTURE.items() for mode, row in modes.items()
        }
        figures[name] = {figure: value for figure, value in found.items() if value is not None}
    components = measured.components
    rebuilt = {name: (encoder, reconstruction.of_model(encoder)) for name, encoder in encoders.items()} | {
        components.name: (encoders[best], components.reconstruct),
        "constant": (encoders[best], lambda wet, rate: components.band_mean),
    }
    for name, (encoder, guess) in rebuilt.items():
        _, squares = reconstruction.squared_errors(encoder, {name: guess}, splits[-1], seed)
        figures[name]["rms_error"] = float(np.sqrt(squares[name][0].mean()))
    units = {reconstruction.unit(encoder.experiment) for encoder in encoders.values()}
    return figures, " or ".join(sorted(units))


def columns(rows: Sequence[Row], unit: str) -> dict[str, str]:
    """Headings of the columns by their names in the CSV file; figures that no row has are left out."""
    headings = {"member": "member"} | {path: members.short_name(path) for path in rows[0].values}
    headings |= {"status": "status", "best_step": "best step"}
    return headings | {
        name: title for name, title in sweeps.titles(unit).items() if any(name in row.figures for row in rows)
    }


def cells(row: Row) -> dict[str, Value | None]:
    """Values of one row by column."""
    return {"member": row.name, **row.values, "status": row.status, "best_step": row.best_step or None, **row.figures}


def ordered(rows: Sequence[Row], column: str) -> list[Row]:
    """Rows sorted by a column, the better first, those that have no value there last.

    Raises:
        ValueError: there is no such column.
    """
    names = dict.fromkeys(name for row in rows for name in cells(row))
    matching = [name for name in names if column in (name, members.short_name(name))]
    if not matching:
        raise ValueError(f"no column {column} to sort by; there are {', '.join(names)}")
    have, lack = [], []
    for row in rows:
        (lack if cells(row).get(matching[0]) is None else have).append(row)

    def key(row: Row) -> Any:
        return int(row.name) if matching[0] == "member" else cells(row)[matching[0]]

    return sorted(have, key=key, reverse=matching[0] in _BETTER_HIGH) + lack


def over_seeds(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of each combination of the other fields, in their order: values, number of seeds, mean and deviation of figures.

    The deviation is that of a sample (over n − 1), None for a single seed. Members without figures are only counted.
    """
    combinations: dict[tuple, list[Row]] = {}
    for row in rows:
        rest = tuple((path, value) for path, value in row.values.items() if path != members.SEED)
        combinations.setdefault(rest, []).append(row)
    table = []

    def place(rest: tuple) -> list[tuple]:
        return [(1, 0, str(value)) if isinstance(value, str) else (0, value, "") for _, value in rest]

    for rest, same in sorted(combinations.items(), key=lambda item: place(item[0])):
        measured = [row.figures for row in same if row.figures]
        figures = {}
        for name in measured[0] if measured else ():
            values = np.array([figures[name] for figures in measured if name in figures])
            figures[name] = (float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)
        table.append({"values": dict(rest), "seeds": len(same), "measured": len(measured), "figures": figures})
    return table


def shown(name: str, value: Any) -> str:
    """A value as a reader wants it, shares in percent; of a mean with its deviation both."""
    if value is None:
        return ""
    if name.startswith("accuracy"):
        value = tuple(part and 100 * part for part in value) if isinstance(value, tuple) else 100 * value
    if isinstance(value, tuple):
        return " ± ".join(f"{part:,.{_DIGITS[name] or 1}f}" for part in value if part is not None).replace("-", "−")
    if name in _DIGITS:
        return f"{value:,.{_DIGITS[name]}f}".replace("-", "−")
    return f"{value:g}" if isinstance(value, float) else str(value)


def seeds_table(rows: Sequence[Row], headings: Mapping[str, str]) -> list[list[str]]:
    """The table over seeds in words, its headings first."""
    table = over_seeds(rows)
    paths = list(table[0]["values"])
    names = [name for name in _DIGITS if name in headings]
    lines = [[*(headings[path] for path in paths), "seeds", *(headings[name] for name in names)]]
    for entry in table:
        seeds = str(entry["seeds"]) if entry["measured"] == entry["seeds"] else "{measured} of {seeds}".format(**entry)
        values = [shown(path, entry["values"][path]) for path in paths]
        lines.append([*values, seeds, *(shown(name, entry["figures"].get(name)) for name in names)])
    return lines


def as_csv(rows: Sequence[Row], headings: Mapping[str, str]) -> str:
    """The table with every digit; cells without a value are empty."""
    return plain_table.as_csv([headings, *([cells(row).get(name) for name in headings] for row in rows)])


def verdicts(rows: Sequence[Row], unit: str) -> list[str]:
    """Sentences about who is best and who diverged, from the numbers alone."""
    sentences = []
    if len(rows) > 1:
        if judged := [row for row in rows if "criterion" in row.figures]:
            first = ordered(judged, "criterion")[0]
            sentences.append(f"Unless told, jaxvae.load takes member {first.name}, which has the lowest criterion.")
        else:
            sentences.append("The members are not compared by one criterion; jaxvae.load wants the index of one.")
    for name, title in sweeps.titles(unit).items():
        known = [row for row in rows if name in row.figures]
        if known and name not in ("criterion", "kl", "active_units", "mean_squared"):
            first = ordered(known, name)[0]
            which = f"member {first.name} ({members.words(first.values)})" if first.values else "the one member"
            sentences.append(f"Best {title}: {shown(name, first.figures[name])}, {which}.")
    diverged = [row.name for row in ordered(rows, "member") if row.status.startswith("diverged")]
    if diverged:
        sentences.append(f"{len(diverged)} of {len(rows)} members diverged: {', '.join(diverged)}.")
    if any(path.startswith("spectrogram.") for path in rows[0].values):
        sentences.append("Spectrograms differ: −ELBO and squared error compare only members that share one.")
    return sentences
