"""Maps on the disk: a killed build goes on to the same bytes, another identity is built anew, damage is told."""

import json
import multiprocessing
import shutil
import threading
import time

import numpy as np
import pytest

from analysis.latent_map import build, plane, points, source
from analysis.latent_map.build import Build, Builder, Stopped
from analysis.latent_map.points import Points
from analysis.latent_map.store import MapError, Store
from jaxvae import effects


@pytest.fixture(scope="module")
def made_of(encoder, chirp_source):
    return Points(encoder, (effects.get("pedalboard/Distortion"),), source.clip(chirp_source, 8_000, 8_192))


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(build, "CHUNK", 20)


def opened(made_of, folder, count=60):
    store = Store.open(folder, made_of.identity(), count, made_of.widest, made_of.encoder.latent_dim)
    return Build(made_of, store, first=40, apart=False)


@pytest.fixture(scope="module")
def undisturbed(made_of, tmp_path_factory):
    """A finished build, and what it did."""
    whole, done = opened(made_of, tmp_path_factory.mktemp("maps") / "one"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "CHUNK", 20)
        while whole.doing != "nothing":
            done.append((whole.doing, whole.store.rendered))
            whole.step()
    return whole, done


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_first_points_are_laid_out_before_the_others_are_rendered(undisturbed):
    whole, done = undisturbed
    assert done == [("render", 0), ("render", 20), ("lay out", 40), ("render", 40), ("lay out", 60)]
    store = whole.store
    assert store.complete and store.place(60).shape == (60, 2) and store.place(40).shape == (40, 2)
    assert store.layout()["figures"].keys() == {"strength_up", "brightness_right", "trustworthiness"}
    assert np.isfinite(store.column("latent")).all()
    kind = whole.points.kinds[0]
    np.testing.assert_array_equal(store.column("settings"), [points.drawn(kind, row, 0, 0) for row in range(60)])


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
def test_a_build_that_is_interrupted_in_a_step_goes_on_to_the_same_bytes(
    undisturbed, made_of, tmp_path, monkeypatch, steps
):
    folder = tmp_path / "one"
    begun = opened(made_of, folder)
    for _ in range(steps):
        begun.step()
    with monkeypatch.context() as patch:  # what is written in the step is there, but not counted

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(Store, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            begun.step()
    again = opened(made_of, folder)
    assert again.store.rendered == (0, 20, 40, 40, 60)[steps]
    while again.doing != "nothing":
        again.step()
    assert content(folder) == content(undisturbed[0].store.folder)


def test_a_whole_map_is_used_again_and_nothing_is_written(undisturbed, made_of):
    before = {path: path.stat().st_mtime_ns for path in undisturbed[0].store.folder.iterdir()}
    again = opened(made_of, undisturbed[0].store.folder)
    assert again.doing == "nothing" and again.step() == 0
    assert {path: path.stat().st_mtime_ns for path in undisturbed[0].store.folder.iterdir()} == before


@pytest.mark.parametrize("changed", ["version", "identity", "count"])
def test_what_is_of_another_version_or_identity_is_built_anew(undisturbed, made_of, tmp_path, changed):
    folder = shutil.copytree(undisturbed[0].store.folder, tmp_path / "one")
    if changed != "count":
        record = json.loads((folder / "manifest.json").read_text())
        record[changed] = 99
        (folder / "manifest.json").write_text(json.dumps(record))
    again = opened(made_of, folder, 50 if changed == "count" else 60)
    assert (again.doing, again.store.rendered, again.store.placed) == ("render", 0, 0)
    again.step()
    assert again.store.rendered == 20
    assert not (folder / "place_60.npy").exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("latent.npy", lambda path: path.write_bytes(path.read_bytes()[:-10])),
        ("place_60.npy", lambda path: path.write_bytes(b"")),
        ("settings.npy", lambda path: np.save(path, np.zeros((60, 2), np.float32))),
        ("strength.npy", lambda path: path.unlink()),
        ("manifest.json", lambda path: path.write_text("{")),
        ("layout_60.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_file_is_named_with_the_fix(undisturbed, made_of, tmp_path, name, damage):
    folder = shutil.copytree(undisturbed[0].store.folder, tmp_path / "one")
    damage(folder / name)
    with pytest.raises(MapError, match=rf"{name} is damaged .*delete the folder .*one, and the map is built anew"):
        opened(made_of, folder)


def test_points_are_written_in_order(undisturbed, made_of, tmp_path):
    begun = opened(made_of, tmp_path / "one")
    columns = made_of.measure(0, 3)
    begun.store.begin(made_of.dry_latent)
    with pytest.raises(ValueError, match="cannot be written after 0; write them in order"):
        begun.store.append(20, columns)


def test_the_layout_of_another_process_is_that_of_this_one_and_can_be_given_up(undisturbed, made_of, tmp_path):
    folder = shutil.copytree(undisturbed[0].store.folder, tmp_path / "one")
    expected = (folder / plane.place_name(60)).read_bytes()
    (folder / plane.place_name(60)).unlink()
    record = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**record, "placed": 40}))
    apart = opened(made_of, folder)
    apart._apart = True
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        apart.step(stop)
    assert apart.doing == "lay out" and not multiprocessing.active_children()
    apart.step()
    assert (folder / plane.place_name(60)).read_bytes() == expected


def test_the_builder_lays_out_the_first_points_of_what_was_asked_for_last_and_tells_failures(made_of, tmp_path):
    builds = {name: opened(made_of, tmp_path / name) for name in ("a", "b", "c")}
    order = []
    for name, one in builds.items():
        step = one.step
        one.step = lambda stop, name=name, step=step: (order.append(name), step(stop))[1]

    def fail(stop):
        raise ValueError("of the test")

    builds["c"].step = fail
    told = []
    builder = Builder(builds, told.append)
    for name in ("c", "a", "b"):
        builder.ask(name)
    builder.start()
    deadline = time.monotonic() + 60
    while not all(builds[name].store.complete for name in "ab") and time.monotonic() < deadline:
        time.sleep(0.02)
    builder.stop()
    assert order == ["b"] * 3 + ["a"] * 3 + ["b"] * 2 + ["a"] * 2
    assert builder.failures == {"c": "of the test"}
    assert any("the map of c cannot be built: of the test" in line for line in told)
