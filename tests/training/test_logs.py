"""What TensorBoard shows of a run: names, descriptions, pictures, and the table of hyper-parameters."""

import dataclasses

import librosa
import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import api_pb2

from jaxvae import fields
from jaxvae.spectrogram import Statistics
from jaxvae.sweep import grid, listed
from jaxvae.training import run_folder
from jaxvae.training.pictures import SideBySide
from tests.hparams import hparams_of


def test_every_tag_of_the_logs_says_what_it_shows(trained, swept):
    """In TensorBoard's own words: the description is of the tag, and the tag of the plug-in that shows it."""
    for folder in (trained, run_folder.logs(swept)[0]):
        events = EventMultiplexer().AddRun(str(folder), "run").Reload()
        for plugin in ("scalars", "histograms", "images", "audio", "text"):
            tags = events.PluginRunToTagToContent(plugin)["run"]
            assert tags
            for tag in tags:
                assert events.SummaryMetadata("run", tag).summary_description, tag


def test_members_are_named_by_what_they_differ_in_and_those_of_older_versions_keep_their_folders(tiny, tmp_path):
    def names(changes):
        experiment = dataclasses.replace(tiny, sweep=listed(changes))
        groups = run_folder.groups(experiment, tmp_path)
        logs = {index: log for group in groups for index, log in zip(group.indices, group.logs, strict=True)}
        return [logs[index].name for index in sorted(logs)]

    rates = [{"train.learning_rate": 1e-3, "train.seed": 3}, {"train.learning_rate": 2e-4, "train.seed": 4}]
    assert names(rates) == ["000,learning_rate=0.001,seed=3", "001,learning_rate=0.0002,seed=4"]
    seeds = [{"train.seed": 0, "data.seed": 1}, {"train.seed": 1, "data.seed": 2}]
    assert names(seeds) == ["000,data.seed=1,train.seed=0", "001,data.seed=2,train.seed=1"]
    words = [{"name": "the model"}, {"name": "a/b: " + 200 * "c"}]
    assert names(words)[0] == "000,name=the-model" and names(words)[1].startswith("001,name=a-b-ccc")
    assert len(names(words)[1]) == 120
    (tmp_path / "member_001").mkdir()
    assert names(rates) == ["000,learning_rate=0.001,seed=3", "member_001"]
    assert run_folder.logs(tmp_path) == {1: tmp_path / "member_001"}


def test_pictures_and_sounds_are_of_members_spread_over_the_whole_sweep(tiny, tmp_path):
    def shown(sizes, seeds):
        sweep = grid({"model.width": sizes, "model.latent_dim": sizes, "train.seed": range(seeds)})
        groups = run_folder.groups(dataclasses.replace(tiny, sweep=sweep), tmp_path)
        return sorted(group.indices[place] for group in groups for place in group.shown), len(groups)

    for seeds in (4, 16):
        found, programs = shown((1, 2), seeds)
        members = 4 * seeds
        assert programs == 2 and len(found) == 8
        assert (found[0], found[-1]) == (0, members - 1)
        assert set(np.diff(found)) <= {(members - 1) // 7, (members - 1) // 7 + 1}
    assert shown((1,), 3)[0] == [0, 1, 2]


def test_a_picture_has_frequency_time_and_level_on_its_axes(tiny):
    statistics = Statistics(np.full(32, -40, np.float32), np.full(32, 10, np.float32))
    drawn = SideBySide(tiny, statistics)
    silent = np.full((tiny.bins, tiny.frames), -3.0)
    blank = drawn.draw(silent, silent, "an effect").astype(int)
    left, right, level = drawn._figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["input (wet)", "reconstruction"]
    assert (left.get_ylabel(), left.get_xlabel(), level.get_ylabel()) == ("frequency (Hz)", "time (s)", "level (dBFS)")
    # A band of 1 kHz at a third of a second is where the axes say that it is.
    loud = silent.copy()
    band = np.abs(librosa.mel_frequencies(34, fmin=0, fmax=4_000)[1:-1] - 1_000).argmin()
    frame = round(0.33 * tiny.audio.sample_rate / tiny.spectrogram.hop_length)
    loud[band, frame] = 3.0
    rows, columns = np.nonzero(np.abs(drawn.draw(silent, loud, "an effect").astype(int) - blank).sum(axis=2))
    tick = dict(zip([label.get_text() for label in left.get_yticklabels()], left.get_yticks(), strict=True))["1,000"]
    expected = right.transData.transform((0.33, tick))
    assert columns.mean() == pytest.approx(expected[0], abs=8)
    assert blank.shape[0] - rows.mean() == pytest.approx(expected[1], abs=8)


def test_tensorboard_shows_a_single_run_with_its_numbers(trained, tiny):
    paths = ("model.latent_dim", "train.seed", "train.learning_rate", "objective.beta.maximum")
    (group,) = hparams_of(trained.parent, paths, trained.name)
    assert group.name == "trained"  # as the folder was called that the fixture copies
    assert group.sessions[0].status == api_pb2.STATUS_SUCCESS
    values = {path: value.number_value for path, value in group.hparams.items()}
    assert values == pytest.approx({path: fields.flat(tiny)[path] for path in paths})
