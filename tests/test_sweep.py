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


def test_a_sweep_in_words_is_the_grid_of_its_values_ranges_with_both_ends():
    in_words = sweep.parse(["model.latent-dim=32,64, 128", "train.seed=0..2,7", "objective.beta.maximum=.3,1"], BASE)
    axes = {"model.latent_dim": (32, 64, 128), "train.seed": (0, 1, 2, 7), "objective.beta.maximum": (0.3, 1.0)}
    assert in_words == grid(axes)
    kinds = sweep.parse(["model.attention=true,FALSE", "model.backbone=patch,grant2023"], BASE)
    assert kinds == grid({"model.attention": (True, False), "model.backbone": ("patch", "grant2023")})


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["train.seed"], "'train.seed' is no axis of a sweep; write FIELD=VALUES"),
        (["train.seed="], "no axis of a sweep"),
        (["train.seeds=1"], "'train.seeds', which is no field; did you mean train.seed"),
        (["execution.devices=1"], "which is no field"),
        (["train.seed=1", "train.seed=2"], "train.seed twice; give all its values at once"),
        (["train.seed=1,,2"], "train.seed to ''; use whole numbers"),
        (["train.seed=1.5"], "train.seed to '1.5'; use whole numbers, or a range that includes both ends"),
        (["train.seed=3..0"], r"train.seed to '3\.\.0'; use whole numbers"),
        (["train.learning_rate=0..1"], r"train.learning_rate to '0\.\.1'; use numbers, with commas"),
        (["model.attention=yes"], "model.attention to 'yes'; use true or false"),
        (["data.effects=mda/Delay"], "data.effects holds several values, so a sweep cannot change it"),
        (["train.seed=0..99", "model.latent_dim=1..101"], "the sweep has 10100 members; use at most 10000"),
        (["train.seed=1,1"], "members 0 and 1 of the sweep are the same"),
    ],
)
def test_what_is_no_axis_of_a_sweep_is_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        sweep.parse(axes, BASE)


@pytest.mark.parametrize("effects", [("mda/Delay",), ["mda/Delay"]])
def test_a_sweep_over_what_is_no_single_value_is_refused(effects):
    with pytest.raises(ValueError, match=r"sets data.effects to .*mda/Delay.*single .*make a config for each data.eff"):
        listed([{"data.effects": effects}])
