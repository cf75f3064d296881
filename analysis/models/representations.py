"""The rows of the scoreboard: trained models and what they have to beat, each as features of wet and dry clips.

What a representation hears decides what it is compared with: blind ones hear the wet clip only, source-aware ones
another dry passage of the recording as well, dry-aware ones the dry clip. A constant and noise hear nothing; they show
what each figure is by chance.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from analysis.models import baselines, statistics
from analysis.models.baselines import PrincipalComponents
from jaxvae import inference, views
from jaxvae.data import dataset

Hears = Literal["wet", "wet and source", "wet and dry", "nothing"]
MODES: dict[Hears, str] = {"wet": "blind", "wet and source": "source_aware", "wet and dry": "dry_aware"}
"""Of a trained model, by what it hears (`jaxvae.config.MODES`)."""
WORDS = {"wet": "blind", "wet and source": "source-aware", "wet and dry": "dry-aware", "nothing": "by chance"}
"""What is said of rows that hear so."""
_NOISE_DIMENSIONS = 16
_REMEMBERED_CLIPS = 4_000  # of 33 kB, as spectrograms
_REMEMBERED_LEVELS = 1_500  # of 70 kB
FINE, WAVEFORM = "fine statistics", "waveform statistics"
BOTH = "waveform and fine statistics"
_LEAST = 1e-9  # of a probability, which rounding makes 0 and its logarithm infinite


class Representation(NamedTuple):
    """One row."""

    name: str
    hears: Hears
    embed: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Features (clip, feature) of wet and dry clips (clip, sample), both at the rate of the first model. The dry ones
    are other passages of the recordings where it hears those."""
    encoder: inference.SpectrogramEncoder | None = None
    """Of a trained model, whose features are means and log-variances of posteriors side by side."""
    mapped: bool = False
    """Whether it is laid out on a map, which takes seconds: models and principal components are."""


class Remembered:
    """A function of clips that knows its last result: rows ask one after the other for that of the same wet clips."""

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self._function = function
        self._clips: np.ndarray | None = None
        self._result: Any = None

    def __call__(self, clips: np.ndarray) -> Any:
        if clips is not self._clips:
            self._clips, self._result = clips, self._function(clips)
        return self._result


class RememberedByClip:
    """A function of clips, each by itself, that knows its results of the last clips: dry ones come again and again.

    It gives an array, or a tree of arrays, of a row for each clip.
    """

    def __init__(self, function: Callable[[np.ndarray], Any], most: int = _REMEMBERED_CLIPS) -> None:
        self._function, self._most = function, most
        self._known: OrderedDict[bytes, Any] = OrderedDict()

    def __call__(self, clips: np.ndarray) -> Any:
        digests = [hashlib.blake2b(clip, digest_size=16).digest() for clip in np.ascontiguousarray(clips)]
        new = {digest: row for row, digest in enumerate(digests) if digest not in self._known}
        if new:
            found = self._function(clips[list(new.values())])
            for row, digest in enumerate(new):
                self._known[digest] = jax.tree.map(lambda values, row=row: values[row], found)
        result = jax.tree.map(lambda *rows: np.stack(rows), *(self._known[digest] for digest in digests))
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return result


def _remembered(function: Callable[[np.ndarray], Any], most: int = _REMEMBERED_CLIPS) -> tuple[Callable, Callable]:
    """For the wet and for the dry clips of a chunk, results of so many of which are kept."""
    return Remembered(function), Remembered(RememberedByClip(function, most))


def named(name: str, hears: str) -> str:
    """The name of a trained model's row that hears so."""
    return name if hears == "wet" else f"{name}, {WORDS[hears]}"


def dry_aware(name: str) -> str:
    """The name of a model's row that hears the dry clip."""
    return named(name, "wet and dry")


def difference(name: str) -> str:
    """The name of a baseline of the difference of the wet and the dry clip."""
    return f"{name}, wet − dry"


def source_difference(name: str) -> str:
    """The name of a baseline of the difference of the wet clip and another dry passage of the recording."""
    return f"{name}, wet − source"


