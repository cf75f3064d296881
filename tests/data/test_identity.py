"""Data sets of earlier versions are found again: the names and the bytes below are those of commit b36a0e6.

They change where the recordings, the effects' tables, the drawing of clips or the files are meant to change, which
`dataset._FORMAT` has to say; never where code moves.
"""

import hashlib
import platform
import wave
from pathlib import Path

import numpy as np
import pytest

from jaxvae import config, devices
from jaxvae.data import dataset, input_pipeline
from jaxvae.spectrogram import Statistics

RATE, CLIP = 8_000, 1_024

OTHER_DATA = {
    "made": {},
    "held out": {"test_audio": ("held_out",), "vary": False, "seed": 3, "peak_dbfs": -6.0, "test_clips": 16},
    "one effect": {"effects": ("mda/Delay",), "audio": ("sou*",), "validation_share": 0.3, "fade_ms": 0.0},
}
IDENTITIES = {"made": "d7b6834a07bc5ead", "held out": "7ec8f9c1ab6e1930", "one effect": "626dc16443671286"}
SPECTROGRAMS = "spectrograms-validation-75d53fc5a8dd2e83.npy"
FILES = {
    "manifest.json": "0d785aa0dcf8ddceb9b7b8b45ae1162b60bdad0b8525f8b3a6ff0549c8a7d4bf",
    "recordings.npy": "be85c7ba9bc2a90938d3b37c18dc0b8544efd896d33bf025147a87c4a44f8efc",
    "test-00000.npy": "73bf60fba8d84107174039b33d9e75f60a97cc6624a6d5e04970e35951ff026c",
    "test-00000.npz": "875479a199308382678af9e2e29969ab7d72a6c0c54c1823888ed9a5b9b3e580",
    "train-00000.npy": "bc4fa74c747d1adaf9216d43b912f8cbeebc30a31c5593b2ec0e67057d9e8580",
    "train-00000.npz": "38c915793c7899b6db368a812805cdc5db65e1fe3089d603b34576a9fe603f00",
    "train-00001.npy": "ee9039a157b758e6e9c0df4baf9a7a3683c51926f235c1e4b759bc7738af3792",
    "train-00001.npz": "6bc778f0018ef457d3599017309bceefdf631aaf6b5c4343c0417ee0a8c0ce56",
    "validation-00000.npy": "da6d6172351c57d3c1b9a018a622d2add1d6a2f6d128177117458d7dbcfcdb9c",
    "validation-00000.npz": "f4f817540bfbd45caa09a7f0d98a3696fc6fa797d1788a6d45637c8bb2e718ec",
}


def write_recordings(folder: Path, names: str) -> None:
    """Half a second of 16-bit noise each, the same bytes for ever."""
    folder.mkdir()
    for name in names:
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
            file.writeframes(hashlib.shake_128(name.encode()).digest(RATE))


def digest(path: Path) -> str:
    """SHA-256 of a file, or of the arrays in it where it is an archive, whose format is not ours."""
    if path.suffix != ".npz":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with np.load(path) as file:
        parts = [f"{name} {file[name].dtype} {file[name].shape}".encode() + file[name].tobytes() for name in file.files]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Renders the data set of one of the experiments."""
    monkeypatch.chdir(tmp_path)
    write_recordings(tmp_path / "sound", "abcde")
    write_recordings(tmp_path / "held_out", "xy")

    def render(name: str) -> dataset.Dataset:
        data = {
            "effects": ("pedalboard/Clipping", "pedalboard/Distortion"),
            "audio": ("sound",),
            "train_clips": 264,  # two shards, the first of four chunks
            "validation_clips": 8,
            "test_clips": 8,
            "fade_ms": 5.0,
        }
        return dataset.render(
            config.Experiment(
                name="made",
                audio=config.Audio(sample_rate=RATE, clip_samples=CLIP),
                data=config.Data(**data | OTHER_DATA[name]),
                spectrogram=config.Spectrogram(n_fft=256, window_length=256, hop_length=256, n_mels=16),
            ),
            progress=False,
        )

    return render


@pytest.mark.parametrize("name", OTHER_DATA)
def test_identities_are_those_of_before(made, name):
    assert made(name).identity == IDENTITIES[name]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="libraries may round otherwise elsewhere")
def test_files_are_those_of_before(made):
    folder = made("made").folder
    assert {name: digest(folder.path(name)) for name in folder.sizes()} == FILES


def test_kept_spectrograms_have_the_name_of_before(made):
    data = made("made")
    statistics = Statistics(np.arange(16, dtype=np.float32) / 10, np.full(16, 3, np.float32))
    mesh = devices.make_mesh(1, 4, config.Execution(devices=1))
    input_pipeline.InputPipeline(data.split("validation"), data.experiment, statistics, mesh)
    assert [name for name in data.folder.sizes() if name.startswith("spectrograms-")] == [SPECTROGRAMS]
