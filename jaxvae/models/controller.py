"""Controller: which effect, at which settings, gave a recording its sound, as a distribution.

Effects have probabilities. The settings of each have a continuous normalising flow, trained by flow matching (Lipman et
al. 2023) along the arcs z(t) = cos(pi t / 2) noise + sin(pi t / 2) settings (the trigonometric interpolant of Albergo &
Vanden-Eijnden 2023). Settings on [0, 1] are laid out as their normal quantiles, so that the uniform distribution which
they are drawn from is a standard normal one, no end of a range is without a gradient, and both ends are reached. All of
an arc is then standard normal and its expected velocity is 0: a network that has learnt nothing gives the uniform
distribution back, and so it is for settings that cannot be heard.

Conventions
    z            (batch, moment, parameter) in the order of the effect's parameters, and 0 behind its last one
    time         (batch, moment) from 0, where z is noise, to 1, where it is a setting
    hidden       (batch, feature), what was heard of clips; the mean over windows is that of a recording
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float, Int

from jaxvae import config
from jaxvae.models.effect_encoder import heard
from jaxvae.views import Views

LAYERS = 2
"""Hidden layers that hear clips."""
STEPS = 16
"""Steps of Euler's method from noise to settings. It takes the velocity where a step begins, so that the last one ends
at a setting that is known for sure and does not overshoot."""
_EXACT_STEPS = 24  # of the midpoint method, for densities
_OUTER = 1e-3  # probability of a normal quantile beyond either end of [0, 1]
_HARMONICS = 4  # of time


@jax.jit
def as_quantile(normalized: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Normal quantiles of settings on [0, 1], within 3.1 of 0; 0 where there is no setting (NaN)."""
    inside = _OUTER + (1 - 2 * _OUTER) * jnp.nan_to_num(normalized, nan=0.5)
    return jnp.where(jnp.isnan(normalized), 0.0, ndtri(inside))


