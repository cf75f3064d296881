"""Strided convolutions against XLA's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.backbones import transposed_convolution

# Small programs run once: compiling them well takes longer than running them badly.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


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
