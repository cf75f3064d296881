"""Tasks on a cluster: the same files and numbers as here, lost workers, and what can be wrong with a cluster."""

import dataclasses
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import numpy as np
import pytest
import soundfile

from analysis.renders import chunks, embedding
from analysis.renders.plan import draw_dry, random_settings
from jaxvae import config, inference
from jaxvae.data import cluster, dataset, manifest
from jaxvae.data import recordings as recordings_module
from jaxvae.data.audio_file import AudioError

RATE, CLIP = 8_000, 2_048


def experiment(folder: Path, directory: Path | str, **data) -> config.Experiment:
    """Four training shards of 256 clips, one of validation and one of test."""
    values = {
        "effects": ("pedalboard/Distortion", "pedalboard/Reverb"),
        "audio": (str(folder),),
        "train_clips": 904,
        "validation_clips": 8,
        "test_clips": 8,
        "directory": str(directory),
    } | data
    return config.Experiment(
        name="test",
        audio=config.Audio(sample_rate=RATE, clip_samples=CLIP),
        data=config.Data(**values),
        spectrogram=config.Spectrogram(n_fft=256, window_length=256, hop_length=256, n_mels=32),
    )


def files_of(made: dataset.Dataset) -> dict[str, bytes]:
    names = [name for name in made.folder.sizes() if not name.endswith(".part")]
    return {name: made.folder.path(name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def running():
    """A cluster of two worker processes that was started elsewhere."""
    with (
        distributed.LocalCluster(
            2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs="CRITICAL"
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def address(running):
    return running.scheduler.address


# Rendering


@pytest.fixture(scope="module")
def whole(recordings, tmp_path_factory):
    """What threads write."""
    return files_of(dataset.render(experiment(recordings, tmp_path_factory.mktemp("whole")), progress=False))


def test_a_cluster_writes_the_files_that_threads_write(recordings, tmp_path, whole, address, capfd):
    assert files_of(dataset.render(experiment(recordings, tmp_path), cluster=address)) == whole
    assert "1376/1376" in capfd.readouterr().err  # one bar, in clips


def test_a_killed_worker_changes_nothing(recordings, tmp_path, whole):
    """Killed in the middle of a shard; nothing but the engine knows that it has to be rendered again."""
    killed, ended = [], time.monotonic() + 60

    def kill_one() -> None:
        while time.monotonic() < ended:
            for path in (tmp_path / "killed").glob("*/train-*.npy.*.part"):
                if path.stat().st_size > 1_000:  # clips are in it
                    os.kill(int(path.name.split(".")[2].partition("-")[0]), signal.SIGKILL)
                    killed.append(path)
                    return
            time.sleep(0.0005)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    made = dataset.render(experiment(recordings, tmp_path / "killed"), progress=False, cluster="local:2")
    thread.join()
    assert killed[0].exists()  # half a shard was lost
    assert files_of(made) == whole


def test_what_fails_on_a_worker_is_the_same_error(tmp_path, address, monkeypatch):
    monkeypatch.setattr(recordings_module, "LEAST_AUDIBLE", 0)  # here, where recordings are prepared
    for index in range(3):
        click = np.zeros(2_000 * CLIP)
        click[index] = 0.5
        soundfile.write(tmp_path / f"{index}.wav", click, RATE)
    with pytest.raises(AudioError, match="200 crops in a row are silent"):
        dataset.render(experiment(tmp_path, tmp_path / "sets"), progress=False, cluster=address)


def set_variable(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


@pytest.fixture
def on_workers(running):
    """Sets an environment variable of the workers, until the test ends."""
    names = []

    def set_there(name: str, value: str) -> None:
        names.append(name)
        running.run(set_variable, name, value)

    yield set_there
    for name in names:
        running.run(set_variable, name, None)


def test_a_plugin_that_only_workers_lack_is_named_with_the_worker(recordings, tmp_path, address, on_workers):
    on_workers("LV2_PATH", str(tmp_path))
    wanted = experiment(recordings, tmp_path / "sets", effects=("mda/Delay", "mda/Combo"))
    with pytest.raises(
        OSError, match=rf"mda/Delay cannot be rendered here: .*apt-get.*on worker {socket.gethostname()}"
    ):
        dataset.render(wanted, progress=False, cluster=address)


def test_a_full_disk_of_a_worker_is_an_error_and_the_same_command_continues(recordings, tmp_path, running, address):
    wanted = experiment(recordings, tmp_path / "sets")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    running.run(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write train-0000\d.npy of [\d,]+ bytes to .*make room.*on worker"):
            dataset.render(wanted, progress=False, cluster=address)
    finally:
        running.run(resource.setrlimit, resource.RLIMIT_FSIZE, unlimited)
    assert dataset.render(wanted, progress=False, cluster=address).missing() == []


def test_a_folder_that_workers_do_not_see_is_named(recordings, tmp_path, address, on_workers, monkeypatch):
    monkeypatch.setenv("JAXVAE_CACHE", str(tmp_path / "here"))
    on_workers("JAXVAE_CACHE", str(tmp_path / "there"))
    wanted = experiment(recordings, f"memory://{tmp_path.name}")  # of this process alone
    with pytest.raises(OSError, match=r"no data set in memory://.*where every machine sees it"):
        dataset.render(wanted, progress=False, cluster=address)


def test_a_worker_of_another_version_is_refused(recordings, tmp_path, address, monkeypatch):
    monkeypatch.setattr(cluster, "_versions", lambda: {"pedalboard": "0.1"})
    with pytest.raises(ValueError, match=r"install the client's versions: {'pedalboard': '0.1'}"):
        dataset.render(experiment(recordings, tmp_path), progress=False, cluster=address)
    monkeypatch.undo()
    monkeypatch.setattr(manifest, "FORMAT", 1)
    with pytest.raises(ValueError, match=r"format: 1 -> \d; install the same everywhere"):
        dataset.render(experiment(recordings, tmp_path), progress=False, cluster=address)


# Embedding


def test_a_cluster_embeds_as_one_process_does(tiny, trained, address, monkeypatch):
    monkeypatch.setattr(chunks, "_CHUNK", 8)
    encoder, data = inference.load(trained), dataset.render(tiny, progress=False)
    split = data.split("test")
    plan = random_settings(data.effects, draw_dry(split, 10, seed=0), seed=0)
    here = embedding.embed(encoder, split, "test", plan)
    there = embedding.embed_on(address, embedding.Source(trained), encoder, data, "test", plan)
    for field in dataclasses.fields(embedding.Embedding):
        one, two = getattr(there, field.name), getattr(here, field.name)
        assert np.array_equal(one, two, equal_nan=True) if isinstance(one, np.ndarray) else one == two, field.name


# Clusters


@pytest.mark.parametrize("given", ["local", "local:0", "host:8786", "http://host:8786"])
def test_what_is_no_cluster_is_refused(given):
    with pytest.raises(ValueError, match=rf"cluster is '{given}'; use local:2 .* or tcp://host:8786"):
        next(cluster.spread(str, range(3), given))


def test_a_scheduler_that_does_not_answer_is_named_in_time(monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        started = time.perf_counter()
        with pytest.raises(OSError, match=rf"no Dask scheduler answers at {address} within 1 s; .* dask scheduler"):
            next(cluster.spread(str, range(3), address))
        assert time.perf_counter() - started < 5


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"pip install 'jaxvae\[cluster\]'"):
        next(cluster.spread(str, range(3), "local:2"))


def test_dask_is_imported_only_for_a_cluster():
    code = "import sys, jaxvae.data.dataset; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
