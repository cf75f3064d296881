"""A latent map in a folder: a manifest and one memory-mapped file a column, written piece by piece.

    manifest.json       version of the format, identity, points rendered and laid out, figures
    effect.npy …        one file for each name of `points.DTYPES`
    dry.npy             latent vector of the source clip
    place_N.npy         places (x, y) in the layout of the first N points, float32
    layout_N.json       place of the dry clip and figures of that layout

A killed build goes on after the last piece that the manifest counts. What is of another version or identity is deleted
and built anew; what is damaged is an error.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.latent_map import plane, points
from analysis.latent_map.points import Columns
from jaxvae import atomic_file

VERSION = 1
_MANIFEST = "manifest.json"


class MapError(ValueError):
    """A map that is damaged; the message names the file and the fix."""


@dataclasses.dataclass(eq=False)
class Store:
    """The folder of one map."""

    folder: Path
    identity: dict[str, Any]
    """What it depends on (`Points.identity`), with the number of points."""
    count: int
    parameters: int
    latent_dim: int
    rendered: int = 0
    """Points whose columns are there."""
    placed: int = 0
    """Points that are laid out; 0 for none yet."""

    @classmethod
    def open(cls, folder: Path, identity: dict[str, Any], count: int, parameters: int, latent_dim: int) -> "Store":
        """What lies in the folder, if it is of this identity, or a map that is yet to be begun.

        Raises:
            MapError: the manifest is no manifest, or a column is not as it says.
            OSError: the folder cannot be written.
        """
        identity = {**identity, "count": count}
        made = cls(folder, identity, count, parameters, latent_dim)
        path = folder / _MANIFEST
        if path.exists():
            known = _read(path)
            if (known.get("version"), known.get("identity")) == (VERSION, points.digest(identity)):
                try:
                    made.rendered, made.placed = int(known["rendered"]), int(known["placed"])
                except (KeyError, TypeError, ValueError) as error:
                    raise _damaged(path, f"it lacks {error}") from error
                made._require_whole()
                return made
        atomic_file.require_writable(folder)
        return made

    def column(self, name: str) -> np.ndarray:
        """A column, memory-mapped, of all points; those that are not rendered are 0.

        Raises:
            MapError: the file is missing, cut or of another form.
        """
        shape = points.shapes(self.count, self.parameters, self.latent_dim)[name]
        return _opened(self.folder / f"{name}.npy", shape, points.DTYPES[name])

    def place(self, count: int) -> Float[np.ndarray, "point 2"]:
        """Places of the first points, in the layout of so many. Raises MapError as `column`."""
        return _opened(self.folder / plane.place_name(count), (count, 2), "<f4")

    def layout(self) -> dict[str, Any]:
        """Place of the dry clip and figures of the newest layout."""
        return _read(self.folder / plane.record_name(self.placed)) if self.placed else {}

    def append(self, first: int, columns: Columns) -> None:
        """Write points from that number on, and count them when they are on the disk."""
        if first != self.rendered:
            raise ValueError(f"points from {first} on cannot be written after {self.rendered}; write them in order")
        stop = first + len(columns.effect)
        for name, dtype in points.DTYPES.items():
            file = np.lib.format.open_memmap(self.folder / f"{name}.npy", mode="r+")
            file[first:stop] = getattr(columns, name).astype(dtype)
            file.flush()
        self.rendered = stop
        self._write()

    def adopt(self, count: int) -> None:
        """Let the layout of the first points, which lies in the folder, be the newest. Older ones stay, for whoever
        is reading them."""
        self.place(count)
        _read(self.folder / plane.record_name(count))
        self.placed = count
        self._write()

    def begin(self, dry: Float[np.ndarray, " latent"]) -> None:
        """Make the folder, in place of what was there, with the latent vector of the source clip."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        for name, shape in points.shapes(self.count, self.parameters, self.latent_dim).items():
            path = self.folder / f"{name}.npy"
            np.lib.format.open_memmap(path, mode="w+", dtype=points.DTYPES[name], shape=shape).flush()
        with atomic_file.write(self.folder / "dry.npy") as file:
            np.save(file, dry.astype(np.float32))
        self._write()

    @property
    def complete(self) -> bool:
        """Whether all points are rendered and laid out."""
        return self.rendered == self.placed == self.count

    def _write(self) -> None:
        record = {
            "version": VERSION,
            "identity": points.digest(self.identity),
            "of": self.identity,
            "count": self.count,
            "rendered": self.rendered,
            "placed": self.placed,
        }
        atomic_file.write_text(self.folder / _MANIFEST, json.dumps(record, indent=1) + "\n")

    def _require_whole(self) -> None:
        if not 0 <= self.placed <= self.rendered <= self.count:
            raise _damaged(self.folder / _MANIFEST, f"{self.rendered} points of {self.count} are rendered")
        for name in points.DTYPES:
            self.column(name)
        if self.placed:
            self.place(self.placed)
            self.layout()


def _opened(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if (found.shape, found.dtype) != (shape, np.dtype(dtype)):
        raise _damaged(path, f"it holds {found.dtype} of shape {found.shape}, not {np.dtype(dtype)} of {shape}")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, dict):
        raise _damaged(path, f"it holds a {type(found).__name__}")
    return found


def _damaged(path: Path, why: str) -> MapError:
    return MapError(f"{path} is damaged ({why}); delete the folder {path.parent}, and the map is built anew")
