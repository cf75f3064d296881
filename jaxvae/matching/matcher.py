"""A matcher: effect and settings that give a dry recording the sound of a reference, and the render.

    posterior   what the controller hears of the reference: probabilities of effects, samples of their settings
    renders     of an excerpt of the dry recording at these samples, on all cores
    choice      by minimum expected distance among them, the middle of each effect's settings and the dry excerpt itself
    refinement  if asked for: CMA-ES (Hansen & Ostermeier 2001) on the same expectation

Conventions
    A dry recording enters an effect at the level of training, its peak at `Data.peak_dbfs`. What comes out is brought
    to the power of the dry recording, and below full scale.
    Everything is decided at the sample rate of training. The answer is rendered at the recording's own, channel by
    channel, unless that sounds otherwise: some plug-ins count times in samples.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import soxr
from jaxtyping import Float

from jaxvae import config, views, windows
from jaxvae.data import waveform
from jaxvae.data.audio import gain
from jaxvae.data.waveform import Recording, Track
from jaxvae.effects import Effect
from jaxvae.matching import distances
from jaxvae.matching.match import NO_EFFECT, Match
from jaxvae.matching.rendering import Render
from jaxvae.matching.search import Posterior, Search
from jaxvae.models import controller
from jaxvae.models.controller import Controller
from jaxvae.training.train_state import Weights
from jaxvae.views import ALIGNED, NONE, SOURCE, Normalisation, Views

EXCERPT_SECONDS = 5.0
"""Of the dry recording that candidates are rendered of: its loudest."""
CANDIDATES, CANDIDATES_OF_SEVERAL = 16, 48
"""Renders to choose from, of a given effect and of several that it may be."""
SAMPLES = 128
"""Of the settings of each effect: what intervals and middles are read from."""
_LIKELY, _UNLIKELY = 8, 0.01  # effects whose settings are sampled, if no other is more probable than that
_SAME_SOUND = 0.25  # distance of two renders of one setting that pass for the same


@dataclasses.dataclass(frozen=True, eq=False)
class Matcher:
    """A trained controller with the effects that it knows."""

    experiment: config.MatchExperiment
    normalisation: Normalisation
    weights: Weights
    kinds: tuple[Effect, ...]
    parameters: tuple[int, ...]
    """Number of parameters of each kind of clips that the controller was trained on."""
    temperatures: Mapping[str, float]
    """By what logits of effects are divided in each mode, to be as sure as they are right of unknown recordings."""
    dataset: str = ""
    """Identity of the data set that it was trained on."""
    dataset_folders: tuple[str, ...] = ()
    """Where that may lie, the likeliest first."""

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects that it knows."""
        return tuple(kind.name for kind in self.kinds)

    def posterior(
        self,
        reference: Sequence[Track],
        passages: Sequence[Track] | None = None,
        before: Track | None = None,
        allowed: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Posterior:
        """Probabilities of what was done to one recording.

        `passages` are dry ones of the same recording, `before` is the very recording before the effect. Of `allowed`
        effects only these and none are likely; of a single one, it is this.

        Raises:
            ValueError: a recording is silent, or an effect is not known.
        """
        found = self._kinds_allowed(allowed)
        hidden = self._hear(list(reference), passages, before)
        mode = "dry_aware" if before is not None else "blind" if passages is None else "source_aware"
        logits = np.asarray(_effect(self.weights, hidden, model=self._model))[0] / self.temperatures[mode]
        logits = np.where(found[: len(logits)], logits, -np.inf)
        shares = np.exp(logits - logits.max())
        shares = np.append(shares, np.zeros(len(self.kinds) + 1 - len(shares)))  # trained without untouched clips
        shares /= shares.sum()
        return Posterior(shares, self._settings(hidden, shares, seed))

    def _settings(
        self, hidden: Float[np.ndarray, "1 feature"], shares: Float[np.ndarray, " kind"], seed: int
    ) -> tuple[Float[np.ndarray, "sample parameter"], ...]:
        """Samples of the settings of each effect; of those that are too unlikely to be rendered, uniform ones."""
        count, order = len(self.kinds), np.argsort(-shares[:-1], kind="stable")
        if count > 1 and not shares[order[1]]:  # three shapes are compiled, and no more
            order = order[:1]
        elif count > _LIKELY and shares[order[_LIKELY]] < _UNLIKELY:
            order = order[:_LIKELY]
        noise = jax.random.normal(jax.random.key(seed), (count, SAMPLES, max(1, *self.parameters)))
        many = jnp.repeat(hidden, len(order), axis=0)
        found = np.array(controller.as_setting(noise))
        found[order] = _settings(self.weights, many, jnp.asarray(order), noise[order], model=self._model)
        return tuple(found[index, :, : len(kind.parameters)] for index, kind in enumerate(self.kinds))

    def match(
        self,
        dry: Any,
        reference: Any,
        sample_rate: Any,
        *,
        reference_rate: Any = None,
        reference_dry: Any = None,
        same_recording: bool = False,
        allowed: Sequence[str] | None = None,
        candidates: int | None = None,
        refine: int = 0,
        seed: int = 0,
        progress: Callable[[int, int], object] | None = None,
    ) -> Match:
        """Effect and settings that give a dry recording the sound of a reference, and the recording through them.

        Args:
            dry: (sample,) or (channel, sample), of any length.
            reference: (sample,) or (channel, sample), in the wanted sound, of whatever recording.
            sample_rate: in Hz, of the dry recording, and of the reference unless `reference_rate` is given.
            reference_dry: the reference before the effect, if it is at hand, of its rate.
            same_recording: whether the reference is another passage of the very recording.
            allowed: names of effects to choose from; a single one is taken as given.
            candidates: renders of an excerpt to choose from; None is `CANDIDATES` of a single effect,
                `CANDIDATES_OF_SEVERAL` otherwise.
            refine: renders more, in search of still better settings.
            progress: called with the renders done and to be done.

        Raises:
            ValueError: audio is in no form that can be used, silent or not finite; an effect is not known; a number is
                out of range.
            EffectError: an effect failed.
        """
        rate = waveform.require_rate(sample_rate)
        recording = waveform.recording(dry, rate, "dry")
        heard = _mono(reference, _or(reference_rate, rate), "reference")
        before = None
        if reference_dry is not None:
            before = _mono(reference_dry, _or(reference_rate, rate), "reference_dry")
        found, render = self._find(
            recording, heard, before, same_recording, allowed, candidates, refine, seed, progress, time.perf_counter()
        )
        audio, short_db = render.audio()
        return _with_audio(found, short_db, audio.reshape(np.shape(dry)))

    def match_file(
        self,
        dry: Path,
        reference: Path,
        out: Path,
        *,
        reference_dry: Path | None = None,
        same_recording: bool = False,
        allowed: Sequence[str] | None = None,
        candidates: int | None = None,
        refine: int = 0,
        seed: int = 0,
        progress: Callable[[int, int], object] | None = None,
        written: Callable[[float, float], object] | None = None,
    ) -> Match:
        """As `match`, from file to file; however long they are, only blocks of them are in memory.

        Of an effect that cannot go on from block to block (`Effect.open`), such as a VST3, the whole is.

        The answer has no `audio`: it is written to `out`, in the format that its name tells. `written` is called with
        the seconds of it that are rendered and to be rendered.

        Raises:
            AudioError, a ValueError: a file cannot be read as audio.
            ValueError, EffectError: as `match`.
            OSError: `out` cannot be written; what was there is as it was.
        """
        begun = time.perf_counter()
        recording = waveform.recording_of_file(dry)
        before = None if reference_dry is None else waveform.of_file(reference_dry)
        found, render = self._find(
            recording,
            waveform.of_file(reference),
            before,
            same_recording,
            allowed,
            candidates,
            refine,
            seed,
            progress,
            begun,
        )
        rate, total = recording.sample_rate, recording.samples / recording.sample_rate
        short_db = render.write(out, written and (lambda samples: written(samples / rate, total)))
        return _with_audio(found, short_db, None)

    def _find(
        self,
        recording: Recording,
        reference: Track,
        before: Track | None,
        same_recording: bool,
        allowed: Sequence[str] | None,
        candidates: int | None,
        refine: int,
        seed: int,
        progress: Callable[[int, int], object] | None,
        begun: float,
    ) -> tuple[Match, Render]:
        """The answer, and the recording through it, which is yet to be rendered."""
        if candidates is None:
            possible = len(self.kinds) if allowed is None else len(allowed)
            candidates = CANDIDATES if possible == 1 else CANDIDATES_OF_SEVERAL
        if not 1 <= candidates <= SAMPLES or refine < 0:
            raise ValueError(f"candidates is {candidates}, refine {refine}; use 1 to {SAMPLES}, and at least 0")
        model_rate, mono = self.experiment.audio.sample_rate, recording.mono()
        excerpt, peak = self._excerpt(mono, recording)
        posterior = self.posterior([reference], [mono] if same_recording else None, before, allowed, seed)
        level_db = self.experiment.data.peak_dbfs - peak
        excerpt = (excerpt * np.float32(gain(level_db))).astype(np.float32)
        search = Search(self.kinds, excerpt, model_rate, posterior, seed)
        total = candidates + refine
        answers = search.candidates(candidates, progress and (lambda done: progress(done, total)))
        if refine:
            answers = search.refined(answers, refine, progress and (lambda done: progress(candidates + done, total)))
        best, notes = answers[0], []
        kind = next((kind for kind in self.kinds if kind.name == best.effect), None)
        settings = {setting.name: setting.value for setting in best.settings}
        rate = recording.sample_rate
        same = kind is None or same_at(kind, settings, excerpt, model_rate, rate)
        if not same:
            notes.append(
                f"{best.effect} sounds otherwise at {rate:g} Hz, so it was rendered at {model_rate:,} Hz, where it was "
                f"matched: nothing is above {model_rate // 2:,} Hz"
            )
        render_rate = rate if same else float(model_rate)
        names = (*self.effects, NO_EFFECT)
        order = np.argsort(-posterior.effect, kind="stable")
        found = Match(
            matcher=self.experiment.name,
            answers=tuple(answers),
            probabilities={names[index]: float(posterior.effect[index]) for index in order},
            input_gain_db=level_db,
            audio=None,
            sample_rate=rate,
            render_rate=render_rate,
            excerpt=excerpt,
            excerpt_rate=model_rate,
            renders=search.renders,
            seconds=time.perf_counter() - begun,
            notes=tuple(notes),
        )
        return found, Render(kind, settings, recording, level_db, render_rate)

    def _kinds_allowed(self, allowed: Sequence[str] | None) -> np.ndarray:
        """Of every effect and of none, whether it may be the answer."""
        if allowed is None:
            return np.ones(len(self.kinds) + 1, bool)
        if not allowed:
            raise ValueError("no effect is allowed; name at least one, or allow all by None")
        unknown = [name for name in allowed if name not in self.effects]
        if unknown:
            raise ValueError(f"{self.experiment.name} knows no {unknown[0]}; it knows {', '.join(self.effects)}")
        return np.array([name in allowed for name in self.effects] + [len(allowed) > 1])

    def _hear(
        self, reference: list[Track], passages: Sequence[Track] | None, before: Track | None
    ) -> Float[np.ndarray, "1 feature"]:
        """What is heard of the windows of one recording, averaged."""
        audio = self.experiment.audio
        expected = max(track.seconds for track in reference) * audio.sample_rate / audio.clip_samples
        size = min(windows.BATCH, 2 ** math.ceil(math.log2(max(1.0, math.floor(expected)))))
        batches = functools.partial(windows.in_batches, size=size)
        if before is not None:
            wet, dry, _ = windows.together(reference[0], before)
            function = functools.partial(batches, functools.partial(self._heard, relation=ALIGNED))
            return windows.encode(function, [wet], [dry], audio).means()
        if passages is None:
            function = functools.partial(batches, functools.partial(self._heard, relation=NONE))
            return windows.encode(function, reference, None, audio).means()
        of_dry = windows.encode(functools.partial(windows.in_batches, self._fine), list(passages), None, audio)
        known = of_dry._replace(recording=np.zeros_like(of_dry.recording)).means()
        function = functools.partial(batches, self._heard_beside)
        return windows.encode(function, reference, None, audio, known=known).means()

    def _views(self, audio: np.ndarray) -> Views:
        return views.compiled(audio, self.experiment.audio, self.experiment.spectrogram, self.normalisation)

    def _fine(self, audio: np.ndarray) -> jax.Array:
        return self._views(audio).fine

    def _heard(self, wet: np.ndarray, dry: np.ndarray | None = None, *, relation: int) -> jax.Array:
        of_wet = self._views(wet)
        of_dry = of_wet if dry is None else self._views(dry)
        return _hear(self.weights, of_wet, of_dry, jnp.full(len(wet), relation), model=self._model)

    def _heard_beside(self, wet: np.ndarray, fine: np.ndarray) -> jax.Array:
        seen = self._views(wet)
        return _hear(self.weights, seen, Views(seen.spectrogram, fine), jnp.full(len(wet), SOURCE), model=self._model)

    @property
    def _model(self) -> Controller:
        return Controller(self.experiment.controller, self.parameters)

    def _excerpt(self, mono: Track, recording: Recording) -> tuple[Float[np.ndarray, " sample"], float]:
        """The loudest seconds of a recording at the rate of training, and the recording's peak in dBFS.

        A recording that is shorter is repeated. It is gone through twice: once to find them, once to take them.
        """
        rate = self.experiment.audio.sample_rate
        length, hop = round(EXCERPT_SECONDS * rate), rate // 100
        peak, sound, energies, rest = 0.0, False, [0.0], np.zeros(0, np.float32)

        def noted() -> Iterator[np.ndarray]:
            nonlocal peak, sound
            for block in recording.blocks():
                sound = sound or bool(block.any())
                peak = max(peak, float(np.abs(block.mean(axis=0)).max()))
                yield block.mean(axis=0)

        samples = 0
        for block in waveform.resampled(mono._replace(blocks=noted), rate):
            samples += len(block)
            rest = np.concatenate([rest, block])
            whole = len(rest) // hop * hop
            energies += np.square(rest[:whole].reshape(-1, hop), dtype=np.float64).sum(axis=1).tolist()
            rest = rest[whole:]
        if peak <= waveform.LEAST_PEAK:
            raise ValueError(f"dry is silent{' in mono' if sound else ''}; use another recording")
        if not samples:
            raise ValueError(f"the dry recording has not one sample at {rate} Hz; use a longer one")
        level_db = float(20 * np.log10(peak))
        if samples < length:
            return np.resize(np.concatenate(list(waveform.resampled(mono, rate))), length), level_db
        total = np.cumsum(energies)
        hops = length // hop
        start = hop * int(np.argmax(total[hops:] - total[:-hops]))
        pieces, place = [], 0
        for block in waveform.resampled(mono, rate):
            pieces.append(block[max(0, start - place) : max(0, start + length - place)])
            place += len(block)
            if place >= start + length:
                break
        return np.concatenate(pieces), level_db


def _with_audio(found: Match, short_db: float, audio: np.ndarray | None) -> Match:
    notes = found.notes
    if short_db > 0:
        notes += (f"the answer is {short_db:.1f} dB quieter than the recording, to stay below full scale",)
    return dataclasses.replace(found, audio=audio, notes=notes)


def same_at(kind: Effect, settings: dict[str, float], excerpt: np.ndarray, rate: int, other: float) -> bool:
    """Whether an effect sounds at another rate as it does at this one."""
    if other == rate:
        return True
    try:
        resampled = kind.render(soxr.resample(excerpt, rate, other), settings, int(other))
    except (ValueError, effects.PluginError):  # such as a frequency that this rate cannot have
        return False
    wet = kind.render(excerpt, settings, rate)
    if not np.isfinite(resampled).all():
        return False
    both = np.stack([wet, _fitted(soxr.resample(resampled, other, rate)[None], len(wet))[0]])
    sounds = distances.describe(both, excerpt, sample_rate=rate)
    first, second = (jax.tree.map(lambda x, row=row: x[row : row + 1], sounds) for row in range(2))
    return float(distances.distance(first, second)[0]) < _SAME_SOUND


def _fitted(audio: Float[np.ndarray, "channel some"], samples: int) -> Float[np.ndarray, "channel {samples}"]:
    """Cut, or filled with silence."""
    return np.pad(audio[:, :samples], ((0, 0), (0, max(0, samples - audio.shape[1]))))


def _or(rate: Any, other: float) -> float:
    return other if rate is None else waveform.require_rate(rate)


def _mono(audio: Any, rate: float, name: str) -> Track:
    recording = waveform.recording(audio, rate, name)
    channels = np.concatenate(list(recording.blocks()), axis=1)
    if np.abs(channels.mean(axis=0)).max() <= waveform.LEAST_PEAK:
        raise ValueError(f"{name} is silent{' in mono' if channels.any() else ''}; use another recording")
    return recording.mono()


@functools.partial(jax.jit, static_argnames="model")
def _hear(weights: Weights, wet: Views, dry: Views, relation: jax.Array, *, model: Controller) -> jax.Array:
    return model.apply(weights.variables, wet, dry, relation, method="hear")


@functools.partial(jax.jit, static_argnames="model")
def _effect(weights: Weights, hidden: jax.Array, *, model: Controller) -> jax.Array:
    return model.apply(weights.variables, hidden, method="effect")


@functools.partial(jax.jit, static_argnames="model")
def _settings(
    weights: Weights, hidden: jax.Array, effect: jax.Array, noise: jax.Array, *, model: Controller
) -> jax.Array:
    return controller.settings(model, weights.variables, hidden, effect, noise)
