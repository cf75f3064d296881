"""The map of one effect, and the pictures of it."""

import dataclasses
import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from analysis.pictures import effect_map, effect_pairs, effect_paths, style, umap
from analysis.renders.plan import random_settings
from jaxvae import effects


@pytest.fixture(scope="module")
def drawn(encoder, data, quick_map):
    """A map of Delay and its paths."""
    kinds = [effects.get("pedalboard/Delay")]
    (one,) = effect_map.fit(encoder, data.split("test"), kinds, clip=0, settings=60, steps=10)
    return one


def pixels(drawing):
    image = Image.open(io.BytesIO(style.png(drawing)))
    return np.asarray(image.convert("RGB"))


def test_paths_hold_every_setting_in_order(drawn):
    assert drawn.cloud.sum() == 60
    for index, parameter in enumerate(drawn.effect.parameters):
        values = drawn.physical(index, drawn.path(index))
        assert len(values) == 10
        assert (np.diff(values) > 0).all()
        np.testing.assert_allclose(values[[0, -1]], [parameter.minimum, parameter.maximum])


@pytest.mark.parametrize("clip", [-1, 8])
def test_a_clip_that_the_split_lacks_is_refused(encoder, data, kinds, clip):
    with pytest.raises(ValueError, match=rf"clip is {clip}, but the split has 8 clips; use 0 to 7"):
        effect_map.fit(encoder, data.split("test"), kinds, clip)


def test_an_effect_without_usable_renders_has_no_map(encoder, data, kinds, quick_map, silence, monkeypatch, caplog):
    silence(monkeypatch, kinds[0])
    (one,) = effect_map.fit(encoder, data.split("test"), kinds, clip=0, settings=20, steps=3)
    assert one.effect == kinds[1]
    assert f"no map of {kinds[0].name}" in caplog.text
    with pytest.raises(ValueError, match="all 23 renders are silent"):
        effect_map.fit(encoder, data.split("test"), kinds[:1], clip=0, settings=20, steps=3)


def test_pictures_are_sharp_and_leave_no_setting_behind(drawn, tmp_path):
    before = dict(matplotlib.rcParams)
    joint = effect_paths.plot_joint({"one": drawn})
    for drawing in (effect_paths.plot_separate(drawn), joint, effect_pairs.plot(drawn)):
        picture = pixels(drawing)
        assert min(picture.shape[:2]) >= 400
        assert (picture != 255).any(axis=2).mean() > 0.02
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == 255).all(), "something is cut at the edge"
    assert dict(matplotlib.rcParams) == before
    style.save(joint, tmp_path / "joint.png")
    with Image.open(tmp_path / "joint.png") as image:
        assert image.info["dpi"][0] == pytest.approx(160, abs=1)


def test_an_effect_with_one_parameter_has_no_pairs(drawn):
    lone = dataclasses.replace(drawn, effect=effects.get("pedalboard/Distortion"))
    with pytest.raises(ValueError, match="Distortion has one parameter"):
        effect_pairs.plot(lone)


def test_map_figure_reads_a_parameter_that_orders_the_map(drawn):
    position = drawn.normalized[:, :2].astype(np.float32)
    ordered = dataclasses.replace(drawn, position=position)
    first, second, third = effect_pairs.r2_from_map(ordered)
    assert first > 0.4 and second > 0.4
    assert third < 0.1


def test_each_of_several_models_has_a_panel_with_its_title(drawn, data, quick_map):
    titles = [f"member {index}: latent_dim {2**index}, learning_rate 0.001, seed 0" for index in range(6)]
    joint = effect_paths.plot_joint(dict.fromkeys(titles, drawn))
    plan = random_settings(list(data.effects), np.arange(32) % 8, seed=0)
    features = np.random.default_rng(0).normal(size=(64, 3))
    labelled = plan.labelled(features, data.split("test"))
    names = tuple(kind.name for kind in data.effects)
    panels = dict.fromkeys(titles, labelled)
    maps, scores = umap.plot(panels, umap.fit(panels), names)
    assert list(scores) == titles
    for drawing in (joint, maps):
        assert len(drawing.axes) == 6
        for title, axes in zip(titles, drawing.axes, strict=True):
            assert axes.get_title().replace("\n", " ").startswith(title)
        edge = pixels(drawing)
        columns = {round(axes.get_position().x0, 3) for axes in drawing.axes}
        assert len(columns) == 4  # and the other two below
        edge = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
        assert (edge == 255).all(), "something is cut at the edge"
