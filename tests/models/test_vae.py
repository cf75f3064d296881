"""The networks: sizes, gradients, what depends on what, from whose latents a clip is decoded, that each can learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvae.config import Model
from jaxvae.models import vae
from jaxvae.models.vae import VAE, still
from jaxvae.views import ALIGNED, NONE, SOURCE, Views

BACKBONES = ("grant2023", "convolution", "patch", "filterbank")
# Small programs run once: compiling them well takes longer than running them badly.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)
NUMBERS = 5  # of fine structure
BINS, FRAMES, LATENT, CONTENT = 20, 18, 8, 6  # neither 16 m nor 16 m + 1: every backbone has to extend and to cut
SPLIT = VAE(Model("patch", LATENT, CONTENT), parameters=(3, 1))


def plain(backbone: str) -> VAE:
    return VAE(Model(backbone, LATENT, content_dim=0))


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def clips(seed: int) -> Views:
    return Views(normal(seed, 4, BINS, FRAMES), normal(100 + seed, 4, NUMBERS))


def changed(views: Views, change) -> Views:
    """Both views, changed alike."""
    return Views(*map(change, views))


WET, DRY = clips(1), clips(5)


def noisy(model: VAE) -> vae.Randomness:
    """Noise, everything else off."""
    noise = normal(2, 4, LATENT), normal(3, 4, model.config.content_dim)
    return still(4, model.config)._replace(noise=noise[0], content_noise=noise[1])


def shapes(model: VAE, bins: int, frames: int):
    """Shapes of the variables and of what comes out for a block; nothing is compiled or computed."""
    arguments = *(Views(jnp.zeros((4, bins, frames)), jnp.zeros((4, NUMBERS))),) * 2, still(4, model.config)
    return jax.eval_shape(lambda key: model.init_with_output(key, *arguments), jax.random.key(0))


def size(model: VAE, bins: int, frames: int) -> int:
    """Number of weights."""
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(model, bins, frames)[1]["params"]))


@functools.cache
def initial(model: VAE):
    """Fresh variables."""
    return quick_jit(lambda key: model.init(key, WET, DRY, noisy(model)))(jax.random.key(0))


@functools.cache
def forward(model: VAE):
    variables = initial(model)
    return quick_jit(lambda wet, dry, randomness: model.apply(variables, wet, dry, randomness))


@functools.cache
def decode(model: VAE):
    def decoded(network: VAE, z: jax.Array) -> jax.Array:
        return network.decoder(z, z.shape[1], BINS, FRAMES, False)

    return quick_jit(lambda z: model.apply(initial(model), z, method=decoded))


@functools.cache
def make_step(model: VAE):
    """One step of Adam on the squared error: variables, optimiser's state, ... to the same and more."""
    adam = optax.adam(3e-3)

    def loss(params, fixed, wet, randomness):
        output, _ = model.apply({"params": params, **fixed}, wet, DRY, randomness, train=True, mutable=["batch_stats"])
        error = jnp.mean((wet.spectrogram - output.reconstruction) ** 2)
        read = sum(jnp.sum(logits**2) for logits in output.logits.values())
        return error * jnp.exp(-2 * output.log_std) + output.log_std + 1e-3 * read, (output, error)

    def step(variables, opt_state, wet, randomness):
        fixed = {name: value for name, value in variables.items() if name != "params"}
        gradient, (output, error) = jax.grad(loss, has_aux=True)(variables["params"], fixed, wet, randomness)
        updates, opt_state = adam.update(gradient, opt_state)
        return (
            {"params": optax.apply_updates(variables["params"], updates), **fixed},
            opt_state,
            gradient,
            output,
            error,
        )

    variables = initial(model)
    return variables, adam.init(variables["params"]), quick_jit(step)


def outputs(model: VAE, wet: Views) -> vae.Output:
    """Output of a fresh network as in training."""
    variables, opt_state, step = make_step(model)
    return step(variables, opt_state, wet, noisy(model))[3]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", [(128, 129), (129, 129), (1_025, 33), (64, 7), (1, 1), (17, 100)])
