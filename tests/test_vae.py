"""The backbones: sizes, gradients, independence of the clips, and that each can learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvae.config import Model
from jaxvae.vae import VAE, transposed_convolution

BACKBONES = ("seed", "convolution", "patch", "filterbank")
# Small programs run once: compiling them well takes longer than running them badly.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)
BINS, FRAMES, LATENT = 20, 18, 8  # neither 16 m nor 16 m + 1: every backbone has to extend and to cut


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def shapes(model: Model, bins: int, frames: int):
    """Shapes of the variables and of what comes out for three clips; nothing is compiled or computed."""
    arguments = jnp.zeros((3, bins, frames)), jnp.zeros((3, model.latent_dim))
    output, variables = jax.eval_shape(lambda key: VAE(model).init_with_output(key, *arguments), jax.random.key(0))
    return output, variables


def parameters(model: Model, bins: int, frames: int) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(model, bins, frames)[1]["params"]))


@functools.cache
def initial(backbone: str):
    """Fresh variables, and what they make of three clips."""
    arguments = normal(1, 3, BINS, FRAMES), normal(2, 3, LATENT)
    model = VAE(Model(backbone, LATENT))
    return quick_jit(lambda key: model.init_with_output(key, *arguments))(jax.random.key(0))


@functools.cache
def make_step(backbone: str):
    """One step of Adam on the squared error: variables, optimiser's state, spectrogram, noise to the same and more."""
    model, adam = VAE(Model(backbone, LATENT)), optax.adam(3e-3)

    def loss(params, fixed, spectrogram, noise):
        output, _ = model.apply({"params": params, **fixed}, spectrogram, noise, train=True, mutable=["batch_stats"])
        error = jnp.mean((spectrogram - output.reconstruction) ** 2)
        return error * jnp.exp(-2 * output.log_std) + output.log_std, (output, error)

    def step(variables, opt_state, spectrogram, noise):
        fixed = {name: value for name, value in variables.items() if name != "params"}
        gradient, (output, error) = jax.grad(loss, has_aux=True)(variables["params"], fixed, spectrogram, noise)
        updates, opt_state = adam.update(gradient, opt_state)
        return (
            {"params": optax.apply_updates(variables["params"], updates), **fixed},
            opt_state,
            gradient,
            output,
            error,
        )

    variables = initial(backbone)[1]
    return variables, adam.init(variables["params"]), quick_jit(step)


def outputs(backbone: str, spectrogram: jax.Array):
    """Output of a fresh network as in training, for three clips."""
    variables, opt_state, step = make_step(backbone)
    return step(variables, opt_state, spectrogram, normal(2, 3, LATENT))[3]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", [(128, 129), (129, 129), (1_025, 33), (64, 7), (1, 1), (17, 100)])
def test_reconstruction_has_the_size_of_the_spectrogram(backbone, size):
    output, variables = shapes(Model(backbone, latent_dim=5), *size)
    assert output.reconstruction.shape == (3, *size)
    assert output.posterior.mean.shape == output.posterior.logvar.shape == output.z.shape == (3, 5)
    assert ("batch_stats" in variables) == (backbone == "seed")


def test_seeds_network_has_the_published_number_of_parameters():
    log_std = 1
    assert parameters(Model("seed", latent_dim=128), 2_049, 129) - log_std == pytest.approx(14.33e6, abs=0.005e6)


@pytest.mark.parametrize("backbone", BACKBONES[1:])
def test_backbones_have_one_to_three_million_parameters_and_grow_with_width(backbone):
    assert 1e6 < parameters(Model(backbone), 128, 129) < 3e6
    assert parameters(Model(backbone, width=2), 128, 129) > 1.5 * parameters(Model(backbone), 128, 129)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_posterior_starts_close_to_the_prior(backbone):
    posterior = initial(backbone)[0].posterior
    assert 0 < np.abs(posterior.mean).max() < 0.6
    assert 0 < np.abs(posterior.logvar).max() < 0.6


def test_z_is_the_posterior_mean_plus_noise_in_standard_deviations():
    output = initial("filterbank")[0]
    deviation = (output.z - output.posterior.mean) / jnp.sqrt(jnp.exp(output.posterior.logvar))
    np.testing.assert_allclose(deviation, normal(2, 3, LATENT), rtol=1e-4, atol=1e-5)


def test_encode_and_decode_are_the_halves_of_the_whole():
    output, variables = initial("filterbank")
    model = VAE(Model("filterbank", LATENT))
    posterior = quick_jit(functools.partial(model.apply, method="encode"))(variables, normal(1, 3, BINS, FRAMES))
    decoded = quick_jit(lambda z: model.apply(variables, z, BINS, FRAMES, method="decode"))(output.z)
    np.testing.assert_allclose(posterior.mean, output.posterior.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decoded, output.reconstruction, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES[1:])
def test_a_clip_does_not_depend_on_its_neighbours(backbone):
    spectrogram = normal(1, 3, BINS, FRAMES)
    before, after = outputs(backbone, spectrogram), outputs(backbone, spectrogram.at[1:].multiply(10.0))
    np.testing.assert_allclose(before.z[0], after.z[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(before.reconstruction[0], after.reconstruction[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_embedding_hears_how_far_an_echo_is(backbone):
    """Clips of the same frames in another order: an impulse, and its echo after 4, 9 and 14 frames."""
    clips = np.zeros((3, BINS, FRAMES), np.float32)
    clips[:, :, 2] = 3.0
    for clip, delay in enumerate((4, 9, 14)):
        clips[clip, :, 2 + delay] = 2.0
    mean = outputs(backbone, jnp.asarray(clips)).posterior.mean
    assert np.std(mean, axis=0).mean() > 0.1 * np.abs(mean).mean()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_gradient_reaches_every_weight_and_training_fits_a_batch(backbone):
    spectrogram, noise = normal(1, 3, BINS, 1) + normal(2, 3, 1, FRAMES), jnp.zeros((3, LATENT))
    variables, opt_state, step = make_step(backbone)
    variables, opt_state, gradient, _, first = step(variables, opt_state, spectrogram, noise)
    gradient["encoder"].pop("logvar")  # without noise, nothing depends on it
    still = [jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(gradient) if not np.any(leaf)]
    assert not still
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    for _ in range(60):
        variables, opt_state, _, _, last = step(variables, opt_state, spectrogram, noise)
    assert float(last) < 0.2 * float(first)


def test_transposed_convolution_is_the_adjoint_and_has_the_gradient_of_autodiff():
    x, kernel, weights = normal(1, 2, 5, 4, 6), normal(2, 3, 3, 7, 6), normal(3, 2, 9, 7, 7)
    layout = ("NHWC", "HWIO", "NHWC")

    def convolution(y):
        return jax.lax.conv_general_dilated(y, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=layout)

    def plain(x, kernel):
        return jax.lax.conv_transpose(
            x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=layout, transpose_kernel=True
        )

    adjoint = np.vdot(weights, quick_jit(transposed_convolution)(x, kernel))
    np.testing.assert_allclose(adjoint, np.vdot(quick_jit(convolution)(weights), x), rtol=1e-4)
    ours, autodiff = (
        quick_jit(jax.grad(lambda *arguments, function=function: jnp.sum(weights * function(*arguments)), (0, 1)))(
            x, kernel
        )
        for function in (transposed_convolution, plain)
    )
    for one, other in zip(ours, autodiff, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
