"""The building of maps, in steps that can be stopped after any one: the first points are laid out before the rest.

1. the first `FIRST` points are rendered and laid out: the map can be used
2. the others are rendered, and all are laid out anew
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

from analysis.latent_map import plane
from analysis.latent_map.points import Points
from analysis.latent_map.store import Store
from jaxvae import effects

FIRST = 1_000
"""Points of the first layout."""
CHUNK = 125
"""Points rendered at once, 35 MB of audio; whole ones make up `FIRST`."""


class Stopped(Exception):
    """The build was told to stop."""


class Build:
    """The building of one map."""

    def __init__(self, points: Points, store: Store, first: int = FIRST, apart: bool = True) -> None:
        self.points, self.store = points, store
        self.first, self._apart = min(first, store.count), apart
        """Points of the first layout."""

    @property
    def usable(self) -> bool:
        """Whether the first points are laid out."""
        return self.store.placed > 0

    @property
    def doing(self) -> str:
        """What the next step does: "render", "lay out" or "nothing"."""
        store = self.store
        if store.complete:
            return "nothing"
        wanted = store.count if self.usable else self.first
        return "render" if store.rendered < wanted else "lay out"

    def step(self, stop: threading.Event | None = None) -> int:
        """Do what is next, and tell how many points that rendered.

        Raises:
            Stopped: `stop` was set.
            ValueError, EffectError: renders cannot be used.
        """
        store = self.store
        if self.doing == "render":
            if not store.rendered:
                store.begin(self.points.dry_latent)
            end = min(store.count if self.usable else self.first, store.rendered + CHUNK)
            # Once the map is in use, one core is left for its clicks.
            workers = max(1, effects.cores() - 1) if self.usable else None
            columns = self.points.measure(store.rendered, end, workers)
            store.append(store.rendered, columns)
            return len(columns.effect)
        if self.doing == "lay out":
            count = store.count if self.usable else self.first
            self._lay_out(count, stop or threading.Event())
            store.adopt(count)
        return 0

    def _lay_out(self, count: int, stop: threading.Event) -> None:
        arguments = (self.store.folder, count, self.points.seed)
        if not self._apart:
            plane.write_layout(*arguments, apart=False)
            return
        process = multiprocessing.get_context("spawn").Process(target=plane.write_layout, args=arguments, daemon=True)
        process.start()
        try:
            while process.is_alive():
                process.join(0.05)
                if stop.is_set():
                    raise Stopped
        finally:
            if process.is_alive():
                process.terminate()
                process.join()
        if process.exitcode:
            raise RuntimeError(f"the layout of {count} points ended with status {process.exitcode}; see what it wrote")


def whole(build: Build, description: str) -> None:
    """Build a map to its end, with a progress bar of points."""
    with tqdm(total=build.store.count, initial=build.store.rendered, unit="point", desc=description) as bar:
        while build.doing != "nothing":
            bar.set_postfix_str(build.doing)
            bar.update(build.step())


class Builder:
    """Builds maps in a thread of its own, the one that was asked for last before others, its first points before all.

    A build that fails is left alone; `failures` says why.
    """

    def __init__(self, builds: Mapping[str, Build], told: Callable[[str], object] = tqdm.write) -> None:
        self._builds, self._told = builds, told
        self._asked: list[str] = []
        self._change, self._stop = threading.Condition(), threading.Event()
        self.failures: dict[str, str] = {}
        """By name of the map, why it could not be built."""
        self._thread = threading.Thread(target=self._run, name="map builder", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask(self, name: str) -> None:
        """Build this map before the others."""
        with self._change:
            self._asked = [name, *(other for other in self._asked if other != name)]
            self.failures.pop(name, None)
            self._change.notify()

    def stop(self) -> None:
        """End after the piece that is being rendered; a layout is given up."""
        self._stop.set()
        with self._change:
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _next(self) -> str | None:
        """The map whose next step comes first."""
        open_ones = [n for n in self._asked if n not in self.failures and self._builds[n].doing != "nothing"]
        return next((n for n in open_ones if not self._builds[n].usable), open_ones[0] if open_ones else None)

    def _run(self) -> None:
        bar, shown = None, ""
        while not self._stop.is_set():
            with self._change:
                name = self._next()
                if name is None:
                    self._change.wait()
                    continue
            build = self._builds[name]
            if shown != name or bar is None:
                if bar is not None:
                    bar.close()
                bar = tqdm(total=build.store.count, initial=build.store.rendered, unit="point", desc=f"map of {name}")
                shown = name
            bar.set_postfix_str(build.doing)
            begun = time.perf_counter()
            usable = build.usable
            try:
                bar.update(build.step(self._stop))
            except Stopped:
                break
            except Exception as error:  # shown by the server; other maps go on
                self.failures[name] = str(error)
                self._told(f"the map of {name} cannot be built: {error}")
                continue
            if build.usable and not usable:
                self._told(f"{build.store.placed:,} points of {name} are ready ({time.perf_counter() - begun:.1f} s)")
            if build.doing == "nothing":
                bar.close()
                bar = None
        if bar is not None:
            bar.close()
