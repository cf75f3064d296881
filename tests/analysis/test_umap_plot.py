"""The command that draws maps."""

import numpy as np
import pytest

from analysis import umap_plot
from analysis.metrics import layout
from analysis.models import members


def test_a_map_of_one_effect_is_refused_before_anything_is_rendered(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", tmp_path, encoder)])
    with pytest.raises(ValueError, match=r"needs two, but of pedalboard/Distortion.* it would show 1"):
        umap_plot.main(umap_plot.Options(tmp_path, tmp_path / "map.png", effects=1))


def test_a_map_of_a_handful_of_points_is_refused_before_anything_is_rendered(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", tmp_path, encoder)])
    with pytest.raises(ValueError, match=r"clips is 3, and 2 effects make a map of 6 points; use at least 16"):
        umap_plot.main(umap_plot.Options(tmp_path, tmp_path / "map.png", clips=3))


def test_few_clips_are_measured_without_neighbours_that_are_not_there_and_fewer_are_refused():
    rng = np.random.default_rng(0)
    features, place = rng.normal(size=(layout.LEAST, 3)), rng.normal(size=(layout.LEAST, 2))
    effect, recording = np.arange(layout.LEAST) % 2, (np.arange(layout.LEAST) < 6).astype(int)
    assert layout.figures(place, features, effect, recording).knn is None  # six clips to choose fifteen from
    assert layout.figures(place, features, effect, np.arange(layout.LEAST) % 4).knn is not None
    with pytest.raises(ValueError, match="a map of 30 clips is too small to be measured; use at least 31"):
        layout.figures(place[1:], features[1:], effect[1:], recording[1:])
