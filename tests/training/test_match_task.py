"""The matcher's task: it learns, continues bitwise, and members of a sweep are what they are alone."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest
import scipy.special

from jaxvae import config, fields
from jaxvae.config import MatchExperiment, MatchObjective
from jaxvae.sweep import grid
from jaxvae.training import controller_steps, loop, run, run_folder
from jaxvae.training.match_task import MatchTask


def state(experiment, workdir):
    """Arrays of the newest checkpoint of a run."""
    with contextlib.closing(run.start(run_folder.groups(experiment, workdir)[0], MatchTask)) as resumed:
        found = jax.device_get(resumed.state.replace(key=jax.random.key_data(resumed.state.key)))
        return found, jax.device_get(resumed.best)


def test_training_lowers_the_criterion(matched):
    (member,) = run_folder.read(matched).values()
    assert member.kind is MatchTask and member.step == 30
    names = MatchTask.criterion([member.experiment])
    assert names == tuple(
        f"val/{mode}/{what}_nll" for mode in ("blind", "source_aware", "dry_aware") for what in ("effect", "settings")
    )
    assert member.best == pytest.approx(sum(member.figures[name] for name in names))
    assert member.best < 3 * np.log(2)  # of two effects, in three modes, with settings as they come


def test_a_run_that_is_stopped_continues_bitwise(tiny_match, matched, tmp_path, monkeypatch):
    begun = run.start(run_folder.groups(tiny_match, tmp_path)[0], MatchTask)
    for batches in begun.batches():
        begun.advance(batches)
        if begun.step == 10:
            begun.consider(begun.validate())
            break
        if begun.step % tiny_match.train.validate_every == 0:
            begun.consider(begun.validate())
    begun.save()
    begun.close()
    assert loop.train(tiny_match, tmp_path, MatchTask) == 0
    jax.tree.map(np.testing.assert_array_equal, state(tiny_match, tmp_path), state(tiny_match, matched))


def test_members_of_a_sweep_are_what_they_are_alone(tiny_match, tmp_path):
    short = dataclasses.replace(tiny_match, train=dataclasses.replace(tiny_match.train, steps=10))
    swept = dataclasses.replace(
        short, sweep=grid({"objective.source_share": (0.0, 0.5), "objective.settings_weight": (0.0, 1.0)})
    )
    assert loop.train(swept, tmp_path / "sweep", MatchTask) == 0
    alone = fields.changed(short, swept.sweep.members[3])
    assert loop.train(alone, tmp_path / "alone", MatchTask) == 0
    many, one = state(swept, tmp_path / "sweep")[0], state(alone, tmp_path / "alone")[0]
    jax.tree.map(
        lambda many, one: np.testing.assert_allclose(many[3], one[0], rtol=1e-4, atol=1e-6), many.params, one.params
    )
    flow = many.params["to_velocity"]["kernel"]
    assert not flow[0].any() and flow[3].any(), "what has no weight is not learnt"


def test_what_a_member_trains_is_what_it_is_judged_by(tiny_match):
    blind = dataclasses.replace(tiny_match, objective=MatchObjective(dry_share=0.0, source_share=0.0))
    assert MatchTask.criterion([blind]) == ("val/blind/effect_nll", "val/blind/settings_nll")
    assert MatchTask.criterion([blind, tiny_match]) == MatchTask.criterion([blind])


def test_an_experiment_comes_back_from_its_record(tiny_match):
    assert MatchTask.read(fields.to_dict(tiny_match)) == tiny_match


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"times": 0}, "objective.times is 0"),
        ({"effect_weight": -1.0}, "effect_weight is -1.0"),
        ({"source_share": 2.0}, "source_share is 2.0"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MatchExperiment("wrong", objective=MatchObjective(**change))


def test_effects_are_as_likely_as_they_are_right(tiny_match, matched):
    """Of logits that are three times too large, the temperature is three; what is judged is what is left at it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)).astype(np.float32)
    effect = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)  # drawn from these probabilities

    def nll(logits):
        return scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(logits)), effect]

    at_each = np.stack([nll(3 * logits / t) for t in controller_steps.TEMPERATURES], axis=1)
    outputs = {f"{mode}/effect_nll": at_each for mode in ("blind", "source_aware", "dry_aware")}
    figures = MatchTask.evaluation(object.__new__(MatchTask), tiny_match, outputs).scalars
    assert figures["val/blind/temperature"] == pytest.approx(3, rel=0.1)
    assert figures["val/blind/effect_nll"] == pytest.approx(nll(logits).mean(), abs=0.01)
    (member,) = run_folder.read(matched).values()
    assert all(member.figures[f"val/{mode}/temperature"] in controller_steps.TEMPERATURES for mode in config.MODES)
