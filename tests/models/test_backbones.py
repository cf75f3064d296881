"""Strided convolutions against XLA's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import backbones
from jaxvae.config import Model
from jaxvae.models.layers import convolution, fold, transposed_convolution, unfold
from jaxvae.models.vae import VAE, still
from jaxvae.views import Views

# Small programs run once: compiling them well takes longer than running them badly.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


LAYOUT = ("NHWC", "HWIO", "NHWC")


def xlas(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=LAYOUT)


def xlas_transposed(x, kernel):
    return jax.lax.conv_transpose(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=LAYOUT, transpose_kernel=True)


@pytest.mark.parametrize(
    ("ours", "theirs", "small", "large"),
    [(convolution, xlas, (9, 7, 5), (5, 4, 6)), (transposed_convolution, xlas_transposed, (5, 4, 6), (9, 7, 5))],
)
def test_convolutions_and_their_gradients_equal_xlas(ours, theirs, small, large):
    x, kernel, weights = normal(1, 2, *small), normal(2, 3, 3, 5, 6), normal(3, 2, *large)
    results = [
        quick_jit(
            jax.value_and_grad(lambda x, kernel, function=function: jnp.sum(weights * function(x, kernel)), (0, 1))
        )(x, kernel)
        for function in (ours, theirs)
    ]
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4), *results)
    np.testing.assert_allclose(quick_jit(ours)(x, kernel), quick_jit(theirs)(x, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(5, 4), (1, 1), (1, 3)])
def test_fold_is_the_adjoint_of_unfold(size):
    rows, columns = size
    image, folded = normal(1, 2, 2 * rows - 1, 2 * columns - 1, 5), normal(2, 2, rows, columns, 9 * 5)
    unfolded = quick_jit(unfold)(image)
    assert unfolded.shape == folded.shape
    np.testing.assert_allclose(np.vdot(unfolded, folded), np.vdot(image, quick_jit(fold)(folded)), rtol=1e-4)


def test_no_backbone_has_a_convolution_for_xla_to_run_slowly_in_a_loop():
    for backbone in backbones.names():
        model = VAE(Model(backbone, latent_dim=8, content_dim=4))
        wet, draws = Views(jnp.zeros((4, 20, 18)), jnp.zeros((4, 5))), still(4, model.config)
        variables = jax.eval_shape(model.init, jax.random.key(0), wet, wet, draws)

        def loss(variables, model=model, wet=wet, draws=draws):
            return model.apply(variables, wet, wet, draws).reconstruction.sum()

        assert "conv_general_dilated" not in str(jax.make_jaxpr(jax.grad(loss))(variables))


def test_backbone_that_does_not_exist_is_refused_with_those_that_do():
    assert set(backbones.names()) == {"grant2023", "convolution", "patch", "filterbank"}
    for make in (Model, backbones.get):
        with pytest.raises(ValueError, match=r"'pach'.*; use one of .*patch"):
            make("pach")
