"""Data sets of earlier versions are found again, by the names and the bytes below.

They change where the recordings, the effects' tables, the drawing of clips or the files are meant to change, which
`manifest.FORMAT` has to say; never where code moves.
"""

import dataclasses
import hashlib
import json
import platform
import shutil
import warnings
import wave
from pathlib import Path

import numpy as np
import pytest

from jaxvae import config, devices, effects
from jaxvae.data import dataset, input_pipeline, manifest
from jaxvae.data.storage import Folder
from jaxvae.spectrogram import Statistics
from jaxvae.views import Normalisation

RATE, CLIP = 8_000, 1_024

OTHER_DATA = {
    "made": {},
    "held out": {"test_audio": ("held_out",), "vary": False, "seed": 3, "peak_dbfs": -6.0, "test_clips": 16},
    "one effect": {"effects": ("mda/Delay",), "audio": ("sou*",), "validation_share": 0.3, "fade_ms": 0.0},
}
IDENTITIES = {"made": "030f3f47dc00a1b0", "held out": "fc83af6b0456e526", "one effect": "3de9344d5e15d6b3"}
SPECTROGRAMS = "spectrograms-validation-75d53fc5a8dd2e83.npy"
FILES = {
    "manifest.json": "4d236bdeb080c803323f043ac5e1c110bf91e939f012bbd534892ef5742b02ba",
    "recordings.npy": "fdcaca1830f8c422952680594567e2146c4313afda2b1e0a95d4e44808919584",
    "test-00000.npy": "d5a497704c4c687f067be97bdcf55c8f697b2e185b4445dfdaf48a863cd026bb",
    "test-00000.npz": "e4a32bc319c75e1713408612e584be68891f228c5aa6e776fb058a056c4a527a",
    "train-00000.npy": "dbc187546d74715172dfc06d8c6e09b1a3b910f80b35559970262fcece59284c",
    "train-00000.npz": "082e8bc73f1552e82c6c289defe52a7214bc652efbec86f04c6572e2c9f2384d",
    "train-00001.npy": "487101f80cb9b2a18b5213d32e4df85a3615fdeeb7f46d625222e90ab3974d2d",
    "train-00001.npz": "e304095a4ac802af985e8e363a302afda5a5fc9b07dc7177984b99c6d4e46118",
    "validation-00000.npy": "11cbf7c6a77b25f0aba9703aa5cacf9f40ea748f2e7b7df69fa61f830976df61",
    "validation-00000.npz": "ef336c1e6c7ed67747511e918e09571d9492d0adfc313969b34ae29d1c5e8d07",
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
    table = {
        name: dataclasses.replace(kind, renderer=lambda: "the same for ever") for name, kind in effects.table().items()
    }
    monkeypatch.setattr(effects, "table", lambda: table)
    write_recordings(tmp_path / "sound", "abcde")
    write_recordings(tmp_path / "held_out", "xy")

    def render(name: str) -> dataset.Dataset:
        return dataset.render(experiment(name), progress=False)

    return render


def experiment(name: str, **changes) -> config.Experiment:
    """One of the experiments."""
    data = {
        "effects": ("pedalboard/Clipping", "pedalboard/Distortion"),
        "audio": ("sound",),
        "train_clips": 264,  # two shards, the first of four chunks
        "validation_clips": 8,
        "test_clips": 8,
        "degraded_share": 0.0,  # a coder may round otherwise elsewhere
        "fade_ms": 5.0,
    }
    return config.Experiment(
        name="made",
        audio=config.Audio(sample_rate=RATE, clip_samples=CLIP),
        data=config.Data(**data | OTHER_DATA[name] | changes),
        spectrogram=config.Spectrogram(n_fft=256, window_length=256, hop_length=256, n_mels=16),
        model=config.Model(fine_structure=False),
        objective=config.Objective(source_share=0.0),
    )


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
    input_pipeline.InputPipeline(data.split("validation"), data.experiment, Normalisation(statistics, None), mesh)
    assert [name for name in data.folder.sizes() if name.startswith("spectrograms-")] == [SPECTROGRAMS]


# The renderer


def with_renderer(monkeypatch, renderer: str | None) -> None:
    """Has another program render every effect."""
    table = {name: dataclasses.replace(kind, renderer=lambda: renderer) for name, kind in effects.table().items()}
    monkeypatch.setattr(effects, "table", lambda: table)


def test_what_renders_is_part_of_the_identity(made, monkeypatch):
    first = made("made")
    with_renderer(monkeypatch, "another version")
    assert made("made").identity != first.identity
    assert "another version" in made("made").folder.path("manifest.json").read_text()


@pytest.mark.parametrize("name", ["pedalboard/Delay", "mda/Delay"])
def test_every_back_end_names_its_renderer_by_version_or_digest(name):
    assert any(character.isdigit() for character in effects.renderer(name))


def test_a_plugin_that_is_updated_has_another_digest(tmp_path):
    for content in (b"one", b"two"):
        (tmp_path / content.decode()).mkdir()
        (tmp_path / content.decode() / "it.vst3").write_bytes(content)
    first, second = (effects.renderer(f"vst3:{tmp_path}/{folder}/it.vst3") for folder in ("one", "two"))
    assert first != second
    assert first == effects.renderer(f"vst3:{shutil.copytree(tmp_path / 'one', tmp_path / 'moved')}/it.vst3")
    assert effects.renderer(f"vst3:{tmp_path}/nowhere/it.vst3") is None


def test_an_interrupted_set_is_not_continued_with_another_renderer(made, monkeypatch):
    first = made("made")
    first.folder.path("train-00001.npz").unlink()
    before = {name: first.folder.path(name).stat().st_mtime_ns for name in first.folder.sizes()}
    with_renderer(monkeypatch, "another version")
    made("made")
    assert {name: first.folder.path(name).stat().st_mtime_ns for name in first.folder.sizes()} == before
    with pytest.warns(UserWarning, match="renderer of pedalboard/Clipping: the same for ever -> another version"):
        begun = dataset.load(experiment("made"), first.folder)
    with pytest.raises(ValueError, match="cannot be continued here"):
        begun.require_same()


def test_a_finished_set_is_read_where_nothing_can_render_it(made, monkeypatch):
    first = made("made")
    with_renderer(monkeypatch, None)
    assert made("made").identity == first.identity


# Older formats


def old_set(folder: Path) -> Folder:
    """Where a manifest of format 5 lies."""
    (folder / "d7b6834a07bc5ead").mkdir()
    shutil.copy(Path(__file__).parent / "manifest_of_format_5.json", folder / "d7b6834a07bc5ead" / "manifest.json")
    return Folder(str(folder / "d7b6834a07bc5ead"))


def test_an_older_set_is_read_by_its_manifest_with_one_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"is read as it was made; .* format: 5 -> 8") as warned:
        data = dataset.load(experiment("made"), old_set(tmp_path))
    assert len(warned) == 1
    assert data.identity == "d7b6834a07bc5ead"
    assert [recording.split for recording in data.recordings] == ["train", "train", "validation", "train", "test"]
    assert [kind.name for kind in data.effects] == ["pedalboard/Clipping", "pedalboard/Distortion"]


def test_a_set_of_another_config_is_refused_with_the_difference(tmp_path):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=r"another config:\n  data.seed: 0 -> 1"):
        warnings.simplefilter("ignore")
        dataset.load(experiment("made", seed=1), old_set(tmp_path))


def test_a_manifest_that_was_changed_is_damaged(tmp_path):
    folder = old_set(tmp_path)
    found = json.loads(folder.path("manifest.json").read_text())
    found["data"]["seed"] = 1
    folder.path("manifest.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="is damaged"):
        manifest.read(folder)
