"""The command from end to end: its files, other recordings, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
from sklearn.decomposition import PCA

from analysis import scoreboard
from analysis.metrics import layout
from analysis.models import compared
from jaxvae import command_line, effects, inference
from jaxvae.data import dataset
from tests.analysis.small import SIZES


@pytest.fixture(scope="module")
def data(tiny):
    return dataset.render(tiny, progress=False)


@pytest.fixture(autouse=True)
def quick_map(monkeypatch):
    """Principal components in the place of UMAP, which compiles for seconds."""
    monkeypatch.setattr(layout, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))


SMALL = [f"--sizes.{field.name.replace('_', '-')}={getattr(SIZES, field.name)}" for field in dataclasses.fields(SIZES)]


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["scoreboard", *map(str, arguments), *SMALL])
    command_line.run(scoreboard.main, scoreboard.Options, scoreboard.__doc__)


def test_the_same_command_gives_the_same_files(trained, tmp_path, monkeypatch, capsys):
    ceiling = {
        "source": "made up",
        "effects": {"pedalboard/Delay": {p.name: {"r2": -0.5} for p in effects.get("pedalboard/Delay").parameters}},
    }
    (tmp_path / "ceiling.json").write_text(json.dumps(ceiling))
    for out in ("first", "second"):
        run(
            monkeypatch,
            *(trained, "--out", tmp_path / out, "--ceiling", tmp_path / "ceiling.json"),
            *("--effects", "pedalboard/Chorus", "pedalboard/Bitcrush", "--compare", trained),
        )
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [f"scoreboard.{kind}" for kind in ("csv", "html", "json", "txt")]
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    figures = json.loads((tmp_path / "first" / "scoreboard.json").read_text())
    assert "tiny" in figures["hears"]  # what was compared, by the name of its config
    rows = {name: {} for name in figures["hears"]}
    for e in figures["entries"]:
        if e["row"] in rows and e["section"] != "vae":
            rows[e["row"]][e["section"], e["figure"], e["item"]] = e["value"]
    ours, same = rows["this model"], rows["tiny"]
    assert set(ours) - set(same) == {
        ("paths", "ring_umap", "pedalboard/Delay"),
        ("paths", "ring_umap", "least"),
        ("paths", "rings_umap", "all"),
    }
    assert {key: ours[key] for key in same} == same  # the same run as another row
    assert {e["item"].split("/")[1] for e in figures["entries"] if e["section"] == "unseen" and "/" in e["item"]} == {
        "Chorus",
        "Bitcrush",
    }
    assert [e["value"] for e in figures["entries"] if e["row"] == "ceiling"] == [0.0] * 3
    assert "made up" in capsys.readouterr().out


def test_other_recordings_take_the_place_of_the_test_recordings(trained, recordings, tmp_path, data, monkeypatch):
    monkeypatch.setattr(compared, "_TEST_CLIPS", 16)
    encoder = inference.load(trained)
    with pytest.raises(ValueError, match=r"files of --audio were trained on, the first is 0/sweep_"):
        compared.unseen_split(encoder, data, [str(recordings)])
    other = tmp_path / "other"
    other.mkdir()
    for index in range(2):
        noise = np.random.default_rng(index).normal(0, 0.1, 20_000)
        soundfile.write(other / f"noise_{index}.wav", noise, 8_000)
    split = compared.unseen_split(encoder, data, [str(other)])
    assert not set(split.recording) & set(range(len(data.recordings)))
    assert len(np.unique(split.recording)) == 2
    # Another dry passage of each recording is of that very recording, whose noise repeats nowhere.
    clips = np.arange(split.clips)
    sources = [soundfile.read(other / f"noise_{index}.wav", dtype="float32")[0] for index in range(2)]
    for passage, dry in zip(split.other_dry(clips), split.dry(clips), strict=True):
        own = [
            [float(np.abs(np.correlate(source, heard[2_000:6_000])).max()) for source in sources]
            for heard in (passage, dry)
        ]
        assert np.argmax(own[0]) == np.argmax(own[1]) and not np.allclose(passage, dry)


def test_a_run_on_other_recordings_is_no_comparison(trained, tmp_path, monkeypatch):
    encoder = inference.load(trained)
    other = dataclasses.replace(encoder.experiment, data=dataclasses.replace(encoder.experiment.data, seed=3))
    loaded = {trained: encoder, tmp_path: dataclasses.replace(encoder, experiment=other)}
    monkeypatch.setattr(
        compared.members, "load", lambda run, chosen=(): [compared.members.Chosen(0, "", run, loaded[run])]
    )
    with pytest.raises(ValueError, match=r"trained with another data.seed, so on other recordings"):
        compared.load(trained, None, [tmp_path])


def test_an_effect_that_was_trained_on_is_not_unseen(trained, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="pedalboard/Delay was trained on"):
        run(monkeypatch, trained, "--out", tmp_path, "--effects", "pedalboard/Delay")
