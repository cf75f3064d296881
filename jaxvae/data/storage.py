"""Folders of files: on a disk, on a file system that machines share, or in object storage.

A file is whole or absent. One that lies elsewhere is fetched once, into $JAXVAE_CACHE (~/.cache/jaxvae if that is not
set), and read from there; delete that folder to have the space back.
"""

import contextlib
import dataclasses
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from jaxvae import atomic_file


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder: a path of this machine, or a URL of any scheme that fsspec knows, such as s3://bucket/sets."""

    url: str

    def __post_init__(self) -> None:
        self._remote()

    def __str__(self) -> str:
        return self.url

    def _remote(self) -> tuple[fsspec.AbstractFileSystem, str] | None:
        """File system and path in it; None where the folder is a path of this machine."""
        if "://" not in self.url:
            return None
        try:
            system, path = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:  # a scheme without file system, or without its package
            raise ValueError(
                f"{self.url} cannot be opened: {error}; use a path, or s3://, gs:// and the like"
            ) from error
        return None if isinstance(system, LocalFileSystem) else (system, path)

    def _local(self) -> Path:
        return Path(self.url.removeprefix("file://")).expanduser()

    def subfolder(self, name: str) -> "Folder":
        """The folder of that name in this one."""
        return Folder(f"{self.url.rstrip('/')}/{name}" if "://" in self.url else str(self._local() / name))

    @property
    def parent(self) -> "Folder":
        """The folder that it lies in."""
        return Folder(self.url.rstrip("/").rpartition("/")[0] if "://" in self.url else str(self._local().parent))

    def absolute(self) -> "Folder":
        """The same folder, for a process with another current folder."""
        return self if self._remote() else Folder(str(self._local().absolute()))

    def make(self) -> None:
        """Make it, and remove what a killed process left half-written in it. Object storage needs neither."""
        if not self._remote():
            self._local().mkdir(parents=True, exist_ok=True)
            atomic_file.remove_abandoned(self._local())

    def free(self) -> int | None:
        """Free bytes; None where there is no limit to know."""
        return None if self._remote() else shutil.disk_usage(self._local()).free

    def sizes(self) -> dict[str, int]:
        """Name and bytes of every file, by one listing; empty where there is no such folder."""
        with contextlib.suppress(FileNotFoundError):
            if remote := self._remote():
                entries = remote[0].ls(remote[1], detail=True)
                return {entry["name"].rpartition("/")[2]: entry["size"] for entry in entries if entry["type"] == "file"}
            return {entry.name: entry.stat().st_size for entry in os.scandir(self._local()) if entry.is_file()}
        return {}

    def folders(self) -> list[str]:
        """Names of the folders in it, sorted; none where there is no such folder."""
        with contextlib.suppress(FileNotFoundError):
            if remote := self._remote():
                entries = remote[0].ls(remote[1], detail=True)
                return sorted(e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "directory")
            return sorted(entry.name for entry in os.scandir(self._local()) if entry.is_dir())
        return []

    def size(self, name: str) -> int | None:
        """Bytes of one file; None where it is absent."""
        with contextlib.suppress(FileNotFoundError):
            if remote := self._remote():
                return remote[0].info(f"{remote[1]}/{name}")["size"]
            return (self._local() / name).stat().st_size

    @contextlib.contextmanager
    def write(self, name: str, needed: int | None = None) -> Iterator[BinaryIO]:
        """A file to write, which is in the folder when the block ends; when the block fails, nothing is left of it.

        Raises:
            OSError: the folder cannot be written or is full; the message names it and the bytes that are needed.
        """
        if not (remote := self._remote()):
            with atomic_file.write(self._local() / name, needed) as file:
                yield file
            return
        system, path = remote
        with tempfile.TemporaryDirectory(prefix="jaxvae-") as temporary:  # a block that fails must not reach the store
            with atomic_file.write(Path(temporary) / name, needed) as file:
                yield file
            try:
                system.put_file(f"{temporary}/{name}", f"{path}/{name}")
            except OSError as error:
                raise OSError(error.errno, f"cannot write {name} to {self}: {error}") from error

    def path(self, name: str) -> Path:
        """Where the file can be read on this machine; it is fetched if need be."""
        if not (remote := self._remote()):
            return self._local() / name
        default = Path.home() / ".cache" / "jaxvae"
        cached = Path(os.environ.get("JAXVAE_CACHE") or default) / urllib.parse.quote(self.url, safe="") / name
        if not cached.is_file():
            if self.size(name) is None:
                raise FileNotFoundError(f"{name} is not in {self}")
            # Not by fsspec's simplecache, for which a download that was cut off is a file like any other.
            cached.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.remove_abandoned(cached.parent)
            with atomic_file.write(cached) as file:
                remote[0].get_file(f"{remote[1]}/{name}", file.name)
        return cached
