"""Estimates of a gradient through a black box, beside the true one through the effect's JAX twin.

A loss compares a clip rendered at some settings with the same clip at other settings, and is differentiated by the
settings. The true gradient goes through the twin. Estimates render the plug-in at settings around
(`jaxvae.matching.effect_gradient`), and what the loss makes of a wet clip is differentiated exactly. Beside them stand
central differences of the loss itself, of as many renders: a wide step then sees the loss as it is and not its slope.

Conventions
    settings, gradients   (clip, parameter) on [0, 1]
    cosine                of the estimate and the true gradient, over parameters by which there is a derivative: all but
                          the two lengths of Delay
    bias                  cosine of the mean of `DRAWS` pairs of a clip: what more pairs could hardly mend
    limit                 cosine of K pairs along random signs of P parameters where nothing is curved, about
                          √(K / (K + P − 1)): the signs of one parameter are noise to the others
    renders, ms           of one clip, without the render that the loss needs anyway, and without the loss
    lower                 share of clips whose loss is lower after a step of `DESCENT` against the estimate
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxvae import effects
from jaxvae.data import audio, audio_file, audio_folder, recordings, waveform
from jaxvae.effects import Effect, formulas
from jaxvae.matching import distances, effect_gradient

PEAK_DBFS = -12.0
STEPS = (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
"""Half the distance of two renders, on [0, 1]."""
NEAR = (1e-5, 1e-4, 1e-3, 1e-2)
"""How far apart settings are whose true gradients are compared."""
PAIRS = (1, 2, 4, 8)
DRAWS = 32
"""Antithetic pairs of each clip; the mean of K of them is an estimate of K pairs."""
OF_LOSS = "central, of the loss"
DESCENT = 0.03
"""Length of a step, over all parameters together."""
_EDGE = 0.1  # settings are drawn so far from the ends that no step but the widest reaches beyond
_LENGTHS = ("l_delay", "r_delay")


@dataclasses.dataclass(frozen=True)
class Case:
    """An effect, its twin, and which of its parameters are estimated."""

    title: str
    kind: Effect
    """What renders: the plug-in, its lengths held where the case says so."""
    twin: Callable[..., Array]
    held: tuple[float, ...]
    """Values in front of the parameters, which the twin takes as well."""

    @property
    def smooth(self) -> np.ndarray:
        """Whether there is a derivative, parameter by parameter."""
        return np.array([parameter.name not in _LENGTHS for parameter in self.kind.parameters])

    def wet(
        self, dry: Float[Array, "clip sample"], normalized: Float[Array, "clip parameter"], sample_rate: int
    ) -> Float[Array, "clip sample"]:
        """The twin's clips."""
        low, high = (jnp.array([getattr(p, end) for p in self.kind.parameters]) for end in ("minimum", "maximum"))
        settings = low[None] + (high - low)[None] * normalized
        held = jnp.broadcast_to(jnp.array(self.held, jnp.float32)[None], (len(dry), len(self.held)))
        return self.twin(dry, jnp.concatenate([held, settings], axis=1), sample_rate=sample_rate)


def cases() -> tuple[Case, ...]:
    """The three effects that have twins, and Delay with its lengths held at the defaults."""
    delay = effects.get("mda/Delay")
    lengths = tuple((p.name, p.default) for p in delay.parameters if p.name in _LENGTHS)
    rest = tuple(p for p in delay.parameters if p.name not in _LENGTHS)
    lengths_held = dataclasses.replace(delay, parameters=rest, held=(*lengths, *delay.held))
    return (
        Case("Overdrive", effects.get("mda/Overdrive"), formulas.overdrive, ()),
        Case("RingMod", effects.get("mda/RingMod"), formulas.ring_modulation, ()),
        Case("Delay", delay, formulas.delay, ()),
        Case("Delay, lengths held", lengths_held, formulas.delay, tuple(value for _, value in lengths)),
    )


def _stft(wet: Array, target: Array, dry: Array, sample_rate: int) -> Array:
    return distances.multi_resolution_stft(wet, target)


def _spectrum(wet: Array, target: Array, dry: Array, sample_rate: int) -> Array:
    def of(clip: Array, dry: Array) -> Array:
        return distances.describe(clip[None], dry, sample_rate=sample_rate).spectrum[0]

    return jnp.abs(jax.vmap(of)(wet, dry) - jax.vmap(of)(target, dry)).mean(axis=(1, 2))


LOSSES: dict[str, Callable[[Array, Array, Array, int], Array]] = {"MR-STFT": _stft, "log-mel spectrum": _spectrum}


class Items(NamedTuple):
    """What a gradient is asked for."""

    dry: Float[np.ndarray, "clip sample"]
    normalized: Float[np.ndarray, "clip parameter"]
    """Where."""
    target: Float[np.ndarray, "clip sample"]
    """The dry clip through the plug-in at other random settings."""


