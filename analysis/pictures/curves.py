"""Pictures of a run itself: training curves, KL divergence of each latent dimension, reconstructions."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.ticker
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.pictures import style
from jaxvae import spectrogram
from jaxvae.config import Experiment

_PANELS = {
    "loss": "loss",  # with its unit, which depends on the objective
    "negative_elbo": "−ELBO, β = 1 (nats a clip)",
    "mean_squared": "squared error (σ²)",
    "kl": "KL (nats a clip)",
    "beta": "β",
    "active_share": "active latent dimensions",  # of how many, which depends on the model
}


def read_scalars(run: Path) -> dict[str, Float[np.ndarray, "point 2"]]:
    """Step and value of each scalar in a run's TensorBoard logs, by tag."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: np.array([(event.step, event.value) for event in events.Scalars(tag)]) for tag in events.Tags()["scalars"]
    }


def plot_training(scalars: dict[str, Float[np.ndarray, "point 2"]], experiment: Experiment) -> Figure:
    """Curves of the loss and its terms over the steps, training and validation in one panel.

    Raises:
        ValueError: the logs hold none of them.
    """
    panels = {name: [tag for tag in scalars if tag.rpartition("/")[2] == name] for name in _PANELS}
    panels = {
        name: [tag for tag in tags if not tag.startswith("effect/")]
        for name, tags in panels.items()
        if any(not tag.startswith("effect/") for tag in tags)
    }
    if not panels:
        raise ValueError(f"the logs hold none of {', '.join(_PANELS)}; they hold {', '.join(scalars) or 'nothing'}")
    latents = experiment.model.latent_dim
    titles = _PANELS | {"active_share": f"{_PANELS['active_share']}, of {latents}"}
    if experiment.objective.reconstruction == "gaussian":
        titles["loss"] += " (nats a clip)"
    with style.new_grid(len(panels), 3, 7.4 / 3, 2.1) as (drawing, grid):
        for axes, (name, tags) in zip(grid, panels.items(), strict=True):
            for tag in tags:
                validation = not tag.startswith("train/")  # the active share, too, is of the validation set
                steps, values = scalars[tag].T
                values = latents * values if name == "active_share" else values
                axes.plot(
                    steps,
                    values,
                    color=style.COLOURS[1 if validation else 0],
                    marker="." if validation else None,
                    linewidth=1,
                    label="validation" if validation else "training",
                )
            if name == "mean_squared" or (all(scalars[tag][:, 1].min() > 0 for tag in tags) and name == "kl"):
                axes.set_yscale("log")
            if len(tags) > 1:
                axes.legend()
            if name == "active_share":
                axes.set_ylim(0, 1.05 * latents)
            axes.set(title=titles[name], xlabel="step")
    return drawing


def plot_kl(kl: Float[np.ndarray, " latent"], active: int) -> Figure:
    """KL divergence of each latent dimension, sorted."""
    with style.new(7.4, 2.1) as drawing:
        axes = drawing.subplots()
        axes.bar(np.arange(1, len(kl) + 1), np.sort(kl)[::-1], width=1.0, color=style.COLOURS[0])
        axes.set(xlabel="latent dimension, sorted", ylabel="KL (nats)", xlim=(0.5, len(kl) + 0.5))
        axes.set_title(f"{active} of {len(kl)} dimensions are active (variance of the mean above 0.01)")
    return drawing


def plot_reconstructions(
    columns: dict[str, Float[np.ndarray, "clip bin frame"]],
    names: Sequence[str],
    experiment: Experiment,
    unit: str,
) -> Figure:
    """Spectrograms, a row for each clip and a column for the input and each reconstruction of it."""
    seconds = experiment.audio.clip_samples / experiment.audio.sample_rate
    low, high = np.percentile(next(iter(columns.values())), [1, 99.8])
    with style.new(7.4, 1.45 * len(names) + 0.4) as drawing:
        grid = drawing.subplots(len(names), len(columns), squeeze=False, sharex=True, sharey=True)
        for column, (title, spectrograms) in enumerate(columns.items()):
            grid[0, column].set_title(title)
            grid[-1, column].set_xlabel("time (s)")
            for row, axes in enumerate(grid[:, column]):
                picture = axes.imshow(
                    spectrograms[row],
                    origin="lower",
                    aspect="auto",
                    cmap="magma",
                    vmin=low,
                    vmax=high,
                    extent=(0, seconds, 0, experiment.bins),
                    interpolation="nearest",
                )
        frequencies = spectrogram.frequencies(experiment.audio, experiment.spectrogram)
        shown = np.array([hz for hz in (250, 1_000, 4_000, 16_000) if hz < frequencies[-1]])
        places = 0.5 + np.interp(shown, frequencies, np.arange(experiment.bins))
        for name, axes in zip(names, grid[:, 0], strict=True):
            axes.set_ylabel(f"{name}\nfrequency (Hz)", fontsize=8)
            axes.yaxis.set_major_locator(matplotlib.ticker.FixedLocator(places))
            axes.yaxis.set_major_formatter(matplotlib.ticker.FixedFormatter([str(hz) for hz in shown]))
        drawing.colorbar(picture, ax=grid, shrink=0.6, label=f"level ({unit})")
    return drawing
