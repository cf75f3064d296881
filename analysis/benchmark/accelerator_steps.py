"""What an accelerator computes beside the CPU, the most that it can do, and training steps of populations on it."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from analysis.benchmark import population_steps
from analysis.pages import plain_table
from jaxvae import devices, spectrogram
from jaxvae.config import Execution, Experiment
from jaxvae.models.vae import VAE
from jaxvae.training import population, vae_steps
from jaxvae.training.hyperparams import hyperparams

BATCH_SIZE = 96


class Check(NamedTuple):
    """A law that should hold on every device, and how far the device is from it."""

    law: str
    difference: float
    limit: float


class Ceiling(NamedTuple):
    """The most that a device was seen to do."""

    name: str
    rate: float
    unit: str


class Timing(NamedTuple):
    """Training steps of a population as they were timed; seconds are NaN where the device refused."""

    members: int
    mode: str
    precision: str
    steps: int
    compile_s: float
    second: float
    program_bytes: int
    state_bytes: int
    refusal: str


def checks(experiment: Experiment) -> Iterator[Check]:
    """Differences of the first device from the CPU and from itself, relative unless a unit is given."""
    accelerator, cpu = jax.devices()[0], jax.devices("cpu")[0]
    rng = np.random.default_rng(0)
    audio = (0.1 * rng.standard_normal((8, experiment.audio.clip_samples))).astype(np.float32)
    with jax.default_device(cpu):
        wanted = np.asarray(spectrogram.level(audio, experiment.audio, experiment.spectrogram))
    with jax.default_device(accelerator):
        found = np.asarray(spectrogram.level(audio, experiment.audio, experiment.spectrogram))
    yield Check("spectrograms of noise equal the CPU's (dB)", float(np.abs(found - wanted).max()), 0.1)
    for precision, limit in (("highest", 1e-3), ("default", 3e-2)):
        found, wanted = (_step(experiment, device, precision) for device in (accelerator, cpu))
        yield Check(f"loss of a step equals the CPU's, {precision} precision", _relative(found[0], wanted[0]), limit)
        yield Check(
            f"norm of the gradient equals the CPU's, {precision} precision", _relative(found[1], wanted[1]), limit
        )
    together, alone = (_members(experiment, at_once) for at_once in (4, 1))
    yield Check("four members by vmap lose what they lose one after another", _relative(together, alone), 1e-3)
    yield Check("ten steps anew give the same weights", _repeat(experiment), 0.0)


def _relative(found: np.ndarray | np.floating, wanted: np.ndarray | np.floating) -> float:
    return float(np.max(np.abs(found - wanted) / np.abs(wanted)))


def _step(experiment: Experiment, device: jax.Device, precision: str) -> np.ndarray:
    """Loss and norm of the gradient of the first step."""
    with jax.default_device(device), jax.default_matmul_precision(precision):
        network, numbers = VAE(experiment.model, population_steps.PARAMETERS), hyperparams(experiment)
        create = population_steps.creation(experiment, network)
        state = jax.jit(create)(numbers)
        examples = jax.tree.map(lambda x: x[0], population_steps.examples(experiment, 1, BATCH_SIZE))
        step = jax.jit(functools.partial(vae_steps.train_step, model=network, objective=experiment.objective))
        _, metrics = step(state, numbers, examples)
    return np.asarray([metrics["loss"], metrics["gradient_norm"]])


def _members(experiment: Experiment, at_once: int) -> np.ndarray:
    """Losses of the first two steps of four members, in the highest precision."""
    with jax.default_matmul_precision("highest"):
        mesh = devices.make_mesh(4, BATCH_SIZE, Execution(devices=1))
        begin, numbers, function = population_steps.population_of(experiment, 4, mesh)
        batches = population_steps.examples(experiment, 2, BATCH_SIZE)
        _, metrics = jax.jit(population.over_members(function, mesh, at_once, mapped=3))(
            begin(), numbers, np.ones(4, bool), batches
        )
    return np.asarray(metrics["loss"])


def _repeat(experiment: Experiment) -> float:
    """Largest difference of any weight between two trainings of ten steps."""
    mesh = devices.make_mesh(1, BATCH_SIZE, Execution(devices=1))
    begin, numbers, function = population_steps.population_of(experiment, 1, mesh)
    batches = population_steps.examples(experiment, 10, BATCH_SIZE)
    train = jax.jit(population.over_members(function, mesh, 1, mapped=3))
    first, second = (jax.device_get(train(begin(), numbers, np.ones(1, bool), batches)[0].params) for _ in range(2))
    differences = jax.tree.map(lambda x, y: np.abs(x - y).max(), first, second)
    return float(max(jax.tree.leaves(differences)))


def ceilings() -> list[Ceiling]:
    """Rates of large matrix products in each precision, and of a large copy, on the first device."""
    cpu = jax.devices()[0].platform == "cpu"
    size, long = (1_024, 1 << 24) if cpu else (8_192, 1 << 29)
    found = []
    for name, dtype, precision in (
        ("matrix products, float32, highest precision", jnp.float32, "highest"),
        ("matrix products, float32, default precision", jnp.float32, "default"),
        ("matrix products, bfloat16", jnp.bfloat16, "default"),
    ):
        matrix = jax.random.normal(jax.random.key(0), (size, size), dtype)
        product = jax.jit(functools.partial(jnp.matmul, precision=precision))
        found.append(Ceiling(name, 2 * size**3 / _fastest(lambda: product(matrix, matrix)) / 1e12, "TFLOP/s"))  # noqa: B023
    column = jnp.ones(long, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    found.append(Ceiling("memory, bytes read and written", 8 * long / _fastest(lambda: copy(column)) / 1e9, "GB/s"))
    return found


def _fastest(call: Callable[[], jax.Array]) -> float:
    call().block_until_ready()
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        call().block_until_ready()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def plan(members: tuple[int, ...], steps: tuple[int, ...]) -> list[tuple[int, int, int, str]]:
    """Members, members at once, steps a call and precision of the rows, what matters most first."""
    most = max(steps)
    rows = [(1, 1, most, "default"), *((count, count, most, "default") for count in members if count > 1)]
    rows += [(1, 1, count, "default") for count in steps if count < most]
    rows += [(1, 1, most, "highest")]
    rows += [(count, 16, most, "default") for count in members if count > 16]
    rows += [(count, 1, most, "default") for count in members if 1 < count <= 16]
    return rows


def measure(experiment: Experiment, row: tuple[int, int, int, str], calls: int) -> Timing:
    """The median call of one program, which leaves the device afterwards."""
    members, at_once, steps, precision = row
    mode = population_steps.mode(members, at_once)
    try:
        with jax.default_matmul_precision(precision):
            program = population_steps.make(experiment, members, at_once, steps, BATCH_SIZE)
        (second,) = population_steps.measure([program], calls)
    except jax.errors.JaxRuntimeError as error:  # the row tells it, and smaller ones may still fit
        return Timing(members, mode, precision, steps, np.nan, np.nan, 0, 0, str(error).splitlines()[0][:200])
    return Timing(
        members, mode, precision, steps, program.compile_s, second, program.program_bytes, program.state_bytes, ""
    )


def table(timings: list[Timing], flops: float, bytes_accessed: float, most: dict[str, float]) -> str:
    """The timings in Markdown; operations and bytes of a step are those of one model, as the compiler counts them."""
    columns = (
        *("members", "mode", "precision", "steps a call", "steps/s of each", "clips/s of all", "against one"),
        *("compile s", "program GB", "state GB", "TFLOP/s", "of ceiling", "GB/s", "of ceiling"),
    )
    lines = [columns]
    rates = [timing.members * timing.steps / timing.second for timing in timings]
    single = max((rate for rate, timing in zip(rates, timings, strict=True) if timing.members == 1), default=np.nan)
    for timing, rate in zip(timings, rates, strict=True):
        head = (str(timing.members), timing.mode, timing.precision, str(timing.steps))
        if timing.refusal:
            lines.append((*head, timing.refusal, *[""] * (len(columns) - len(head) - 1)))
            continue
        lines.append(
            (
                *head,
                f"{rate / timing.members:.1f}",
                f"{rate * BATCH_SIZE:.0f}",
                f"{rate / single:.2f}",
                f"{timing.compile_s:.0f}",
                f"{timing.program_bytes / 1e9:.2f}",
                f"{timing.state_bytes / 1e9:.2f}",
                f"{rate * flops / 1e12:.2f}",
                f"{rate * flops / 1e12 / most[timing.precision]:.0%}",
                f"{rate * bytes_accessed / 1e9:.0f}",
                f"{rate * bytes_accessed / 1e9 / most['memory']:.0%}",
            )
        )
    return plain_table.markdown(lines)