@jax.jit
def as_setting(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Settings on [0, 1] of normal quantiles, the inverse of `as_quantile`."""
    return jnp.clip((ndtr(z) - _OUTER) / (1 - 2 * _OUTER), 0.0, 1.0)


def on_arc(
    noise: Float[Array, "*moments parameter"], z: Float[Array, "*moments parameter"], time: Float[Array, "*moments"]
) -> tuple[Float[Array, "*moments parameter"], Float[Array, "*moments parameter"]]:
    """Place and velocity on the arc from noise to z."""
    angle = jnp.pi / 2 * time[..., None]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return cosine * noise + sine * z, jnp.pi / 2 * (cosine * z - sine * noise)


class Controller(nn.Module):
    """Views of clips, with dry ones as they are related, to effect and settings."""

    config: config.Controller
    parameters: tuple[int, ...]
    """Number of parameters of each kind of clips; untouched ones, which come last, have none."""

    def setup(self) -> None:
        config = self.config
        self.hearing = [nn.Dense(config.width) for _ in range(LAYERS)]
        self.effect_logits = nn.Dense(len(self.parameters))
        self.of_hidden = nn.Dense(config.flow_width)
        self.of_place = nn.Dense(config.flow_width)
        self.of_effect = nn.Embed(len(self.parameters), 2 * config.flow_width)
        self.layers = [nn.Dense(config.flow_width) for _ in range(config.flow_layers - 1)]
        self.to_velocity = nn.Dense(max(1, *self.parameters), kernel_init=nn.initializers.zeros)

    def __call__(
        self,
        wet: Views,
        dry: Views,
        relation: Int[Array, "batch"],
        effect: Int[Array, "batch"],
        z: Float[Array, "batch moment parameter"],
        time: Float[Array, "batch moment"],
        kept: Float[Array, "batch layer feature"] | None = None,
    ) -> tuple[Float[Array, "batch effect"], Float[Array, "batch moment parameter"]]:
        """Logits of the effects, and the velocity of the settings of one of them."""
        hidden = self.hear(wet, dry, relation, kept)
        return self.effect(hidden), self.velocity(hidden, effect, z, time)

    def hear(
        self,
        wet: Views,
        dry: Views,
        relation: Int[Array, "batch"],
        kept: Float[Array, "batch layer feature"] | None = None,
    ) -> Float[Array, "batch feature"]:
        """What is heard of clips. Units are multiplied by `kept`, if given: 0 for those that are left out."""
        x = heard(wet, dry, relation)
        for number, layer in enumerate(self.hearing):
            x = nn.gelu(layer(x))
            x = x if kept is None else x * kept[:, number]
        return x

    def effect(self, hidden: Float[Array, "batch feature"]) -> Float[Array, "batch effect"]:
        """Logits of the effects."""
        return self.effect_logits(hidden)

    def velocity(
        self,
        hidden: Float[Array, "batch feature"],
        effect: Int[Array, "batch"],
        z: Float[Array, "batch moment parameter"],
        time: Float[Array, "batch moment"],
    ) -> Float[Array, "batch moment parameter"]:
        """Where the settings of an effect move from z."""
        angles = jnp.pi / 2 * time[..., None] * jnp.arange(1, _HARMONICS + 1)[None, None]
        place = jnp.concatenate([z, jnp.cos(angles), jnp.sin(angles)], axis=2)
        scale, shift = jnp.split(self.of_effect(effect)[:, None], 2, axis=2)
        x = nn.gelu((self.of_hidden(hidden)[:, None] + self.of_place(place)) * (1 + scale) + shift)
        for layer in self.layers:
            x = x + nn.gelu(layer(x))
        return self.to_velocity(x) * self.own(effect)[:, None]

    def own(self, effect: Int[Array, "batch"]) -> Float[Array, "batch parameter"]:
        """1 for the parameters that an effect has, 0 behind them."""
        counts = jnp.asarray(self.parameters)[effect]
        return (jnp.arange(max(1, *self.parameters))[None] < counts[:, None]).astype(jnp.float32)


# Of weights, outside the module, because JAX does not let a module's methods into its loops.


def settings(
    model: Controller,
    variables: Any,
    hidden: Float[Array, "batch feature"],
    effect: Int[Array, "batch"],
    noise: Float[Array, "batch sample parameter"],
) -> Float[Array, "batch sample parameter"]:
    """Samples on [0, 1] of the settings of an effect, of standard normal noise."""

    def move(z: Array, step: Array) -> tuple[Array, None]:
        time = jnp.full(z.shape[:2], step / STEPS)
        return z + model.apply(variables, hidden, effect, z, time, method="velocity") / STEPS, None

    z, _ = jax.lax.scan(move, noise * model.own(effect)[:, None], jnp.arange(STEPS))
    return as_setting(z)


def settings_nll(
    model: Controller,
    variables: Any,
    hidden: Float[Array, "batch feature"],
    effect: Int[Array, "batch"],
    normalized: Float[Array, "batch parameter"],
) -> Float[Array, "batch"]:
    """-log density of settings on [0, 1], in nats; 0 if uniform.

    By the instantaneous change of variables (Chen et al. 2018, eq. 8), back along the flow by the midpoint method.
    """
    end = as_quantile(normalized)[:, None]
    length = 1 / _EXACT_STEPS

    def velocity(z: Array, time: Array) -> Array:
        return model.apply(variables, hidden, effect, z, jnp.full(z.shape[:2], time), method="velocity")

    def move(carry: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], None]:
        z, growth = carry
        middle = z - length / 2 * velocity(z, (step + 1) * length)

        def along(direction: Array) -> tuple[Array, Array]:
            function = functools.partial(velocity, time=(step + 0.5) * length)
            return jax.jvp(function, (middle,), (jnp.broadcast_to(direction, middle.shape),))

        moved, changes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(end.shape[2]))
        trace = jnp.einsum("kbmk->b", changes)
        return (z - length * moved, growth + length * trace), None

    steps = jnp.arange(_EXACT_STEPS)[::-1]
    (start, growth), _ = jax.lax.scan(move, (end, jnp.zeros(len(end))), steps)
    return jnp.sum(start**2 - end**2, axis=(1, 2)) / 2 + growth