def dry_clips(
    folders: Sequence[str], count: int, samples: int, rate: int, seed: int
) -> Float[np.ndarray, "clip sample"]:
    """Random crops of recordings (the bundled ones where no folder is given), at `PEAK_DBFS`.

    Raises:
        AudioError: no recording is long enough.
    """
    paths = [
        Path(folder) / file for folder in folders or [recordings.BUNDLED] for file in audio_folder.find(folder).files
    ]
    rng = np.random.default_rng((seed, 1))
    found: list[np.ndarray] = []
    for index in rng.permutation(len(paths)):
        mono, _ = waveform.read(paths[index], rate)
        if len(mono) >= samples:
            start = int(rng.integers(len(mono) - samples + 1))
            crop = mono[start : start + samples]
            if np.sqrt(np.mean(crop**2)) > _LEAST_RMS * np.abs(mono).max():
                found.append(crop.astype(np.float32))
        if len(found) == count:
            return audio.set_peak(np.stack(found), PEAK_DBFS)
    raise audio_file.AudioError(
        f"only {len(found)} of {len(paths)} recordings hold {samples} samples at {rate} Hz that are not nearly silent; "
        f"ask for fewer than {count} clips, for shorter ones, or give more recordings by --audio"
    )


_LEAST_RMS = 0.01  # of the recording's peak


def draw(case: Case, dry: Float[np.ndarray, "clip sample"], rate: int, seed: int) -> Items:
    """Settings and other ones for each clip."""
    rng = np.random.default_rng((seed, 2, len(case.kind.parameters)))
    shape = (len(dry), len(case.kind.parameters))
    here, there = (rng.uniform(_EDGE, 1 - _EDGE, shape).astype(np.float32) for _ in range(2))
    return Items(dry, here, effects.render_many([case.kind] * len(dry), dry, there, rate))


class Estimates(NamedTuple):
    """Of one case and one loss, step by step of `STEPS`."""

    true: Float[np.ndarray, "clip parameter"]
    near: Float[np.ndarray, "distance clip parameter"]
    """True gradients at settings beside, `NEAR` in every parameter, up or down at random."""
    central: Float[np.ndarray, "step clip parameter"]
    pairs: Float[np.ndarray, "step draw clip parameter"]
    of_loss: Float[np.ndarray, "step clip parameter"]
    """Central differences of the loss."""


def estimate(
    case: Case, items: Items, loss: str, rate: int, seed: int, progress: Callable[[], object] = lambda: None
) -> Estimates:
    """All gradients of a loss. `progress` is called after each step of `STEPS`."""
    dry, at = jnp.asarray(items.dry), jnp.asarray(items.normalized)
    true = true_gradient(case, items, loss, rate)
    signs = jax.random.rademacher(jax.random.key(seed), at.shape, jnp.float32)
    near = np.stack([true(at + distance * signs) for distance in NEAR])
    cotangent = _by_wet(case, items, loss, rate)
    central, pairs, of_loss = [], [], []
    for step in STEPS:
        central.append(_pulled(case, rate, "central", step, 1)(dry, at, jax.random.key(0), cotangent))
        one = _pulled(case, rate, "spsa", step, 1)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), DRAWS)  # the same for every step
        pairs.append(np.stack([one(dry, at, key, cotangent) for key in keys]))
        of_loss.append(_differences(case, items, loss, rate, step))
        progress()
    return Estimates(np.asarray(true(at)), near, np.stack(central), np.stack(pairs), np.stack(of_loss))


def true_gradient(case: Case, items: Items, loss: str, rate: int) -> Callable[[Array], Array]:
    """Normalized settings of the items' clips to the gradient of each clip's loss, by the twin."""
    dry, target = jnp.asarray(items.dry), jnp.asarray(items.target)

    def total(normalized: Array) -> Array:
        return LOSSES[loss](case.wet(dry, normalized, rate), target, dry, rate).sum()

    return jax.jit(jax.grad(total))


def losses(case: Case, items: Items, loss: str, rate: int, normalized: np.ndarray) -> Float[np.ndarray, " clip"]:
    """The loss of each clip at some settings, by the plug-in."""
    inside = np.clip(np.asarray(normalized), 0, 1)
    wet = effects.render_many([case.kind] * len(items.dry), items.dry, inside, rate)
    return np.asarray(_loss(wet, items.target, items.dry, loss=loss, rate=rate))


@functools.partial(jax.jit, static_argnames=("loss", "rate"))
def _loss(wet: Array, target: Array, dry: Array, *, loss: str, rate: int) -> Array:
    return LOSSES[loss](wet, target, dry, rate)


@functools.partial(jax.jit, static_argnames=("loss", "rate"))
def _slope(wet: Array, target: Array, dry: Array, *, loss: str, rate: int) -> Array:
    return jax.grad(lambda wet: LOSSES[loss](wet, target, dry, rate).sum())(wet)


def _by_wet(case: Case, items: Items, loss: str, rate: int) -> Array:
    wet = effects.render_many([case.kind] * len(items.dry), items.dry, items.normalized, rate)
    return _slope(wet, items.target, items.dry, loss=loss, rate=rate)


def _pulled(case: Case, rate: int, method: str, step: float, pairs: int) -> Callable[..., Array]:
    """The estimate of a gradient by settings of one by the wet clips."""
    function = effect_gradient.differentiable(case.kind, rate, method, step, pairs)

    @jax.jit
    def pull(dry: Array, normalized: Array, key: Array, cotangent: Array) -> Array:
        return jax.vjp(lambda normalized: function(dry, normalized, key), normalized)[1](cotangent)[0]

    return pull


