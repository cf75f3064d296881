"""One training run of one member or many, whatever its task: compiled functions, state, figures, and its folder."""

import contextlib
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
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Bool

from jaxvae import devices, fields
from jaxvae.fields import Value
from jaxvae.training import population, run_folder, train_state
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.hyperparams import Hyperparams, hyperparams
from jaxvae.training.run_folder import Group
from jaxvae.training.summaries import Summaries
from jaxvae.training.task import Record, Task
from jaxvae.training.train_state import Metrics, TrainState, Weights

CRITERION = "val/criterion"
"""Name, in logs, of the sum by which the steps of a member are judged (`Task.criterion`)."""
STEPS_PER_CALL_CPU = 8  # of all members together


_DESCRIPTIONS = {
    "config": "The experiment, every field with its value.",
    "train/loss": "What the steps minimise: the sum of the terms, each times its weight. Mean over the steps since the "
    "last point.",
    "train/learning_rate": "Learning rate of Adam.",
    "train/gradient_norm": "Euclidean norm of the gradient, before it is scaled down.",
    "speed/clips_per_s": "Clips a second that a member is trained on, waiting for data included.",
    "speed/clips_per_s_of_all_members": "Clips a second, those of each member counted.",
}


class TrainingDiverged(RuntimeError):
    """A loss of every member was not finite."""


def start(group: Group, kind: type[Task]) -> "Run":
    """The run of a group of members in its folder: continued from the newest checkpoint there, or begun.

    Every host of a run calls this, and then the same methods in the same order.

    Raises:
        CheckpointError: the folder holds a run of another config or other data.
        OSError: the folder cannot be written.
        ValueError: the members or the batch cannot be divided over the devices.
    """
    first = group.members[0]
    _require_writable(group.folder)
    mesh = devices.make_mesh(len(group.members), first.train.batch_size, first.execution, kind.BLOCK)
    checkpoints = Checkpoints(group.folder / "checkpoints", keep=2)
    record = _previous_record(checkpoints, group, kind)
    try:
        task = kind.prepare(group.members, mesh, record)
    except CheckpointError as error:
        raise CheckpointError(f"{group.folder}: {error}") from error
    run = Run(group, task, mesh, checkpoints)
    run.begin() if record is None else run.resume(record)
    run.open_logs()
    return run


def require_same(group: Group, kind: type[Task]) -> None:
    """Nothing, where the folder of a group holds no checkpoint, or one of this group.

    Raises:
        CheckpointError: it holds a run of another config.
    """
    if run_folder.has_checkpoint(group.folder):
        with contextlib.closing(Checkpoints(group.folder / "checkpoints", keep=2)) as checkpoints:
            _previous_record(checkpoints, group, kind)


