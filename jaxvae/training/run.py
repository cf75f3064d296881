"""One training run of one member or many: its data, its compiled functions, its state and its folder."""

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Bool, Float, UInt8

from jaxvae import config, spectrogram
from jaxvae.config import BLOCK_CLIPS, Experiment
from jaxvae.data import dataset
from jaxvae.data.audio import to_float
from jaxvae.data.input_pipeline import InputPipeline, Pool
from jaxvae.models.vae import VAE, Draws, draw
from jaxvae.spectrogram import Statistics
from jaxvae.sweep import Value
from jaxvae.training import losses, population, train_state
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.optimizer import Hyperparams, hyperparams
from jaxvae.training.run_folder import Group
from jaxvae.training.summaries import Summaries
from jaxvae.training.train_state import TrainState, Weights
from jaxvae.training.vae_steps import Metrics, eval_step, reconstruct, train_steps

CRITERION = "val/criterion"
"""Figure by which the best weights are chosen: nats of what is read, in every mode trained, or else the -ELBO."""
STATISTICS_CLIPS = 2_048
SHOWN_CLIPS = 6
STEPS_PER_CALL_CPU = 8  # of all members together
SHOWN_MEMBERS = 8  # whose pictures and sounds are logged: 2 MB a member and validation


class TrainingDiverged(RuntimeError):
    """A loss of every member was not finite."""


