"""What lies at any place of a map: settings between points, more or less of an effect, where a sound belongs.

Conventions
    Settings are normalized. A blend is of predicted settings, which are smooth over the map, where drawn ones are not.
    All swept parameters are continuous (switches and choices are held), so that every one of them can be blended; what
    cannot, the effect itself, is that of the nearest point.
    The neutral settings of an effect are those of its point with the least strength: a default may be anything but.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from scipy.spatial import cKDTree

from analysis.latent_map import plane

NEIGHBOURS = 8
"""Points that are blended."""
MOST_AMOUNT = 1.5
"""Of an effect: as far beyond the predicted settings as half the way to them."""


class Blend(NamedTuple):
    """Settings at a place."""

    effect: int
    settings: Float[np.ndarray, " parameter"]
    """Normalized, NaN behind the parameters of the effect."""
    nearest: int
    """Number of the nearest point."""


class Reference(NamedTuple):
    """Where a sound belongs on a map."""

    place: Float[np.ndarray, " 2"]
    radius: float
    """How far its latent neighbours lie from there: the root of the mean square."""
    neighbours: Integer[np.ndarray, " neighbour"]
    """The nearest first."""


class Surface:
    """The points of one layout, for look-ups. Columns may be memory-mapped."""

    def __init__(
        self,
        place: Float[np.ndarray, "point 2"],
        effect: Integer[np.ndarray, " point"],
        settings: Float[np.ndarray, "point parameter"],
        predicted: Float[np.ndarray, "point parameter"],
        latent: Float[np.ndarray, "point latent"],
        strength: Float[np.ndarray, " point"],
    ) -> None:
        self.place = place
        self.effect, self.settings, self.predicted, self._latent = effect, settings, predicted, latent
        self._tree = cKDTree(place)
        strength, effect = np.asarray(strength), np.asarray(effect)
        rows = {int(index): np.flatnonzero(effect == index) for index in np.unique(effect)}
        self.neutral = {index: int(own[np.argmin(strength[own])]) for index, own in rows.items()}
        """By effect, the number of the point of its neutral settings."""

    def blend(self, x: float, y: float) -> Blend:
        """Settings at a place: the mean of the predicted ones of the nearest points of the nearest point's effect."""
        count = min(NEIGHBOURS + 1, len(self.place))
        distance, index = self._tree.query((x, y), k=count)
        if count <= NEIGHBOURS:  # no point is beyond
            distance, index = np.append(distance, np.inf), np.append(index, index[-1])
        shares, index = plane.weights(distance), index[:-1]
        effect = int(self.effect[index[0]])
        same = np.asarray(self.effect[index]) == effect
        shares = np.where(same, shares, 0.0)
        values = np.asarray(self.predicted[index], np.float64)
        blended = (shares[same] / shares[same].sum()) @ values[same]
        return Blend(effect, np.clip(blended, 0, 1), int(index[0]))

    def moved(
        self, effect: int, settings: Float[np.ndarray, " parameter"], amount: float
    ) -> Float[np.ndarray, " parameter"]:
        """Settings so far from the neutral ones (0) towards the given ones (1) and beyond, within the range.

        Raises:
            ValueError: `amount` is not of 0 to 1.5.
        """
        if not 0 <= amount <= MOST_AMOUNT:
            raise ValueError(f"amount is {amount:g}; use 0 to {MOST_AMOUNT:g}")
        neutral = np.asarray(self.settings[self.neutral[effect]], np.float64)
        return np.clip(neutral + amount * (settings - neutral), 0, 1)

    def locate(self, latent: Float[np.ndarray, " latent"]) -> Reference:
        """Where a latent vector belongs: the mean place of its latent neighbours."""
        place, spread, index = plane.placed(latent[None].astype(np.float32), self._latent, self.place)
        return Reference(place[0], float(spread[0]), index[0])
