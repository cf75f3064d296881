"""Three mda effects as functions that JAX can run on any device and differentiate: their twins.

They were found by listening to the plug-ins: what comes out for impulses, steps, ramps and sines at many settings tells
how these effects work, because all of it is static curves, delays and filters of first order. The plug-ins' program was
not read. Tests compare each twin with its plug-in.

Conventions
    dry, wet      (clip, sample) mono float32, each clip from silence
    settings      (clip, parameter) the controls' own values, in the order of the effect's parameters (`mda.EFFECTS`);
                  held controls are as they are held there
    sample_rate   Hz, static
    Derivatives by settings are exact wherever the effect has one. A filter is the solution y of a linear system
    y = x + F y, so its derivative is a filter too (`jax.lax.custom_linear_solve`), and what a step of time keeps for it
    does not grow with the delay.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

SHORTEST_DELAY = 4
"""Samples. The plug-in's delays are no shorter, whatever its controls say."""
LONGEST_DELAY = 32_766
"""Samples that the plug-in can keep, at any sample rate."""


def overdrive(
    dry: Float[Array, "clip sample"], settings: Float[Array, "clip parameter"], sample_rate: int
) -> Float[Array, "clip sample"]:
    """Overdrive: drive mixes in the square root of the level, muffle is a low-pass, the same at every sample rate."""
    drive, muffle = _columns(settings)
    root = jnp.sign(dry) * jnp.sqrt(jnp.maximum(jnp.abs(dry), _LEAST_LEVEL))
    driven = dry + drive * (root - dry)
    passed = 10 ** (-1.6 * muffle)
    return recursion(jnp.broadcast_to(1 - passed, dry.shape), passed * driven)


_LEAST_LEVEL = 1e-30  # below it the square root has no finite derivative


def ring_modulation(
    dry: Float[Array, "clip sample"], settings: Float[Array, "clip parameter"], sample_rate: int
) -> Float[Array, "clip sample"]:
    """RingMod: times a sine of 100 (160 freq + fine) Hz, with feedback.

    One channel feeds back its last sample to itself, the other takes the present sample of the first in its place; the
    wet clip is the mean of both. The plug-in adds up its phase in single precision, which puts the sine off by up to
    .02 in three seconds, so its roundings are repeated; the derivative is that of the exact phase. Of carriers that
    turn by 8 rad or more a sample, which takes a rate below 8,561 Hz, not all roundings are known: .02 may be left.
    """
    _, _, feedback = _columns(settings)
    sine = jnp.sin(_phase(settings, dry.shape[1], sample_rate))
    fed_back = 0.95 * feedback * sine
    first = recursion(fed_back, sine * dry)
    second = sine * dry + fed_back * first
    return (first + second) / 2


def _phase(settings: Float[Array, "clip parameter"], samples: int, sample_rate: int) -> Float[Array, "clip sample"]:
    """Radians."""
    freq, fine, _ = _columns(settings)
    increment = jax.lax.stop_gradient(_increment(freq, fine, sample_rate)[:, 0])
    turn = jnp.float32(2 * np.pi)

    def advance(phase: Array, _: None) -> tuple[Array, Array]:
        moved = phase + increment
        for _ in range(math.ceil(_HIGHEST_HZ / sample_rate)):  # more than once where carriers are above the rate
            moved = jnp.where(moved > turn, moved - turn, moved)
        return moved, phase

    _, rounded = jax.lax.scan(advance, jnp.zeros_like(increment), None, length=samples)
    hertz = 100 * (160 * freq + fine)
    exact = 2 * np.pi / sample_rate * (hertz - jax.lax.stop_gradient(hertz))  # 0, with the derivative of the increment
    return rounded.T + exact * jnp.arange(samples, dtype=jnp.float32)[None]


_HIGHEST_HZ = 10_900  # of the parameters' ranges


