"""Renders as a function of settings that JAX can differentiate, though the effect is a black box.

The derivative is estimated by renders at settings around, all of them together on all cores:
    central   central differences, two renders for each parameter
    spsa      K antithetic pairs along random signs (simultaneous perturbation, Spall 1992), the mean of which is taken:
              two renders for each pair, however many parameters there are

Conventions
    normalized   (clip, parameter) settings on [0, 1]. Renders around reach `step` to either side; where they would
                 leave the range, their middle moves inwards, and the estimate is that of the middle.
    What a loss makes of the clips is differentiated by JAX as usual, so level and distance belong there.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from jaxvae import effects
from jaxvae.effects import Effect

Render = Callable[[Array, Array, Array], Array]


def differentiable(
    kind: Effect,
    sample_rate: int,
    method: str = "spsa",
    step: float = 0.02,
    pairs: int = 4,
    workers: int | None = None,
) -> Render:
    """(dry (clip, sample), normalized (clip, parameter), key) -> wet (clip, sample), to be used inside a program.

    The key draws the directions of `spsa`. Renders that are not finite count as silence. There is no derivative by
    `dry`.

    Raises:
        ValueError: a number is out of range.
    """
    if method not in ("central", "spsa"):
        raise ValueError(f"method is {method!r}; use 'central' or 'spsa'")
    if not 0 < step <= 0.5 or pairs < 1:
        raise ValueError(f"step is {step}, pairs {pairs}; use more than 0 up to 0.5, and 1 or more")
    count = len(kind.parameters)

    def render(dry: ArrayLike, normalized: ArrayLike) -> np.ndarray:
        dry, rows = np.asarray(dry), np.clip(np.asarray(normalized), 0, 1)
        wet = effects.render_many([kind] * len(rows), dry, rows, sample_rate, workers)
        return np.nan_to_num(wet, nan=0.0, posinf=0.0, neginf=0.0)

    def rendered(dry: Float[Array, "clip sample"], normalized: Float[Array, "clip parameter"]) -> Array:
        return jax.pure_callback(render, jax.ShapeDtypeStruct(dry.shape, jnp.float32), dry, normalized)

    def forward(dry: Array, normalized: Array, key: Key[Array, ""]) -> tuple[Array, tuple[Array, Array, Array]]:
        return rendered(dry, normalized), (dry, normalized, key)

    def backward(kept: tuple[Array, Array, Array], cotangent: Array) -> tuple[None, Array, None]:
        dry, normalized, key = kept
        clips = len(dry)
        signs = (
            jnp.broadcast_to(jnp.eye(count)[:, None], (count, clips, count))
            if method == "central"
            else jax.random.rademacher(key, (pairs, clips, count), jnp.float32)
        )
        middle = jnp.clip(normalized, step, 1 - step)[None]
        around = jnp.stack([middle + step * signs, middle - step * signs]).reshape(-1, count)
        many = jnp.broadcast_to(dry[None], (2 * len(signs), *dry.shape)).reshape(-1, dry.shape[1])
        wet = rendered(many, around).reshape(2, len(signs), clips, -1)
        slope = jnp.einsum("kcs,cs->kc", wet[0] - wet[1], cotangent) / (2 * step)
        gradient = jnp.einsum("kc,kcp->cp", slope, signs)
        return None, gradient if method == "central" else gradient / pairs, None

    function = jax.custom_vjp(lambda dry, normalized, key: rendered(dry, normalized))
    function.defvjp(forward, backward)
    return function


def cosine(some: Float[Array, "clip parameter"], other: Float[Array, "clip parameter"]) -> Float[Array, " clip"]:
    """Of the angle between two gradients of each clip; 0 where one of them is 0."""
    sizes = jnp.linalg.norm(some, axis=1) * jnp.linalg.norm(other, axis=1)
    return jnp.sum(some * other, axis=1) / jnp.maximum(sizes, 1e-20)
