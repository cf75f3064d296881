"""Analysis of a run: rendered settings to features, features to pictures, and the whole page."""

import base64
import dataclasses
import functools
import io
import json
import re

import jax
import matplotlib
import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from analysis import embed, interpolate, pair_plot, report, umap_plot
from analysis.models import baselines, members
from analysis.pages.scoreboard import chapters
from analysis.pictures import curves, effect_map, style
from analysis.renders.material import Sizes
from jaxvae import config, effects, inference, spectrogram
from jaxvae.data import audio, dataset
from jaxvae.models.vae import VAE
from jaxvae.training import train_state
from jaxvae.training.optimizer import hyperparams
from jaxvae.training.summaries import Summaries

real_umap = umap_plot.fit
SIZES = Sizes(fit_clips=16, pairs=32, gallery=0, fixed_clips=8, settings=20, path_clips=2, path_steps=5, components=128)


@pytest.fixture(scope="module")
def data(tiny):
    return dataset.render(dataclasses.replace(tiny, name="analysed"), progress=False)


@pytest.fixture(scope="module")
def fresh(data):
    """Makes encoders with fresh weights: what is tested here does not depend on training."""
    wet = data.split("train").audio(np.arange(24))
    statistics = spectrogram.statistics([wet], data.experiment.audio, data.experiment.spectrogram)
    model, experiment = VAE(data.experiment.model), data.experiment
    create = jax.jit(functools.partial(train_state.create, model=model, bins=experiment.bins, frames=experiment.frames))

    def make(seed):
        state = create(hyperparams(experiment)._replace(seed=jax.numpy.asarray(seed)))
        return inference.Encoder(experiment, statistics, state.weights)

    return make


@pytest.fixture(scope="module")
def encoder(fresh):
    return fresh(0)


@pytest.fixture(scope="module")
def kinds(data):
    return list(data.effects)


