"""Releases: the same answers from a tenth of the bytes, and nothing of the machine."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import jaxvae
from jaxvae import inference, readouts, release
from jaxvae.training.checkpoints import CheckpointError

RATE, CLIP = 8_000, 8_192


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A run with readouts."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    shutil.copytree(trained, folder)
    with pytest.raises(CheckpointError, match="no readout; the command that trained it, given again, adds one"):
        release.write(folder, folder / "release")
    readouts.complete(folder)
    return folder


@pytest.fixture(scope="module")
def released(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "tiny"
    release.write(run, folder)
    return folder


def _bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_release_answers_as_the_run_does(run, released):
    audio = 0.3 * np.random.default_rng(0).normal(size=(5, 1, CLIP)).astype(np.float32)
    whole, ours = jaxvae.load(run), jaxvae.load(released)
    spread = whole.embed(audio, RATE).std()
    np.testing.assert_allclose(ours.embed(audio, RATE), whole.embed(audio, RATE), atol=5e-3 * spread)
    assert ours.embed(audio, RATE).dtype == np.float32
    first, second = ours.identify(audio[0], RATE), whole.identify(audio[0], RATE)
    assert first.whole.probabilities == pytest.approx(second.whole.probabilities, abs=2e-3)
    assert ours.readouts.keys() == whole.readouts.keys() != set()
    assert ours.experiment.model == whole.experiment.model and ours.dataset == whole.dataset


def test_a_release_is_small_and_names_no_folder_of_the_machine(run, released, tiny):
    assert _bytes(released) < 0.4 * _bytes(run / "checkpoints")
    contents = [path.read_bytes() for path in released.rglob("*") if path.is_file()]
    for folder in (tiny.data.directory, released, run):
        assert not [content for content in contents if str(folder).encode() in content]


def test_a_release_overwrites_nothing(run, released):
    with pytest.raises(CheckpointError, match="holds a checkpoint; release into another folder"):
        release.write(run, released)


def test_the_command_tells_the_size(run, tmp_path):
    command = [sys.executable, "-m", "launch.release", str(run), str(tmp_path / "out")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[0].endswith(" MB") and f"wrote {tmp_path / 'out'}" in done.stdout
    jaxvae.load(tmp_path / "out")


def test_a_folder_of_the_same_name_goes_before_the_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inference.located("pretrained").is_relative_to(inference.SHIPPED)
    (tmp_path / "pretrained").mkdir()
    assert str(inference.located("pretrained")) == "pretrained"
    assert str(inference.located("runs/mine")) == "runs/mine"


def test_a_matcher_is_released_too(matched, tmp_path):
    release.write(matched, tmp_path / "matcher")
    rng = np.random.default_rng(0)
    dry, reference = 0.3 * rng.normal(size=(2, CLIP)).astype(np.float32)
    first, second = (
        jaxvae.load_matcher(folder).match(dry, reference, RATE, candidates=2)
        for folder in (matched, tmp_path / "matcher")
    )
    assert first.probabilities == pytest.approx(second.probabilities, abs=2e-3)
    assert [answer.effect for answer in first.answers] == [answer.effect for answer in second.answers]
    assert not list((tmp_path / "matcher").rglob("readout.npz"))