class Run:
    """Members of one program in their folder, made by `start`. A single model is a population of one.

    The first host writes the logs.
    """

    def __init__(self, group: Group, task: Task, mesh: Mesh, checkpoints: Checkpoints) -> None:
        self.group, self.task, self.mesh, self.checkpoints = group, task, mesh, checkpoints
        self.members, self.folder, self.experiment = group.members, group.folder, task.experiment
        numbers = jax.tree.map(lambda *values: np.stack(values), *map(hyperparams, self.members))
        self.hyperparams: Hyperparams = devices.place(numbers, mesh, devices.MEMBERS)
        execution = self.experiment.execution
        self._at_once = population.members_at_once(len(self.members), mesh, execution)
        self._steps_per_call = execution.steps_per_call or self._default_steps_per_call()
        self._advance = jax.jit(self._steps, donate_argnums=0)
        self._evaluate = jax.jit(functools.partial(self._of_validation, task.evaluate))
        self._shown = jax.jit(functools.partial(self._of_validation, task.shown))
        self._keep = jax.jit(_keep_better, donate_argnums=2)
        self.step = 0
        never = {"best": None, "best_step": 0, "stale": 0, "figures": {}}
        self.validated: list[dict[str, Any]] = [never for _ in self.members]
        self.diverged = np.zeros(len(self.members), bool)
        self.logs: dict[int, Summaries] = {}

    def _default_steps_per_call(self) -> int:
        """Steps that divide the run evenly, so that one length is compiled, and few enough to stop in a second or two.

        A call on a CPU takes fresh memory for all it computes, which costs a small network as long as half a step; on
        an accelerator it costs a launch.
        """
        train, cpu = self.experiment.train, self.mesh.devices.flat[0].platform == "cpu"
        most = max(1, STEPS_PER_CALL_CPU // len(self.members)) if cpu else train.log_every
        even = math.gcd(train.steps, train.log_every, train.validate_every)
        return max(steps for steps in range(1, even + 1) if even % steps == 0 and steps <= most)

    # Compiled

    def _create(self, numbers: Hyperparams) -> TrainState:
        return population.over_members(self.task.create, self.mesh, 1, mapped=1)(numbers)

    def _steps(
        self, state: TrainState, numbers: Hyperparams, running: jax.Array, pool: Any, batches: Any
    ) -> tuple[TrainState, Metrics]:
        """The states after the steps of `batches` (step, batch, ...), and figures (member, step)."""
        # Every member sees the same examples, so they are computed before the members part.
        examples = jax.lax.map(lambda batch: self.task.train.examples(pool, batch), batches)
        steps = functools.partial(train_state.take_steps, self.task.step)
        return population.over_members(steps, self.mesh, self._at_once, mapped=3)(state, numbers, running, examples)

    def _of_validation(self, function: Any, weights: Weights, numbers: Hyperparams, pool: Any, batch: Any) -> Any:
        """`function` of every member's weights and of a batch of the validation set."""
        many = population.over_members(function, self.mesh, self._at_once, mapped=2)
        return many(weights, numbers, self.task.validation.examples(pool, batch))

    # Begun and continued

    def begin(self) -> None:
        """Take fresh weights."""
        self.state = jax.jit(self._create, compiler_options=train_state.RUN_ONCE)(self.hyperparams)
        self.best: Weights = jax.tree.map(jnp.copy, self.state.weights)  # a copy, because the state is donated

    def resume(self, record: Record) -> None:
        """Take the state of the checkpoint that has this record."""
        self.step, self.validated = record["step"], record["validation"]
        state = jax.eval_shape(self._create, self.hyperparams)
        sharding = NamedSharding(self.mesh, devices.MEMBERS)
        restored = self.checkpoints.restore(self.step, {"state": state, "best": state.weights}, sharding)
        self.state, self.best = restored["state"], restored["best"]
        self.diverged = devices.gather(self.state.diverged)

    def open_logs(self) -> None:
        """Log to TensorBoard from now on, the configs first."""
        if jax.process_index() > 0:
            return
        self.logs = {index: Summaries(log, self.step, self.describe) for index, log in enumerate(self.group.logs)}
        for index, log in self.logs.items():
            text = json.dumps(fields.to_dict(self.members[index]), indent=1)
            log.text(self.step, "config", f"```json\n{text}\n```")
            folder = self.group.logs[index].resolve()
            trial = f"{folder.parent.name}/{folder.name}" if self.group.swept else folder.name
            log.begin(trial, self.varied(index) or self._numbers(index))

    def varied(self, member: int) -> dict[str, Value]:
        """Fields in which members of the sweep differ, with the values of one."""
        values = fields.flat(self.members[member])
        return {path: values[path] for path in self.group.swept}

    def _numbers(self, member: int) -> dict[str, Value]:
        """The fields that a sweep could vary in one program, with the values of one."""
        values = fields.flat(self.members[member])
        return {path: values[path] for path in fields.numbers(self.members[member])}

    def describe(self, tag: str) -> str:
        """What a tag of the logs shows and in which unit, for a person."""
        return _DESCRIPTIONS.get(tag) or self.task.describe(tag)

    # Steps

    def batches(self) -> Iterator[Any]:
        """What `advance` takes, for all the steps still to come; none of them runs past a log or a validation."""
        train = self.experiment.train
        source = self.task.batches(self.step)
        periods = (self._steps_per_call, train.log_every, train.validate_every)
        step = self.step
        while step < train.steps:
            end = min(train.steps, *(step - step % period + period for period in periods))
            yield jax.tree.map(lambda *parts: np.stack(parts), *itertools.islice(source, end - step))
            step = end

    def advance(self, batches: Any) -> Metrics:
        """Take the steps of `batches`; their figures (member, step) stay on the device."""
        running = devices.place(self.running, self.mesh, devices.MEMBERS)
        batches = devices.place(batches, self.mesh, PartitionSpec(None, *devices.EXAMPLES))
        self.state, metrics = self._advance(self.state, self.hyperparams, running, self.task.train.pool, batches)
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
        figures, diverged, steps = devices.gather((window, self.state.diverged, self.state.step))
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

    # Validation

    def validate(self) -> list[dict[str, float]]:
        """Figures of each member over the validation set."""
        outputs: dict[str, list[np.ndarray]] = {}
        for batch, count in self.task.validation_batches():
            batch = devices.place(batch, self.mesh, devices.EXAMPLES)
            figures = self._evaluate(self.state.weights, self.hyperparams, self.task.validation.pool, batch)
            for name, values in devices.gather(figures).items():
                outputs.setdefault(name, []).append(values[:, :count])
        joined = {name: np.concatenate(parts, axis=1) for name, parts in outputs.items()}
        evaluations = [
            self.task.evaluation(member, {name: values[index] for name, values in joined.items()})
            for index, member in enumerate(self.members)
        ]
        for member, evaluation in enumerate(evaluations):
            evaluation.scalars[CRITERION] = sum(
                evaluation.scalars[name] for name in self.task.criterion([self.members[member]])
            )
        criteria = [evaluation.scalars[CRITERION] for evaluation in evaluations]
        self._freeze(self.diverged | ~np.isfinite(criteria))
        for member, log in self.logs.items():
            if self.running[member]:
                log.scalars(self.step, evaluations[member].scalars)
                for tag, values in evaluations[member].histograms.items():
                    log.histogram(self.step, tag, values)
        self._show()
        for log in self.logs.values():
            log.flush()
        return [evaluation.scalars for evaluation in evaluations]

    def _freeze(self, diverged: Bool[np.ndarray, "member"]) -> None:
        """Take note of the members that have diverged."""
        if (diverged != self.diverged).any():
            self.diverged = diverged
            self.state = self.state.replace(diverged=devices.place(diverged, self.mesh, devices.MEMBERS))
        if diverged.all():
            raise self._all_diverged()

    def _show(self) -> None:
        """Log pictures and sounds of some members."""
        batch = self.task.shown_batch() if self.group.shown else None
        if batch is None:
            return
        batch = devices.place(batch, self.mesh, devices.SHARED)
        shown = self._shown(self.state.weights, self.hyperparams, self.task.validation.pool, batch)
        shown = devices.gather(shown)
        for member in self.group.shown if self.logs else ():
            own = jax.tree.map(lambda values, member=member: values[member], shown)
            self.task.show(self.logs[member], self.step, own)

    def consider(self, figures: list[dict[str, float]]) -> None:
        """Keep the weights of the members whose validation was never better, and count the others' patience."""
        better = np.zeros(len(self.members), bool)
        for member in np.flatnonzero(self.running):
            value, validated = figures[member][CRITERION], self.validated[member]
            better[member] = validated["best"] is None or value < validated["best"]
            if better[member]:
                self.validated[member] = {"best": value, "best_step": self.step, "stale": 0, "figures": figures[member]}
            else:
                self.validated[member] = {**validated, "stale": validated["stale"] + 1}
        if better.any():
            better = devices.place(better, self.mesh, devices.MEMBERS)
            self.best = self._keep(better, self.state.weights, self.best)

    def _all_diverged(self) -> TrainingDiverged:
        self.checkpoints.wait()
        good = self.checkpoints.latest_step()
        kept = f"the last good checkpoint is of step {good}" if good is not None else "no checkpoint was written yet"
        train = self.members[0].train
        whose = "the loss, its gradient or the validation figure"
        if len(self.members) > 1:
            whose += f" of each of the {len(self.members)} members"
        return TrainingDiverged(
            f"{whose} is not finite at step {self.step}; {kept} in {self.folder / 'checkpoints'}. Lower "
            f"train.learning_rate (now {train.learning_rate}) or train.gradient_norm (now "
            f"{train.gradient_norm}) and train into another --workdir"
        )

    # Saved

    def save(self) -> None:
        """Start to write the newest state, from which the same command continues, and the best weights."""
        if self.checkpoints.latest_step() != self.step:
            record = {
                "task": self.task.NAME,
                "step": self.step,
                "indices": self.group.indices,
                "diverged": self.diverged.tolist(),
                "steps": devices.gather(self.state.step).tolist(),
                "members": [fields.to_dict(member) for member in self.members],
                "validation": self.validated,
                **self.task.record(),
            }
            self.checkpoints.save(self.step, {"state": self.state, "best": self.best}, record)

    def close(self, finished: bool = False) -> None:
        """Finish writing; `finished` says that no step is left to be taken."""
        for member, log in self.logs.items() if finished else ():
            log.end(well=not self.diverged[member])
        with contextlib.ExitStack() as stack:  # each, even when one of them fails
            for log in self.logs.values():
                stack.callback(log.close)
            stack.callback(self.checkpoints.close)


def _previous_record(checkpoints: Checkpoints, group: Group, kind: type[Task]) -> Record | None:
    """The record of the newest checkpoint, which is of the same members; None where there is none."""
    step = checkpoints.latest_step()
    if step is None:
        return None
    record = checkpoints.record(step)
    if (name := record.get("task", kind.NAME)) != kind.NAME:
        raise CheckpointError(f"{group.folder} holds a run of task {name!r}, not {kind.NAME!r}; use another --workdir")
    previous = [kind.read(values) for values in record["members"]]
    # Where files lie and how the machine is used may change: what is in the files is in the data set's identity.
    free = ("data.directory:", "data.audio:", "data.test_audio:", "execution.")
    changed = [
        line if len(group.members) == 1 else f"member {index}: {line}"
        for index, pair in enumerate(zip(previous, group.members, strict=False))
        for line in fields.differences(*pair)
        if not line.startswith(free)
    ]
    if len(previous) != len(group.members):
        changed.append(f"members: {len(previous)} -> {len(group.members)}")
    if changed:
        raise CheckpointError(
            f"{group.folder} holds a run of another config; use another --workdir, or undo these changes:\n  "
            + "\n  ".join(changed)
        )
    return record


def _keep_better(better: jax.Array, weights: Weights, best: Weights) -> Weights:
    """The weights of members that are better, the best of the others."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, weights, best)


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)  # another host of the run may have been faster
    except OSError as error:
        raise OSError(f"cannot write to the workdir {folder}: {error.strerror}; choose another --workdir") from error