@pytest.fixture(scope="module")
def quick_map():
    """Principal components in the place of UMAP, which compiles for seconds; UMAP itself has a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(umap_plot, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))
        yield


@pytest.fixture(scope="module")
def drawn(encoder, data, quick_map):
    """A map of Delay and its paths."""
    kinds = [effects.get("pedalboard/Delay")]
    (one,) = effect_map.fit(encoder, data.split("test"), kinds, clip=0, settings=60, steps=10)
    return one


def pixels(drawing):
    image = Image.open(io.BytesIO(style.png(drawing)))
    return np.asarray(image.convert("RGB"))


# Settings


def test_every_effect_meets_the_same_dry_clips(data, kinds):
    dry = embed.draw_dry(data.split("test"), 5, seed=0)
    for plan in (embed.random_settings(kinds, dry, seed=0), embed.fixed_settings(kinds, dry)):
        for index, kind in enumerate(kinds):
            own = plan.effect == index
            np.testing.assert_array_equal(plan.dry[own], dry)
            assert np.isfinite(plan.normalized[own, : len(kind.parameters)]).all()
            assert np.isnan(plan.normalized[own, len(kind.parameters) :]).all()


def test_dry_clips_repeat_only_after_all_have_come(data):
    split = data.split("test")
    crops = len(np.unique(split.start))
    drawn = split.start[embed.draw_dry(split, 2 * crops, seed=3)]
    assert sorted(drawn[:crops]) == np.unique(split.start).tolist() == sorted(drawn[crops:])
    assert (embed.draw_dry(split, 5, seed=3) == embed.draw_dry(split, 5, seed=3)).all()


def test_dry_clips_are_spread_over_recordings(data):
    split = dataclasses.replace(
        data.split("test"), recording=np.array([4, 4, 4, 4, 4, 7, 7, 9], np.int32), start=1_000 * np.arange(8)
    )
    drawn = embed.spread_dry(split, 6, seed=0)
    assert sorted(split.recording[drawn[:3]]) == [4, 7, 9]
    assert sorted(split.recording[drawn[3:5]]) == [4, 7]
    assert sorted(embed.spread_dry(split, 99, seed=0)) == list(range(8))


def test_pairs_differ_in_the_recording_only(data, kinds):
    split = dataclasses.replace(
        data.split("test"), recording=np.array([4, 4, 4, 4, 4, 7, 7, 9], np.int32), start=1_000 * np.arange(8)
    )
    plan = embed.pair_settings(kinds, split, 30, seed=0)
    first, second = embed.pairs(plan)
    np.testing.assert_array_equal(first, 2 * np.arange(30))
    np.testing.assert_array_equal(second, first + 1)
    np.testing.assert_array_equal(plan.normalized[first], plan.normalized[second])
    np.testing.assert_array_equal(plan.effect[first], plan.effect[second])
    assert (split.recording[plan.dry[first]] != split.recording[plan.dry[second]]).all()
    assert np.bincount(plan.effect).tolist() == [30, 30]
    assert len(np.unique(plan.normalized[first, 0])) == 30
    kept = np.setdiff1d(np.arange(60), [4, 9])  # of pairs 2 and 4 one cannot be used
    first, second = embed.pairs(plan.select(kept))
    np.testing.assert_array_equal(kept[first], np.setdiff1d(2 * np.arange(30), [4, 8]))


def test_fixed_settings_are_the_middle_and_random_ones_fill_the_range(kinds):
    fixed = embed.fixed_settings(kinds, np.arange(4)).normalized
    drawn = embed.random_settings(kinds, np.arange(500), seed=0).normalized
    assert (fixed[~np.isnan(fixed)] == 0.5).all()
    assert np.nanmean(drawn) == pytest.approx(0.5, abs=0.03)
    assert np.nanmin(drawn) < 0.01 and np.nanmax(drawn) > 0.99


def test_a_sweep_moves_one_parameter_over_its_whole_range(kinds):
    plan = embed.sweep_settings(kinds, np.array([3, 1]), steps=7)
    assert len(plan.effect) == sum(len(kind.parameters) for kind in kinds) * 2 * 7
    for index, kind in enumerate(kinds):
        for moving in range(len(kind.parameters)):
            for clip in (3, 1):
                rows = (plan.effect == index) & (plan.moving == moving) & (plan.dry == clip)
                np.testing.assert_allclose(plan.normalized[rows, moving], np.linspace(0, 1, 7), atol=1e-6)
                others = np.delete(plan.normalized[rows, : len(kind.parameters)], moving, axis=1)
                assert (others == 0.5).all()


# Features


def test_features_belong_to_the_rendered_settings(data, kinds, monkeypatch):
    monkeypatch.setattr(embed, "_CHUNK", 3)  # several chunks, the last one short
    split, rate = data.split("test"), data.experiment.audio.sample_rate
    plan = embed.random_settings(kinds, np.array([2, 0, 5, 2]), seed=1)
    functions = {"first": lambda wet, dry: wet[:, 200:210], "dry": lambda wet, dry: dry[:, :9]}
    kept, features = embed.represent(plan, split, rate, functions)
    assert len(kept.effect) == len(plan.effect)
    for row in range(len(plan.effect)):
        kind = kinds[plan.effect[row]]
        wet = kind.render(split.dry(plan.dry[row : row + 1])[0], kind.settings(plan.normalized[row]), rate)
        expected = audio.set_peak(wet, dataset.WET_PEAK_DBFS)
        np.testing.assert_array_equal(features["first"][row], expected[200:210])
        np.testing.assert_array_equal(features["dry"][row], split.dry(plan.dry[row : row + 1])[0, :9])
    labelled = kept.labelled(features["first"], split)
    np.testing.assert_array_equal(labelled.recording, split.recording[[2, 0, 5, 2] * 2])


def test_renders_that_cannot_be_used_are_left_out_and_counted(data, kinds, monkeypatch, caplog):
    def some_unusable(chosen, dry, normalized, sample_rate, workers):
        wet = dry.copy()
        wet[0], wet[1, 5], wet[2] = 0.0, np.nan, 1e6
        return wet

    monkeypatch.setattr(effects, "render_many", some_unusable)
    plan = embed.fixed_settings(kinds, np.arange(4))
    peak = {"peak": lambda wet, dry: np.abs(wet).max(1)[:, None]}
    kept, features = embed.represent(plan, data.split("test"), 8_000, peak)
    assert len(kept.effect) == len(features["peak"]) == 5
    np.testing.assert_array_equal(kept.dry, [3, 0, 1, 2, 3])
    np.testing.assert_allclose(features["peak"], audio.gain(dataset.WET_PEAK_DBFS), rtol=1e-6)  # all the same level
    assert "3 of 8 renders left out" in caplog.text


def test_nothing_audible_is_an_error(data, kinds, monkeypatch):
    monkeypatch.setattr(effects, "render_many", lambda chosen, dry, normalized, sample_rate, workers: 0 * dry)
    with pytest.raises(ValueError, match="all 4 renders are silent"):
        embed.represent(embed.fixed_settings(kinds, np.arange(2)), data.split("test"), 8_000, {})


def test_an_embedding_survives_its_file(encoder, data, kinds, tmp_path):
    split = data.split("test")
    written = embed.embed(encoder, split, "test", embed.random_settings(kinds, np.arange(3), seed=0))
    written.save(tmp_path / "folder" / "embedding.npz")
    read = embed.Embedding.load(tmp_path / "folder" / "embedding.npz")
    for field in dataclasses.fields(embed.Embedding):
        first, second = getattr(written, field.name), getattr(read, field.name)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second)
            assert first.dtype == second.dtype
        else:
            assert first == second
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["embedding.npz"]
    wet = kinds[0].render(split.dry(np.array([1]))[0], kinds[0].settings(written.normalized[1]), 8_000)
    np.testing.assert_allclose(written.mean[1], encoder.embed(wet, 8_000)[0], atol=1e-5)


# Baselines


def test_principal_components_are_the_best_linear_code_of_their_clips(encoder, data):
    train = data.split("train")
    wet = audio.to_float(train.audio(np.arange(24)))
    components = baselines.principal_components(encoder, train, 6)
    truth = encoder.spectrogram(wet, 8_000).reshape(24, -1)
    rebuilt = components.reconstruct(wet, 8_000).reshape(24, -1)
    singular = np.linalg.svd(truth - truth.mean(axis=0), compute_uv=False)
    assert np.sum((truth - rebuilt) ** 2) == pytest.approx(np.sum(singular[6:] ** 2), rel=1e-2)
    code = components.embed(wet, 8_000)
    assert spearmanr(pdist(code), pdist(rebuilt)).statistic > 0.9999  # an isometry of what it keeps
    with pytest.raises(ValueError, match=r"25 components .* 24 clips"):
        baselines.principal_components(encoder, train, 25)


def test_principal_components_are_as_many_as_latent_dimensions(encoder, data):
    components = baselines.principal_components(encoder, data.split("train"))
    assert components.pca.n_components_ == encoder.latent_dim == 8
    assert components.fitted_on == 24


def test_dry_aware_components_are_those_of_the_difference(encoder, data):
    train = data.split("train")
    components = baselines.principal_components(encoder, train, 6, dry_aware=True)
    wet, dry = audio.to_float(train.audio(np.arange(24))), train.dry(np.arange(24))
    difference = (encoder.spectrogram(wet, 8_000) - encoder.spectrogram(dry, 8_000)).reshape(24, -1)
    centred = difference - difference.mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False)
    code = components.code(difference.reshape(24, 32, -1))
    np.testing.assert_allclose(np.sort(np.linalg.norm(code, axis=0))[::-1], singular[:6], rtol=0.02)


def test_mfcc_statistics_change_with_the_sound_but_hardly_with_its_position():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=65_536).astype(np.float32)
    low = np.convolve(noise, np.ones(20) / 20, "same").astype(np.float32)
    features = baselines.mfcc_statistics(np.stack([noise, np.roll(noise, 20_480), low]), 8_000)
    assert features.shape == (3, 80)
    assert np.linalg.norm(features[0] - features[2]) > 20 * np.linalg.norm(features[0] - features[1])


def test_mfcc_statistics_of_a_clip_depend_on_no_other_clip_and_their_slopes_on_no_gain():
    rng = np.random.default_rng(0)
    clip = (rng.normal(size=32_768) * np.linspace(0.001, 0.1, 32_768)).astype(np.float32)
    alone = baselines.mfcc_statistics(clip[None], 8_000)[0]
    beside = baselines.mfcc_statistics(np.stack([clip, 10_000 * clip]), 8_000)
    np.testing.assert_allclose(beside[0], alone, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(beside[1, 1:], alone[1:], rtol=1e-3, atol=1e-2)  # all but the mean of the level
    np.testing.assert_allclose(beside[1, 0] - alone[0], 80 * np.sqrt(128), rtol=1e-3)  # 80 dB in each of 128 bands


# Maps and pictures


def test_a_map_of_one_recording_has_no_neighbour_figure():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3))
    scores = umap_plot.figures(features[:, :2], features, np.arange(40) % 2, np.zeros(40, int))
    assert scores.knn is None
    assert scores.trustworthiness > 0.5


def test_a_seeded_map_is_reproducible_and_keeps_groups_apart():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 40)
    features = (rng.normal(size=(120, 8)) + 20 * np.eye(8)[group]).astype(np.float32)
    first = real_umap(features, seed=1)
    np.testing.assert_array_equal(first, real_umap(features, seed=1))
    scores = umap_plot.figures(first, features, group, np.arange(120) % 6)
    assert scores.knn == 1.0
    assert scores.silhouette > 0.5
    assert scores.trustworthiness > 0.8
    shuffled = umap_plot.figures(first, features, rng.permutation(group), np.arange(120) % 6)
    assert shuffled.knn < 0.6


def test_paths_hold_every_setting_in_order(drawn):
    assert drawn.cloud.sum() == 60
    for index, parameter in enumerate(drawn.effect.parameters):
        values = drawn.physical(index, drawn.path(index))
        assert len(values) == 10
        assert (np.diff(values) > 0).all()
        np.testing.assert_allclose(values[[0, -1]], [parameter.minimum, parameter.maximum])


def test_pictures_are_sharp_and_leave_no_setting_behind(drawn, tmp_path):
    before = dict(matplotlib.rcParams)
    for drawing in (interpolate.draw_separate(drawn), interpolate.draw_joint({"one": drawn}), pair_plot.draw(drawn)):
        picture = pixels(drawing)
        assert min(picture.shape[:2]) >= 400
        assert (picture != 255).any(axis=2).mean() > 0.02
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == 255).all(), "something is cut at the edge"
    assert dict(matplotlib.rcParams) == before
    style.save(interpolate.draw_joint({"one": drawn}), tmp_path / "joint.png")
    with Image.open(tmp_path / "joint.png") as image:
        assert image.info["dpi"][0] == pytest.approx(160, abs=1)


def test_an_effect_with_one_parameter_has_no_pairs(drawn):
    lone = dataclasses.replace(drawn, effect=effects.get("pedalboard/Distortion"))
    with pytest.raises(ValueError, match="Distortion has one parameter"):
        pair_plot.draw(lone)


def test_map_figure_reads_a_parameter_that_orders_the_map(drawn):
    position = drawn.normalized[:, :2].astype(np.float32)
    ordered = dataclasses.replace(drawn, position=position)
    first, second, third = pair_plot.r2_from_map(ordered)
    assert first > 0.4 and second > 0.4
    assert third < 0.1


def test_colours_of_the_plane_are_different_even_without_red_and_green():
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]], float)
    colours = style.plane_colours(corners)
    assert ((colours >= 0) & (colours <= 1)).all()
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    blue_yellow = colours[:, 2] - colours[:, :2].mean(axis=1)
    assert pdist(np.stack([luminance, blue_yellow], axis=1)).min() > 0.1
    assert luminance[2:4].min() > luminance[:2].max() + 0.3


def test_effects_have_styles_of_their_own():
    styles = {tuple(style.effect_style(index).values()) for index in range(50)}
    assert len(styles) == 50


# The run


def test_curves_say_nats_only_where_they_are_and_count_active_dimensions(tiny):
    scalars = {"train/loss": np.array([[1, 9.0], [2, 8.0]]), "latent/active_share": np.array([[1, 0.0], [2, 0.75]])}
    squared = dataclasses.replace(tiny, objective=config.Objective(reconstruction="mean_squared"))
    for experiment, title in ((tiny, "loss (nats a clip)"), (squared, "loss")):
        loss, active = curves.draw_training(scalars, experiment).axes
        assert loss.get_title() == title
        assert active.get_title() == "active latent dimensions, of 8"
        np.testing.assert_array_equal(active.lines[0].get_ydata(), [0, 6])


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_sounds_of_any_rate_keep_their_length_and_pitch(rate):
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)
    kind, _, content = report._sound(tone, rate).partition("base64,")
    assert kind == "data:audio/mpeg;"
    decoded, decoded_rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert len(decoded) / decoded_rate == pytest.approx(1, abs=0.1)
    spectrum = np.abs(np.fft.rfft(decoded))
    assert spectrum.argmax() * decoded_rate / len(decoded) == pytest.approx(1_000, abs=5)


@pytest.mark.parametrize("clip", [-1, 8])
def test_a_clip_that_the_split_lacks_is_refused(encoder, data, kinds, clip):
    with pytest.raises(ValueError, match=rf"clip is {clip}, but the split has 8 clips; use 0 to 7"):
        effect_map.fit(encoder, data.split("test"), kinds, clip)


def test_an_effect_that_cannot_be_heard_has_no_map(encoder, data, kinds, quick_map, monkeypatch, caplog):
    silence(monkeypatch, kinds[0])
    (one,) = effect_map.fit(encoder, data.split("test"), kinds, clip=0, settings=20, steps=3)
    assert one.effect == kinds[1]
    assert f"no map of {kinds[0].name}" in caplog.text
    with pytest.raises(ValueError, match="all 23 renders are silent"):
        effect_map.fit(encoder, data.split("test"), kinds[:1], clip=0, settings=20, steps=3)


def test_a_map_of_one_effect_is_refused_before_anything_is_rendered(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", tmp_path, encoder)])
    with pytest.raises(ValueError, match=r"needs two, but of pedalboard/Distortion.* it would show 1"):
        umap_plot.main(umap_plot.Options(tmp_path, tmp_path / "map.png", effects=1))


# The page


def silence(patch, kind):
    """Let every render of one effect be silent."""
    render_many = effects.render_many

    def partly(chosen, dry, normalized, sample_rate, workers):
        wet = render_many(chosen, dry, normalized, sample_rate, workers)
        return np.where(np.array([one == kind for one in chosen])[:, None], np.float32(0), wet)

    patch.setattr(effects, "render_many", partly)


@pytest.fixture(scope="module")
def build(fresh, quick_map, tmp_path_factory):
    """Makes the page of an encoder and its figures."""
    run = tmp_path_factory.mktemp("run")
    log = Summaries(run)
    for step in (1, 2, 3):
        log.scalars(step, {"train/loss": 10.0 / step, "train/beta": 0.1 * step, "val/mean_squared": 1.0 / step})
    log.close()

    def make(encoder, silent=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", run, encoder)])
            patch.setattr(inference, "untrained", lambda encoder, seed: fresh(seed + 1))
            patch.setattr(report, "_MAP_SETTINGS", 40)
            if silent is not None:
                silence(patch, silent)
            return report.build(run, SIZES)

    return make


@pytest.fixture(scope="module")
def page(build, encoder):
    return build(encoder)


def test_a_run_of_one_effect_has_a_page_without_accuracies(build, data, encoder):
    lone = dataclasses.replace(data.experiment.data, effects=("pedalboard/Delay",))
    experiment = dataclasses.replace(data.experiment, data=lone)
    text, board, maps = build(dataclasses.replace(encoder, experiment=experiment))
    assert maps == board.confusion == {}
    assert not any(entry.figure.startswith("accuracy_") for entry in board.entries)
    assert {entry.item for entry in board.entries if entry.figure == "mae"} == {
        *(f"pedalboard/Delay/{parameter.name}" for parameter in effects.get("pedalboard/Delay").parameters),
        "all",
    }
    assert "Confusion" not in text


def test_a_page_says_which_effect_cannot_be_heard(build, encoder, kinds):
    text, board, _ = build(encoder, silent=kinds[0])
    items = {entry.item for entry in board.entries if entry.section == "settings"}
    assert not any(item.startswith(kinds[0].name) for item in items)
    assert board.about["clips"]["held"]["of_effect"][0] == 0
    assert "clips of each effect: 0, 32" in text
    json.dumps(board.figures(), allow_nan=False)


def test_the_page_stands_alone(page):
    text, *_ = page
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert len(addresses) > 5
    assert all(address.startswith(("data:image/png;base64,", "data:audio/mpeg;base64,")) for address in addresses)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"\bnan\b|\bNone\b|{{|{%", re.sub(r'"data:[^"]*"|<pre>.*?</pre>', "", text, flags=re.DOTALL))


def test_the_page_shows_every_row_and_section(page):
    text, board, _ = page
    blind = ["this model", "PCA-12", "fresh weights", "MFCC statistics"]
    aware = ["this model, dry-aware", "PCA-12, wet − dry", "fresh weights, dry-aware", "MFCC statistics, wet − dry"]
    names = [*blind, *aware, "noise", "constant"]
    assert list(board.hears) == names
    for name in names:
        assert f"<td>{name}</td>" in text
    for section in chapters(board):
        assert f"<h2>{section.title}</h2>" in text
    json.dumps(board.figures(), allow_nan=False)


def test_commands_repeat_the_overrides_of_a_config(tmp_path):
    demo = config.load(report.Path(report.configs.__file__).with_name("demo.py"))
    changed = dataclasses.replace(
        demo,
        model=dataclasses.replace(demo.model, latent_dim=32),
        data=dataclasses.replace(demo.data, audio=("my loops", "speech")),
    )
    train = report.commands(tmp_path / "my run", changed)[0]
    assert train.startswith("python -m launch.train configs/demo.py --workdir '")
    assert "--model.latent-dim 32" in train
    assert "--data.audio 'my loops' speech" in train


def test_commands_of_a_member_train_the_whole_sweep_and_draw_the_member(tmp_path):
    sweep = config.load(report.Path(report.configs.__file__).with_name("vae_latent_sweep.py"))
    member = config.members(sweep)[6]
    changed = dataclasses.replace(member, audio=config.Audio(sample_rate=16_000))
    train, *others, _ = report.commands(tmp_path, changed, 6)
    assert train == (
        f"python -m launch.train configs/vae_latent_sweep.py --workdir {tmp_path} --audio.sample-rate 16000"
    )
    assert all(" --member 6" in command for command in others)


def test_each_of_several_models_has_a_panel_with_its_title(drawn, data, quick_map):
    titles = [f"member {index}: latent_dim {2**index}, learning_rate 0.001, seed 0" for index in range(6)]
    joint = interpolate.draw_joint(dict.fromkeys(titles, drawn))
    plan = embed.random_settings(list(data.effects), np.arange(32) % 8, seed=0)
    features = np.random.default_rng(0).normal(size=(64, 3))
    labelled = plan.labelled(features, data.split("test"))
    names = tuple(kind.name for kind in data.effects)
    maps, scores = umap_plot.draw(dict.fromkeys(titles, labelled), names)
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
