"""Training steps of populations in every mode, timed in turn."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from analysis.pages import plain_table
from jaxvae import devices, views
from jaxvae.config import Execution, Experiment, Train
from jaxvae.data.input_pipeline import Examples
from jaxvae.models.vae import VAE
from jaxvae.training import population, train_state, vae_steps
from jaxvae.training.hyperparams import Hyperparams, hyperparams
from jaxvae.training.train_state import TrainState
from jaxvae.views import Views

PARAMETERS = (4,) * 6  # of each effect that the heads read


class Row(NamedTuple):
    """One program, ready to be called."""

    name: str
    members: int
    steps: int
    compile_s: float
    program_bytes: int
    state_bytes: int
    call: Callable[[], None]


def make(experiment: Experiment, members: int, at_once: int, steps: int, batch_size: int) -> Row:
    """The compiled training steps of a population on one device."""
    mesh = devices.make_mesh(members, batch_size, Execution(devices=1))
    begin, numbers, function = population_of(experiment, members, mesh)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), begin())
    running = devices.place(np.ones(members, bool), mesh, devices.MEMBERS)
    batches = devices.place(examples(experiment, steps, batch_size), mesh, devices.SHARED)
    jitted = jax.jit(population.over_members(function, mesh, at_once, mapped=3), donate_argnums=0)
    began = time.perf_counter()
    compiled = jitted.lower(shapes, numbers, running, batches).compile()
    seconds = time.perf_counter() - began
    state = None  # until the first call, so that many programs can wait without their states

    def call() -> None:
        nonlocal state
        state, metrics = compiled(begin() if state is None else state, numbers, running, batches)
        jax.block_until_ready((state, metrics))

    own = jax.tree.leaves((shapes.params, shapes.opt_state, shapes.batch_stats))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in own)
    return Row(
        mode(members, at_once), members, steps, seconds, compiled.memory_analysis().temp_size_in_bytes, size, call
    )


def mode(members: int, at_once: int) -> str:
    """How so many members are computed when so many are computed at once."""
    return "one model" if members == 1 else {1: "lax.map", members: "vmap"}.get(at_once, f"lax.map of vmap {at_once}")


def population_of(
    experiment: Experiment, members: int, mesh: Mesh
) -> tuple[Callable[[], TrainState], Hyperparams, Callable]:
    """What makes the state of members that differ in their seed, their numbers, and the training steps of one."""
    network = VAE(experiment.model, PARAMETERS)
    create = creation(experiment, network)
    numbers = [hyperparams(dataclasses.replace(experiment, train=Train(seed=seed))) for seed in range(members)]
    numbers = devices.place(jax.tree.map(lambda *values: np.stack(values), *numbers), mesh, devices.MEMBERS)
    begin = jax.jit(population.over_members(create, mesh, 1, mapped=1), compiler_options=train_state.RUN_ONCE)
    step = functools.partial(vae_steps.train_step, model=network, objective=experiment.objective)
    return lambda: begin(numbers), numbers, functools.partial(train_state.take_steps, step)


def creation(experiment: Experiment, network: VAE) -> Callable[[Hyperparams], TrainState]:
    """What makes the state of a member."""
    sizes = {"bins": experiment.bins, "frames": experiment.frames, "numbers": views.numbers(experiment)}
    return functools.partial(vae_steps.create, model=network, **sizes)


def examples(experiment: Experiment, steps: int, batch_size: int) -> Examples:
    """Noise of as many steps."""
    rng, shape = np.random.default_rng(0), (steps, batch_size)
    spectrograms = rng.standard_normal((2, *shape, experiment.bins, experiment.frames), np.float32)
    fine = rng.standard_normal((3, *shape, views.numbers(experiment)), np.float32)
    wet, dry = (Views(*both) for both in zip(spectrograms, fine[:2], strict=True))
    effect = rng.integers(len(PARAMETERS), size=shape, dtype=np.int32)
    return Examples(wet, dry, fine[2], effect, rng.random((*shape, max(PARAMETERS)), np.float32))


def cost(experiment: Experiment, batch_size: int) -> tuple[float, float]:
    """Floating-point operations of one step of one model, and bytes read and written, as the compiler counts them."""
    network, numbers = VAE(experiment.model, PARAMETERS), hyperparams(experiment)
    create = creation(experiment, network)
    batch = jax.tree.map(lambda x: x[0], examples(experiment, 1, batch_size))
    step = jax.jit(functools.partial(vae_steps.train_step, model=network, objective=experiment.objective))
    costs = step.lower(jax.eval_shape(create, numbers), numbers, batch).compile().cost_analysis()
    return costs["flops"], costs["bytes accessed"]


def ceiling() -> float:
    """Floating-point operations per second of large matrix products on the first device, in single precision."""
    size = 2_048 if jax.devices()[0].platform == "cpu" else 8_192
    matrix = jnp.ones((size, size))
    product = jax.jit(lambda x: x @ x)
    product(matrix).block_until_ready()
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        product(matrix).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def measure(rows: list[Row], calls: int) -> list[float]:
    """Median seconds of a call of each row, one call of each in turn."""
    for row in rows:
        row.call()
    seconds = np.zeros((len(rows), calls))
    for turn in range(calls):
        for index, row in enumerate(rows):
            began = time.perf_counter()
            row.call()
            seconds[index, turn] = time.perf_counter() - began
    return np.median(seconds, axis=1).tolist()


def table(rows: list[Row], seconds: list[float], batch_size: int, flops: float, most: float) -> str:
    """The timings in Markdown."""
    columns = (
        *("members", "mode", "steps a call", "clips/s of all", "of each", "against one, 1 step a call"),
        *("against best one", "compile s", "program MB", "state MB a member", "GFLOP/s", "of ceiling"),
    )
    lines = [columns]
    rates = [row.members * row.steps * batch_size / second for row, second in zip(rows, seconds, strict=True)]
    singles = [rate for row, rate in zip(rows, rates, strict=True) if row.members == 1]
    for row, rate in zip(rows, rates, strict=True):
        speed = flops * rate / batch_size
        lines.append(
            (
                str(row.members),
                row.name,
                str(row.steps),
                f"{rate:.0f}",
                f"{rate / row.members:.1f}",
                f"{rate / singles[0]:.2f}",
                f"{rate / max(singles):.2f}",
                f"{row.compile_s:.1f}",
                f"{row.program_bytes / 1e6:.0f}",
                f"{row.state_bytes / row.members / 1e6:.1f}",
                f"{speed / 1e9:.0f}",
                f"{speed / most:.0%}",
            )
        )
    return plain_table.markdown(lines)
