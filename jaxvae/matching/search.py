"""Search for the settings that sound like a posterior: candidates, choice, and CMA-ES (Hansen & Ostermeier 2001)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxvae import effects
from jaxvae.data import clips
from jaxvae.effects import Effect
from jaxvae.matching import choice, distances
from jaxvae.matching.match import NO_EFFECT, Answer, Setting
from jaxvae.models import controller

INTERVAL = 0.8
"""Probability that a setting is in its interval."""
ANSWERS = 3
_ROWS = 16  # renders described at once are filled up to a multiple of it, so that few programs are compiled


class Posterior(NamedTuple):
    """What may have been done to a reference."""

    effect: Float[np.ndarray, " kind"]
    """Probabilities of the effects in their order, and last that there was none."""
    settings: tuple[Float[np.ndarray, "sample parameter"], ...]
    """Of each effect, if it was that one: samples on [0, 1]."""


class Search:
    """Renders of an excerpt, and what is chosen among them."""

    def __init__(
        self,
        kinds: Sequence[Effect],
        excerpt: Float[np.ndarray, " sample"],
        sample_rate: int,
        posterior: Posterior,
        seed: int,
    ) -> None:
        self._kinds, self._excerpt, self._rate = kinds, excerpt, sample_rate
        self._posterior, self._seed = posterior, seed
        self.renders = 0
        """How many were made."""

    def candidates(self, count: int, progress: Callable[[int], object] | None = None) -> list[Answer]:
        """The best of so many renders, and alternatives."""
        kinds, posterior = self._kinds, self._posterior
        drawn = choice.allocate(posterior.effect, count)
        middles = [index for index in np.flatnonzero(drawn[:-1]) if drawn[index] > 1]
        effect, rows = [], []
        for index in np.flatnonzero(drawn[:-1]).tolist():
            own = posterior.settings[index]
            some = own[: drawn[index] - (index in middles)]
            rows += [*some, *([np.median(own, axis=0)] if index in middles else [])]
            effect += [index] * drawn[index]
        sounds, usable = self._sounds([kinds[index] for index in effect], rows, progress)
        # The last is the excerpt itself: what "no effect" sounds like.
        effect, rows = [*effect, len(kinds)], [*rows, np.zeros(0)]
        middle = np.zeros(len(rows), bool)
        for index in middles:
            middle[np.flatnonzero(np.array(effect) == index)[-1]] = True
        weight = np.zeros(len(rows))
        for index in set(effect):
            own = np.array(effect) == index
            own &= ~middle & usable
            weight[own] = posterior.effect[index] / max(1, own.sum())
        if not weight.any():
            weight[-1] = 1.0
        weight /= weight.sum()
        matrix = np.asarray(distances.pairwise(sounds))[: len(rows), : len(rows)]
        kept = np.flatnonzero(usable)
        found = choice.choose(matrix[np.ix_(kept, kept)], weight[kept], ANSWERS)
        self._targets, self._weight = jax.tree.map(lambda x: x[: len(rows)], sounds), weight
        return [
            self._answer(effect[kept[row]], rows[kept[row]], share, expected)
            for row, share, expected in zip(*found, strict=True)
        ]

    def refined(self, found: list[Answer], count: int, progress: Callable[[int], object] | None = None) -> list[Answer]:
        """The answers, the first of which is the best that CMA-ES finds in so many renders more.

        Where it is no effect, there is nothing to refine.
        """
        best = found[0]
        if best.effect == NO_EFFECT:
            return found
        import cma  # here, because it takes long to import and nothing else needs it

        index = [kind.name for kind in self._kinds].index(best.effect)
        kind, own = self._kinds[index], self._posterior.settings[index]
        z = np.asarray(controller.as_quantile(jnp.asarray(own)))
        start = np.array([effects.normalize(p, s.value) for p, s in zip(kind.parameters, best.settings, strict=True)])
        start = np.asarray(controller.as_quantile(jnp.asarray(start, jnp.float32)), np.float64)
        spread = np.maximum(z.std(axis=0), 0.05).astype(np.float64)
        size, pad = len(start), max(0, 2 - len(start))  # cma fails in one dimension; the second is not rendered
        random = np.random.default_rng(self._seed)
        options = {
            "seed": np.nan,  # numbers come from `randn`
            "randn": lambda *shape: random.standard_normal(shape),
            "CMA_stds": np.append(spread, np.ones(pad)),
            "maxfevals": count,
            "verbose": -10,
            "verb_log": 0,
        }
        strategy = cma.CMAEvolutionStrategy(np.append(start, np.zeros(pad)), 0.5, options)
        value, row, done = best.expected, None, 0
        while not strategy.stop() and done + strategy.popsize <= count:
            population = strategy.ask()
            settings = np.asarray(controller.as_setting(jnp.asarray(np.array(population)[:, :size], jnp.float32)))
            before = done
            sounds, usable = self._sounds(
                [kind] * len(settings), list(settings), progress and (lambda more, at=before: progress(at + more))
            )
            risk = np.where(usable[: len(settings)], self._expected(sounds)[: len(settings)], _UNUSABLE)
            strategy.tell(population, risk.tolist())
            done += len(settings)
            if risk.min() < value:
                value, row = float(risk.min()), settings[int(risk.argmin())]
        if row is None:
            return found
        return [self._answer(index, row, best.weight, value), *found[1:]]

    def _expected(self, sounds: distances.Sounds) -> Float[np.ndarray, " clip"]:
        matrix = np.asarray(_between(sounds, self._targets))
        return matrix @ self._weight

    def _sounds(
        self, kinds: Sequence[Effect], rows: Sequence[np.ndarray], progress: Callable[[int], object] | None
    ) -> tuple[distances.Sounds, np.ndarray]:
        """Sounds of renders, with that of the excerpt behind them and more of it to fill up; and which can be used."""
        width = max(1, *(len(kind.parameters) for kind in self._kinds))
        settings = np.full((len(rows), width), np.nan, np.float32)
        for place, row in enumerate(rows):
            settings[place, : len(row)] = row
        rate = self._rate
        dry = np.broadcast_to(self._excerpt, (len(rows), len(self._excerpt)))
        wet = effects.render_many(kinds, dry, settings, rate, progress=progress)
        self.renders += len(rows)
        usable = np.append(clips.usable(wet), True)
        filled = -(-(len(rows) + 1) // _ROWS) * _ROWS
        many = np.concatenate([wet, np.broadcast_to(self._excerpt, (filled - len(rows), len(self._excerpt)))])
        many[: len(rows)][~usable[:-1]] = self._excerpt
        return distances.describe(many, self._excerpt, sample_rate=rate), usable

    def _answer(self, index: int, row: np.ndarray, weight: float, expected: float) -> Answer:
        if index == len(self._kinds):
            return Answer(NO_EFFECT, float(weight), float(expected), ())
        kind = self._kinds[index]
        ends = np.quantile(self._posterior.settings[index], [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
        settings = tuple(
            Setting(p.name, p.unit, *(float(effects.denormalize(p, float(x))) for x in (value, *interval)))
            for p, value, interval in zip(kind.parameters, row, ends.T, strict=True)
        )
        return Answer(kind.name, float(weight), float(expected), settings)


_UNUSABLE = 10.0  # distance of a render that a data set would not keep: above that of any other


@jax.jit
def _between(some: distances.Sounds, others: distances.Sounds) -> Float[jax.Array, "clip other"]:
    return jax.lax.map(lambda one: distances.distance(jax.tree.map(lambda x: x[None], one), others), some)
