"""How far apart two renders of one recording sound: four distances in dB, and their sum.

All are of clips at equal power, because a level says nothing of an effect. None is without an answer for silence, and
each is 0 for a clip and itself.
    spectrum      of levels of 64 mel bands in frames of 43 ms: mean absolute difference over bands and frames
    colour        of their means and deviations over time: what is left of the former where frames do not line up
    modulation    of the rates, .5 to 20 Hz, at which the levels of eight bands move
    decay         of the energy decay curve (Schroeder 1965) of the response from the dry clip to the render, by
                  regularised deconvolution: echoes and tails, whatever is played
The spectrum punishes phases of slow movements, which nobody hears; the others do not.

Conventions
    audio        (clip, sample), mono, all renders of one dry clip (sample,)
    distance     the sum of the four, each in units of its median between random renders and their dry clips, over four:
                 1 is as far as renders usually are from what they are made of
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float

from jaxvae import config, spectrogram

UNITS_DB = {"spectrum": 4.5, "colour": 2.5, "modulation": 2.5, "decay": 7.0}
"""Median of each distance between random renders of nine mda effects and their dry clips, the bundled recordings."""

_BANDS, _WIDE_BANDS = 64, 8
_FRAME_SECONDS, _HOP_SECONDS = 0.043, 0.0213
_POWER_DBFS = -20.0  # of every clip
_LEAST_POWER = 1e-10  # of a clip that is not silent
_SLOWEST_HZ, _FASTEST_HZ, _RATES = 0.5, 20.0, 12
_LEAST_MOVEMENT_DB = 0.3
_REGULARISATION = 1e-3  # beside the mean power of the dry clip's spectrum
_DECAY_FLOOR_DB = -40.0
_DECAY_HOP_SECONDS = 0.005


class Sounds(NamedTuple):
    """What the distances are differences of, in dB."""

    spectrum: Float[Array, "clip band frame"]
    colour: Float[Array, "clip number"]
    modulation: Float[Array, "clip number"]
    decay: Float[Array, "clip hop"]


class Axes(NamedTuple):
    """Where the numbers of `Sounds` are."""

    band_hz: Float[np.ndarray, " band"]
    """Middles of the mel bands; colour is of their means, then of their deviations."""
    frame_s: Float[np.ndarray, " frame"]
    rate_hz: Float[np.ndarray, " rate"]
    """Middles of the rates; modulation is of all rates of the lowest wide band, then of the next."""
    hop_s: Float[np.ndarray, " hop"]


def axes(samples: int, sample_rate: int) -> Axes:
    """The axes of what `describe` says of clips of so many samples."""
    hop, decay_hop = round(_HOP_SECONDS * sample_rate), _decay_hop(sample_rate)
    edges = _rate_edges(sample_rate / hop)
    return Axes(
        spectrogram.mel_frequencies(_BANDS + 2, sample_rate / 2)[1:-1],
        np.arange(1 + samples // hop) * hop / sample_rate,
        np.sqrt(edges[:-1] * edges[1:]),
        np.arange(samples // decay_hop) * decay_hop / sample_rate,
    )


@functools.partial(jax.jit, static_argnames="sample_rate")
def describe(
    audio: Float[Array | np.ndarray, "clip sample"], dry: Float[Array | np.ndarray, " sample"], *, sample_rate: int
) -> Sounds:
    """The sounds of renders of a dry clip."""
    audio, dry = (_at_power(jnp.asarray(x, jnp.float32)) for x in (audio, jnp.asarray(dry)[None]))
    frame = 2 ** round(np.log2(_FRAME_SECONDS * sample_rate))
    hop = round(_HOP_SECONDS * sample_rate)
    mel = config.Spectrogram(n_fft=frame, window_length=frame, hop_length=hop, n_mels=_BANDS)
    level = spectrogram.level(audio, config.Audio(sample_rate, max(1_024, audio.shape[1])), mel)
    colour = jnp.concatenate([level.mean(axis=2), level.std(axis=2)], axis=1)
    return Sounds(level, colour, _modulation(level, sample_rate / hop), _decay(audio, dry[0], sample_rate))


def apart(some: Sounds, others: Sounds) -> dict[str, Float[Array, " clip"]]:
    """Each distance in dB, clip by clip; either may be a single clip."""
    return {
        name: jnp.abs(ours - theirs).mean(axis=tuple(range(1, ours.ndim)))
        for name, ours, theirs in zip(Sounds._fields, some, others, strict=True)
    }


def distance(some: Sounds, others: Sounds) -> Float[Array, " clip"]:
    """The sum of the distances, clip by clip."""
    found = apart(some, others)
    return sum(found[name] / unit for name, unit in UNITS_DB.items()) / len(UNITS_DB)


@jax.jit
def pairwise(sounds: Sounds) -> Float[Array, "clip clip"]:
    """`distance` of every clip to every other."""
    return jax.lax.map(lambda one: distance(jax.tree.map(lambda x: x[None], one), sounds), sounds)


def _at_power(audio: Float[Array, "clip sample"]) -> Float[Array, "clip sample"]:
    power = jnp.mean(audio**2, axis=1, keepdims=True)
    gain = jnp.sqrt(10 ** (_POWER_DBFS / 10) / jnp.maximum(power, _LEAST_POWER))
    return jnp.where(power > _LEAST_POWER, audio * gain, 0.0)


def _modulation(level: Float[Array, "clip band frame"], frame_rate: float) -> Float[Array, "clip number"]:
    """Levels of how much wide bands move, at rates in bands evenly apart in log frequency."""
    wide = level.reshape(len(level), _WIDE_BANDS, -1, level.shape[2]).mean(axis=2)
    frames = max(wide.shape[2], round(frame_rate / _SLOWEST_HZ))  # zeros behind short clips
    window = jnp.hanning(wide.shape[2])
    moving = (wide - wide.mean(axis=2, keepdims=True)) * window[None, None]
    power = jnp.abs(jnp.fft.rfft(moving, frames)) ** 2 / jnp.sum(window**2)
    rates = np.arange(power.shape[2]) * frame_rate / frames
    edges = _rate_edges(frame_rate)
    nearest = np.abs(np.log(np.maximum(rates, 1e-9)[None] / np.sqrt(edges[:-1] * edges[1:])[:, None])).argmin(axis=1)
    inside = (rates[None] >= edges[:-1, None]) & (rates[None] < edges[1:, None])
    inside[np.arange(_RATES), nearest] = True  # a band that is narrower than the rates are apart
    shares = (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
    banded = jnp.einsum("cbr,kr->cbk", power, shares, precision="highest")
    return 10 * jnp.log10(banded + _LEAST_MOVEMENT_DB**2).reshape(len(level), -1)


def _rate_edges(frame_rate: float) -> Float[np.ndarray, " edge"]:
    return np.geomspace(_SLOWEST_HZ, min(_FASTEST_HZ, frame_rate / 2), _RATES + 1)


def _decay_hop(sample_rate: int) -> int:
    return max(1, round(_DECAY_HOP_SECONDS * sample_rate))


def _decay(audio: Float[Array, "clip sample"], dry: Float[Array, " sample"], sample_rate: int) -> Array:
    """Energy decay curves in dB."""
    samples = audio.shape[1]
    length = scipy.fft.next_fast_len(2 * samples, real=True)  # what comes late must not come round to the start
    spectrum = jnp.fft.rfft(dry, length)
    power = spectrum.real**2 + spectrum.imag**2
    inverse = jnp.conj(spectrum) / (power + _REGULARISATION * power.mean() + 1e-12)
    response = jnp.fft.irfft(jnp.fft.rfft(audio, length) * inverse[None], length)[:, :samples]
    hop = _decay_hop(sample_rate)
    hops = (response[:, : samples // hop * hop].reshape(len(audio), -1, hop) ** 2).sum(axis=2)
    energy = jnp.cumsum(hops[:, ::-1], axis=1)[:, ::-1]
    floor = 10 ** (_DECAY_FLOOR_DB / 10)
    return 10 * jnp.log10(jnp.maximum(energy / jnp.maximum(energy[:, :1], 1e-20), floor))


_RESOLUTIONS = ((1_024, 120, 600), (2_048, 240, 1_200), (512, 50, 240))
"""Samples of the transform, of a hop and of the window (Yamamoto, Song & Kim 2020)."""


@jax.jit
def multi_resolution_stft(
    audio: Float[Array | np.ndarray, "clip sample"], target: Float[Array | np.ndarray, "clip sample"]
) -> Float[Array, " clip"]:
    """Spectral convergence and mean difference of log magnitudes, averaged over three resolutions.

    The distance that related work reports (Yamamoto, Song & Kim 2020, as auraloss has it), of clips as they are. It
    punishes phase and timing that nobody hears, so nothing is chosen by it.
    """
    total = jnp.zeros(len(audio))
    for n_fft, hop, length in _RESOLUTIONS:
        ours, theirs = (_magnitude(jnp.asarray(clips, jnp.float32), n_fft, hop, length) for clips in (audio, target))
        error, size = (jnp.sqrt(jnp.sum(x**2, axis=(1, 2))) for x in (theirs - ours, theirs))
        total += error / size + jnp.abs(jnp.log(theirs) - jnp.log(ours)).mean(axis=(1, 2))
    return total / len(_RESOLUTIONS)


def _magnitude(clips: Float[Array, "clip sample"], n_fft: int, hop: int, length: int) -> Array:
    padded = jnp.pad(clips, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    starts = hop * np.arange(1 + (padded.shape[1] - n_fft) // hop) + (n_fft - length) // 2
    window = np.hanning(length + 1)[:-1].astype(np.float32)
    transform = jnp.fft.rfft(padded[:, starts[:, None] + np.arange(length)] * window[None, None], n_fft)
    return jnp.sqrt(jnp.maximum(transform.real**2 + transform.imag**2, _LEAST_STFT_POWER))


_LEAST_STFT_POWER = 1e-8
