"""What answers an item: the matcher, and what it has to beat. An answer is settings of the true effect, or none.

nothing              the dry clip as it is
constant             for each effect the settings that are nearest, on average, to random ones on validation clips
random               settings at random
nearest clip         settings of the training clip whose fine structure is most like the reference's
pool                 of random renders of the dry clip the one that is most like the reference in colour and
                     modulation, the two distances that can be taken between other contents
forest               extra trees on the fine structure of the reference and, of the same recording, what it differs
                     by from the dry clip's: their mean answer
forest, chosen       settings of training clips in the leaves that the trees come to, with the matcher's own choice
matcher              the middle of its posterior; chosen among renders; refined by more of them
best of …            the render that is nearest to the target: an oracle, which no one can know
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from sklearn.ensemble import ExtraTreesRegressor
from tqdm import tqdm

from analysis.matching.items import Items
from jaxvae import block, effects, fine_structure
from jaxvae.data import clips, waveform
from jaxvae.data.dataset import Split
from jaxvae.effects import Effect
from jaxvae.matching import distances, match
from jaxvae.matching.match import NO_EFFECT
from jaxvae.matching.matcher import CANDIDATES_OF_SEVERAL, Matcher
from jaxvae.matching.search import Posterior, Search

ORACLES = ("best of the pool", "best of the candidates")
TREES = 200
_SAMPLES = 256
_FINE_CLIPS = 64  # computed at once


class Fitted(NamedTuple):
    """What rows without a network learnt on training and validation clips, effect by effect."""

    constant: list[Float[np.ndarray, " parameter"]]
    fine: list[Float[np.ndarray, "clip number"]]
    """Of training clips, standardised."""
    passage: list[Float[np.ndarray, "clip number"]]
    """Of another dry passage of each one's recording."""
    settings: list[Float[np.ndarray, "clip parameter"]]
    blind: list[ExtraTreesRegressor]
    source: list[ExtraTreesRegressor]
    standard: fine_structure.Standard


def fit(matcher: Matcher, train: Split, validation: Split, each: int, pool: int, seed: int) -> Fitted:
    """On so many training clips of each effect, and a pool of settings rendered of a few validation clips."""
    rate, rng = matcher.experiment.audio.sample_rate, np.random.default_rng((seed, 5))
    assert matcher.normalisation.fine is not None
    standard = matcher.normalisation.fine
    fitted = Fitted([], [], [], [], [], [], standard)
    for index, kind in enumerate(tqdm(matcher.kinds, desc="fit other rows", unit="effect")):
        own = np.flatnonzero(train.effect == index)
        own = np.sort(rng.choice(own, min(each, len(own)), replace=False))
        heard = fine(train.audio(own), rate, standard)
        contents = block.content_of(own)
        passage = fine(train.passages(contents), rate, standard)
        settings = train.normalized[own, : len(kind.parameters)]
        trees = [
            ExtraTreesRegressor(TREES, min_samples_leaf=3, max_features=0.3, n_jobs=-1, random_state=seed)
            for _ in range(2)
        ]
        wanted = settings[:, 0] if settings.shape[1] == 1 else settings
        trees[0].fit(heard, wanted)
        trees[1].fit(np.concatenate([heard, heard - passage], axis=1), wanted)
        fitted.fine.append(heard)
        fitted.passage.append(passage)
        fitted.settings.append(settings)
        fitted.blind.append(trees[0])
        fitted.source.append(trees[1])
        fitted.constant.append(_constant(kind, validation, rate, pool, rng))
    return fitted


def _constant(kind: Effect, split: Split, rate: int, pool: int, rng: np.random.Generator) -> np.ndarray:
    """Of a pool of settings the one whose renders are nearest to those of the others."""
    rows = rng.random((pool, len(kind.parameters))).astype(np.float32)
    total = np.zeros(pool)
    for dry in split.dry(rng.choice(split.clips, 6, replace=False)):
        sounds, usable = sounds_of(kind, rows, dry, rate)
        matrix = np.asarray(distances.pairwise(sounds))[:pool, :pool]
        total += np.where(usable, matrix[:, usable].mean(axis=1), np.inf)
    return rows[int(np.argmin(total))]


def fine(audio_clips: np.ndarray, rate: int, standard: fine_structure.Standard) -> Float[np.ndarray, "clip number"]:
    """The standardised fine structure of clips."""
    found, size = [], min(_FINE_CLIPS, len(audio_clips))
    for first in range(0, len(audio_clips), size):
        some = audio_clips[first : first + size]
        filled = np.concatenate([some, np.repeat(some[-1:], size - len(some), axis=0)])
        found.append(np.asarray(_fine(filled, standard, rate=rate))[: len(some)])
    return np.concatenate(found)


@functools.partial(jax.jit, static_argnames="rate")
def _fine(some: jax.Array, standard: fine_structure.Standard, *, rate: int) -> jax.Array:
    return standard(fine_structure.compute(some, rate))


def sounds_of(
    kind: Effect, rows: Float[np.ndarray, "clip parameter"], dry: Float[np.ndarray, " sample"], rate: int
) -> tuple[distances.Sounds, np.ndarray]:
    """Sounds of renders of one dry clip, and which can be used; those that cannot are the dry clip."""
    many = np.broadcast_to(dry, (len(rows), len(dry)))
    wet = effects.render_many([kind] * len(rows), many, rows, rate)
    usable = clips.usable(wet)
    wet[~usable] = dry
    return distances.describe(wet, dry, sample_rate=rate), usable


class Answer(NamedTuple):
    """An effect at settings; no effect is None."""

    kind: Effect | None
    settings: Float[np.ndarray, " parameter"]


