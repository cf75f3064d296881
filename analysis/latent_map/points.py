"""Points of a latent map: settings, and what is known of one source clip through an effect at them.

Conventions
    Number j of an effect is drawn, and if its render cannot be used drawn again, from (seed, effect, j) alone: it is
    the same point however many there are, and the map of all effects has the first points of the map of each.
    On a map of several effects they take turns, so that any first part of the points is a fair sample.
    The source clip enters the effect as a dry clip of training; wet clips are brought to the level of training before
    the encoder, which is given nothing else (blind).
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pyloudnorm
import scipy.signal
from jaxtyping import Float, Integer

from jaxvae import config, effects
from jaxvae.data import audio, clips
from jaxvae.effects import Effect
from jaxvae.inference import SpectrogramEncoder
from jaxvae.matching import distances

_ATTEMPTS = 20  # at a point whose render can be used
_FRAME = 1_024
_SILENT_LUFS = -70.0  # the absolute gate of BS.1770, below which nothing is measured


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """What is known of points."""

    effect: Integer[np.ndarray, " point"]
    """Index into the effects of the map."""
    settings: Float[np.ndarray, "point parameter"]
    """Normalized, NaN behind the parameters of the effect."""
    latent: Float[np.ndarray, "point latent"]
    """Posterior mean."""
    predicted: Float[np.ndarray, "point parameter"]
    """Normalized settings as the run reads them from the latent vector: means of the densities."""
    brightness: Float[np.ndarray, " point"]
    """Centroid of the mean magnitude spectrum in Hz."""
    loudness: Float[np.ndarray, " point"]
    """Of what the effect gives, in LU relative to what it was given (ITU-R BS.1770)."""
    strength: Float[np.ndarray, " point"]
    """Distance from the dry clip (`jaxvae.matching.distances.distance`): 1 is as far as renders usually are. It is of
    sound at equal power, not of the latent space, so that the map can be judged by it."""


DTYPES = {
    "effect": "|u1",
    "settings": "<f4",
    "latent": "<f2",
    "predicted": "<f4",
    "brightness": "<f4",
    "loudness": "<f4",
    "strength": "<f4",
}
"""In files. Half precision keeps a latent number to a thousandth of itself."""


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """What the points of a map are made of. Raises ValueError for a run without heads and effects that it lacks."""

    encoder: SpectrogramEncoder
    kinds: tuple[Effect, ...]
    dry: Float[np.ndarray, " sample"]
    """The source clip, of the run's clip length and rate, at any level."""
    seed: int = 0

    def __post_init__(self) -> None:
        name = self.encoder.experiment.name
        if not self.encoder.has_heads:
            raise ValueError(
                f"{name} was trained without heads, so no settings can be read from its latent space; train with "
                "objective.effect_weight and objective.settings_weight above 0, or map another run"
            )
        if not 1 <= len(self.kinds) <= 255:
            raise ValueError(f"a map is of {len(self.kinds)} effects; use 1 to 255")
        for kind in self.kinds:
            if kind.name not in self.encoder.effects:
                raise ValueError(f"{name} knows no {kind.name}; it knows {', '.join(self.encoder.effects)}")
            if len(kind.parameters) != self.encoder.parameters[self.encoder.effects.index(kind.name)]:
                raise ValueError(f"{kind.name} has other parameters here than when {name} was trained; train it anew")
        effects.require_available(self.kinds)

    @property
    def widest(self) -> int:
        """Most parameters of an effect of the map."""
        return max(len(kind.parameters) for kind in self.kinds)

    @functools.cached_property
    def entering(self) -> Float[np.ndarray, " sample"]:
        """The source clip as it enters the effects: faded, at the level of training."""
        data, rate = self.encoder.experiment.data, self.encoder.experiment.audio.sample_rate
        faded = audio.fade(self.dry.astype(np.float32), round(data.fade_ms / 1_000 * rate))
        return audio.set_peak(faded, data.peak_dbfs)

    @functools.cached_property
    def dry_latent(self) -> Float[np.ndarray, " latent"]:
        """Posterior mean of the source clip itself."""
        return self._embed(audio.set_peak(self.entering, clips.WET_PEAK_DBFS)[None])[0]

    def identity(self) -> dict[str, Any]:
        """What the points depend on, in plain values."""
        return {
            "run": encoder_digest(self.encoder),
            "effects": [
                {
                    "name": kind.name,
                    "parameters": [dataclasses.asdict(parameter) for parameter in kind.parameters],
                    "held": [list(pair) for pair in kind.held],
                    "renderer": kind.renderer(),
                }
                for kind in self.kinds
            ],
            "source": hashlib.sha256(np.ascontiguousarray(self.entering).tobytes()).hexdigest(),
            "seed": self.seed,
        }

    def measure(self, first: int, stop: int, workers: int | None = None) -> Columns:
        """Points of these numbers, rendered by so many threads.

        Raises:
            ValueError: renders of an effect cannot be used, 20 in a row.
            EffectError: an effect fails.
        """
        effect = np.arange(first, stop) % len(self.kinds)
        numbers = np.arange(first, stop) // len(self.kinds)
        settings = np.full((stop - first, self.widest), np.nan, np.float32)
        wet = np.empty((stop - first, len(self.dry)), np.float32)
        rate = self.encoder.experiment.audio.sample_rate
        pending = np.arange(stop - first)
        for attempt in range(_ATTEMPTS):
            kinds = [self.kinds[index] for index in effect[pending]]
            for row, kind in zip(pending, kinds, strict=True):
                settings[row, : len(kind.parameters)] = drawn(kind, int(numbers[row]), attempt, self.seed)
            entering = np.broadcast_to(self.entering, (len(pending), len(self.dry)))
            wet[pending] = effects.render_many(kinds, entering, settings[pending], rate, workers, failed={})
            pending = pending[~clips.usable(wet[pending])]
            if not len(pending):
                break
        else:
            kind = self.kinds[effect[pending[0]]]
            raise ValueError(
                f"{_ATTEMPTS} renders of {kind.name} in a row are silent, not finite or exploding, the last at "
                f"{kind.settings(settings[pending[0]])}; use another source, or leave the effect out"
            )
        latent = self._embed(audio.set_peak(wet, clips.WET_PEAK_DBFS))
        before, after = (distances.describe(x, self.entering, sample_rate=rate) for x in (self.entering[None], wet))
        dry_loudness = loudness(self.entering[:, None], rate)
        return Columns(
            effect=effect.astype(np.uint8),
            settings=settings,
            latent=latent,
            predicted=self.predict(latent, effect),
            brightness=brightness(wet, rate),
            loudness=np.array([loudness(clip[:, None], rate) - dry_loudness for clip in wet], np.float32),
            strength=np.asarray(distances.distance(before, after), np.float32),
        )

    def predict(
        self, latent: Float[np.ndarray, "point latent"], effect: Integer[np.ndarray, " point"]
    ) -> Float[np.ndarray, "point parameter"]:
        """Normalized settings of latent vectors, were each of its effect: means of the densities of the settings."""
        found = self.encoder.read_mean(latent).settings
        predicted = np.full((len(latent), self.widest), np.nan, np.float32)
        for index, kind in enumerate(self.kinds):
            density = found[self.encoder.effects.index(kind.name)]
            bins = density.shape[-1]
            middles = (np.arange(bins) + 0.5) / bins
            rows = np.flatnonzero(effect == index)
            mean = density[rows] @ middles / density[rows].sum(axis=-1)
            predicted[rows, : len(kind.parameters)] = mean
        return predicted

    def _embed(self, wet: Float[np.ndarray, "point sample"]) -> Float[np.ndarray, "point latent"]:
        return self.encoder.embed(wet[:, None], self.encoder.experiment.audio.sample_rate)


