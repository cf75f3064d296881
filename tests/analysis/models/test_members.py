"""The data set of a run: found where training left it or where one says, and never another one."""

import dataclasses
import shutil

import pytest

from analysis import embed, interpolate
from analysis.models import members
from jaxvae import effects, inference
from jaxvae.command_line import RunData
from jaxvae.data import dataset, manifest, recordings


@pytest.fixture
def encoder(trained):
    return inference.load(trained)


@pytest.fixture
def elsewhere(encoder, tmp_path):
    """The encoder of a run whose music and data set are where they were not when it was trained."""
    data = dataclasses.replace(encoder.experiment.data, audio=(str(tmp_path / "nowhere"),), directory="datasets")
    experiment = dataclasses.replace(encoder.experiment, data=data)
    return dataclasses.replace(encoder, experiment=experiment, dataset_folders=(str(tmp_path / "lost"),))


def copy_of_set(encoder, folder):
    """A folder of data sets with a copy of the run's."""
    shutil.copytree(encoder.dataset_folders[0], folder / encoder.dataset)
    return folder


def test_neither_recordings_nor_plugins_are_needed(encoder, elsewhere, tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "find", None)
    monkeypatch.setattr(effects, "get", None)
    moved = copy_of_set(encoder, tmp_path / "moved")
    for directory in (moved, moved / encoder.dataset):
        data = members.data([elsewhere], str(directory))
        assert data.identity == encoder.dataset
        assert data.split("test").clips == encoder.experiment.data.test_clips
        assert [kind.name for kind in data.kinds(encoder.effects)] == list(encoder.effects)


def test_a_set_that_was_moved_with_its_run_is_found_from_any_folder(trained, encoder, tmp_path, monkeypatch):
    project = tmp_path / "project"
    copy_of_set(encoder, project / "datasets")
    monkeypatch.setattr(
        inference.config,
        "from_dict",
        lambda values, read=inference.config.from_dict: read(
            values | {"data": values["data"] | {"directory": "datasets"}}
        ),
    )
    run = shutil.copytree(trained, project / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    moved = inference.load(run)
    assert str(project / "datasets" / encoder.dataset) in moved.dataset_folders
    shutil.move(encoder.dataset_folders[0], tmp_path / "away")
    try:
        assert str(members.data([moved]).folder) == str(project / "datasets" / encoder.dataset)
    finally:
        shutil.move(tmp_path / "away", encoder.dataset_folders[0])


def test_a_set_that_is_not_found_is_named_with_all_places(elsewhere, tmp_path):
    with pytest.raises(ValueError, match=rf"{elsewhere.dataset}.* is not in .*lost.*nowhere.*--data\.directory"):
        members.data([elsewhere])
    with pytest.raises(ValueError, match=rf"is not in {tmp_path}/here/{elsewhere.dataset}, nor in {tmp_path}/here,"):
        members.data([elsewhere], str(tmp_path / "here"))
    assert not (tmp_path / "here").exists()


def test_other_recordings_are_refused_and_nothing_is_rendered(encoder, elsewhere, tmp_path):
    others = shutil.copytree(encoder.experiment.data.audio[0], tmp_path / "nowhere")
    (others / "sweep_7.wav").unlink()
    with pytest.raises(ValueError, match=rf"{encoder.dataset}.* make \w+ here"):
        members.data([elsewhere], str(tmp_path / "here"))
    assert not (tmp_path / "here").exists()


def test_only_the_split_that_is_needed_is_rendered_its_size_said_first(encoder, elsewhere, tmp_path, capsys):
    shutil.copytree(encoder.experiment.data.audio[0], tmp_path / "nowhere")
    data = members.data([elsewhere], str(tmp_path / "here"), ("test",))
    assert {shard.split for shard in data.missing()} == {"train", "validation"}
    size = 2 * encoder.experiment.data.test_clips * encoder.experiment.audio.clip_samples
    said = capsys.readouterr().out
    assert f"its test clips, {size:,} bytes, are rendered into {tmp_path}/here" in said
    members.data([elsewhere], str(tmp_path / "here"), ("test",))
    assert capsys.readouterr().out == ""
    members.data([elsewhere], str(tmp_path / "here"), ("validation", "test"))
    assert "lacks" in capsys.readouterr().out


def test_members_of_two_sets_are_refused(encoder):
    with pytest.raises(ValueError, match="were trained on data sets"):
        members.data([encoder, dataclasses.replace(encoder, dataset="another")])


def test_arguments_are_checked_before_anything_is_looked_for(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "data", None)
    out = tmp_path / "out.png"
    with pytest.raises(ValueError, match="no effect is named pedalboard/Dealy"):
        interpolate.main(interpolate.Options(trained, "pedalboard/Dealy", out))
    with pytest.raises(ValueError, match="clip is 900"):
        interpolate.main(interpolate.Options(trained, "pedalboard/Delay", out, clip=900))
    with pytest.raises(ValueError, match="no effect is named pedalboard/Dealy"):
        embed.main(embed.Options(trained, out, effects=("pedalboard/Dealy",)))


def test_a_missing_plugin_ends_a_render_by_one_sentence(trained, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(effects, "unavailable", lambda: {"pedalboard/Delay": "install it"})
    with pytest.raises(FileNotFoundError, match="pedalboard/Delay cannot be rendered here: install it"):
        embed.main(embed.Options(trained, tmp_path / "out.npz", clips=4, data=RunData()))


def test_a_run_goes_on_with_the_set_that_it_was_begun_on_whatever_this_version_makes(encoder, monkeypatch):
    monkeypatch.setattr(manifest, "FORMAT", 99)
    with pytest.warns(UserWarning, match=r"format: \d+ -> 99"):
        data = dataset.render(encoder.experiment, progress=False, recorded=encoder.dataset)
    assert data.identity == encoder.dataset
