"""The table of a sweep: its rows, their order and their words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.metrics import probes, reconstruction
from analysis.models import members, representations
from analysis.pages import plain_table
from analysis.pictures import curves, sweeps
from analysis.pictures.sweeps import Row
from analysis.renders import material
from analysis.renders.plan import draw_dry, random_settings
from analysis.sections.score import both_heard
from analysis.sections.settings import of_recovered, ridge
from jaxvae import config, inference
from jaxvae.sweep import Value
from jaxvae.training import run_folder
from jaxvae.training.run_folder import Member

COMPONENTS = 128
_BETTER_HIGH = ("accuracy", "r2")
MEASURED = ("rms_error", "accuracy", "r2")  # not in the logs
_DIGITS = {"negative_elbo": 1, "mean_squared": 4, "kl": 2, "active_units": 0, "rms_error": 2, "accuracy": 3, "r2": 3}


Scalars = Mapping[str, Float[np.ndarray, "point 2"]]


def read(run: Path) -> tuple[list[Row], dict[str, Scalars]]:
    """Members of a run with their validation figures, and the curves of each by name.

    Raises:
        CheckpointError: the run has no checkpoint.
    """
    saved = run_folder.read(run)
    found = dict(saved)
    for logs in sorted(run.glob("member_*")):  # of groups that have no checkpoint yet, or never will
        index = int(logs.name.removeprefix("member_"))
        if index not in saved:
            found[index] = Member(_logged_experiment(logs), logs, 0, None, 0, False, 0, logs)
    fields = members.swept([member.experiment for member in found.values()])
    rows, scalars = [], {}
    for index, member in sorted(found.items()):
        scalars[str(index)] = points = curves.read_scalars(member.logs)
        values = members.values(member.experiment, fields)
        figures = {} if member.diverged or member.best is None else _at_best(points, member)
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
    clips: tuple[int, int],
    seed: int = 0,
    directory: str | None = None,
) -> tuple[dict[str, dict[str, float]], str]:
    """Structure and reconstruction of encoders and of baselines on the same unseen clips, and the error's unit.

    `clips` are dry clips to fit probes on and to score them on; each meets every effect. Baselines are made for the
    spectrogram and the network of the best encoder.

    Raises:
        ValueError: the encoders were trained on different clips.
    """
    data = members.data(list(encoders.values()), directory, ("train", "test"))
    train, test = data.split("train"), data.split("test")
    rate = data.experiment.audio.sample_rate
    first = {best: encoders[best]} | encoders
    rows, components = representations.rows(first, train, COMPONENTS, seed)
    rows = [row for row in rows if row.hears == "wet" or row.name == "constant"]
    kinds = list(data.effects)
    plans = [
        random_settings(kinds, draw_dry(split, count, seed), 2 * seed + number)
        for number, (split, count) in enumerate(zip((train, test), clips, strict=True))
    ]
    seen = [
        material.represent(plan, split, rate, rows, f"random settings, {name}")
        for plan, split, name in zip(plans, (train, test), ("train", "test"), strict=True)
    ]
    figures: dict[str, dict[str, float]] = {}
    for row in rows:
        fit, held, _ = both_heard(*(renders.labelled(row.name) for renders in seen))
        scores = of_recovered(ridge(fit, held), held, kinds, {})
        figures[row.name] = {
            score.figure: score.value for score in scores if (score.figure, score.item) == ("r2", "all")
        }
        if len(np.unique(fit.effect)) > 1:
            figures[row.name]["accuracy"] = probes.classify(fit, held, seed)["logistic"].accuracy
    rebuilt = {name: (encoder, encoder.reconstruct) for name, encoder in encoders.items()} | {
        components.name: (encoders[best], components.reconstruct),
        "constant": (encoders[best], lambda wet, rate: components.band_mean),
    }
    for name, (encoder, guess) in rebuilt.items():
        _, squares = reconstruction.squared_errors(encoder, {name: guess}, test, seed)
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
    """Of each combination of the other fields: its values, how many seeds, and mean and deviation of each figure.

    The deviation is that of a sample (over n − 1), None for a single seed. Members without figures are only counted.
    """
    combinations: dict[tuple, list[Row]] = {}
    for row in rows:
        rest = tuple((path, value) for path, value in row.values.items() if path != members.SEED)
        combinations.setdefault(rest, []).append(row)
    table = []
    for rest, same in combinations.items():
        measured = [row.figures for row in same if row.figures]
        figures = {}
        for name in measured[0] if measured else ():
            values = np.array([figures[name] for figures in measured if name in figures])
            figures[name] = (float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)
        table.append({"values": dict(rest), "seeds": len(same), "measured": len(measured), "figures": figures})
    return table


def shown(name: str, value: Any) -> str:
    """A value as a reader wants it; of a mean with its deviation both."""
    if value is None:
        return ""
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
    for name, title in sweeps.titles(unit).items():
        known = [row for row in rows if name in row.figures]
        if known and name not in ("kl", "active_units", "mean_squared"):
            first = ordered(known, name)[0]
            which = f"member {first.name} ({members.words(first.values)})" if first.values else "the one member"
            sentences.append(f"Best {title}: {shown(name, first.figures[name])}, {which}.")
    diverged = [row.name for row in ordered(rows, "member") if row.status.startswith("diverged")]
    if diverged:
        sentences.append(f"{len(diverged)} of {len(rows)} members diverged: {', '.join(diverged)}.")
    if any(path.startswith("spectrogram.") for path in rows[0].values):
        sentences.append("Spectrograms differ: −ELBO and squared error compare only members that share one.")
    return sentences