NOTHING = Answer(None, np.zeros(0, np.float32))


def answers(
    matcher: Matcher, fitted: Fitted, items: Items, row: int, candidates: int, refine: int, pool: int, seed: int
) -> dict[str, Answer]:
    """Of one item, by row of the table."""
    rate = matcher.experiment.audio.sample_rate
    index, dry, reference = int(items.effect[row]), items.dry[row], items.reference[row]
    kind, rng = matcher.kinds[index], np.random.default_rng((seed, row))
    same = bool(items.pairing[row] == 0)
    tracks = waveform.tracks(reference, rate)
    passages = waveform.tracks(dry, rate) if same else None

    def of(settings: np.ndarray) -> Answer:
        return Answer(kind, np.asarray(settings, np.float32))

    def chosen(posterior: Posterior, refine: int = 0, renders: int = candidates) -> list[Answer]:
        search = Search(matcher.kinds, dry, rate, posterior, seed + row)
        found = [search.candidates(renders)]
        if refine:
            found.append(search.refined(found[0], refine))
        return [_as_answer(matcher, answers[0]) for answers in found]

    posterior = matcher.posterior(tracks, passages, allowed=[kind.name], seed=seed + row)
    guessed = matcher.posterior(tracks, passages, seed=seed + row)
    mine = posterior.settings[index]
    heard = fine(np.stack([reference, dry]), rate, fitted.standard)
    seen = np.concatenate([heard[:1], heard[:1] - heard[1:]], axis=1) if same else heard[:1]
    trees = (fitted.source if same else fitted.blind)[index]
    pooled = rng.random((pool, len(kind.parameters))).astype(np.float32)
    picked, refined = chosen(posterior, refine)
    return {
        "nothing": NOTHING,
        "constant": of(fitted.constant[index]),
        "random": of(rng.random(len(kind.parameters))),
        "nearest clip": of(fitted.settings[index][_nearest(fitted, index, heard, same)]),
        f"pool of {pool}": of(pooled[_most_alike(kind, pooled, dry, reference, rate)]),
        "forest": of(np.clip(trees.predict(seen)[0].reshape(-1), 0, 1)),
        "forest, chosen": chosen(_of_forest(matcher, posterior, fitted, index, trees, seen, rng))[0],
        "matcher, 1 render": of(np.median(mine, axis=0)),
        f"matcher, {candidates} renders": picked,
        f"matcher, {candidates} + {refine} renders": refined,
        f"matcher, effect guessed, {CANDIDATES_OF_SEVERAL} renders": chosen(guessed, 0, CANDIDATES_OF_SEVERAL)[0],
        ORACLES[0]: of(pooled[_best(kind, pooled, dry, items.target[row], rate)]),
        ORACLES[1]: of(mine[:candidates][_best(kind, mine[:candidates], dry, items.target[row], rate)]),
    }


def _as_answer(matcher: Matcher, found: match.Answer) -> Answer:
    if found.effect == NO_EFFECT:
        return NOTHING
    kind = next(kind for kind in matcher.kinds if kind.name == found.effect)
    values = [effects.normalize(p, s.value) for p, s in zip(kind.parameters, found.settings, strict=True)]
    return Answer(kind, np.array(values, np.float32))


def _nearest(fitted: Fitted, index: int, heard: np.ndarray, same: bool) -> int:
    """The training clip whose fine structure, and what it differs by from another passage's, is the nearest."""
    apart = ((fitted.fine[index] - heard[:1]) ** 2).sum(axis=1)
    if same:
        apart += ((fitted.fine[index] - fitted.passage[index] - heard[:1] + heard[1:]) ** 2).sum(axis=1)
    return int(np.argmin(apart))


def _of_forest(
    matcher: Matcher,
    posterior: Posterior,
    fitted: Fitted,
    index: int,
    trees: ExtraTreesRegressor,
    seen: np.ndarray,
    rng: np.random.Generator,
) -> Posterior:
    """Samples of training settings by how often they share a leaf with what is seen (Meinshausen 2006)."""
    heard = fitted.fine[index]
    if seen.shape[1] > heard.shape[1]:
        heard = np.concatenate([heard, heard - fitted.passage[index]], axis=1)
    together = trees.apply(heard) == trees.apply(seen)
    weight = (together / together.sum(axis=0, keepdims=True)).mean(axis=1)
    drawn = fitted.settings[index][rng.choice(len(weight), _SAMPLES, p=weight / weight.sum())]
    settings = list(posterior.settings)
    settings[index] = drawn
    return posterior._replace(settings=tuple(settings))


def _most_alike(kind: Effect, rows: np.ndarray, dry: np.ndarray, reference: np.ndarray, rate: int) -> int:
    """The render that is nearest to the reference in what does not depend on the content's frames."""
    sounds, usable = sounds_of(kind, rows, dry, rate)
    theirs = distances.describe(reference[None], dry, sample_rate=rate)
    apart = distances.apart(sounds, theirs)
    value = sum(np.asarray(apart[name]) / distances.UNITS_DB[name] for name in ("colour", "modulation"))
    return int(np.argmin(np.where(usable, value, np.inf)))


def _best(kind: Effect, rows: np.ndarray, dry: np.ndarray, target: np.ndarray, rate: int) -> int:
    """The render that is nearest to the target."""
    sounds, usable = sounds_of(kind, rows, dry, rate)
    theirs = distances.describe(target[None], dry, sample_rate=rate)
    return int(np.argmin(np.where(usable, np.asarray(distances.distance(sounds, theirs)), np.inf)))
