"""Sweeps: which members they make, and what they refuse."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from jaxvae import config, config_file, fields, sweep
from jaxvae.config import Experiment
from jaxvae.sweep import draws, grid, listed
from jaxvae.training import run_folder

BASE = Experiment("base")


def test_grid_has_every_combination_once_the_last_field_fastest():
    axes = {"model.latent_dim": (32, 64), "train.seed": range(3)}
    members = [dict(changes) for changes in grid(axes).members]
    assert [tuple(member.values()) for member in members] == list(itertools.product((32, 64), range(3)))


def test_members_are_experiments_with_their_changes_and_without_a_sweep():
    changes = listed([{"objective.beta.maximum": 3}, {"train.learning_rate": np.float64(1e-4), "model.latent_dim": 32}])
    first, second = sweep.members(dataclasses.replace(BASE, sweep=changes))
    assert fields.differences(BASE, first) == ["objective.beta.maximum: 1.0 -> 3.0"]
    assert sorted(fields.differences(BASE, second)) == [
        "model.latent_dim: 128 -> 32",
        "train.learning_rate: 0.001 -> 0.0001",
    ]
    assert sweep.members(BASE) == (BASE,)


def test_draws_follow_their_distribution_and_fewer_are_the_first_of_more():
    sources = {"train.learning_rate": scipy.stats.loguniform(1e-4, 1e-2), "model.latent_dim": (32, 64, 128)}
    many = [dict(changes) for changes in draws(sources, members=600, seed=1).members]
    few = [dict(changes) for changes in draws(sources, members=10, seed=1).members]
    assert few == many[:10]
    assert draws(sources, members=10, seed=2) != draws(sources, members=10, seed=1)
    rates = np.array([member["train.learning_rate"] for member in many])
    assert scipy.stats.kstest(np.log10(rates), scipy.stats.uniform(-4, 2).cdf).pvalue > 1e-3
    counts = [sum(member["model.latent_dim"] == size for member in many) for size in (32, 64, 128)]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_a_field_draws_the_same_beside_another():
    alone = draws({"train.learning_rate": scipy.stats.uniform(0.1, 1)}, members=5)
    beside = draws({"train.seed": range(9), "train.learning_rate": scipy.stats.uniform(0.1, 1)}, members=5)
    assert [dict(c)["train.learning_rate"] for c in alone.members] == [
        dict(c)["train.learning_rate"] for c in beside.members
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.latent": 3}, "'model.latent', which is no field"),
        ({"model": 3}, "'model', which is no field"),
        ({"execution.devices": 2}, "'execution.devices', which is no field"),
        ({"model.latent_dim": 3.5}, r"model.latent_dim to 3.5, a float; use a int"),
        ({"model.backbone": 1}, r"model.backbone to 1, a int; use a str"),
        ({"train.learning_rate": -1.0}, r"learning_rate is -1.0; use more than 0"),
    ],
)
def test_impossible_change_is_refused_when_the_sweep_is_made(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(BASE, sweep=listed([changes]))


def test_member_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match=r"members 0 and 2 of the sweep are the same: {'train.seed': 1}"):
        listed([{"train.seed": 1}, {"train.seed": 2}, {"train.seed": 1}])


def test_sweep_survives_json():
    experiment = dataclasses.replace(BASE, sweep=grid({"model.latent_dim": (32, 64), "train.seed": range(2)}))
    assert config.from_dict(json.loads(json.dumps(fields.to_dict(experiment)))) == experiment


def test_week_of_the_seed_is_two_groups_of_eight_that_share_a_data_set(tmp_path):
    experiment = config_file.load(Path("configs/grant2023_week.py"))
    first, second = run_folder.groups(experiment, tmp_path)
    assert (len(first.indices), len(second.indices)) == (8, 8)
    assert sorted(first.indices + second.indices) == list(range(16))
    assert {member.data for member in first.members + second.members} == {experiment.data}
    assert "spectrogram.window_length" in first.swept and "train.learning_rate" not in first.swept
