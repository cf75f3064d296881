"""A controller trained end to end: settings, a render through the black box, and an audio loss (Grant 2023).

    reference -> controller -> settings -> the effect, on other content -> distance to that content at the true settings

The settings are the flow's from no noise, one point. The derivative of the render is estimated by renders around
(`jaxvae.matching.effect_gradient`). The loss is the multi-resolution STFT distance at equal power.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from analysis.matching import measure
from analysis.matching.items import Items
from analysis.matching.rows import Answer
from jaxvae import block, effects, views
from jaxvae.data import audio, clips
from jaxvae.data.dataset import Split
from jaxvae.matching import distances, effect_gradient
from jaxvae.matching.matcher import Matcher
from jaxvae.models import controller
from jaxvae.models.controller import Controller
from jaxvae.training import controller_steps
from jaxvae.training.hyperparams import hyperparams
from jaxvae.training.train_state import Weights
from jaxvae.views import NONE, Views

_LEAST_POWER = 1e-10


class Training(NamedTuple):
    """How a controller is trained."""

    steps: int
    batch_size: int
    learning_rate: float
    method: str
    """Of `effect_gradient.differentiable`."""
    pairs: int
    seed: int


def fresh(matcher: Matcher, seed: int) -> Weights:
    """Weights that have learnt nothing, of a controller of the same shape."""
    experiment = matcher.experiment
    numbers = hyperparams(experiment)._replace(seed=jnp.asarray(seed))
    sizes = (experiment.bins, experiment.frames, views.numbers(experiment))
    return controller_steps.create(numbers, _model(matcher), *sizes).weights


def train(
    matcher: Matcher,
    weights: Weights,
    split: Split,
    index: int,
    training: Training,
    progress: Callable[[float], object] = lambda loss: None,
) -> Weights:
    """Weights that were trained on from these, for one effect, on clips of it. `progress` is called with each loss."""
    kind, rate = matcher.kinds[index], matcher.experiment.audio.sample_rate
    render = effect_gradient.differentiable(kind, rate, training.method, pairs=training.pairs)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(training.learning_rate))
    rng = np.random.default_rng((training.seed, 7))
    own = np.flatnonzero(split.effect == index)

    def loss(params: Any, wet: Views, dry: Array, target: Array, kept: Array, key: Array) -> Array:
        settings = point(matcher, weights._replace(params=params), wet, index)
        rendered = _at_power_of(target, render(dry, settings, key))
        distance = distances.multi_resolution_stft(rendered, target)
        return jnp.sum(distance * kept) / jnp.maximum(kept.sum(), 1.0)

    @jax.jit
    def step(params: Any, state: Any, *batch: Any) -> tuple[Any, Any, Array]:
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, state = optimiser.update(jax.tree.map(jnp.nan_to_num, gradient), state, params)
        return optax.apply_updates(params, updates), state, value

    params, state = weights.params, optimiser.init(weights.params)
    for number in range(training.steps):
        chosen = rng.choice(own, training.batch_size)
        dry = split.dry(block.same_setting(chosen))
        target = effects.render_many([kind] * len(dry), dry, split.normalized[chosen], rate)
        kept = clips.usable(target)
        target[~kept] = dry[~kept]
        wet = _views(matcher, audio.to_float(split.audio(chosen)))
        key = jax.random.fold_in(jax.random.key(training.seed), number)
        params, state, value = step(params, state, wet, dry, target, kept.astype(np.float32), key)
        progress(float(value))
    return weights._replace(params=params)


def point(matcher: Matcher, weights: Weights, wet: Views, index: int) -> Float[Array, "clip parameter"]:
    """The settings of one effect that are heard in clips, blind: the flow's from no noise."""
    model, count = _model(matcher), len(matcher.kinds[index].parameters)
    none = jnp.full(len(wet.fine), NONE)
    hidden = model.apply(weights.variables, wet, wet, none, method="hear")
    noise = jnp.zeros((len(wet.fine), 1, max(1, *matcher.parameters)))
    effect = jnp.full(len(wet.fine), index)
    return controller.settings(model, weights.variables, hidden, effect, noise)[:, 0, :count]


def shares(
    matcher: Matcher, rows: dict[str, Weights], items: Items, index: int
) -> dict[str, dict[str, Float[np.ndarray, " item"]]]:
    """Of each row and distance, the share that its settings close, item by item."""
    rate = matcher.experiment.audio.sample_rate
    answer = jax.jit(functools.partial(point, matcher, index=index))
    wet = _views(matcher, audio.set_peak(items.reference, clips.WET_PEAK_DBFS))
    settings = {name: np.asarray(answer(weights, wet)) for name, weights in rows.items()}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in rows}
    for row in range(len(items.effect)):
        answers = {name: Answer(matcher.kinds[index], own[row]) for name, own in settings.items()}
        renders = measure.renders(answers, items.dry[row], rate)
        for name, apart in measure.apart(renders, items.dry[row], items.target[row], rate).items():
            for what, values in apart.items():
                found[name].setdefault(what, []).append(measure.share(*values))
    return {name: {what: np.array(values) for what, values in of.items()} for name, of in found.items()}


def _at_power_of(target: Float[Array, "clip sample"], rendered: Float[Array, "clip sample"]) -> Array:
    wanted, power = (jnp.mean(x**2, axis=1, keepdims=True) for x in (target, rendered))
    return rendered * jnp.sqrt(wanted / jnp.maximum(power, _LEAST_POWER))


def _views(matcher: Matcher, wet: Float[np.ndarray, "clip sample"]) -> Views:
    experiment = matcher.experiment
    return views.compiled(wet, experiment.audio, experiment.spectrogram, matcher.normalisation)


def _model(matcher: Matcher) -> Controller:
    return Controller(matcher.experiment.controller, matcher.parameters)