def test_reconstruction_has_the_size_of_the_spectrogram(backbone, size):
    output, variables = shapes(VAE(Model(backbone, latent_dim=5, content_dim=3), (2, 7)), *size)
    assert output.reconstruction.shape == (4, *size)
    assert output.posterior.mean.shape == output.posterior.logvar.shape == (4, 5)
    assert output.content.mean.shape == output.content.logvar.shape == (4, 3)
    assert output.logits["effect"].shape == (4, 2) and output.logits["settings"].shape[:3] == (4, 2, 7)
    assert ("batch_stats" in variables) == (backbone == "grant2023")


@pytest.mark.parametrize("width", [1, 2])
def test_attention_has_weights_of_its_own_at_every_width(width):
    without, attentive = (
        size(VAE(Model(width=width, attention=attends, fine_structure=False)), 32, 16) for attends in (False, True)
    )
    assert attentive > without


def test_network_of_grant2023_has_the_published_number_of_parameters():
    log_std = 1
    assert size(VAE(Model("grant2023", 128, 0)), 2_049, 129) - log_std == pytest.approx(14.33e6, abs=0.005e6)


@pytest.mark.parametrize("backbone", BACKBONES[1:])
def test_backbones_have_one_to_three_million_parameters_and_grow_with_width(backbone):
    narrow, wide = (size(VAE(Model(backbone, 128, 0, width=width)), 128, 129) for width in (1, 2))
    assert 1e6 < narrow < 3e6 and wide > 1.5 * narrow


def test_plain_network_has_one_latent_and_never_hears_the_dry_clip():
    model = plain("filterbank")
    output = forward(model)(WET, DRY, noisy(model))
    assert output.content.mean.shape == output.content.logvar.shape == (4, 0)
    assert set(initial(model)["params"]) == {"encoder", "decoder", "log_std"}
    others = noisy(model)._replace(relation=jnp.full(4, ALIGNED), content_from=jnp.array([[1, 0, 3, 2]]))
    louder = WET._replace(fine=2 * WET.fine)
    for first, second in zip(output, forward(model)(louder, clips(6), others), strict=True):
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), first, second)


@pytest.mark.parametrize("model", [*map(plain, BACKBONES), SPLIT], ids=lambda model: model.config.backbone)
def test_posteriors_start_close_to_the_prior(model):
    output = outputs(model, WET)
    for mean in (output.posterior.mean, output.content.mean):
        assert mean.size == 0 or 0 < np.abs(mean).max() < 1.5
    for logvar in (output.posterior.logvar, output.content.logvar):
        assert logvar.size == 0 or 0 < np.abs(logvar).max() < 2.6


@pytest.mark.parametrize("model", [plain("filterbank"), SPLIT], ids=["plain", "split"])
def test_reconstruction_is_decoded_from_the_means_plus_noise_in_standard_deviations(model):
    randomness = noisy(model)
    output = forward(model)(WET, DRY, randomness)
    content, effect = (
        part.mean + np.sqrt(np.exp(part.logvar)) * noise
        for part, noise in ((output.content, randomness.content_noise), (output.posterior, randomness.noise))
    )
    decoded = decode(model)(np.concatenate([content, effect], axis=1))
    np.testing.assert_allclose(output.reconstruction, decoded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [plain("filterbank"), SPLIT], ids=["plain", "split"])
def test_methods_are_the_parts_of_the_whole(model):
    variables = initial(model)
    output = forward(model)(WET, DRY, still(4, model.config))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)

    def of(method: str, *arguments: jax.Array):
        return quick_jit(functools.partial(model.apply, method=method))(variables, *arguments)

    relation = jnp.full(4, NONE)
    jax.tree.map(close, of("effect_posterior", WET, DRY, relation), output.posterior)
    jax.tree.map(close, of("content_posterior", WET.spectrogram), output.content)
    jax.tree.map(close, of("read", output.posterior.mean), output.logits)
    jax.tree.map(close, of("answers", WET, DRY, relation), output.logits)
    close(of("reconstruct", changed(WET, lambda view: view[:3])), output.reconstruction[:3])  # no whole block