class Run:
    """Members of one program in their folder: continued from the newest checkpoint there, or begun.

    A single model is a population of one. Every host of a run makes one of these and calls the same methods in the same
    order; the first host writes the logs.
    """

    def __init__(self, group: Group) -> None:
        _require_writable(group.folder)
        self.group, self.members, self.folder = group, group.members, group.folder
        members = group.members
        widest = max(member.model.latent_dim for member in members)
        model = dataclasses.replace(members[0].model, latent_dim=widest)
        self.experiment = dataclasses.replace(members[0], model=model)
        """What the program is made for; its numbers are those of the first member."""
        settings, execution = self.experiment.train, self.experiment.execution
        self.mesh = population.make_mesh(len(members), settings.batch_size, execution)
        self.checkpoints = Checkpoints(group.folder / "checkpoints", keep=2)
        record = self._previous_record()
        self.data = _render(self.experiment)
        if record is not None and record["dataset"] != self.data.identity:
            raise CheckpointError(
                f"{group.folder} was trained on data set {record['dataset']}, but the recordings or effects now make "
                f"{self.data.identity}; use another --workdir, or restore the recordings"
            )
        self.train, self.validation = self.data.split("train"), self.data.split("validation")
        self.statistics = self._statistics() if record is None else spectrogram.statistics_from(record["statistics"])
        reads = any(member.objective.reads for member in members)
        self.model = VAE(model, tuple(len(kind.parameters) for kind in self.data.effects) if reads else ())
        numbers = jax.tree.map(lambda *values: np.stack(values), *map(hyperparams, members))
        self.hyperparams: Hyperparams = population.place(numbers, self.mesh, population.MEMBERS)
        self._at_once = population.members_at_once(len(members), self.mesh, execution)
        self._begin() if record is None else self._continue(record)

        first_host = jax.process_index() == 0
        self.logs = {index: Summaries(log, self.step) for index, log in enumerate(group.logs) if first_host}
        for index, log in self.logs.items():
            text = json.dumps(config.to_dict(members[index]), indent=1)
            log.text(self.step, "config", f"```json\n{text}\n```")
            log.hyperparameters(self.varied(index))
        self._train_feed = InputPipeline(self.train, self.experiment, self.statistics, self.mesh)
        self._validation_feed = InputPipeline(self.validation, self.experiment, self.statistics, self.mesh)
        self._advance = jax.jit(self._feed_and_train, donate_argnums=0)
        self._evaluate = jax.jit(self._feed_and_eval)
        self._reconstruct = jax.jit(self._feed_and_reconstruct)
        self._keep = jax.jit(_keep_better, donate_argnums=2)
        self._steps_per_call = execution.steps_per_call or self._default_steps_per_call()

    def _default_steps_per_call(self) -> int:
        """Steps that divide the run evenly, so that one length is compiled, and few enough to stop in a second or two.

        A call on a CPU takes fresh memory for all it computes, which costs a small network as long as half a step; on
        an accelerator it costs a launch.
        """
        settings, cpu = self.experiment.train, self.mesh.devices.flat[0].platform == "cpu"
        most = max(1, STEPS_PER_CALL_CPU // len(self.members)) if cpu else settings.log_every
        even = math.gcd(settings.steps, settings.log_every, settings.validate_every)
        return max(steps for steps in range(1, even + 1) if even % steps == 0 and steps <= most)

    def _create(self, numbers: Hyperparams) -> TrainState:
        create = functools.partial(
            train_state.create, model=self.model, bins=self.experiment.bins, frames=self.experiment.frames
        )
        return population.over_members(create, self.mesh, 1, mapped=1)(numbers)

    def _begin(self) -> None:
        self.state = jax.jit(self._create, compiler_options=train_state.RUN_ONCE)(self.hyperparams)
        self.best: Weights = jax.tree.map(jnp.copy, self.state.weights)  # a copy, because the state is donated
        self.step = 0
        self.validated = [{"best": None, "best_step": 0, "stale": 0} for _ in self.members]
        self.diverged = np.zeros(len(self.members), bool)

    def _continue(self, record: dict[str, Any]) -> None:
        self.step = record["step"]
        state = jax.eval_shape(self._create, self.hyperparams)
        sharding = jax.sharding.NamedSharding(self.mesh, population.MEMBERS)
        restored = self.checkpoints.restore(self.step, {"state": state, "best": state.weights}, sharding)
        self.state, self.best = restored["state"], restored["best"]
        self.validated = record["validation"]
        self.diverged = population.gather(self.state.diverged)

    def varied(self, member: int) -> dict[str, Value]:
        """Fields in which members of the sweep differ, with the values of one."""
        values = config.flat(self.members[member])
        return {path: values[path] for path in self.group.swept}

    def _previous_record(self) -> dict[str, Any] | None:
        step = self.checkpoints.latest_step()
        if step is None:
            return None
        record = self.checkpoints.record(step)
        previous = [config.from_dict(values) for values in record["members"]]
        # Where files lie and how the machine is used may change: what is in the files is in the data set's identity.
        free = ("data.directory:", "data.audio:", "data.test_audio:", "execution.")
        changed = [
            line if len(self.members) == 1 else f"member {index}: {line}"
            for index, pair in enumerate(zip(previous, self.members, strict=False))
            for line in config.differences(*pair)
            if not line.startswith(free)
        ]
        if len(previous) != len(self.members):
            changed.append(f"members: {len(previous)} -> {len(self.members)}")
        if changed:
            raise CheckpointError(
                f"{self.folder} holds a run of another config; use another --workdir, or undo these changes:\n  "
                + "\n  ".join(changed)
            )
        return record

    def _statistics(self) -> Statistics:
        shown = np.arange(min(self.train.clips, STATISTICS_CLIPS))
        batches = (self.train.audio(part) for part in np.array_split(shown, -(-len(shown) // 64)))
        return spectrogram.statistics(batches, self.experiment.audio, self.experiment.spectrogram)

    def _feed_and_train(
        self, state: TrainState, numbers: Hyperparams, running: jax.Array, pool: Pool | None, batches: Any
    ) -> tuple[TrainState, Metrics]:
        """The states after the steps of `batches` (step, batch, ...), and figures (member, step)."""

        # Every member sees the same examples, so they are computed before the members part.
        examples = jax.lax.map(lambda batch: self._train_feed.examples(pool, batch), batches)
        steps = functools.partial(train_steps, model=self.model, objective=self.experiment.objective)
        many = population.over_members(steps, self.mesh, self._at_once, mapped=3)
        return many(state, numbers, running, examples)

    def _feed_and_eval(
        self, weights: Weights, numbers: Hyperparams, pool: Pool | None, batch: Any, draws: Draws
    ) -> Metrics:
        evaluate = functools.partial(eval_step, model=self.model)
        many = population.over_members(evaluate, self.mesh, self._at_once, mapped=2)
        return many(weights, numbers, self._validation_feed.examples(pool, batch), draws)

    def _feed_and_reconstruct(
        self, weights: Weights, numbers: Hyperparams, pool: Pool | None, batch: Any
    ) -> tuple[jax.Array, jax.Array]:
        spectrograms = self._validation_feed.examples(pool, batch).wet[::BLOCK_CLIPS]
        many = population.over_members(
            functools.partial(reconstruct, model=self.model), self.mesh, self._at_once, mapped=2
        )
        return spectrograms, many(weights, numbers, spectrograms)

    def batches(self) -> Iterator[Any]:
        """What `advance` takes, for all the steps still to come; none of them runs past a log or a validation."""
        settings = self.experiment.train
        source = self._train_feed.batches(settings.order_seed, self.step, settings.steps, settings.batch_size)
        periods = (self._steps_per_call, settings.log_every, settings.validate_every)
        step = self.step
        while step < settings.steps:
            end = min(settings.steps, *(step - step % period + period for period in periods))
            yield jax.tree.map(lambda *parts: np.stack(parts), *itertools.islice(source, end - step))
            step = end

    def advance(self, batches: Any) -> Metrics:
        """Take the steps of `batches`; their figures (member, step) stay on the device."""
        running = population.place(self.running, self.mesh, population.MEMBERS)
        batches = population.place(batches, self.mesh, PartitionSpec(None, "data"))
        self.state, metrics = self._advance(self.state, self.hyperparams, running, self._train_feed.pool, batches)
        self.step += len(jax.tree.leaves(batches)[0])
        return metrics

    @property
    def running(self) -> Bool[np.ndarray, "member"]:
        """Members that neither diverged nor ran out of patience."""
        patience = self.experiment.train.patience
        exhausted = np.array([0 < patience <= member["stale"] for member in self.validated])
        return ~self.diverged & ~exhausted

    def record(self, window: list[Metrics], since: float) -> tuple[float, dict[int, int]]:
        """Log the mean figures of the steps in `window`, the first of which began at `since`.

        Returns the loss, averaged over the members that go on, and the members that have diverged since the last call
        with the step that they did not take.

        Raises:
            TrainingDiverged: no member is left that has not.
        """
        running = self.running
        # This waits for the device.
        figures, diverged, steps = population.gather((window, self.state.diverged, self.state.step))
        seconds = time.perf_counter() - since
        figures = {name: np.concatenate([part[name] for part in figures], axis=1) for name in figures[0]}
        fallen = {int(member): int(steps[member]) for member in np.flatnonzero(diverged & ~self.diverged)}
        self._freeze(diverged)
        rate = figures["loss"].shape[1] * self.experiment.train.batch_size / seconds
        for member, log in self.logs.items():
            if running[member] and not diverged[member]:
                scalars = {f"train/{name}": float(values[member].mean()) for name, values in figures.items()}
                scalars["speed/clips_per_s"] = rate
                if len(self.members) > 1:
                    scalars["speed/clips_per_s_of_all_members"] = rate * int(running.sum())
                log.scalars(self.step, scalars)
        going = running & ~diverged
        return float(figures["loss"][going].mean()) if going.any() else np.nan, fallen

    def validate(self) -> list[dict[str, float]]:
        """Figures of each member over the validation set, every effect of it, none of which depends on beta."""
        split, experiment, size = self.validation, self.experiment, self.experiment.train.batch_size
        outputs: dict[str, list[np.ndarray]] = {}
        for number, first in enumerate(range(0, split.clips, size)):
            chosen = np.arange(first, first + size) % split.clips  # the last batch is filled up, then cut
            draws = draw(jax.random.key(number), size, experiment.model, dry_share=0.0, swap=0.0)
            batch = population.place(self._validation_feed.batch(chosen), self.mesh, PartitionSpec("data"))
            draws = population.place(draws, self.mesh, PartitionSpec("data"))
            weights, pool = self.state.weights, self._validation_feed.pool
            figures = population.gather(self._evaluate(weights, self.hyperparams, pool, batch, draws))
            for name, values in figures.items():
                outputs.setdefault(name, []).append(values[:, : split.clips - first])
        outputs = {name: np.concatenate(parts, axis=1) for name, parts in outputs.items()}
        values = [
            self._figures(member, {name: output[index] for name, output in outputs.items()})
            for index, member in enumerate(self.members)
        ]
        self._freeze(self.diverged | ~np.isfinite([figures[CRITERION] for figures in values]))
        for member, log in self.logs.items():
            if self.running[member]:
                used = self.members[member].model.latent_dim
                kl, mean = (outputs[name][member, :, :used] for name in ("kl", "mean"))
                log.scalars(self.step, values[member])
                log.histogram(self.step, "latent/kl_per_dimension", kl.mean(axis=0))
                log.histogram(self.step, "latent/variance_of_mean", mean.var(axis=0))
        self._show()
        for log in self.logs.values():
            log.flush()
        return values

    def _figures(self, member: Experiment, outputs: dict[str, np.ndarray]) -> dict[str, float]:
        pixels, latent_dim = member.bins * member.frames, member.model.latent_dim
        error, kl, mean = (outputs.pop(name) for name in ("mean_squared", "kl", "mean"))
        nats = (kl.sum(axis=1) + outputs.pop("content_kl")).mean()
        values = {
            "val/negative_elbo": float(losses.calibrated_negative_elbo(error.mean(), nats, pixels)),
            "val/mean_squared": float(error.mean()),
            "val/kl": float(nats),
            "latent/active_share": float((mean[:, :latent_dim].var(axis=0) > 0.01).mean()),
        }
        values |= {f"val/{name}": float(output.mean()) for name, output in outputs.items()}
        # Effect and settings are what the embedding is for; without heads, all there is to judge by is the ELBO. What
        # this member does not train, though others of its program do, says nothing of its weights.
        objective, split = member.objective, member.model.content_dim > 0
        modes = {"blind": objective.dry_share < 1 or not split, "dry_aware": objective.dry_share > 0 and split}
        heads = {"effect": objective.effect_weight > 0, "settings": objective.settings_weight > 0}
        read = [values[f"val/{mode}/{head}_nll"] for mode in modes for head in heads if modes[mode] and heads[head]]
        values[CRITERION] = sum(read) if read else values["val/negative_elbo"]
        for index, effect in enumerate(self.data.effects):
            values[f"effect/{effect.name}/mean_squared"] = float(error[self.validation.effect == index].mean())
        return values

    def _freeze(self, diverged: Bool[np.ndarray, "member"]) -> None:
        """Take note of the members that have diverged."""
        if (diverged != self.diverged).any():
            self.diverged = diverged
            self.state = self.state.replace(diverged=population.place(diverged, self.mesh, population.MEMBERS))
        if diverged.all():
            raise self._all_diverged()

    def _show(self) -> None:
        """Log reconstructions beside their inputs, and the first clip as sound: dry, wet and decoded."""
        blocks = np.arange(min(BLOCK_CLIPS * SHOWN_CLIPS, self.validation.clips))
        chosen = blocks[::BLOCK_CLIPS]  # the first of each block
        feed = self._validation_feed
        batch = population.place(feed.batch(blocks), self.mesh, population.SHARED)
        shown = self._reconstruct(self.state.weights, self.hyperparams, feed.pool, batch)
        inputs, outputs = population.gather(shown)
        rate, settings = self.experiment.audio, self.experiment.spectrogram
        wet, dry = to_float(self.validation.audio(chosen[:1])[0]), self.validation.dry(chosen[:1])[0]
        for member, log in list(self.logs.items())[:SHOWN_MEMBERS]:
            for index, effect in enumerate(self.validation.effect[chosen]):
                tag = f"reconstruction/{index}_{self.data.effects[effect].name}"
                log.image(self.step, tag, _side_by_side(inputs[index], outputs[member, index]))
            decoded = spectrogram.invert(outputs[member, :1], rate, settings, self.statistics)[0]
            for name, sound in (("1_dry", dry), ("2_wet", wet), ("3_decoded", decoded)):
                log.audio(self.step, f"audio/{name}", sound, rate.sample_rate)

    def consider(self, figures: list[dict[str, float]]) -> None:
        """Keep the weights of the members whose validation was never better, and count the others' patience."""
        better = np.zeros(len(self.members), bool)
        for member in np.flatnonzero(self.running):
            value, validated = figures[member][CRITERION], self.validated[member]
            better[member] = validated["best"] is None or value < validated["best"]
            if better[member]:
                self.validated[member] = {"best": value, "best_step": self.step, "stale": 0}
            else:
                self.validated[member] = {**validated, "stale": validated["stale"] + 1}
        if better.any():
            better = population.place(better, self.mesh, population.MEMBERS)
            self.best = self._keep(better, self.state.weights, self.best)

    def _all_diverged(self) -> TrainingDiverged:
        self.checkpoints.wait()
        good = self.checkpoints.latest_step()
        kept = f"the last good checkpoint is of step {good}" if good is not None else "no checkpoint was written yet"
        settings = self.members[0].train
        whose = "the loss, its gradient or the validation figure"
        if len(self.members) > 1:
            whose += f" of each of the {len(self.members)} members"
        return TrainingDiverged(
            f"{whose} is not finite at step {self.step}; {kept} in {self.folder / 'checkpoints'}. Lower "
            f"train.learning_rate (now {settings.learning_rate}) or train.gradient_norm (now "
            f"{settings.gradient_norm}) and train into another --workdir"
        )

    def save(self) -> None:
        """Start to write the newest state, from which the same command continues, and the best weights."""
        if self.checkpoints.latest_step() != self.step:
            record = {
                "step": self.step,
                "indices": self.group.indices,
                "diverged": self.diverged.tolist(),
                "steps": population.gather(self.state.step).tolist(),
                "members": [config.to_dict(member) for member in self.members],
                "statistics": {name: value.tolist() for name, value in self.statistics._asdict().items()},
                "dataset": self.data.identity,
                "parameters": self.model.parameters,
                "validation": self.validated,
            }
            self.checkpoints.save(self.step, {"state": self.state, "best": self.best}, record)

    def close(self) -> None:
        """Finish writing."""
        with contextlib.ExitStack() as stack:  # each, even when one of them fails
            for log in self.logs.values():
                stack.callback(log.close)
            stack.callback(self.checkpoints.close)


def _keep_better(better: jax.Array, weights: Weights, best: Weights) -> Weights:
    """The weights of members that are better, the best of the others."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, weights, best)


def _render(experiment: Experiment) -> dataset.Dataset:
    """The data set, of which every host renders its share first. Hosts that share no disk then render the rest."""
    host, hosts = jax.process_index(), jax.process_count()
    if hosts > 1:
        dataset.render(experiment, part=(host + 1, hosts), progress=host == 0)
        population.wait_for_all_hosts("rendered")
    return dataset.render(experiment, progress=host == 0)


def _require_writable(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)  # another host of the run may have been faster
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
