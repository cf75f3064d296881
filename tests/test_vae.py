"""The backbones: shapes, gradients, independence of the clips, and that each can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae.config import Model
from jaxvae.vae import VAE, transposed_convolution

BACKBONES = ("seed", "convolution", "patch", "filterbank")
INDEPENDENT = BACKBONES[1:]


def make(backbone: str, bins: int, frames: int, latent_dim: int = 8, width: int = 1):
    model = VAE(Model(backbone, latent_dim, width))
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, bins, frames)), jnp.zeros((1, latent_dim)))
    return model, variables


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("bins", "frames"), [(33, 17), (40, 21), (16, 9)])
def test_reconstruction_has_the_size_of_the_spectrogram(backbone, bins, frames):
    model, variables = make(backbone, bins, frames)
    output = model.apply(variables, normal(1, 3, bins, frames), normal(2, 3, 8))
    assert output.reconstruction.shape == (3, bins, frames)
    assert output.posterior.mean.shape == output.posterior.logvar.shape == output.z.shape == (3, 8)
    assert output.log_std.shape == ()


def test_transposed_convolution_has_the_gradient_of_autodiff():
    x, kernel, weights = normal(1, 2, 5, 4, 6), normal(2, 3, 3, 7, 6), normal(3, 2, 9, 7, 7)

    def plain(x, kernel):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_transpose(
            x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=layout, transpose_kernel=True
        )

    np.testing.assert_array_equal(transposed_convolution(x, kernel), plain(x, kernel))
    ours = jax.grad(lambda *a: jnp.sum(weights * transposed_convolution(*a)), (0, 1))(x, kernel)
    autodiff = jax.grad(lambda *a: jnp.sum(weights * plain(*a)), (0, 1))(x, kernel)
    for one, other in zip(ours, autodiff, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
