"""A training step: what it depends on, that a weight of 0 removes a term, and that a batch is learned."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae.config import Beta, Experiment, Model, Objective, Train
from jaxvae.data.input_pipeline import Examples
from jaxvae.models.heads import effect_nll, settings_nll
from jaxvae.models.vae import VAE, sample_randomness, still
from jaxvae.training import losses, train_state, vae_steps
from jaxvae.training.hyperparams import hyperparams
from jaxvae.views import ALIGNED, NONE, RELATIONS, SOURCE, Views

BINS, FRAMES, NUMBERS = 16, 8, 6
MODEL = VAE(Model(latent_dim=8, content_dim=4), parameters=(3, 1))
OBJECTIVE = Objective(
    beta=Beta(schedule="constant"),
    elbo_weight=0.01,
    effect_weight=3.0,
    settings_weight=2.0,
    contrastive_weight=1.0,
    dropout=0.0,
)
quick_jit = functools.partial(jax.jit, compiler_options=train_state.RUN_ONCE)


def numbers(**changes: float):
    train = Train(warmup_steps=0, learning_rate=3e-3, steps=1_000)
    return hyperparams(Experiment("steps", objective=dataclasses.replace(OBJECTIVE, **changes), train=train))._replace(
        latent_dim=jnp.asarray(8)
    )


@pytest.fixture(scope="module")
def examples():
    """Two blocks of noise, whose settings are heard as a line in the spectrogram."""
    rng = np.random.default_rng(0)
    effect = np.array([0, 1, 0, 1, 1, 1, 1, 1], np.int32)
    normalized = np.array(
        [[0.2, 0.5, 0.9], [0.3, np.nan, np.nan]] * 2 + [[0.8, *[np.nan] * 2], [0.5, *[np.nan] * 2]] * 2
    )
    dry = Views(rng.normal(size=(8, BINS, FRAMES)).astype(np.float32), rng.normal(size=(8, NUMBERS)).astype(np.float32))
    passage = dry.fine + 0.1 * rng.normal(size=(8, NUMBERS)).astype(np.float32)
    wet = Views(dry.spectrogram.copy(), dry.fine + 1.0)
    for clip in range(8):
        wet.spectrogram[clip, effect[clip] + int(10 * normalized[clip, 0])] += 3.0
    return jax.tree.map(jnp.asarray, Examples(wet, dry, passage, effect, normalized.astype(np.float32)))


@pytest.fixture(scope="module")
def state():
    create = functools.partial(vae_steps.create, model=MODEL, bins=BINS, frames=FRAMES, numbers=NUMBERS)
    return quick_jit(create)(numbers())


@pytest.fixture(scope="module")
def step():
    return quick_jit(functools.partial(vae_steps.train_step, model=MODEL, objective=OBJECTIVE))


@pytest.fixture(scope="module")
def evaluate():
    return quick_jit(functools.partial(vae_steps.eval_step, model=MODEL))


def equal(first, second) -> bool:
    """Whether two trees of arrays are the same bit by bit."""
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, first, second)))


@pytest.mark.parametrize("weight", ["effect_weight", "settings_weight", "contrastive_weight"])
def test_weight_of_zero_removes_the_term_from_the_gradient_of_the_encoder(state, step, examples, weight):
    """Two steps that differ only in what the term compares with."""
    other, also = examples, {}
    match weight:
        case "effect_weight":  # settings are of an effect: without their weight, nothing else depends on it
            other, also = examples._replace(effect=1 - examples.effect), {"settings_weight": 0.0}
        case "settings_weight":
            other = examples._replace(normalized=1 - examples.normalized)
        case "contrastive_weight":
            also = {"temperature": 1.0}
    for value, same in ((0.0, True), (3.0, False)):
        first = step(state, numbers(**{**also, "temperature": 0.1, weight: value}), examples)[0]
        second = step(state, numbers(**{**also, weight: value}), other)[0]
        assert equal(first.params["effect_encoder"], second.params["effect_encoder"]) == same


def test_without_the_elbo_no_gradient_reaches_decoder_and_content(state, step, examples):
    for weight, same in ((0.0, True), (0.01, False)):
        values = numbers(elbo_weight=weight)._replace(weight_decay=jnp.float32(0.0))
        taken = step(state, values, examples)[0]
        for part in ("decoder", "content_encoder", "log_std"):
            assert equal(taken.params[part], state.params[part]) == same
        assert not equal(taken.params["effect_encoder"], state.params["effect_encoder"])


@pytest.mark.parametrize("reading_noise", [0.0, 0.5])
def test_heads_are_trained_with_a_share_of_the_noise(state, step, examples, reading_noise):
    metrics = step(state, numbers(reading_noise=reading_noise), examples)[1]
    shares = OBJECTIVE.dry_share, OBJECTIVE.source_share
    randomness = sample_randomness(jax.random.fold_in(state.key, 0), 8, MODEL.config, *shares)
    known, variables = randomness.relation, {"params": state.params}
    posterior_of, read = (
        quick_jit(functools.partial(MODEL.apply, method=method)) for method in ("effect_posterior", "read")
    )
    mean, logvar = posterior_of(variables, examples.wet, examples.related(known), known)
    logits = read(variables, mean + reading_noise * jnp.exp(logvar / 2) * randomness.noise)
    nll = effect_nll(logits["effect"], examples).mean()
    assert float(metrics["effect_nll"]) == pytest.approx(float(nll), rel=1e-4)


def test_loss_is_the_weighted_sum_of_its_terms(state, step, examples):
    metrics = step(state, numbers(), examples)[1]
    terms = {"effect_nll": 3.0, "settings_nll": 2.0, "contrastive": 1.0, "reconstruction": 0.01}
    expected = sum(weight * metrics[name] for name, weight in terms.items())
    expected += 0.01 * metrics["beta"] * (metrics["kl"] + metrics["content_kl"])
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(("dry_share", "source_share", "relation"), [(0, 0, NONE), (0, 1, SOURCE), (1, 1, ALIGNED)])
def test_every_clip_is_of_one_relation_at_the_ends_of_the_shares(
    state, step, examples, dry_share, source_share, relation
):
    shares = numbers(dry_share=float(dry_share), source_share=float(source_share))
    taken, metrics = step(state, shares, examples)
    known = jnp.full(8, relation)
    posterior = quick_jit(functools.partial(MODEL.apply, method="effect_posterior"))(
        {"params": state.params}, examples.wet, examples.related(known), known
    )
    kl = losses.kl_per_dimension(posterior).sum(axis=1).mean()
    assert float(metrics["kl"]) == pytest.approx(float(kl), rel=1e-4)
    heard = {
        "spectrogram": examples._replace(dry=examples.dry._replace(spectrogram=-examples.dry.spectrogram)),
        "fine": examples._replace(dry=examples.dry._replace(fine=-examples.dry.fine)),
        "passage": examples._replace(passage=-examples.passage),
    }
    moved = {what for what, other in heard.items() if not equal(taken.params, step(state, shares, other)[0].params)}
    assert moved == {NONE: set(), SOURCE: {"passage"}, ALIGNED: {"spectrogram", "fine"}}[relation]


@pytest.mark.parametrize("clips", [1, 4])
@pytest.mark.parametrize("swap", [0.0, 1.0])
def test_no_clip_or_every_clip_is_decoded_from_others_at_the_ends_of_the_swap(state, examples, swap, clips):
    """The error of a step is that of the clips it reconstructs with the same randomness, swaps set by hand."""
    objective = dataclasses.replace(OBJECTIVE, reconstructed_clips=clips)
    step = quick_jit(functools.partial(vae_steps.train_step, model=MODEL, objective=objective))
    metrics = step(state, numbers(swap=swap), examples)[1]
    key = jax.random.fold_in(state.key, 0)
    shares = OBJECTIVE.dry_share, OBJECTIVE.source_share
    randomness = sample_randomness(key, 8, MODEL.config, *shares, 0.5, reconstructed_clips=clips)
    own = randomness.reconstructed
    randomness = randomness._replace(effect_from=own ^ (2 * int(swap)), content_from=own ^ int(swap))
    dry = examples.related(randomness.relation)
    output = quick_jit(MODEL.apply)({"params": state.params}, examples.wet, dry, randomness)
    assert output.reconstruction.shape == (2 * clips, BINS, FRAMES)
    target = examples.wet.spectrogram[(4 * np.arange(2)[:, None] + np.asarray(own)).reshape(-1)]
    error = losses.mean_squared(target, output.reconstruction).mean()
    assert float(metrics["mean_squared"]) == pytest.approx(float(error), rel=1e-5)


def test_evaluation_reads_in_every_mode(state, evaluate, examples):
    randomness = sample_randomness(jax.random.key(1), 8, MODEL.config)
    figures = evaluate(state.weights, numbers(), examples, randomness)
    for mode, known in RELATIONS.items():
        relation = jnp.full(8, known)
        randomness, dry = still(8, MODEL.config)._replace(relation=relation), examples.related(relation)
        output = quick_jit(MODEL.apply)({"params": state.params}, examples.wet, dry, randomness)
        close = functools.partial(np.testing.assert_allclose, rtol=1e-4)
        close(figures[f"{mode}/effect_nll"], effect_nll(output.logits["effect"], examples))
        close(figures[f"{mode}/settings_nll"], settings_nll(output.logits["settings"], examples))
        right = np.argmax(output.logits["effect"], axis=1) == examples.effect
        np.testing.assert_array_equal(figures[f"{mode}/accuracy"], right)
    assert all(len(values) == 8 for values in figures.values())


@pytest.mark.parametrize("parameters", [(), (3, 1)])
def test_evaluation_of_a_plain_network_is_blind_and_without_heads_reads_nothing(examples, parameters):
    model = VAE(Model(latent_dim=8, content_dim=0), parameters)
    weights = jax.eval_shape(
        functools.partial(vae_steps.create, model=model, bins=BINS, frames=FRAMES, numbers=NUMBERS), numbers()
    ).weights
    evaluate = functools.partial(vae_steps.eval_step, model=model)
    figures = jax.eval_shape(evaluate, weights, numbers(), examples, still(8, model.config))
    read = {"blind/effect_nll", "blind/settings_nll", "blind/accuracy"} if parameters else set()
    assert set(figures) == {"mean_squared", "kl", "content_kl", "mean"} | read


def test_a_network_without_fine_structure_has_no_source_aware_mode():
    assert vae_steps.modes(MODEL.config) == ("blind", "source_aware", "dry_aware")
    assert vae_steps.modes(dataclasses.replace(MODEL.config, fine_structure=False)) == ("blind", "dry_aware")


def test_training_learns_to_read_a_batch_in_every_mode(state, evaluate, examples):
    step = functools.partial(vae_steps.train_step, model=MODEL, objective=OBJECTIVE)
    steps = quick_jit(functools.partial(train_state.take_steps, step))
    repeated = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (80, *leaf.shape)), examples)
    trained, metrics = steps(state, numbers(), jnp.array(True), repeated)
    assert not trained.diverged and int(trained.step) == 80
    randomness = sample_randomness(jax.random.key(1), 8, MODEL.config)
    before, after = (evaluate(weights.weights, numbers(), examples, randomness) for weights in (state, trained))
    for mode in RELATIONS:
        assert after[f"{mode}/effect_nll"].mean() < 0.5 * before[f"{mode}/effect_nll"].mean()
        assert after[f"{mode}/settings_nll"].mean() < before[f"{mode}/settings_nll"].mean() - 1.0
    assert metrics["contrastive"][-5:].mean() < 0.5 * metrics["contrastive"][:5].mean()
