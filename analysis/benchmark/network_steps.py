"""Training steps of every backbone and of its PyTorch twin, timed in turn."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from analysis.benchmark import torch_grant2023
from analysis.pages import plain_table
from jaxvae import backbones
from jaxvae.config import Experiment, Model, Objective
from jaxvae.data.input_pipeline import Examples
from jaxvae.models.vae import VAE
from jaxvae.training import vae_steps
from jaxvae.training.hyperparams import hyperparams
from jaxvae.training.vae_steps import train_step
from jaxvae.views import Views

TWIN = "grant2023 in PyTorch"
BACKBONES = backbones.names()


class Timing(NamedTuple):
    """Seconds of each call, and what was called."""

    parameters: int
    wall: np.ndarray
    processor: np.ndarray


def jax_step(backbone: str, batch_size: int, bins: int, frames: int) -> tuple[Callable[[], None], int]:
    """One training step of a backbone, as a function without arguments, and its number of parameters."""
    experiment = Experiment("benchmark", model=Model(backbone, content_dim=0), objective=Objective(swap=0.0))
    model, numbers = VAE(experiment.model), hyperparams(experiment)
    state = vae_steps.create(numbers, model, bins, frames)
    none = jnp.zeros((batch_size, 0))
    wet = Views(jax.random.normal(jax.random.key(0), (batch_size, bins, frames)), none)
    examples = Examples(wet, wet, none, jnp.zeros(batch_size, jnp.int32), jnp.zeros((batch_size, 1)))
    step = jax.jit(
        functools.partial(train_step, model=model, objective=experiment.objective),
        donate_argnums=0,
    )

    def call() -> None:
        nonlocal state
        state, metrics = step(state, numbers, examples)
        jax.block_until_ready((state.params, metrics))

    return call, sum(leaf.size for leaf in jax.tree.leaves(state.params))


def torch_step(batch_size: int, bins: int, frames: int, latent_dim: int) -> tuple[Callable[[], None], int]:
    """The same of Grant's (2023) network in PyTorch, eager, on the next sizes that are 16 m + 1."""
    bins, frames = (-(-(size - 1) // 16) * 16 + 1 for size in (bins, frames))
    model = torch_grant2023.Autoencoder(bins, frames, latent_dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    spectrogram = torch.randn(batch_size, 1, bins, frames)

    def call() -> None:
        torch_grant2023.train_step(model, optimizer, spectrogram, torch.randn(batch_size, latent_dim), beta=1e-3)

    return call, sum(parameter.numel() for parameter in model.parameters())


def measure(networks: dict[str, tuple[Callable[[], None], int]], calls: int) -> dict[str, Timing]:
    """Timings of all networks, one call of each in turn, after one call of each that is not counted (it compiles)."""
    for call, _ in networks.values():
        call()
    seconds = np.zeros((2, len(networks), calls))
    for round_ in range(calls):
        for index, (call, _) in enumerate(networks.values()):
            wall, processor = time.perf_counter(), time.process_time()
            call()
            seconds[:, index, round_] = time.perf_counter() - wall, time.process_time() - processor
    return {
        name: Timing(parameters, *seconds[:, index]) for index, (name, (_, parameters)) in enumerate(networks.items())
    }


def table(timings: dict[str, Timing], batch_size: int) -> str:
    """The timings as a table in Markdown; a ratio above 1 is faster than PyTorch."""
    columns = "network", "clips/s", "against PyTorch: wall", "processor", "calls, 10th to 90th percentile", "parameters"
    lines = [columns]
    for name, timing in timings.items():
        # A ratio of neighbouring calls, so that load which comes and goes falls on both.
        wall = np.median(timings[TWIN].wall / timing.wall)
        processor = np.median(timings[TWIN].processor / timing.processor)
        low, high = np.percentile(timing.wall / np.median(timing.wall), [10, 90])
        lines.append(
            (
                name,
                f"{batch_size / np.median(timing.wall):.1f}",
                f"{wall:.2f}",
                f"{processor:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{timing.parameters / 1e6:.2f} M",
            )
        )
    return plain_table.markdown(lines)