def drawn(kind: Effect, number: int, attempt: int, seed: int) -> Float[np.ndarray, " parameter"]:
    """Normalized settings of the point of that number, uniform on [0, 1]."""
    of_name = int.from_bytes(hashlib.sha256(kind.name.encode()).digest()[:8], "little")
    return np.random.default_rng((seed, of_name, number, attempt)).random(len(kind.parameters), dtype=np.float32)


def brightness(wet: Float[np.ndarray, "clip sample"], rate: int) -> Float[np.ndarray, " clip"]:
    """Centroid in Hz of the magnitude spectrum, averaged over frames of 1,024 samples before the centroid is taken, so
    that near-silent frames count as little as they are heard."""
    frequency, _, spectrum = scipy.signal.stft(wet, rate, nperseg=_FRAME, boundary=None)
    magnitude = np.abs(spectrum).mean(axis=-1)
    return (magnitude @ frequency / np.maximum(magnitude.sum(axis=-1), 1e-20)).astype(np.float32)


def loudness(audio: Float[np.ndarray, "sample channel"], rate: float | int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770), whatever the level and however short; -70 and the peak, of silence.

    The absolute gate would leave out all of a quiet recording, so it is measured at full scale.
    """
    peak = float(np.abs(audio).max())
    if not peak > 0:
        return _SILENT_LUFS
    meter = pyloudnorm.Meter(rate, block_size=min(0.4, len(audio) / rate))
    found = float(meter.integrated_loudness(audio / peak))
    return max(found, _SILENT_LUFS) + 20 * float(np.log10(peak))


@functools.lru_cache(maxsize=1)  # all maps of a run ask for it
def encoder_digest(encoder: SpectrogramEncoder) -> str:
    """Digest of all that an embedding and a reading depend on."""
    digest = hashlib.sha256()
    experiment = encoder.experiment
    seen = (experiment.audio, experiment.spectrogram, experiment.model, experiment.data.effects, encoder.parameters)
    digest.update(repr(seen).encode())
    known = {name: encoder.readouts[name] for name in sorted(encoder.readouts) if name in config.MODES}
    for path, leaf in jax.tree_util.tree_leaves_with_path((encoder.weights, encoder.normalisation, known)):
        values = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def digest(identity: dict[str, Any]) -> str:
    """One digest of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def shapes(count: int, parameters: int, latent: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the columns of so many points."""
    wide: dict[str, Sequence[int]] = {"settings": (parameters,), "predicted": (parameters,), "latent": (latent,)}
    return {name: (count, *wide.get(name, ())) for name in DTYPES}
