"""All maps of one run, with what it takes to hear them."""

import dataclasses
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from analysis.latent_map import source
from analysis.latent_map.audition import Audition, Sound
from analysis.latent_map.blend import Surface
from analysis.latent_map.build import FIRST, Build, Builder
from analysis.latent_map.points import DTYPES, Points, digest
from analysis.latent_map.source import Source, Sources, Unknown
from analysis.latent_map.store import Store
from jaxvae import effects
from jaxvae.effects import Effect, normalize
from jaxvae.inference import SpectrogramEncoder

ALL = "all"
"""Id of the map of all effects."""


class NotReady(Exception):
    """A map whose first points are not laid out yet, or a layout that there is not."""


class Chosen(NamedTuple):
    """An effect at settings, and how it was chosen."""

    kind: Effect
    settings: dict[str, float]
    """Physical."""
    point: int | None
    """The point itself or the nearest one; None for settings that were given."""
    nearest_ms: float


class Atlas:
    """The maps of a run: one of each effect and, of several, one of all. They are built when they are asked for."""

    def __init__(
        self,
        encoder: SpectrogramEncoder,
        names: Sequence[str],
        of: Source,
        folder: Path,
        uploads: Path,
        count: int,
        seed: int,
        first: int = FIRST,
        apart: bool = True,
    ) -> None:
        """`of` is what the maps are made of, `folder` that of all maps, `uploads` a private one for users' files."""
        self.encoder, self.audition = encoder, Audition(encoder.experiment)
        self.default_source = of.id
        self.sources = Sources(uploads, of)
        clip = encoder.experiment.audio
        dry = source.clip(of, clip.sample_rate, clip.clip_samples)
        kinds = [effects.get(name) for name in dict.fromkeys(names)]
        wanted = [(kind.name, (kind,)) for kind in kinds]
        if len(kinds) > 1:
            wanted.append((ALL, tuple(kinds)))
        self.builds: dict[str, Build] = {}
        self.names: dict[str, str] = {}
        for name, group in wanted:
            points = Points(encoder, group, dry, seed)
            id = slug(name)
            while id in self.builds:
                id += "-2"
            identity = {**points.identity(), "count": count}
            place = folder / f"{id}-{digest(identity)[:12]}"
            store = Store.open(place, points.identity(), count, points.widest, encoder.latent_dim)
            self.builds[id] = Build(points, store, first, apart)
            self.names[id] = "all effects" if name == ALL else name
        self.builder = Builder(self.builds)
        self._surfaces: dict[str, tuple[int, Surface]] = {}
        self._lock = threading.Lock()

    def build(self, id: str) -> Build:
        """The building of a map. Raises Unknown where there is none of that id."""
        if id not in self.builds:
            raise Unknown(f"there is no map {id}; see /api/maps")
        return self.builds[id]

    def surface(self, id: str) -> Surface:
        """The newest layout of a map, for look-ups. Raises Unknown, or NotReady."""
        build = self.build(id)
        placed = build.store.placed
        if not placed:
            failure = self.builder.failures.get(id)
            raise NotReady(f"the map {id} is not there: {failure}" if failure else f"the map {id} is being built")
        with self._lock:
            if self._surfaces.get(id, (0,))[0] != placed:
                columns = [build.store.column(name)[:placed] for name in _LOOKED_UP]
                self._surfaces[id] = placed, Surface(build.store.place(placed), *columns)
            return self._surfaces[id][1]

    def column(self, id: str, name: str, count: int) -> np.ndarray:
        """The first points of a column, or their places in the layout of so many.

        Raises:
            Unknown: there is no such map or column.
            NotReady: so many points are not rendered, or not laid out.
        """
        store = self.build(id).store
        if name == "place":
            if count not in (store.placed, min(self.build(id).first, store.placed)) or not count:
                raise NotReady(f"there is no layout of {count} points; the newest is of {store.placed}")
            return store.place(count)
        if name not in DTYPES or name == "latent":
            raise Unknown(f"there is no column {name}; see the interface")
        if not 0 < count <= store.rendered:
            raise NotReady(f"{store.rendered} points are rendered, not {count}")
        return store.column(name)[:count]

    def at_point(self, id: str, point: int, amount: float | None = None) -> Chosen:
        """The point's own settings, or so much of those predicted for it. Raises Unknown, NotReady, ValueError."""
        surface = self.surface(id)
        if not 0 <= point < len(surface.place):
            raise Unknown(f"there is no point {point}; {len(surface.place)} are laid out")
        effect = int(surface.effect[point])
        if amount is None:
            values = np.asarray(surface.settings[point], np.float64)
        else:
            values = surface.moved(effect, np.asarray(surface.predicted[point], np.float64), amount)
        return self._chosen(id, effect, values, point, 0.0)

    def at_place(self, id: str, x: float, y: float, amount: float | None = None) -> Chosen:
        """So much of what is predicted at a place, between points too. Raises Unknown, NotReady, ValueError."""
        if not (np.isfinite(x) and np.isfinite(y)):
            raise ValueError(f"the place is ({x:g}, {y:g}); use finite numbers, the map is on [-1, 1]")
        surface = self.surface(id)
        begun = time.perf_counter()
        found = surface.blend(x, y)
        values = found.settings if amount is None else surface.moved(found.effect, found.settings, amount)
        return self._chosen(id, found.effect, values, found.nearest, 1_000 * (time.perf_counter() - begun))

    def at_settings(self, id: str, effect: str, settings: Mapping[str, float]) -> Chosen:
        """Physical settings that are given; left out, they take their defaults. Raises Unknown, ValueError."""
        kind = next((kind for kind in self.build(id).points.kinds if kind.name == effect), None)
        if kind is None:
            raise Unknown(f"the map {id} has no effect {effect}")
        return Chosen(kind, self.audition.complete(kind, settings), None, 0.0)

    def sound(self, chosen: Chosen, id: str) -> Sound:
        """The window of the recording of that id through what was chosen. Raises Unknown, ValueError, EffectError."""
        return self.audition.wet(self.sources.get(id), chosen.kind, chosen.settings)

    def locate(self, id: str, of: Source) -> dict[str, Any]:
        """Where a recording that was heard with an effect belongs on a map."""
        surface, clip = self.surface(id), self.encoder.experiment.audio
        heard = source.clip(of, clip.sample_rate, clip.clip_samples)
        latent = self.encoder.embed(heard, clip.sample_rate)
        found = surface.locate(latent[0])
        effect = int(surface.effect[found.neighbours[0]])
        predicted = self.build(id).points.predict(latent, np.array([effect]))[0].astype(np.float64)
        chosen = self._chosen(id, effect, predicted, int(found.neighbours[0]), 0.0)
        return {
            "x": float(found.place[0]),
            "y": float(found.place[1]),
            "radius": found.radius,
            "neighbours": found.neighbours.tolist(),
            "effect": chosen.kind.name,
            "settings": chosen.settings,
        }

    def summary(self, id: str) -> dict[str, Any]:
        """State of a map. Raises Unknown."""
        build = self.build(id)
        store = build.store
        return {
            "id": id,
            "name": self.names[id],
            "count": store.count,
            "rendered": store.rendered,
            "placed": store.placed,
            "doing": build.doing,
            "error": self.builder.failures.get(id),
        }

    def description(self, id: str) -> dict[str, Any]:
        """State of a map, its figures, and its effects with their parameters. Raises Unknown."""
        build, found = self.build(id), self.summary(id)
        surface = self.surface(id) if build.usable else None
        rows = []
        for index, kind in enumerate(build.points.kinds):
            neutral = None if surface is None else surface.neutral.get(index)
            held = None if neutral is None else kind.settings(np.asarray(surface.settings[neutral]))
            parameters = [
                {
                    "name": parameter.name,
                    "unit": parameter.unit,
                    "minimum": parameter.minimum,
                    "maximum": parameter.maximum,
                    "scale": parameter.scale,
                    "default": parameter.default,
                    "default_normalized": float(normalize(parameter, parameter.default)),
                }
                for parameter in kind.parameters
            ]
            rows.append({"name": kind.name, "parameters": parameters, "neutral": held, "neutral_point": neutral})
        return {**found, "effects": rows, **(build.store.layout() or {"dry_place": None, "figures": None})}

    def warm(self) -> None:
        """Do what the first click would otherwise wait for."""
        recording = self.sources.get(self.default_source)
        kind = next(iter(self.builds.values())).points.kinds[0]
        self.audition.wet(recording, kind, {})
        # As if it were of a rate that is none of training, which takes a comparison that is compiled.
        self.audition.rate(dataclasses.replace(recording, sample_rate=_OTHER_HZ), kind)
        for id, build in self.builds.items():
            if build.usable:
                self.surface(id)

    def _chosen(self, id: str, effect: int, normalized: np.ndarray, point: int, nearest_ms: float) -> Chosen:
        kind = self.build(id).points.kinds[effect]
        return Chosen(kind, kind.settings(normalized), point, nearest_ms)


_OTHER_HZ = 47_999
_LOOKED_UP = ("effect", "settings", "predicted", "latent", "strength")  # as `Surface` takes them


def slug(name: str) -> str:
    """An effect's name as part of an address and of a folder's name."""
    last = name.rpartition("/")[2] if effects.is_vst3(name) else name
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-") or "effect"
