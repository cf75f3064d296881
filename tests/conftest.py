"""Settings of every test: the CPU as eight devices, so that a test of one device cannot pass by accident.

Compiled programs are kept for the length of the session, so that tests and the processes they start share them.
"""

import atexit
import dataclasses
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        # Most programs here compute less than they take to compile.
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",  # the older ones compile in half the time
    ]
)
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers take it from the process that started them
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxvae-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import soundfile  # noqa: E402

from jaxvae import config  # noqa: E402
from jaxvae.effects import mda  # noqa: E402
from jaxvae.sweep import grid  # noqa: E402
from tests.effects import vst3_build  # noqa: E402


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Eight short recordings at 8 kHz: sine sweeps in noise, each with its own range and level."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    time = np.arange(24_000) / 8_000
    for index in range(8):
        sweep = np.sin(2 * np.pi * (200 + 100 * index + 150 * time) * time)
        audio = 0.5 * sweep * np.abs(np.sin(3 * time + index)) + 0.02 * rng.normal(size=len(time))
        soundfile.write(folder / f"sweep_{index}.wav", audio, 8_000)
    return folder


@pytest.fixture(scope="session")
def tiny(recordings, tmp_path_factory):
    """An experiment that renders and trains in seconds."""
    return config.Experiment(
        name="tiny",
        audio=config.Audio(sample_rate=8_000, clip_samples=8_192),
        data=config.Data(
            effects=("pedalboard/Distortion", "pedalboard/Delay"),
            audio=(str(recordings),),
            train_clips=24,
            validation_clips=8,
            test_clips=8,
            untouched=False,
            degraded_share=0.0,
            directory=str(tmp_path_factory.mktemp("datasets")),
        ),
        spectrogram=config.Spectrogram(n_fft=256, window_length=256, hop_length=256, n_mels=32),
        model=config.Model(latent_dim=8),
        train=config.Train(steps=30, batch_size=8, validate_every=5, log_every=5, warmup_steps=4, patience=0),
        execution=config.Execution(devices=1),
    )


_PROBES = {
    "g++": lambda: shutil.which("g++"),
    "lv2-dev": lambda: (
        subprocess.run(
            ["g++", "-E", "-x", "c", "-"], input=b"#include <lv2/core/lv2.h>", capture_output=True
        ).returncode
        == 0
    ),
    "mda-lv2": lambda: not mda.unavailable(),
    "chromium": lambda: shutil.which("chromium"),
    "dpf-source": lambda: Path("/usr/share/dpf/distrho").is_dir(),
    "fluidsynth": lambda: shutil.which("fluidsynth"),
    "timgm6mb-soundfont": lambda: Path("/usr/share/sounds/sf2/TimGM6mb.sf2").is_file(),
    "espeak-ng": lambda: shutil.which("espeak-ng"),
}
_LEFT_OUT = "left out for want of Debian packages: apt-get install --no-install-recommends"


@functools.cache
def _is_here(package):
    return bool(_PROBES[package]())


def pytest_runtest_setup(item):
    """Leave out a test whose Debian packages are missing; where CI is set, nothing may be left out."""
    missing = [name for mark in item.iter_markers("debian") for name in mark.args if not _is_here(name)]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{_LEFT_OUT} {' '.join(missing)}")


def pytest_terminal_summary(terminalreporter):
    """Say loudly what was left out."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    for reason in sorted({reason for reason in reasons if _LEFT_OUT in reason}):
        count = sum(reason == other for other in reasons)
        terminalreporter.write_line(f"WARNING: {count} tests {reason.removeprefix('Skipped: ')}", red=True, bold=True)


def pytest_collection_modifyitems(items):
    """The long tests come first, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.parent.name not in ("launch", "training"))


@pytest.fixture(scope="session")
def faulty(tmp_path_factory):
    """Gives the name of a VST3 effect of its own that has the fault of that name (see vst3_faulty/faulty.cpp)."""
    made = []

    def copy(behaviour):
        if not made:
            made.append(vst3_build.build(tmp_path_factory.mktemp("vst3"), "faulty", vst3_build.FAULTY))
        bundle = Path(made[0].removeprefix("vst3:"))
        return vst3_build.rename(bundle, tmp_path_factory.mktemp("faulty"), behaviour)

    return copy


@pytest.fixture(scope="session")
def train_once(tmp_path_factory):
    """Trains an experiment in the first worker that asks for it; every worker gets a copy of the run's folder."""
    from launch.train import train

    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent  # of all workers

    def folder(experiment, name):
        made = session / f"{name}_once"
        with open(session / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                workdir = tmp_path_factory.mktemp("training") / name
                assert train(experiment, workdir) == 0
                workdir.rename(made)
        return shutil.copytree(made, tmp_path_factory.mktemp(name), dirs_exist_ok=True)

    return folder


@pytest.fixture(scope="session")
def trained(tiny, train_once):
    """Folder of a finished run of `tiny`."""
    return train_once(tiny, "trained")


@pytest.fixture(scope="session")
def swept(tiny, train_once):
    """Folder of a finished sweep of `tiny`: latent sizes 4 and 8, two seeds each."""
    experiment = dataclasses.replace(
        tiny,
        train=dataclasses.replace(tiny.train, steps=10),
        sweep=grid({"model.latent_dim": (4, 8), "train.seed": (0, 1)}),
    )
    return train_once(experiment, "swept")


@pytest.fixture(scope="session")
def tiny_match(tiny):
    """The experiment of a matcher with the data set of `tiny`."""
    return config.MatchExperiment(
        name="tiny_match",
        audio=tiny.audio,
        data=tiny.data,
        spectrogram=tiny.spectrogram,
        controller=config.Controller(width=16, flow_width=16, flow_layers=2),
        train=tiny.train,
        execution=tiny.execution,
    )


@pytest.fixture(scope="session")
def matched(tiny_match, train_once):
    """Folder of a finished run of `tiny_match`."""
    return train_once(tiny_match, "matched")