def _differences(case: Case, items: Items, loss: str, rate: int, step: float) -> Float[np.ndarray, "clip parameter"]:
    found = np.empty_like(items.normalized)
    for place in range(found.shape[1]):
        by = np.zeros_like(items.normalized)
        by[:, place] = step
        up, down = (losses(case, items, loss, rate, items.normalized + sign * by) for sign in (1, -1))
        found[:, place] = (up - down) / (2 * step)
    return found


def figures(case: Case, items: Items, loss: str, rate: int, found: Estimates, chosen_on: int) -> dict[str, Any]:
    """Plain values. The first `chosen_on` clips choose the step of each estimator, the others are reported."""
    smooth, reported = case.smooth, slice(chosen_on, None)
    true = found.true[:, smooth]

    def cosines(estimates: np.ndarray) -> np.ndarray:
        """(…, clip) of (…, clip, parameter)."""
        own = estimates[..., smooth].reshape(-1, smooth.sum())
        return np.asarray(
            effect_gradient.cosine(jnp.asarray(own), jnp.asarray(np.tile(true, (len(own) // len(true), 1))))
        ).reshape(estimates.shape[:-1])

    per_pairs = {  # K pairs each
        _title(k): found.pairs.reshape(len(STEPS), DRAWS // k, k, *true.shape[:1], -1).mean(axis=2) for k in PAIRS
    }
    by_method = {
        "central differences": found.central[:, None],
        **per_pairs,
        OF_LOSS: found.of_loss[:, None],
    }
    mean_of_pairs = cosines(found.pairs.mean(axis=1))
    base = losses(case, items, loss, rate, items.normalized)
    count = len(case.kind.parameters)
    rows = {}
    for name, estimates in by_method.items():
        every = cosines(estimates)  # (step, draw, clip)
        curve = np.median(every[..., :chosen_on], axis=(1, 2))
        best = int(np.argmax(curve))
        own = every[best][:, reported]
        bias = mean_of_pairs[best] if _pairs(name) else every[best, 0]
        rows[name] = {
            "step": STEPS[best],
            "median cosine": float(np.median(own)),
            "10th percentile": float(np.quantile(own, 0.1)),
            "bias": float(np.median(bias[reported])),
            "limit": _limit(name, count),
            "renders": 2 * (_pairs(name) or count),
            "lower": _lower(case, items, loss, rate, estimates[best, 0], base, reported),
            "curve": [float(x) for x in np.median(every[..., reported], axis=(1, 2))],
        }
    near = [float(np.mean(cosines(gradient)[reported])) for gradient in found.near]  # a median of signs says little
    return {
        "clips": len(true) - chosen_on,
        "parameters": [p.name for p, has in zip(case.kind.parameters, smooth, strict=True) if has],
        "rows": rows,
        "true gradient, lower": _lower(case, items, loss, rate, found.true, base, reported),
        "true gradient beside": dict(zip(map(str, NEAR), near, strict=True)),
    }


def _title(pairs: int) -> str:
    return f"SPSA, {pairs} pair{'s' * (pairs > 1)}"


def _pairs(name: str) -> int | None:
    """Of a row; None of those that take no random signs."""
    return next((pairs for pairs in PAIRS if _title(pairs) == name), None)


def _limit(name: str, parameters: int) -> float:
    pairs = _pairs(name)
    return 1.0 if pairs is None else float(np.sqrt(pairs / (pairs + parameters - 1)))


def _lower(
    case: Case, items: Items, loss: str, rate: int, gradient: np.ndarray, base: np.ndarray, reported: slice
) -> float:
    size = np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-20)
    moved = losses(case, items, loss, rate, items.normalized - DESCENT * gradient / size)
    return float((moved < base)[reported].mean())


def add_milliseconds(figures: dict[str, Any], case: Case, items: Items, loss: str, rate: int) -> None:
    """What each estimator of the figures takes for one clip at its step, and the true gradient with its loss."""
    dry, at = jnp.asarray(items.dry), jnp.asarray(items.normalized)
    cotangent, key = _by_wet(case, items, loss, rate), jax.random.key(0)
    figures["true gradient, ms"] = _milliseconds(
        functools.partial(true_gradient(case, items, loss, rate), at), len(dry)
    )
    for name, row in figures["rows"].items():
        if name == OF_LOSS:
            function = functools.partial(_differences, case, items, loss, rate, row["step"])
        else:
            pairs = _pairs(name)
            pull = _pulled(case, rate, "spsa" if pairs else "central", row["step"], pairs or 1)
            function = functools.partial(pull, dry, at, key, cotangent)
        row["ms"] = _milliseconds(function, len(dry))


def _milliseconds(function: Callable[[], Any], clips: int) -> float:
    """Of one clip of the second call: the first compiles."""
    jax.block_until_ready(function())
    start = time.perf_counter()
    jax.block_until_ready(function())
    return 1_000 * (time.perf_counter() - start) / clips
