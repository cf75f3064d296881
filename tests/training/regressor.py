"""The smallest task that trains: a line through noisy points. A process of its own can train it, too.

python -m tests.training.regressor EXPERIMENT WORKDIR
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxvae import fields
from jaxvae.config import Execution, Train
from jaxvae.fields import number
from jaxvae.sweep import Sweep
from jaxvae.training import loop, train_state
from jaxvae.training.run import Run
from jaxvae.training.task import Evaluation, Task, register

TRAIN = Train(steps=60, batch_size=8, learning_rate=0.3, warmup_steps=2, validate_every=10, log_every=10, patience=0)
ONE_DEVICE = Execution(devices=1)
POINTS = np.linspace(-1.0, 1.0, 64, dtype=np.float32)[:, None]


@dataclasses.dataclass(frozen=True)
class Line:
    """An experiment of its own: nothing of it but train, execution and sweep is known to the loop."""

    name: str = "line"
    slope: float = number(3.0)
    train: Train = TRAIN
    execution: Execution = ONE_DEVICE
    sweep: Sweep = Sweep()


class Points:
    """Examples that travel as they are."""

    pool = None

    def examples(self, pool, batch):
        return batch


@register
class Regressor(Task):
    NAME, SHOWN, BLOCK = "regressor", ("val/error",), 1
    train = validation = Points()

    def __init__(self, experiment):
        self.experiment, self.network = experiment, nn.Dense(1)

    @classmethod
    def prepare(cls, members, mesh, record):
        return cls(members[0])

    @staticmethod
    def read(values):
        return fields.from_dict(Line, values)

    @staticmethod
    def criterion(members):
        return ("val/error",)

    def record(self):
        return {}

    def batches(self, first_step):
        for step in range(first_step, self.experiment.train.steps):
            yield np.random.default_rng(step).choice(POINTS, self.experiment.train.batch_size)

    def validation_batches(self):
        yield POINTS, len(POINTS)

    def create(self, hyperparams):
        key = jax.random.key(hyperparams.seed)
        return train_state.begin(self.network.init(key, POINTS), key, hyperparams)

    def step(self, state, hyperparams, points):
        noise = 0.1 * jax.random.normal(jax.random.fold_in(state.key, state.step), points.shape)

        def loss(params):
            error = self.network.apply({"params": params}, points) - hyperparams.slope * points - 1.0 - noise
            return jnp.mean(error**2), ({}, {})

        return train_state.descend(state, hyperparams, loss)

    def evaluate(self, weights, hyperparams, points):
        predicted = self.network.apply(weights.variables, points)
        return {"error": jnp.abs(predicted - hyperparams.slope * points - 1.0)[:, 0]}

    def evaluation(self, experiment, outputs):
        return Evaluation({"val/error": float(outputs["error"].mean())}, {})

    def criterion_words(self, experiment, value):
        return f"error {value:.3g}"


if __name__ == "__main__":
    advance = Run.advance

    def slow(run, batches):  # a step that lasts long enough to be hit
        time.sleep(0.05)
        return advance(run, batches)

    Run.advance = slow
    from tests.training.regressor import Regressor as Imported  # the class that is registered, not this program's

    sys.exit(loop.train(Imported.read(json.loads(sys.argv[1])), Path(sys.argv[2]), Imported))
