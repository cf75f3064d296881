"""The optimiser of a training step, made of the step's numbers."""

import jax
import optax
from jaxtyping import Array, Int

from jaxvae.training import schedules
from jaxvae.training.hyperparams import Hyperparams


def make_optimizer(step: Int[Array, ""], hyperparams: Hyperparams) -> optax.GradientTransformation:
    """Adam with decoupled weight decay on kernels and a bound on the gradient's norm (Loshchilov & Hutter 2019)."""
    return optax.chain(
        optax.clip_by_global_norm(hyperparams.gradient_norm),
        optax.adamw(
            schedules.learning_rate(step, hyperparams),
            weight_decay=hyperparams.weight_decay,
            mask=lambda params: jax.tree.map(lambda weights: weights.ndim > 1, params),
        ),
    )
