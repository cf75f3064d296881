"""What sections share: the clips that count, and the ceiling."""

import json

import numpy as np

from analysis.metrics.probes import Labelled
from analysis.sections.score import both_heard, read_ceiling

from .labelled import clips, told


def test_an_effect_that_is_heard_in_one_set_only_is_left_out():
    fit, held = told(clips(40)), told(clips(40, seed=1))
    fit = Labelled(*(field[(fit.effect == 1) | (np.arange(40) < 8)] for field in fit))  # four clips of effect 0
    first, second, kept = both_heard(fit, held)
    assert np.unique(first.effect).tolist() == np.unique(second.effect).tolist() == [1]
    np.testing.assert_array_equal(kept, held.effect == 1)


def test_of_several_ceilings_the_best_counts(tmp_path):
    paths = [tmp_path / "search.json", tmp_path / "network.json"]
    found = [{"a": {"x": -0.4, "y": 0.6}}, {"a": {"x": -0.2, "y": 0.5}, "b": {"z": 0.3}}]
    for path, of in zip(paths, found, strict=True):
        effects_of = {effect: {name: {"r2": r2} for name, r2 in own.items()} for effect, own in of.items()}
        path.write_text(json.dumps({"source": path.stem, "effects": effects_of}))
    assert read_ceiling(paths) == ("search; network", {"a": {"x": 0.0, "y": 0.6}, "b": {"z": 0.3}})
    assert read_ceiling(()) == (None, {})