def _increment(freq: Float[Array, "clip 1"], fine: Float[Array, "clip 1"], sample_rate: int) -> Float[Array, "clip 1"]:
    """Radians from one sample to the next as the plug-in has them: the product in double precision, then rounded.

    A phase that is one unit in the last place off is .02 off after three seconds, and JAX has no double precision by
    default. So factors are split into halves of so few bits that products of the upper ones are exact.
    """
    of_freq, of_fine = 16_000 * _upper_bits(freq), 100 * _upper_bits(fine)  # exact, as are those of the lower bits
    rest = 16_000 * (freq - _upper_bits(freq)) + 100 * (fine - _upper_bits(fine))
    hertz = _upper_bits(of_freq + of_fine + rest)
    hertz_rest = ((of_freq - hertz) + of_fine) + rest
    radians = float(np.float32(2 * np.pi)) / sample_rate
    share, exponent = np.frexp(radians)
    upper = float(np.ldexp(np.round(share * 2**12), exponent - 12))
    return upper * hertz + (upper * hertz_rest + (radians - upper) * (hertz + hertz_rest))


def _upper_bits(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The first twelve of the 24 bits of a number's precision."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) & jnp.uint32(0xFFFFF000)
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def delay(
    dry: Float[Array, "clip sample"],
    settings: Float[Array, "clip parameter"],
    sample_rate: int,
    block: int = SHORTEST_DELAY,
) -> Float[Array, "clip sample"]:
    """Delay: the mean of two delays of one line, through a tone filter, back into the line and into the mix.

    The left delay is 32,766 l_delay² samples at every sample rate, the right one 4 r_delay times as long. Both are
    whole numbers, so the wet clip jumps from one to the next and there is no derivative by them: those by l_delay and
    r_delay are 0 here, which says nothing of how the sound changes with the delay.

    So many samples as `block` says (static) are computed at once: more is faster, and no delay may be shorter
    (`shortest_delay`).
    """
    left, right = delay_samples(settings)
    _, _, feedback, tone, mix = _columns(settings)
    back = 0.99 * feedback
    low = tone < 0.5  # low-pass below the middle, high-pass above
    exponent = jnp.where(low, 2.2 + 4.5 * tone, 1.075 + 2.25 * tone)  # 158 Hz to 28 kHz, and 158 Hz to 2.1 kHz
    kept = jnp.exp(-2 * np.pi / sample_rate * 10**exponent)
    direct, smoothed = jnp.where(low, 2 * tone, 1.0), jnp.where(low, 1 - 2 * tone, 0.5 - tone)

    def heard(line: Float[Array, "clip sample"]) -> Float[Array, "clip sample"]:
        """What comes out of the line and its filter."""
        past = jnp.pad(line, ((0, 0), (LONGEST_DELAY, 0)))
        tapped = (
            _read(past, LONGEST_DELAY - left, dry.shape[1]) + _read(past, LONGEST_DELAY - right, dry.shape[1])
        ) / 2
        return direct * tapped + smoothed * recursion(jnp.broadcast_to(kept, dry.shape), (1 - kept) * tapped)

    def run(_: object, fed: Float[Array, "clip sample"]) -> Float[Array, "clip sample"]:
        """The line, block by block: a block hears only what lies before it."""
        clips, samples = fed.shape
        blocks = jnp.pad(fed, ((0, 0), (0, -samples % block))).reshape(clips, -1, block)

        def advance(carry: tuple[Array, Array, Array], some: Array) -> tuple[tuple[Array, Array, Array], None]:
            line, last, at = carry
            tapped = (_read(line, at - left, block) + _read(line, at - right, block)) / 2
            smooth = _low_pass(tapped, kept, last)
            line = jax.lax.dynamic_update_slice(line, some + back * (direct * tapped + smoothed * smooth), (0, at))
            return (line, smooth[:, -1:], at + block), None

        whole = jnp.zeros((clips, LONGEST_DELAY + blocks.shape[1] * block), fed.dtype)
        start = (whole, jnp.zeros((clips, 1), fed.dtype), jnp.int32(LONGEST_DELAY))
        (line, _, _), _ = jax.lax.scan(advance, start, jnp.moveaxis(blocks, 1, 0))
        return line[:, LONGEST_DELAY : LONGEST_DELAY + samples]

    line = jax.lax.custom_linear_solve(
        lambda line: line - back * heard(line),
        dry,
        run,
        lambda unused, late: run(unused, late[:, ::-1])[:, ::-1],  # of a filter, the transpose is itself back in time
    )
    return (1 - mix**2) * dry + (1 - (1 - mix) ** 2) * heard(line)


def delay_samples(settings: Float[Array, "clip parameter"]) -> tuple[Int[Array, " clip"], Int[Array, " clip"]]:
    """The left and the right delay of Delay."""
    left_control, right_control = settings[:, 0], settings[:, 1]
    left = jnp.float32(LONGEST_DELAY) * left_control * left_control  # in this order, which decides on some roundings
    right = left * 4 * right_control
    left, right = (jnp.clip(x.astype(jnp.int32), SHORTEST_DELAY, LONGEST_DELAY) for x in (left, right))
    return left, right


def recursion(feedback: Float[Array, "clip sample"], fed: Float[Array, "clip sample"]) -> Float[Array, "clip sample"]:
    """y[n] = feedback[n] y[n - 1] + fed[n], from silence."""

    def without_feedback(y: Array) -> Array:
        return y - feedback * jnp.pad(y, ((0, 0), (1, 0)))[:, :-1]

    def run(_: object, fed: Array) -> Array:
        return jax.lax.platform_dependent(feedback, fed, cpu=_one_by_one, default=_in_parallel)

    def run_back(_: object, late: Array) -> Array:
        next_one = jnp.pad(feedback, ((0, 0), (0, 1)))[:, 1:]
        flipped = jax.lax.platform_dependent(next_one[:, ::-1], late[:, ::-1], cpu=_one_by_one, default=_in_parallel)
        return flipped[:, ::-1]

    return jax.lax.custom_linear_solve(without_feedback, fed, run, run_back)


def _one_by_one(feedback: Array, fed: Array) -> Array:
    """A CPU does it four times as fast so."""

    def advance(y: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        y = now[0] * y + now[1]
        return y, y

    return jax.lax.scan(advance, jnp.zeros_like(fed[:, 0]), (feedback.T, fed.T))[1].T


def _in_parallel(feedback: Array, fed: Array) -> Array:
    """An accelerator has too little to do in one sample of a batch, and starts too many programs."""

    def join(early: tuple[Array, Array], late: tuple[Array, Array]) -> tuple[Array, Array]:
        return early[0] * late[0], late[0] * early[1] + late[1]

    return jax.lax.associative_scan(join, (feedback, fed), axis=1)[1]


def _low_pass(audio: Float[Array, "clip block"], kept: Float[Array, "clip 1"], last: Float[Array, "clip 1"]) -> Array:
    """A low-pass of first order that goes on from its last output: sums of 2, 4, 8 … samples."""
    block = audio.shape[1]
    sums, share, reach = (1 - kept) * audio + jnp.pad(kept * last, ((0, 0), (0, block - 1))), kept, 1
    while reach < block:
        sums = sums + share * jnp.pad(sums, ((0, 0), (reach, 0)))[:, :block]
        share, reach = share**2, 2 * reach
    return sums


def _read(line: Float[Array, "clip some"], start: Int[Array, " clip"], samples: int) -> Float[Array, "clip {samples}"]:
    """So many samples of each clip from its own start on."""
    return jax.vmap(lambda one, at: jax.lax.dynamic_slice(one, (at,), (samples,)))(line, start)


def _columns(settings: Float[Array, "clip parameter"]) -> list[Float[Array, "clip 1"]]:
    return jnp.split(settings.astype(jnp.float32), settings.shape[1], axis=1)