def means(encoder: inference.SpectrogramEncoder) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Posterior means as a function of wet and dry clips, dry-aware if the encoder can be."""
    rate = encoder.experiment.audio.sample_rate
    return lambda wet, dry: encoder.embed(wet[:, None], rate, dry[:, None] if encoder.dry_aware else None)


def rows(
    models: Mapping[str, inference.SpectrogramEncoder],
    train: dataset.Split,
    components: int,
    seed: int,
    source: bool = True,
) -> tuple[list[Representation], PrincipalComponents]:
    """Models and what the first of them has to beat, in the order of what they hear; and its principal components.

    Dry-aware and source-aware baselines are there if a model is; no row hears the source if it is not wanted.
    """
    encoder = next(iter(models.values()))
    rate = encoder.experiment.audio.sample_rate
    components = min(components, train.clips // 2)
    seen, dry_seen = _remembered(lambda clips: encoder.views(clips[:, None], rate))
    mfcc, dry_mfcc = _remembered(lambda clips: baselines.mfcc_statistics(clips, rate))
    handmade = _handmade(rate)
    aware = {name: model for name, model in models.items() if model.dry_aware}
    with ThreadPoolExecutor() as threads:  # a fit leaves a core idle for half its time
        fits = [
            threads.submit(baselines.principal_components, encoder, train, components, seed, change)
            for change in ((False, True) if aware else (False,))
        ]
        pca, *changes = [fit.result() for fit in fits]
    fresh = inference.untrained(encoder, seed)
    noise = np.random.default_rng(seed)
    shared = {name: (seen, dry_seen) if _sees_alike(model, encoder) else None for name, model in models.items()}
    posteriors = {name: _posterior(model, shared[name], rate) for name, model in models.items()}
    made = [
        *(
            Representation(name, "wet", lambda wet, dry, of=posteriors[name]: of(wet, None), model, True)
            for name, model in models.items()
        ),
        Representation(pca.name, "wet", lambda wet, dry: pca.code(seen(wet).spectrogram), mapped=True),
        Representation("fresh weights", "wet", lambda wet, dry: fresh.posterior_of_views(seen(wet)).mean),
        Representation("MFCC statistics", "wet", lambda wet, dry: mfcc(wet)),
        *(row for row in handmade if row.hears == "wet"),
    ]
    if source and any(model.source_aware for model in models.values()):
        made += [
            *(
                Representation(
                    named(name, "wet and source"),
                    "wet and source",
                    _posterior(model, shared[name], rate, "source"),
                    model,
                )
                for name, model in models.items()
                if model.source_aware
            ),
            *(
                Representation(
                    named("fresh weights", "wet and source"),
                    "wet and source",
                    lambda wet, dry: fresh.posterior_of_views(seen(wet), dry_seen(dry), "source").mean,
                )
                for _ in range(encoder.source_aware)
            ),
            Representation(
                source_difference("MFCC statistics"), "wet and source", lambda wet, dry: mfcc(wet) - dry_mfcc(dry)
            ),
            *(row for row in handmade if row.hears == "wet and source"),
        ]
    if aware:
        made += [
            *(
                Representation(dry_aware(name), "wet and dry", posteriors[name], model, True)
                for name, model in aware.items()
            ),
            Representation(
                difference(pca.name),
                "wet and dry",
                lambda wet, dry: changes[0].code(seen(wet).spectrogram - dry_seen(dry).spectrogram),
                mapped=True,
            ),
        ]
        if encoder.dry_aware:
            made.append(
                Representation(
                    dry_aware("fresh weights"),
                    "wet and dry",
                    lambda wet, dry: fresh.posterior_of_views(seen(wet), dry_seen(dry)).mean,
                )
            )
        made.append(
            Representation(difference("MFCC statistics"), "wet and dry", lambda wet, dry: mfcc(wet) - dry_mfcc(dry))
        )
        made += [row for row in handmade if row.hears == "wet and dry"]
    made += [
        Representation("noise", "nothing", lambda wet, dry: noise.normal(size=(len(wet), _NOISE_DIMENSIONS))),
        Representation("constant", "nothing", lambda wet, dry: np.zeros((len(wet), 1))),
    ]
    return made, pca


def _handmade(rate: int) -> list[Representation]:
    """Statistics of the wet clip; with the dry one also their differences, which cost little more."""
    levels, dry_levels = _remembered(lambda clips: statistics.mel_levels(clips, rate), _REMEMBERED_LEVELS)
    wet_fine = Remembered(lambda wet: statistics.fine(levels(wet)))
    dry_fine = Remembered(lambda dry: statistics.fine(dry_levels(dry)))
    waveform, dry_waveform = _remembered(lambda clips: statistics.waveform(clips, rate))

    def fine(wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
        return wet_fine(wet)

    def fine_difference(wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
        between = statistics.fine(levels(wet) - dry_levels(dry))
        return np.concatenate([wet_fine(wet), wet_fine(wet) - dry_fine(dry), between], axis=1)

    def fine_of_both(wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
        return np.concatenate([wet_fine(wet), wet_fine(wet) - dry_fine(dry)], axis=1)

    def waveform_difference(wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
        return np.concatenate([waveform(wet), waveform(wet) - dry_waveform(dry)], axis=1)

    blind = {FINE: (fine,), WAVEFORM: (lambda wet, dry: waveform(wet),)}
    aware = {FINE: (fine_difference,), WAVEFORM: (waveform_difference,)}
    source = {FINE: (fine_of_both,), WAVEFORM: (waveform_difference,)}
    made = []
    for hears, name_of, kinds in (
        ("wet", str, blind),
        ("wet and source", source_difference, source),
        ("wet and dry", difference, aware),
    ):
        kinds[BOTH] = kinds[WAVEFORM] + kinds[FINE]
        for name, functions in kinds.items():
            made.append(
                Representation(
                    name_of(name),
                    hears,
                    lambda wet, dry, functions=functions: np.concatenate([f(wet, dry) for f in functions], axis=1),
                )
            )
    return made


def _sees_alike(model: inference.SpectrogramEncoder, other: inference.SpectrogramEncoder) -> bool:
    """Whether two encoders see the same views."""
    settings = [(one.experiment.audio, one.experiment.spectrogram) for one in (model, other)]
    first, second = (views.as_record(one.normalisation) for one in (model, other))
    return settings[0] == settings[1] and first == second


def _posterior(
    model: inference.SpectrogramEncoder, seen: tuple[Callable, Callable] | None, rate: int, relation: str = "aligned"
) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
    """Means and log-variances of wet clips, and dry ones if given, by shared views of both if there are any."""

    def posterior(wet: np.ndarray, dry: np.ndarray | None) -> np.ndarray:
        if seen is not None:
            of_wet, of_dry = seen
            found = model.posterior_of_views(of_wet(wet), None if dry is None else of_dry(dry), relation)
        else:
            found = model.posterior(wet[:, None], rate, None if dry is None else dry[:, None], relation)
        return _joined(found)

    return posterior


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def read(
    encoder: inference.SpectrogramEncoder, mean: Float[np.ndarray, "clip latent"], hears: Hears
) -> Float[np.ndarray, "clip number"]:
    """What the readout of a model reads, or its heads where it has none: probabilities of effects, if there was one,
    then of each effect's settings, side by side."""
    reading = encoder.read_mean(mean, MODES[hears])
    return _joined([reading.effect, *reading.settings])


def answers(
    flat: Float[np.ndarray, "clip number"], parameters: Sequence[int]
) -> tuple[Float[np.ndarray, "clip effect"], list[Float[np.ndarray, "clip _ bin"]]]:
    """What `read` joined, of effects of so many parameters: probabilities of effects, and of settings by effect."""
    flat = np.maximum(flat, _LEAST)
    effect, rest = flat[:, : len(parameters)], flat[:, len(parameters) :]
    bins = rest.shape[1] // sum(parameters)
    split = np.split(rest, np.cumsum(parameters)[:-1] * bins, axis=1)
    return effect, [part.reshape(len(flat), count, bins) for part, count in zip(split, parameters, strict=True)]