@pytest.mark.parametrize("backbone", BACKBONES[1:])
def test_a_clip_of_a_plain_network_does_not_depend_on_its_neighbours(backbone):
    before, after = (
        outputs(plain(backbone), wet) for wet in (WET, changed(WET, lambda view: view.at[1:].multiply(10.0)))
    )
    np.testing.assert_allclose(before.posterior.mean[0], after.posterior.mean[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(before.reconstruction[0], after.reconstruction[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("relation", [NONE, SOURCE, ALIGNED])
def test_a_clip_of_a_split_network_depends_on_its_neighbours_by_swaps_only(relation):
    randomness = noisy(SPLIT)._replace(relation=jnp.full(4, relation))
    others = [changed(views, lambda view: view.at[1:].multiply(3.0)) for views in (WET, DRY)]
    before, after = forward(SPLIT)(WET, DRY, randomness), forward(SPLIT)(*others, randomness)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        if one.ndim:
            np.testing.assert_allclose(one[0], other[0], rtol=1e-4, atol=1e-5)
    swapped = randomness._replace(effect_from=jnp.array([[2, 3, 0, 1]]))
    before, after = forward(SPLIT)(WET, DRY, swapped), forward(SPLIT)(*others, swapped)
    np.testing.assert_allclose(before.posterior.mean[0], after.posterior.mean[0], rtol=1e-4, atol=1e-5)
    assert np.abs(before.reconstruction[0] - after.reconstruction[0]).max() > 1e-4


def test_swaps_take_the_effect_of_the_other_content_and_the_content_at_the_other_setting():
    """Latent vectors that say where they come from: block, content, setting."""
    clips = np.arange(4_000)
    origin = jnp.stack([clips // 4, clips // 2 % 2, clips % 2], axis=1).astype(float)
    randomness = vae.sample_randomness(jax.random.key(0), 4_000, SPLIT.config, swap=0.3)
    effect, content = (
        np.asarray(vae.choose(origin, source)) for source in (randomness.effect_from, randomness.content_from)
    )
    for found, moved in ((effect, 1), (content, 2)):
        same = [axis for axis in range(3) if axis != moved]
        np.testing.assert_array_equal(found[:, same], origin[:, same])
        assert np.mean(found[:, moved] != origin[:, moved]) == pytest.approx(0.3, abs=0.03)
    assert np.mean((effect[:, 1] != origin[:, 1]) & (content[:, 2] != origin[:, 2])) == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize("clips", [1, 2, 3, 4])
def test_a_step_reconstructs_that_many_clips_of_each_block_and_each_clip_as_often(clips):
    randomness = vae.sample_randomness(jax.random.key(0), 4_000, SPLIT.config, reconstructed_clips=clips)
    chosen = np.asarray(randomness.reconstructed)
    assert chosen.shape == (1_000, clips) and (np.diff(chosen, axis=1) > 0).all()
    np.testing.assert_allclose(np.bincount(chosen.ravel()) / 1_000, clips / 4, atol=0.05)
    np.testing.assert_array_equal(randomness.effect_from, chosen)  # no swaps


def test_a_step_may_reconstruct_clips_of_the_first_blocks_only():
    randomness = vae.sample_randomness(jax.random.key(0), 40, SPLIT.config, swap=0.5, reconstructed_blocks=3)
    assert randomness.reconstructed.shape == randomness.effect_from.shape == (3, 4)
    assert randomness.content_noise.shape == (12, CONTENT) and randomness.noise.shape == (40, LATENT)
    np.testing.assert_array_equal(vae.choose(jnp.arange(40.0), randomness.reconstructed), np.arange(12))
    every = vae.sample_randomness(jax.random.key(0), 8, SPLIT.config, reconstructed_blocks=24)
    assert every.reconstructed.shape == (2, 4)


def test_swapped_clip_is_decoded_from_its_effect_in_another_content_and_its_content_at_another_setting():
    means = forward(SPLIT)(WET, DRY, still(4, SPLIT.config))
    randomness = still(4, SPLIT.config)._replace(
        reconstructed=jnp.array([[0, 3]]), effect_from=jnp.array([[2, 3]]), content_from=jnp.array([[1, 3]])
    )
    randomness = randomness._replace(content_noise=randomness.content_noise[:2])
    content, effect = means.content.mean[np.array([1, 3])], means.posterior.mean[np.array([2, 3])]
    decoded = decode(SPLIT)(jnp.concatenate([content, effect], axis=1))
    output = forward(SPLIT)(WET, DRY, randomness)
    np.testing.assert_allclose(output.reconstruction, decoded, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.content.mean, content, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dry", "heard_by"),
    [
        (DRY._replace(spectrogram=2.0 * DRY.spectrogram + 1.0), {ALIGNED}),
        (DRY._replace(fine=2.0 * DRY.fine + 1.0), {SOURCE, ALIGNED}),
    ],
    ids=Views._fields,
)
def test_effect_depends_on_what_is_known_of_the_dry_clip_and_on_no_more(dry, heard_by):
    relation = np.array([NONE, SOURCE, ALIGNED, NONE])
    randomness = noisy(SPLIT)._replace(relation=jnp.asarray(relation))
    first, second = (forward(SPLIT)(WET, known, randomness) for known in (DRY, dry))
    moved = [
        np.abs(one - other).max(axis=1)
        for one, other in zip(
            (*first.posterior, first.logits["effect"]), (*second.posterior, second.logits["effect"]), strict=True
        )
    ]
    heard = np.isin(relation, list(heard_by))
    for difference in moved:
        assert (difference[~heard] == 0).all() and (difference[heard] > 1e-5).all()
    jax.tree.map(np.testing.assert_array_equal, first.content, second.content)


@pytest.mark.parametrize("relation", [SOURCE, ALIGNED])
def test_a_dry_clip_that_is_the_wet_one_is_not_as_if_none_were_known(relation):
    known = noisy(SPLIT)._replace(relation=jnp.full(4, relation))
    unchanged, blind = (forward(SPLIT)(WET, WET, randomness).posterior.mean for randomness in (known, noisy(SPLIT)))
    assert (np.abs(unchanged - blind).max(axis=1) > 1e-5).all()


def test_a_network_without_fine_structure_has_the_convolutions_and_the_names_of_earlier_versions():
    model, clip = VAE(Model("patch", LATENT, CONTENT, fine_structure=False)), jnp.zeros((4, 32, 16))
    views = Views(clip, jnp.zeros((4, 0)))
    found = jax.eval_shape(lambda key: model.init(key, views, views, still(4, model.config)), jax.random.key(0))
    layers = {*(f"Dense_{n}" for n in range(2)), *(f"LocalDense_{n}" for n in range(3)), "dry_known", "mean", "logvar"}
    assert set(found["params"]["effect_encoder"]) == layers


def test_hidden_units_are_left_out_by_the_share_and_the_others_grow_for_it():
    key = jax.random.key(0)
    for dropout in (0.0, 0.3):
        kept = np.asarray(vae.sample_randomness(key, 40, SPLIT.config, dropout=dropout).kept)
        assert kept.shape == (40, 2, 384)
        assert np.mean(kept == 0) == pytest.approx(dropout, abs=0.01)
        np.testing.assert_allclose(kept[kept > 0], 1 / (1 - dropout), rtol=1e-6)
    randomness = noisy(SPLIT)
    ones, zeros = (randomness._replace(kept=jnp.full((4, 2, 384), value)) for value in (1.0, 0.0))
    as_it_is, none = (forward(SPLIT)(WET, DRY, draws).posterior for draws in (ones, zeros))
    np.testing.assert_allclose(as_it_is.mean, forward(SPLIT)(WET, DRY, randomness).posterior.mean, atol=1e-6)
    np.testing.assert_allclose(none.mean, 0.0, atol=1e-6)  # the biases of a fresh network
    np.testing.assert_allclose(none.logvar, -2.0, atol=1e-6)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_embedding_hears_how_far_an_echo_is(backbone):
    """Clips of the same frames in another order: an impulse, and its echo after 3, 6, 9 and 14 frames."""
    spectrograms = np.zeros((4, BINS, FRAMES), np.float32)
    spectrograms[:, :, 2] = 3.0
    for clip, delay in enumerate((3, 6, 9, 14)):
        spectrograms[clip, :, 2 + delay] = 2.0
    mean = outputs(plain(backbone), WET._replace(spectrogram=jnp.asarray(spectrograms))).posterior.mean
    assert np.std(mean, axis=0).mean() > 0.1 * np.abs(mean).mean()


@pytest.mark.parametrize("model", [*map(plain, BACKBONES), SPLIT], ids=lambda model: model.config.backbone)
def test_gradient_reaches_every_weight_and_training_fits_a_batch(model):
    wet = WET._replace(spectrogram=normal(1, 4, BINS, 1) + normal(2, 4, 1, FRAMES))
    randomness = still(4, model.config)._replace(relation=jnp.array([ALIGNED, NONE, SOURCE, NONE]))
    variables, opt_state, step = make_step(model)
    variables, opt_state, gradient, _, first = step(variables, opt_state, wet, randomness)
    for encoder in ("encoder", "effect_encoder", "content_encoder"):
        gradient.get(encoder, {}).pop("logvar", None)  # without noise, nothing depends on it
    idle = [jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(gradient) if not np.any(leaf)]
    assert not idle
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    for _ in range(60):
        variables, opt_state, _, _, last = step(variables, opt_state, wet, randomness)
    assert float(last) < 0.2 * float(first)


def test_draws_choose_as_many_clips_as_they_are_told():
    config, key = SPLIT.config, jax.random.key(0)

    def choices(share: float, source: float, swap: float) -> np.ndarray:
        randomness = vae.sample_randomness(key, 4_000, config, share, source, swap)
        own, relation = randomness.reconstructed, randomness.relation
        swaps = (np.ravel(of != own) for of in (randomness.effect_from, randomness.content_from))
        return np.stack([relation == ALIGNED, relation == SOURCE, *swaps])

    assert not choices(0.0, 0.0, 0.0).any() and choices(1.0, 1.0, 1.0)[[0, 2, 3]].all()
    assert choices(0.0, 1.0, 1.0)[1:].all() and not choices(1.0, 1.0, 1.0)[1].any()
    chosen = choices(0.2, 0.5, 0.7)
    np.testing.assert_allclose(chosen.mean(axis=1), [0.2, 0.4, 0.7, 0.7], atol=5 * np.sqrt(0.25 / 1_000))
    known = chosen[0] | chosen[1]
    together = np.corrcoef([known, *chosen[2:]])[np.triu_indices(3, 1)]
    assert np.abs(together).max() < 5 / np.sqrt(1_000)  # one choice says nothing of another
    for noise in vae.sample_randomness(key, 4_000, config)[:2]:
        assert abs(float(noise.mean())) < 0.05 and float(noise.std()) == pytest.approx(1.0, abs=0.05)


def test_noise_of_fewer_dimensions_is_the_first_of_more():
    few, many = (vae.sample_randomness(jax.random.key(0), 4, Model(latent_dim=width), 0.5, 0.5) for width in (32, 64))
    np.testing.assert_array_equal(many.noise[:, :32], few.noise)
    jax.tree.map(np.testing.assert_array_equal, many[1:], few[1:])
