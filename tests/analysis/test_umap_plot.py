"""The command that draws maps."""

import pytest

from analysis import umap_plot
from analysis.models import members


def test_a_map_of_one_effect_is_refused_before_anything_is_rendered(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", tmp_path, encoder)])
    with pytest.raises(ValueError, match=r"needs two, but of pedalboard/Distortion.* it would show 1"):
        umap_plot.main(umap_plot.Options(tmp_path, tmp_path / "map.png", effects=1))
