"""The state of one training run: arrays only, and the step down a gradient that changes it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Key

from jaxvae.training import schedules
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.optimizer import make_optimizer

RUN_ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options for making a state: it runs once, so a short compilation is worth more than a fast program."""

Metrics = dict[str, Any]


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

    @property
    def variables(self) -> dict[str, Any]:
        """As Linen's `apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def begin(variables: Any, key: Key[Array, ""], hyperparams: Hyperparams) -> TrainState:
    """The state before the first step, of a network's initial variables; the key is for the noise of the steps."""
    step = jnp.zeros((), jnp.int32)
    return TrainState(
        step=step,
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=make_optimizer(step, hyperparams).init(variables["params"]),
        key=key,
        diverged=jnp.zeros((), bool),
    )


def descend(
    state: TrainState, hyperparams: Hyperparams, loss: Callable[[Any], tuple[Array, tuple[Metrics, Any]]]
) -> tuple[TrainState, Metrics]:
    """The state after one step of the optimiser down the gradient of a loss, and the step's figures as scalars.

    `loss` gives of params its value, figures to log, and batch statistics. A step whose loss or gradient is not finite
    is not taken, nor is any after it.
    """

    def logged(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        value, (metrics, batch_stats) = loss(params)
        return value, (metrics | {"loss": value}, batch_stats)

    gradient, (metrics, batch_stats) = jax.grad(logged, has_aux=True)(state.params)
    updates, opt_state = make_optimizer(state.step, hyperparams).update(gradient, state.opt_state, state.params)
    metrics |= {
        "learning_rate": schedules.learning_rate(state.step, hyperparams),
        "gradient_norm": optax.tree.norm(gradient),
    }
    diverged = state.diverged | ~jnp.isfinite(metrics["loss"]) | ~jnp.isfinite(metrics["gradient_norm"])
    old = (state.step, state.params, state.batch_stats, state.opt_state)
    new = (state.step + 1, optax.apply_updates(state.params, updates), batch_stats, opt_state)
    step, params, batch_stats, opt_state = jax.tree.map(lambda new, old: jnp.where(diverged, old, new), new, old)
    return TrainState(step, params, batch_stats, opt_state, state.key, diverged), metrics


def take_steps(
    step: Callable[[TrainState, Hyperparams, Any], tuple[TrainState, Metrics]],
    state: TrainState,
    hyperparams: Hyperparams,
    running: Bool[Array, ""],
    examples: Any,
) -> tuple[TrainState, Metrics]:
    """The state after several steps, and figures of each. A state that is not running stays as it is.

    The examples have a leading axis of steps.
    """

    def train(state: TrainState) -> tuple[TrainState, Metrics]:
        return jax.lax.scan(lambda state, examples: step(state, hyperparams, examples), state, examples)

    def rest(state: TrainState) -> tuple[TrainState, Metrics]:
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(train, state)[1])

    return jax.lax.cond(running, train, rest, state)
