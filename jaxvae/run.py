"""One training run: its data, its compiled functions, its state and its folder."""

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxvae import config, dataset, losses, spectrogram, train_state
from jaxvae.audio import to_float
from jaxvae.checkpoints import CheckpointError, Checkpoints
from jaxvae.feed import Feed
from jaxvae.optimizer import Hyperparams, hyperparams
from jaxvae.spectrogram import Statistics
from jaxvae.summaries import Summaries
from jaxvae.train_state import TrainState
from jaxvae.vae import VAE
from jaxvae.vae_steps import Metrics, eval_step, train_step

STATISTICS_CLIPS = 2_048
SHOWN_CLIPS = 6


class TrainingDiverged(RuntimeError):
    """A loss was not finite."""


class Run:
    """A run in its folder: continued from the newest checkpoint there, or begun."""

    def __init__(self, experiment: config.Experiment, workdir: Path) -> None:
        _require_writable(workdir)
        self.experiment, self.workdir = experiment, workdir
        self.newest = Checkpoints(workdir / "checkpoints", keep=2)
        self.best = Checkpoints(workdir / "best", keep=1)
        record = self._previous_record()
        self.data = dataset.render(experiment)
        if record is not None and record["dataset"] != self.data.identity:
            raise CheckpointError(
                f"{workdir} was trained on data set {record['dataset']}, but the recordings or effects now make "
                f"{self.data.identity}; use another --workdir, or restore the recordings"
            )
        self.train, self.validation = self.data.split("train"), self.data.split("validation")
        self.statistics = self._statistics() if record is None else spectrogram.statistics_from(record["statistics"])
        self.validated = {"best": None, "best_step": 0, "stale": 0} if record is None else record["validation"]

        self.model = VAE(experiment.model)
        self.hyperparams = hyperparams(experiment)
        create = functools.partial(train_state.create, model=self.model, bins=experiment.bins, frames=experiment.frames)
        if record is None:
            self.state = jax.jit(create, compiler_options=train_state.RUN_ONCE)(self.hyperparams)
        else:
            step = self.newest.latest_step()
            self.state = self.newest.state(step, jax.eval_shape(create, self.hyperparams))
        self.step = int(self.state.step)
        self.best.forget_after(self.step)
        self.log = Summaries(workdir, self.step)
        self.log.text(self.step, "config", f"```json\n{json.dumps(config.to_dict(experiment), indent=1)}\n```")

        self._train_feed = Feed(self.train, experiment, self.statistics)
        self._validation_feed = Feed(self.validation, experiment, self.statistics)
        self._train_step = jax.jit(self._feed_and_train, donate_argnums=0)
        self._eval_step = jax.jit(self._feed_and_eval)

    def _previous_record(self) -> dict[str, Any] | None:
        step = self.newest.latest_step()
        if step is None:
            return None
        record = self.newest.record(step)
        changed = config.differences(config.from_dict(record["experiment"]), self.experiment)
        # Where files lie may change: what is in them is in the data set's identity, which is compared as well.
        places = ("data.directory:", "data.audio:", "data.test_audio:")
        changed = [line for line in changed if not line.startswith(places)]
        if changed:
            raise CheckpointError(
                f"{self.workdir} holds a run of another config; use another --workdir, or undo these changes:\n  "
                + "\n  ".join(changed)
            )
        return record

    def _statistics(self) -> Statistics:
        shown = np.arange(min(self.train.clips, STATISTICS_CLIPS))
        batches = (self.train.audio(part) for part in np.array_split(shown, -(-len(shown) // 64)))
        return spectrogram.statistics(batches, self.experiment.audio, self.experiment.spectrogram)

    def _feed_and_train(self, state: TrainState, numbers: Hyperparams, pool: jax.Array | None, batch: jax.Array) -> Any:
        return train_step(
            state,
            numbers,
            self._train_feed.spectrograms(pool, batch),
            model=self.model,
            objective=self.experiment.objective,
            steps_per_epoch=self.experiment.steps_per_epoch,
        )

    def _feed_and_eval(self, state: TrainState, pool: jax.Array | None, batch: jax.Array, noise: jax.Array) -> Metrics:
        spectrograms = self._validation_feed.spectrograms(pool, batch)
        return {"input": spectrograms, **eval_step(state, spectrograms, noise, model=self.model)}

    def batches(self) -> Iterator[np.ndarray]:
        """What `advance` takes, for each step still to come."""
        settings = self.experiment.train
        return self._train_feed.batches(settings.seed, self.step, settings.steps, settings.batch_size)

    def advance(self, batch: np.ndarray) -> dict[str, jax.Array]:
        """Take one step; its figures stay on the device."""
        self.state, metrics = self._train_step(self.state, self.hyperparams, self._train_feed.pool, batch)
        self.step += 1
        return metrics

    def record(self, window: list[dict[str, jax.Array]], since: float) -> float:
        """Log the mean figures of the steps in `window`, the first of which began at `since`. Returns the loss.

        Raises:
            TrainingDiverged: the loss of one of the steps is not finite.
        """
        fetched = jax.device_get(window)  # waits for the device
        seconds = time.perf_counter() - since
        figures = {name: float(np.mean([step[name] for step in fetched])) for name in fetched[0]}
        if not np.isfinite([figures["loss"], figures["gradient_norm"]]).all():
            raise self._diverged("the loss or its gradient")
        scalars = {f"train/{name}": value for name, value in figures.items()}
        scalars["speed/clips_per_s"] = len(window) * self.experiment.train.batch_size / seconds
        self.log.scalars(self.step, scalars)
        return figures["loss"]

    def validate(self) -> dict[str, float]:
        """Figures over the validation set, every effect of it, none of which depends on beta."""
        split, experiment, size = self.validation, self.experiment, self.experiment.train.batch_size
        outputs: dict[str, list[np.ndarray]] = {"mean_squared": [], "kl": [], "mean": []}
        for number, first in enumerate(range(0, split.clips, size)):
            chosen = np.arange(first, first + size) % split.clips  # the last batch is filled up, then cut
            noise = jax.random.normal(jax.random.key(number), (size, experiment.model.latent_dim))
            figures = self._evaluate(chosen, noise)
            for name, parts in outputs.items():
                parts.append(np.asarray(figures[name])[: split.clips - first])
        error, kl, mean = (np.concatenate(outputs[name]) for name in ("mean_squared", "kl", "mean"))
        variance = mean.var(axis=0)
        pixels = experiment.bins * experiment.frames
        elbo = losses.calibrated_negative_elbo(error.mean(), kl.sum(axis=1).mean(), pixels)
        if not np.isfinite(elbo):
            raise self._diverged("the validation figure")
        values = {
            "val/negative_elbo": float(elbo),
            "val/mean_squared": float(error.mean()),
            "val/kl": float(kl.sum(axis=1).mean()),
            "latent/active_share": float((variance > 0.01).mean()),
        }
        for index, effect in enumerate(self.data.effects):
            values[f"effect/{effect.name}/mean_squared"] = float(error[split.effect == index].mean())
        self.log.scalars(self.step, values)
        self.log.histogram(self.step, "latent/kl_per_dimension", kl.mean(axis=0))
        self.log.histogram(self.step, "latent/variance_of_mean", variance)
        self._show()
        self.log.flush()
        return values

    def _evaluate(self, chosen: Int[np.ndarray, "batch"], noise: jax.Array) -> Metrics:
        feed = self._validation_feed
        return self._eval_step(self.state, feed.pool, feed.batch(chosen), noise)

    def _show(self) -> None:
        """Log reconstructions beside their inputs, and the first clip as sound: dry, wet and decoded."""
        chosen = np.arange(min(SHOWN_CLIPS, self.validation.clips))
        figures = self._evaluate(chosen, jnp.zeros((len(chosen), self.experiment.model.latent_dim)))
        inputs, outputs = np.asarray(figures["input"]), np.asarray(figures["reconstruction"])
        for index, effect in enumerate(self.validation.effect[chosen]):
            tag = f"reconstruction/{index}_{self.data.effects[effect].name}"
            self.log.image(self.step, tag, _side_by_side(inputs[index], outputs[index]))
        rate, settings = self.experiment.audio, self.experiment.spectrogram
        decoded = spectrogram.invert(outputs[:1], rate, settings, self.statistics)[0]
        wet = to_float(self.validation.audio(chosen[:1])[0])
        dry = self.validation.dry(chosen[:1])[0]
        for name, sound in (("1_dry", dry), ("2_wet", wet), ("3_decoded", decoded)):
            self.log.audio(self.step, f"audio/{name}", sound, rate.sample_rate)

    def consider(self, figures: dict[str, float]) -> bool:
        """Keep the state if validation was never better. Returns whether patience has run out."""
        value, validated = figures["val/negative_elbo"], self.validated
        if validated["best"] is None or value < validated["best"]:
            self.validated = {"best": value, "best_step": self.step, "stale": 0}
            self._save(self.best)
        else:
            self.validated = {**validated, "stale": validated["stale"] + 1}
        return self.exhausted()

    def exhausted(self) -> bool:
        """Whether validation has not improved for `patience` times."""
        patience = self.experiment.train.patience
        return 0 < patience <= self.validated["stale"]

    def _diverged(self, what: str) -> TrainingDiverged:
        self.newest.wait()
        good = self.newest.latest_step()
        kept = f"the last good checkpoint is of step {good}" if good is not None else "no checkpoint was written yet"
        return TrainingDiverged(
            f"{what} is not finite at step {self.step}; {kept} in {self.workdir / 'checkpoints'}. Lower "
            f"train.learning_rate (now {self.experiment.train.learning_rate}) or train.gradient_norm "
            f"(now {self.experiment.train.gradient_norm}) and train into another --workdir"
        )

    def save(self) -> None:
        """Start to write the newest state, from which the same command continues."""
        if self.newest.latest_step() != self.step:
            self._save(self.newest)

    def _save(self, checkpoints: Checkpoints) -> None:
        record = {
            "experiment": config.to_dict(self.experiment),
            "statistics": {name: value.tolist() for name, value in self.statistics._asdict().items()},
            "dataset": self.data.identity,
            "validation": self.validated,
        }
        checkpoints.save(self.step, self.state, record)

    def close(self) -> None:
        """Finish writing."""
        with contextlib.ExitStack() as stack:  # each, even when one of them fails
            stack.callback(self.log.close)
            stack.callback(self.best.close)
            stack.callback(self.newest.close)


def _require_writable(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write to the workdir {workdir}: {error.strerror}; choose another --workdir") from error


def _side_by_side(
    spectrogram: Float[np.ndarray, "bin frame"], reconstruction: Float[np.ndarray, "bin frame"]
) -> UInt8[np.ndarray, "row column 3"]:
    """Input left, reconstruction right, low frequencies below; dark to bright is -3 to 3 standard deviations."""
    gap = np.full((len(spectrogram), 4), 3.0)
    values = np.concatenate([spectrogram, gap, reconstruction], axis=1)[::-1]
    colours = matplotlib.colormaps["magma"](np.clip((values + 3.0) / 6.0, 0.0, 1.0), bytes=True)
    return colours[..., :3].repeat(2, axis=0).repeat(2, axis=1)
