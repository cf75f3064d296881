"""Populations: a member is what it would be alone, whoever its neighbours are and wherever it is computed."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import block, devices, fields, sweep
from jaxvae.config import Beta, Execution, Experiment, Model, Objective, Train
from jaxvae.data.input_pipeline import Examples
from jaxvae.models import vae
from jaxvae.models.vae import VAE
from jaxvae.sweep import listed
from jaxvae.training import population, train_state, vae_steps
from jaxvae.training.hyperparams import hyperparams
from jaxvae.views import Views

BINS, FRAMES, NUMBERS, BATCH = 32, 16, 6, 8  # two blocks
PARAMETERS = (3, 1)  # of two effects
STEPS = 20  # past the ends of a cycle of beta and of most warm-ups
BASE = Experiment("base", model=Model(latent_dim=8, content_dim=4), objective=Objective(beta=Beta(cycle_unit="step")))
ONE_DEVICE = Execution(devices=1)
COLLECTIVES = re.compile(r"\b(all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)")


def batches(steps: int, seed: int = 0, batch_size: int = BATCH) -> Examples:
    """Noise, in blocks of four: two contents, each at the same two settings."""
    rng = np.random.default_rng(seed)
    wet, dry = map(
        Views,
        rng.normal(size=(2, steps, batch_size, BINS, FRAMES)).astype(np.float32),
        rng.normal(size=(2, steps, batch_size, NUMBERS)).astype(np.float32),
    )
    passage = rng.normal(size=(steps, batch_size, NUMBERS)).astype(np.float32)
    effect = rng.integers(2, size=(steps, batch_size // 4, 1, 2)).repeat(2, axis=2)
    normalized = rng.random((steps, batch_size // 4, 1, 2, 3), np.float32).repeat(2, axis=2)
    normalized[effect == 1, 1:] = np.nan
    effect, normalized = effect.reshape(steps, batch_size), normalized.reshape(steps, batch_size, 3)
    return Examples(wet, dry, passage, effect.astype(np.int32), normalized)


def every_number(members: int) -> list[Experiment]:
    """Members that differ in every number that a program takes."""
    rng = np.random.default_rng(0)
    changes = [
        {
            "model.latent_dim": int(rng.choice([5, 8])),
            "objective.beta.cycle_length": int(rng.choice([7, 11])),
            "objective.beta.cycle_unit": str(rng.choice(["step", "epoch"])),
            "objective.beta.maximum": rng.uniform(0.5, 2.0),
            "objective.beta.minimum": rng.uniform(0.0, 0.4),
            "objective.beta.ramp_fraction": rng.uniform(0.2, 1.0),
            "objective.contrastive_weight": rng.uniform(0.0, 0.3),
            "objective.dry_share": rng.uniform(0.0, 1.0),
            "objective.dropout": rng.uniform(0.0, 0.5),
            "objective.effect_weight": rng.uniform(0.0, 1.0),
            "objective.elbo_weight": 10 ** rng.uniform(-4.0, -2.0),
            "objective.free_nats": rng.uniform(0.0, 0.2),
            "objective.reading_noise": rng.uniform(0.0, 1.0),
            "objective.source_share": rng.uniform(0.0, 1.0),
            "objective.settings_weight": rng.uniform(0.0, 1.0),
            "objective.swap": rng.uniform(0.0, 1.0),
            "objective.temperature": rng.uniform(0.1, 1.0),
            "train.epoch_clips": int(rng.integers(16, 64)),
            "train.gradient_norm": rng.uniform(0.5, 5.0),
            "train.learning_rate": rng.uniform(1e-4, 2e-3),
            "train.seed": member,
            "train.warmup_steps": int(rng.integers(0, 30)),
            "train.weight_decay": rng.uniform(0.0, 0.1),
        }
        for member in range(members)
    ]
    assert set(changes[0]) == {path for path, mark in fields.numbers(BASE).items() if not mark.shared}
    return list(sweep.members(dataclasses.replace(BASE, sweep=listed(changes))))


@functools.cache
def _create(model: Model):
    create = functools.partial(
        vae_steps.create, model=VAE(model, PARAMETERS), bins=BINS, frames=FRAMES, numbers=NUMBERS
    )
    return jax.jit(create, compiler_options=train_state.RUN_ONCE)


@functools.cache
def _steps(model: Model, mesh: jax.sharding.Mesh, at_once: int):
    step = functools.partial(vae_steps.train_step, model=VAE(model, PARAMETERS), objective=BASE.objective)
    steps = functools.partial(train_state.take_steps, step)
    return jax.jit(population.over_members(steps, mesh, at_once, mapped=3), compiler_options=train_state.RUN_ONCE)


def _stack(*trees):
    """A population of members: by numpy, where it can be, because JAX compiles a program for each shape."""

    def stack(*leaves):
        typed = jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key)
        return jnp.stack(leaves) if typed else np.stack(leaves)

    return jax.tree.map(stack, *trees)


def trained(experiments, examples, at_once=1, execution=ONE_DEVICE, running=None):
    """The states of members after some steps, their figures, and the compiled program with its arguments."""
    widest = max((member.model for member in experiments), key=lambda model: model.latent_dim)
    mesh = devices.make_mesh(len(experiments), examples.effect.shape[1], execution, block.CLIPS)
    numbers = [hyperparams(experiment) for experiment in experiments]
    states = [_create(widest)(one) for one in numbers]
    running = np.ones(len(experiments), bool) if running is None else running
    members = devices.place((_stack(*states), _stack(*numbers), running), mesh, devices.MEMBERS)
    arguments = *members, devices.place(examples, mesh, jax.P(None, "data"))
    steps = _steps(widest, mesh, at_once)
    state, metrics = steps(*arguments)
    return state, metrics, steps, arguments


def largest_difference(first, second) -> float:
    """Largest difference of weights, in units of the largest weight of each array."""
    differences = jax.tree.map(
        lambda x, y: np.abs(np.asarray(x) - np.asarray(y)).max() / max(np.abs(np.asarray(y)).max(), 1e-3), first, second
    )
    return max(jax.tree.leaves(differences))


def narrowed(params, member: Experiment):
    """Weights of a member cut to its own latent size."""
    return vae.narrow(params, jax.eval_shape(_create(member.model), hyperparams(member)).params)


def member_of(tree, index: int):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


@pytest.mark.parametrize("at_once", [1, 16], ids=["map", "vmap"])
def test_member_alone_equals_the_member_of_a_population_of_16_that_differ_in_every_number(at_once):
    members, data = every_number(16), batches(24)
    together, metrics = trained(members, data, at_once)[:2]
    assert not np.any(together.diverged)
    for index in (0, 3, 7, 15):
        alone, own_metrics = trained([members[index]], data)[:2]
        params, own = narrowed(member_of(together.params, index), members[index]), member_of(alone.params, 0)
        # A hidden unit that hardly moves the loss has a gradient that is rounding, which Adam makes a step of.
        first, own_first = (one["effect_encoder"].pop("Dense_0") for one in (params, own))
        assert largest_difference(params, own) < 1e-3
        moved = np.abs(first["kernel"] - own_first["kernel"]).max(axis=0) / np.abs(own_first["kernel"]).max()
        assert np.sum(moved > 1e-3) <= 2 and moved.max() < 1e-2
        np.testing.assert_allclose(metrics["loss"][index], own_metrics["loss"][0], rtol=1e-4)
        np.testing.assert_allclose(metrics["beta"][index], own_metrics["beta"][0], rtol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "content_dim"),
    [("patch", 4), ("grant2023", 0), ("filterbank", 0), ("convolution", 0)],
)
def test_smaller_latent_size_by_mask_equals_the_smaller_network(backbone, content_dim):
    """32 of 64 dimensions against a 32-wide network: at the start bit by bit, after training within rounding."""
    wide, small = (
        dataclasses.replace(
            BASE,
            model=Model(backbone, latent_dim, content_dim),
            objective=dataclasses.replace(BASE.objective, swap=0.5 if content_dim else 0.0),
            train=Train(seed=3),
        )
        for latent_dim in (64, 32)
    )
    other = dataclasses.replace(wide, train=Train(seed=4))
    masked, _, _, (masked_start, *_) = trained([small, other], batches(6))
    alone, _, _, (start, *_) = trained([small], batches(6))
    cut = narrowed(member_of(masked_start.params, 0), small)
    jax.tree.map(np.testing.assert_array_equal, cut, member_of(start.params, 0))
    masked = narrowed(member_of(masked.params, 0), small)
    assert largest_difference(masked, member_of(alone.params, 0)) < 2e-3  # sums of other lengths round otherwise


@pytest.mark.parametrize(
    ("backbone", "data_devices"), [("patch", 1), ("patch", 8), ("grant2023", 2)], ids=str
)  # the last has batch statistics
def test_eight_devices_equal_one(backbone, data_devices):
    base = dataclasses.replace(BASE, model=Model(backbone, latent_dim=8, content_dim=4))
    members = [dataclasses.replace(base, train=Train(seed=seed)) for seed in range(8)]
    execution = Execution(devices=8, data_devices=data_devices)
    data = batches(5, batch_size=max(BATCH, 4 * data_devices))
    state, _, steps, arguments = trained(members, data, 1, execution)
    expected = trained(members, data)[0]
    assert len(state.step.sharding.device_set) == 8
    tolerance = 5e-5 if data_devices == 1 else 2e-3
    assert largest_difference(state.weights, expected.weights) < tolerance
    found = set(COLLECTIVES.findall(steps.lower(*arguments).compile().as_text()))
    assert bool(found) == (data_devices > 1), found  # members never talk to one another


def test_diverged_and_resting_members_stay_and_leave_the_others_bit_by_bit_as_they_are_without_them():
    steps = 10
    members = [dataclasses.replace(BASE, train=Train(seed=seed, warmup_steps=0)) for seed in range(16)]
    wild = dataclasses.replace(BASE, train=Train(seed=5, warmup_steps=0, learning_rate=1e3))
    others, running = np.delete(np.arange(16), [5, 9]), np.arange(16) != 9
    for at_once in (16, 1):
        tame = trained(members, batches(steps), at_once)[0]
        state, _, _, (start, *_) = trained([*members[:5], wild, *members[6:]], batches(steps), at_once, running=running)
        assert np.flatnonzero(state.diverged).tolist() == [5]
        assert 0 < state.step[5] < steps and state.step[9] == 0 and np.all(np.asarray(state.step)[others] == steps)
        assert all(np.isfinite(leaf[5]).all() for leaf in jax.tree.leaves((state.params, state.opt_state)))
        jax.tree.map(np.testing.assert_array_equal, member_of(state.weights, 9), member_of(start.weights, 9))
        jax.tree.map(np.testing.assert_array_equal, member_of(state.weights, others), member_of(tame.weights, others))
    fifteen = trained([*members[:5], *members[6:]], batches(steps))[0]
    rest = np.delete(np.arange(16), 5)
    jax.tree.map(np.testing.assert_array_equal, member_of(tame.weights, rest), fifteen.weights)


def test_numbers_share_a_program_and_shapes_do_not():
    changes = [
        {"model.latent_dim": 4},
        {"model.backbone": "filterbank"},
        {"train.seed": 3, "train.learning_rate": 1e-4},
        {"spectrogram.n_mels": 64},
        {"model.backbone": "filterbank", "objective.beta.maximum": 4.0},
    ]
    members = sweep.members(dataclasses.replace(BASE, sweep=listed(changes)))
    assert population.groups(members) == [[0, 2], [1, 4], [3]]


@pytest.mark.parametrize(
    ("members", "execution", "words"),
    [
        (6, Execution(devices=4), "6 members cannot be split over 4 devices; use a multiple of 4 members"),
        (8, Execution(devices=16), "execution.devices is 16, but there are 8"),
        (8, Execution(devices=8, data_devices=3), "8 devices cannot be split by execution.data_devices 3"),
        (1, Execution(devices=5), "a batch of 8 cannot be split over 5 devices in whole blocks of 4; use a mult"),
        (1, Execution(devices=4), "use a multiple of 16 as train.batch_size"),  # two clips each
    ],
)
def test_population_or_batch_that_does_not_divide_the_devices_is_refused_with_the_numbers(members, execution, words):
    with pytest.raises(ValueError, match=words):
        devices.make_mesh(members, BATCH, execution, block.CLIPS)


def test_spare_devices_share_the_batch():
    assert dict(devices.make_mesh(2, 16, Execution()).shape) == {"population": 2, "data": 4}
    assert dict(devices.make_mesh(16, 16, Execution()).shape) == {"population": 8, "data": 1}
    assert dict(devices.make_mesh(16, 16, Execution(data_devices=4)).shape) == {"population": 2, "data": 4}


def test_a_new_value_does_not_compile_anew():
    steps = trained(every_number(16), batches(STEPS))[2]
    compiled = steps._cache_size()
    trained(every_number(16)[::-1], batches(STEPS, seed=1))
    assert steps._cache_size() == compiled
