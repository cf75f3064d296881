"""The state of one training run: arrays only."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxvae.models.vae import VAE, still
from jaxvae.training.optimizer import Hyperparams, make_optimizer

RUN_ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options for `create`: it runs once, so a short compilation is worth more than a fast program."""


@struct.dataclass
class TrainState:
    """Everything that a step changes, and the key that its noise is drawn from.

    The leaves are arrays in a run, and shapes or nothing where JAX or a checkpoint maps over the tree.
    """

    step: Any
    """Steps taken, an int32 scalar."""
    params: Any
    batch_stats: Any
    opt_state: Any
    key: Any
    """A typed PRNG key."""
    diverged: Any
    """Whether a loss or gradient was not finite; the state is then that before the step and never changes again."""

    @property
    def weights(self) -> "Weights":
        """What a trained network is made of."""
        return Weights(self.step, self.params, self.batch_stats)


class Weights(NamedTuple):
    """A network as it was at a step."""

    step: Any
    params: Any
    batch_stats: Any


def create(hyperparams: Hyperparams, model: VAE, bins: int, frames: int) -> TrainState:
    """The state before the first step, a pure function of the hyper-parameters' seed."""
    params_key, noise_key = jax.random.split(jax.random.key(hyperparams.seed))
    block = jnp.zeros((4, bins, frames))
    draws = still(len(block), model.config)
    variables = model.init(params_key, block, block, draws, hyperparams.latent_dim, train=False)
    step = jnp.zeros((), jnp.int32)
    return TrainState(
        step=step,
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=make_optimizer(step, hyperparams).init(variables["params"]),
        key=noise_key,
        diverged=jnp.zeros((), bool),
    )
