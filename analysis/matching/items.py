"""Items to match: a dry clip, a reference at known settings, and the dry clip at these settings, which is the target.

Pairings
    same recording     the reference is another passage of the dry clip's recording
    other recording    it is of another recording of the same package
    other package      it is of another package, where there are several

All is of recordings that training never met. An item whose effect cannot be heard on the dry clip
(`jaxvae.data.audibility`) has nothing to match; it is kept, and told apart.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.renders.plan import draw_dry
from jaxvae import effects
from jaxvae.data import audibility, clips
from jaxvae.data.dataset import Split
from jaxvae.effects import Effect

PAIRINGS = ("same recording", "other recording", "other package")


class Items(NamedTuple):
    """What is to be matched, row by row."""

    effect: Int[np.ndarray, " item"]
    """Index into the effects."""
    normalized: Float[np.ndarray, "item parameter"]
    """The true settings, then NaN."""
    dry: Float[np.ndarray, "item sample"]
    reference: Float[np.ndarray, "item sample"]
    target: Float[np.ndarray, "item sample"]
    pairing: Int[np.ndarray, " item"]
    """Index into `PAIRINGS`."""
    recording: Int[np.ndarray, " item"]
    """Of the dry clip."""
    audible: Bool[np.ndarray, " item"]


def draw(split: Split, kinds: Sequence[Effect], each: int, rate: int, seed: int) -> Items:
    """So many items of every effect in every pairing that the split's recordings allow, with random settings.

    Items whose renders cannot be used (`jaxvae.data.clips`) are left out.
    """
    package = np.array(split.sources)[split.recording]
    several = [True, len(np.unique(split.recording)) > 1, len(np.unique(package)) > 1]
    pairings = [index for index in range(len(PAIRINGS)) if several[index]]
    count = len(kinds) * len(pairings) * each
    rng = np.random.default_rng((seed, 3))
    dry_clips = draw_dry(split, count, seed)
    effect = np.tile(np.repeat(np.arange(len(kinds)), each), len(pairings))
    pairing = np.repeat(pairings, len(kinds) * each)
    rng.shuffle(dry_clips)
    width = max(1, *(len(kind.parameters) for kind in kinds))
    parameters = np.array([len(kind.parameters) for kind in kinds])[effect]
    normalized = np.where(np.arange(width)[None] < parameters[:, None], rng.random((count, width)), np.nan)
    normalized = normalized.astype(np.float32)
    pairs = zip(dry_clips.tolist(), pairing.tolist(), strict=True)
    others = np.array([_other(split, package, clip, PAIRINGS[index], rng) for clip, index in pairs])
    dry = split.dry(dry_clips)
    heard = np.where((pairing == 0)[:, None], split.other_dry(dry_clips), split.dry(others))
    chosen = [kinds[index] for index in effect]
    target, reference = (effects.render_many(chosen, audio, normalized, rate) for audio in (dry, heard))
    kept = clips.usable(target) & clips.usable(reference)
    audible = audibility.audible(target[kept], dry[kept], rate)
    rows = (effect, normalized, dry, reference, target, pairing, split.recording[dry_clips])
    return Items(*(row[kept] for row in rows), audible)


def _other(split: Split, package: np.ndarray, clip: int, pairing: str, rng: np.random.Generator) -> int:
    """A clip of another recording, of the same package or of another; of any, where the package has no other."""
    elsewhere = split.recording != split.recording[clip]
    same = package == package[clip]
    wanted = elsewhere & (~same if pairing == "other package" else same)
    if not wanted.any():
        wanted = elsewhere if elsewhere.any() else np.ones(len(package), bool)
    return int(rng.choice(np.flatnonzero(wanted)))
