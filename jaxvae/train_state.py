"""The state of one training run: arrays only."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Int, Key

from jaxvae.optimizer import Hyperparams, make_optimizer
from jaxvae.vae import VAE

_Leaf = Array | jax.ShapeDtypeStruct  # a state, or the shapes of one that a checkpoint fills


@struct.dataclass
class TrainState:
    """Everything that a step changes, and the key that its noise is drawn from."""

    step: Int[_Leaf, ""]
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    key: Key[_Leaf, ""]


def create(hyperparams: Hyperparams, model: VAE, bins: int, frames: int) -> TrainState:
    """The state before the first step, a pure function of the hyper-parameters' seed."""
    params_key, noise_key = jax.random.split(jax.random.key(hyperparams.seed))
    variables = model.init(
        params_key, jnp.zeros((1, bins, frames)), jnp.zeros((1, model.config.latent_dim)), train=False
    )
    step = jnp.zeros((), jnp.int32)
    return TrainState(
        step=step,
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=make_optimizer(step, hyperparams).init(variables["params"]),
        key=noise_key,
    )
