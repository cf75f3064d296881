"""Folders in any storage: the same files, whole or absent, fetched once."""

import dataclasses
import os

import fsspec
import numpy as np
import pytest
from fsspec.registry import known_implementations

from jaxvae.data import dataset
from jaxvae.data.recordings import SPLITS
from jaxvae.data.storage import Folder


@pytest.fixture(params=["path", "file", "memory"])
def folder(request, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXVAE_CACHE", str(tmp_path / "cache"))
    urls = {"path": str(tmp_path / "sets"), "file": f"file://{tmp_path}/sets", "memory": f"memory://{tmp_path.name}"}
    made = Folder(urls[request.param]).subfolder("one")
    made.make()
    return made


def write(folder: Folder, name: str, content: bytes) -> None:
    with folder.write(name, len(content)) as file:
        file.write(content)


def test_what_is_written_is_listed_and_read(folder):
    assert folder.sizes() == {} and folder.size("a.bin") is None
    write(folder, "a.bin", b"abc")
    write(folder, "b.bin", b"")
    assert folder.sizes() == {"a.bin": 3, "b.bin": 0}
    assert folder.size("a.bin") == 3
    assert folder.absolute().path("a.bin").read_bytes() == b"abc"
    assert Folder(f"{folder}/none").sizes() == {}


def test_a_write_that_fails_leaves_nothing(folder):
    with pytest.raises(RuntimeError), folder.write("a.bin") as file:
        file.write(b"half")
        raise RuntimeError
    assert folder.sizes() == {}


def test_a_file_from_elsewhere_is_fetched_once_and_a_cut_off_fetch_is_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXVAE_CACHE", str(tmp_path))
    folder = Folder(f"memory://{tmp_path.name}")
    write(folder, "a.bin", b"abc")
    system = fsspec.filesystem("memory").__class__
    fetch, fetched = system.get_file, []

    def cut_off(self, source, target, **_):
        fetched.append(target)
        with open(target, "wb") as file:
            file.write(b"a")
        raise ConnectionError("the line was cut")

    def counted(self, source, target, **options):
        fetched.append(target)
        fetch(self, source, target, **options)

    monkeypatch.setattr(system, "get_file", cut_off)
    with pytest.raises(OSError, match="the line was cut"):
        folder.path("a.bin")
    monkeypatch.setattr(system, "get_file", counted)
    assert folder.path("a.bin").read_bytes() == folder.path("a.bin").read_bytes() == b"abc"
    assert len(fetched) == 2
    assert [path.name for path in folder.path("a.bin").parent.iterdir()] == ["a.bin"]
    with pytest.raises(FileNotFoundError, match=r"none\.bin is not in memory://"):
        folder.path("none.bin")


@pytest.mark.parametrize(("scheme", "message"), [("cloud", "Protocol not known: cloud"), ("s3", "Install s3fs")])
def test_storage_that_cannot_be_opened_is_named(scheme, message, monkeypatch):
    absent = {"class": "no_such_package.System", "err": "Install s3fs to access S3"}
    monkeypatch.setitem(known_implementations, "s3", absent)
    with pytest.raises(ValueError, match=rf"{scheme}://a/b cannot be opened: {message}.*; use a path"):
        Folder(f"{scheme}://a/b")


def test_a_data_set_in_object_storage_is_the_one_on_disk(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXVAE_CACHE", str(tmp_path / "cache"))
    place = dataclasses.replace(tiny.data, directory=f"memory://{tmp_path.name}/sets")
    stored = dataset.render(dataclasses.replace(tiny, data=place), progress=False)
    local = dataset.render(tiny, progress=False)
    assert stored.identity == local.identity
    assert str(stored.folder) == f"memory://{tmp_path.name}/sets/{local.identity}"
    assert {name: stored.folder.path(name).read_bytes() for name in stored.folder.sizes()} == {
        name: local.folder.path(name).read_bytes() for name in local.folder.sizes()
    }
    monkeypatch.setenv("JAXVAE_CACHE", str(tmp_path / "other"))
    for name in SPLITS:
        one, two = stored.split(name), local.split(name)
        chosen = np.arange(one.clips)
        np.testing.assert_array_equal(one.audio(chosen), two.audio(chosen))
        np.testing.assert_array_equal(one.dry(chosen), two.dry(chosen))


def test_a_finished_set_in_object_storage_is_asked_for_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXVAE_CACHE", str(tmp_path))
    place = dataclasses.replace(tiny.data, directory=f"memory://{tmp_path.name}")
    made = dataset.render(dataclasses.replace(tiny, data=place), progress=False)
    system = fsspec.filesystem("memory").__class__
    ls, listings = system.ls, []
    monkeypatch.setattr(system, "ls", lambda self, *given, **named: listings.append(1) or ls(self, *given, **named))
    monkeypatch.setattr(system, "info", None)
    assert made.missing() == [] and len(listings) == 1
    fsspec.filesystem("memory").rm_file(f"{made.folder}/train-00000.npz".removeprefix("memory:/"))
    assert [shard.audio for shard in made.missing()] == ["train-00000.npy"]


def test_a_relative_folder_is_the_same_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Folder("sets")
    folder.make()
    write(folder, "a.bin", b"abc")
    whole = folder.absolute()
    monkeypatch.chdir(os.sep)
    assert whole.sizes() == {"a.bin": 3} and folder.sizes() == {}
