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

BACKBONES = ("grant2023", "convolution", "patch", "filterbank")
# Small programs run once: compiling them well takes longer than running them badly.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)
BINS, FRAMES, LATENT, CONTENT = 20, 18, 8, 6  # neither 16 m nor 16 m + 1: every backbone has to extend and to cut
SPLIT = VAE(Model("patch", LATENT, CONTENT), parameters=(3, 1))


def plain(backbone: str) -> VAE:
    return VAE(Model(backbone, LATENT, content_dim=0))


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


WET, DRY = normal(1, 4, BINS, FRAMES), normal(5, 4, BINS, FRAMES)


def noisy(model: VAE) -> vae.Randomness:
    """Noise, everything else off."""
    noise = normal(2, 4, LATENT), normal(3, 4, model.config.content_dim)
    return still(4, model.config)._replace(noise=noise[0], content_noise=noise[1])


def shapes(model: VAE, bins: int, frames: int):
    """Shapes of the variables and of what comes out for a block; nothing is compiled or computed."""
    arguments = *(jnp.zeros((4, bins, frames)),) * 2, still(4, model.config)
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
        error = jnp.mean((wet - output.reconstruction) ** 2)
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


def outputs(model: VAE, wet: jax.Array) -> vae.Output:
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
    without, attentive = (size(VAE(Model(width=width, attention=attends)), 32, 16) for attends in (False, True))
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
    others = noisy(model)._replace(dry_known=jnp.ones(4), content_from=jnp.array([[1, 0, 3, 2]]))
    for first, second in zip(output, forward(model)(WET, -DRY, others), strict=True):
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

    jax.tree.map(close, of("effect_posterior", WET, DRY, jnp.zeros(4)), output.posterior)
    jax.tree.map(close, of("content_posterior", WET), output.content)
    jax.tree.map(close, of("read", output.posterior.mean), output.logits)
    close(of("reconstruct", WET[:3]), output.reconstruction[:3])  # no whole block


@pytest.mark.parametrize("backbone", BACKBONES[1:])
def test_a_clip_of_a_plain_network_does_not_depend_on_its_neighbours(backbone):
    before, after = (outputs(plain(backbone), wet) for wet in (WET, WET.at[1:].multiply(10.0)))
    np.testing.assert_allclose(before.posterior.mean[0], after.posterior.mean[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(before.reconstruction[0], after.reconstruction[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dry_known", [0.0, 1.0])
def test_a_clip_of_a_split_network_depends_on_its_neighbours_by_swaps_only(dry_known):
    randomness = noisy(SPLIT)._replace(dry_known=jnp.full(4, dry_known))
    others = WET.at[1:].multiply(3.0), DRY.at[1:].multiply(3.0)
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


def test_effect_depends_on_the_dry_clip_where_it_is_known_and_only_there():
    randomness = noisy(SPLIT)._replace(dry_known=jnp.array([0.0, 1.0, 0.0, 1.0]))
    first, second = (forward(SPLIT)(WET, dry, randomness) for dry in (DRY, 2.0 * DRY + 1.0))
    moved = [
        np.abs(one - other).max(axis=1)
        for one, other in zip(
            (*first.posterior, first.logits["effect"]), (*second.posterior, second.logits["effect"]), strict=True
        )
    ]
    for difference in moved:
        assert (difference[::2] == 0).all() and (difference[1::2] > 1e-4).all()
    jax.tree.map(np.testing.assert_array_equal, first.content, second.content)
    unchanged = forward(SPLIT)(WET, WET, randomness).posterior.mean  # as if nothing had been done to the clip
    blind = forward(SPLIT)(WET, WET, noisy(SPLIT)).posterior.mean
    assert (np.abs(unchanged - blind).max(axis=1)[1::2] > 1e-4).all()  # is not as if the dry clip were unknown


@pytest.mark.parametrize("backbone", BACKBONES)
def test_embedding_hears_how_far_an_echo_is(backbone):
    """Clips of the same frames in another order: an impulse, and its echo after 3, 6, 9 and 14 frames."""
    clips = np.zeros((4, BINS, FRAMES), np.float32)
    clips[:, :, 2] = 3.0
    for clip, delay in enumerate((3, 6, 9, 14)):
        clips[clip, :, 2 + delay] = 2.0
    mean = outputs(plain(backbone), jnp.asarray(clips)).posterior.mean
    assert np.std(mean, axis=0).mean() > 0.1 * np.abs(mean).mean()


@pytest.mark.parametrize("model", [*map(plain, BACKBONES), SPLIT], ids=lambda model: model.config.backbone)
def test_gradient_reaches_every_weight_and_training_fits_a_batch(model):
    wet = normal(1, 4, BINS, 1) + normal(2, 4, 1, FRAMES)
    randomness = still(4, model.config)._replace(dry_known=jnp.array([1.0, 0.0, 1.0, 0.0]))
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

    def choices(share: float, swap: float) -> np.ndarray:
        randomness = vae.sample_randomness(key, 4_000, config, dry_share=share, swap=swap)
        own = randomness.reconstructed
        return np.stack(
            [randomness.dry_known, *(np.ravel(of != own) for of in (randomness.effect_from, randomness.content_from))]
        )

    assert not choices(0.0, 0.0).any() and choices(1.0, 1.0).all()
    chosen = choices(0.2, 0.7)
    np.testing.assert_allclose(chosen.mean(axis=1), [0.2, 0.7, 0.7], atol=5 * np.sqrt(0.25 / 1_000))
    together = np.corrcoef(chosen)[np.triu_indices(3, 1)]
    assert np.abs(together).max() < 5 / np.sqrt(1_000)  # one choice says nothing of another
    for noise in vae.sample_randomness(key, 4_000, config)[:2]:
        assert abs(float(noise.mean())) < 0.05 and float(noise.std()) == pytest.approx(1.0, abs=0.05)


def test_noise_of_fewer_dimensions_is_the_first_of_more():
    few, many = (vae.sample_randomness(jax.random.key(0), 4, Model(latent_dim=width), 0.5, 0.5) for width in (32, 64))
    np.testing.assert_array_equal(many.noise[:, :32], few.noise)
    jax.tree.map(np.testing.assert_array_equal, many[1:], few[1:])
