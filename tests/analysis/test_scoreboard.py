"""The scoreboard: figures of synthetic latents of known structure, tables, and the command from end to end."""

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
import soundfile
from analysis.sections.structure import Score
from sklearn.decomposition import PCA

from analysis import command_line, embed, scoreboard, umap_plot
from analysis.metrics.probes import Labelled
from analysis.models import representations
from analysis.renders import material
from analysis.renders.material import Sizes
from analysis.sections import board, structure, table
from analysis.sections.table import Comparison, Entries, Entry
from jaxvae import effects, inference
from jaxvae.data import audio, dataset
from jaxvae.models.vae import Posterior

SIZES = Sizes(fit_clips=16, pairs=32, gallery=40, fixed_clips=8, settings=20, path_clips=2, path_steps=5, components=8)
KINDS = [effects.get("pedalboard/Distortion"), effects.get("pedalboard/Delay")]


@pytest.fixture(scope="module")
def data(tiny):
    return dataset.render(tiny, progress=False)


@pytest.fixture(autouse=True)
def quick_map(monkeypatch):
    """Principal components in the place of UMAP, which compiles for seconds."""
    monkeypatch.setattr(umap_plot, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))


def clips(count=400, seed=0, recordings=8):
    """Clips of two effects, with one and three parameters, whose features are yet to be made."""
    rng = np.random.default_rng(seed)
    effect = np.arange(count, dtype=np.int32) % 2
    normalized = rng.uniform(size=(count, 3)).astype(np.float32)
    normalized[effect == 0, 1:] = np.nan
    recording = (np.arange(count) // 2 % recordings + 100 * seed).astype(np.int32)
    return Labelled(np.zeros((count, 1), np.float32), effect, normalized, recording)


def featured(labelled, features):
    return labelled._replace(features=features.astype(np.float32))


def told(labelled):
    """Features that tell everything: effect and settings."""
    return featured(labelled, np.column_stack([labelled.effect, np.nan_to_num(labelled.normalized)]))


def value(scores, figure, item):
    (found,) = [score.value for score in scores if (score.figure, score.item) == (figure, item)]
    return found


# Effect


def test_accuracy_of_audible_clips_leaves_the_inaudible_out():
    fit, held = told(clips(200)), told(clips(200, seed=1))
    inaudible = np.arange(200) % 4 == 0  # of effect 0, and these all look like effect 1
    held.features[inaudible, 0] = 1
    scores, confusion = structure.effect(fit, held, ~inaudible, "random", 0)
    assert value(scores, "accuracy_logistic", "random") == pytest.approx(0.75)
    assert value(scores, "accuracy_audible", "random") == 1.0
    np.testing.assert_array_equal(confusion, [[50, 50], [0, 100]])


def test_an_effect_that_is_heard_in_one_set_only_is_left_out():
    fit, held = told(clips(40)), told(clips(40, seed=1))
    fit = Labelled(*(field[(fit.effect == 1) | (np.arange(40) < 8)] for field in fit))  # four clips of effect 0
    first, second, kept = structure.both_heard(fit, held)
    assert np.unique(first.effect).tolist() == np.unique(second.effect).tolist() == [1]
    np.testing.assert_array_equal(kept, held.effect == 1)


def test_the_head_is_right_where_its_largest_probability_is():
    held = told(clips(8))
    probabilities = np.eye(2)[np.array([0, 1, 0, 1, 1, 0, 0, 1])]
    audible = np.arange(8) < 5
    scores = structure.head_effect(probabilities, held, audible, "fixed")
    assert value(scores, "accuracy_head", "fixed") == 6 / 8
    assert value(scores, "accuracy_audible_head", "fixed") == 4 / 5


# Settings


def test_settings_that_are_in_the_features_are_recovered_and_others_are_not():
    fit, held = told(clips(400)), told(clips(400, seed=1))
    for one in (fit, held):
        one.features[:, 3] = 0  # the last parameter of the second effect is not told
    scores = structure.settings(structure.ridge(fit, held), held, KINDS, {})
    names = [f"{kind.name}/{parameter.name}" for kind in KINDS for parameter in kind.parameters]
    r2 = [value(scores, "r2", name) for name in names]
    np.testing.assert_allclose(r2[:3], 1, atol=1e-3)
    assert abs(r2[3]) < 0.05
    # The mean is over effects of the mean over parameters.
    assert value(scores, "r2", "all") == pytest.approx((r2[0] + np.mean(r2[1:])) / 2)
    assert value(scores, "mae", names[3]) == pytest.approx(0.25, abs=0.02)
    assert not any(score.item == "identifiable" or score.figure == "share_of_ceiling" for score in scores)


def test_of_several_ceilings_the_best_counts(tmp_path):
    paths = [tmp_path / "search.json", tmp_path / "network.json"]
    found = [{"a": {"x": -0.4, "y": 0.6}}, {"a": {"x": -0.2, "y": 0.5}, "b": {"z": 0.3}}]
    for path, of in zip(paths, found, strict=True):
        effects_of = {effect: {name: {"r2": r2} for name, r2 in own.items()} for effect, own in of.items()}
        path.write_text(json.dumps({"source": path.stem, "effects": effects_of}))
    assert scoreboard.read_ceiling(paths) == ("search; network", {"a": {"x": 0.0, "y": 0.6}, "b": {"z": 0.3}})
    assert scoreboard.read_ceiling(()) == (None, {})


def test_a_ceiling_sets_apart_what_cannot_be_told():
    fit, held = told(clips(400)), told(clips(400, seed=1))
    fit.features[:, 3] = held.features[:, 3] = 0
    delay = [parameter.name for parameter in KINDS[1].parameters]
    ceiling = {KINDS[1].name: dict(zip(delay, (1.0, 0.5, 0.0), strict=True))}
    scores = structure.settings(structure.ridge(fit, held), held, KINDS, ceiling)
    assert value(scores, "r2", "identifiable") == pytest.approx(1, abs=1e-3)
    assert value(scores, "r2", "all") < 0.9
    assert value(scores, "share_of_ceiling", "all") == pytest.approx(1, abs=1e-3)  # of two parameters, held to 1


def test_the_interval_of_a_mean_over_effects_is_around_the_mean():
    fit, held = told(clips(400)), told(clips(400, seed=1))
    held = Labelled(*(field[(held.effect == 0) | (np.arange(400) < 100)] for field in held))  # fewer of one effect
    noisy = np.random.default_rng(0).normal(0, 0.3, held.features.shape)
    held = featured(held, held.features + noisy)
    (score,) = [
        score
        for score in structure.settings(structure.ridge(fit, held), held, KINDS, {})
        if (score.figure, score.item) == ("r2", "all")
    ]
    assert score.clips.mean() == pytest.approx(score.value)
    by_effect = [np.mean(one.explained) for one in structure.ridge(fit, held).values()]
    assert score.value == pytest.approx(np.mean(by_effect))
    found = table.entry("settings", "row", score, 0)
    assert found.low < found.value < found.high and found.recordings == 8


def heads(labelled, bins, spread):
    """Probabilities of settings around the truth: all in its bin, or all over."""
    probabilities = []
    for index, kind in enumerate(KINDS):
        truth = np.nan_to_num(labelled.normalized[:, : len(kind.parameters)]) * (labelled.effect == index)[:, None]
        exact = np.eye(bins)[np.minimum((truth * bins).astype(int), bins - 1)]
        probabilities.append((1 - spread) * exact + spread / bins)
    return probabilities


def test_heads_that_know_are_scored_by_what_their_bins_leave_open():
    held = told(clips(4_000))
    sure, unsure = heads(held, 16, 0.0), heads(held, 16, 1.0)
    scores = structure.settings(structure.head(sure, held), held, KINDS, {}, "_head")
    # A uniform error within a bin: its variance against that of the setting, and its mean size.
    assert value(scores, "r2_head", "all") == pytest.approx(1 - 1 / 256, abs=1e-3)
    assert value(scores, "mae_head", "all") == pytest.approx(1 / 64, rel=0.05)
    nothing = structure.settings(structure.head(unsure, held), held, KINDS, {}, "_head")
    assert value(nothing, "r2_head", "all") == pytest.approx(0, abs=0.01)
    for probabilities, nats in ((sure, -np.log(16)), (unsure, 0.0)):
        calibrated = structure.calibrated(probabilities, held, KINDS)
        assert value(calibrated, "nll", "pedalboard/Distortion/drive_db") == pytest.approx(nats, abs=1e-6)
        assert value(calibrated, "nll", "all") == pytest.approx(2 * nats, abs=1e-6)  # of 1 and of 3 parameters
        assert value(calibrated, "coverage_80", "all") == pytest.approx(0.8, abs=0.03)


# Paths


def plan_of(steps, dry):
    return embed.sweep_settings(KINDS, np.array(dry), steps)


def test_straight_paths_score_one_and_a_parameter_that_does_nothing_scores_nothing():
    plan = plan_of(20, [3, 5])
    features = np.nan_to_num(plan.normalized) * (plan.moving != 2)[:, None]  # the third parameter of Delay does nothing
    recording = np.where(plan.dry == 3, 7, 9)
    scores = structure.along(features, plan, np.full(len(features), 2.0, np.float32), recording, {})
    for figure in ("monotonicity", "smoothness", "straightness", "closure"):
        assert value(scores, figure, "pedalboard/Delay/feedback") == pytest.approx(1, abs=1e-4)
        assert value(scores, figure, "pedalboard/Delay/mix") is None
        assert value(scores, figure, "all") == pytest.approx(1, abs=1e-4)
    # 19 steps of 2 dB are 38 just-audible ones, along a path of length 1.
    assert value(scores, "length_per_step", "pedalboard/Delay/feedback") == pytest.approx(1 / 38, rel=1e-4)


def test_a_mean_over_paths_keeps_its_clips():
    plan = plan_of(8, [3, 5])
    still = np.where(plan.dry == 5, np.random.default_rng(0).normal(size=len(plan.dry)), 0)[:, None]
    features = np.concatenate([np.nan_to_num(plan.normalized), 5 * still], axis=1)
    recording = np.where(plan.dry == 3, 7, 9)
    scores = structure.along(features, plan, np.ones(len(features), np.float32), recording, {})
    (mean,) = [score for score in scores if (score.figure, score.item) == ("straightness", "all")]
    assert mean.clips[0] == pytest.approx(1, abs=1e-4) and mean.clips[1] < 0.5
    np.testing.assert_array_equal(mean.recording, [7, 9])


def test_rings_are_found_in_the_cloud_of_their_effect():
    rng = np.random.default_rng(0)
    plan = embed.random_settings(KINDS, np.zeros(400, int), 0)
    angle = rng.uniform(0, 2 * np.pi, len(plan.effect))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.02, (len(angle), 2))
    disc = ring * np.sqrt(rng.uniform(size=(len(angle), 1)))
    for cloud, expected in ((ring, 0.0), (disc, 1.0)):
        scores = structure.ring(cloud, plan, "ring_pca", lambda features: features)
        assert value(scores, "ring_pca", "pedalboard/Delay") == pytest.approx(expected, abs=0.35)
        assert value(scores, "ring_pca", "least") == value(scores, "ring_pca", "pedalboard/Delay")
        assert value(scores, "rings_pca", "all") == (expected == 0)
        assert len(scores) == 3  # one parameter draws a curve


def test_distances_along_a_path_do_not_stop_at_the_end_of_a_chunk(data):
    rate = data.experiment.audio.sample_rate
    wet = audio.to_float(data.split("test").audio(np.arange(8)))
    whole, parts = material.Steps(rate), material.Steps(rate)
    expected = whole(wet, wet)
    found = np.concatenate([parts(part, part) for part in np.array_split(wet, 3)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert expected[0] == 0 and (expected[1:] > 0).all()


# Invariance


def test_same_settings_are_found_when_features_are_settings_and_recordings_when_they_are_recordings():
    labelled = clips(256)
    dry = np.arange(256)
    hidden = np.eye(8)[labelled.recording % 8]
    settings = np.random.default_rng(1).normal(size=(128, 16))
    found = structure.same_setting(settings, settings + 1e-3, labelled.recording[::2], 64)
    assert value(found, "retrieval_r1", "64-way") == 1.0
    assert value(found, "retrieval_rank", "64-way") == 0.0
    other = structure.same_setting(settings, settings[::-1], labelled.recording[::2], 64)
    assert value(other, "retrieval_r1", "64-way") < 0.1
    read = structure.recording_read(hidden.astype(np.float32), dry, labelled.recording, 0)
    assert value(read, "recording_accuracy", "") == 1.0
    assert value(read, "recording_ratio", "") == pytest.approx(8, rel=0.1)
    assert structure.recording_read(hidden, dry, np.zeros(256, np.int32), 0) == []  # one recording


# The latent


def test_silhouette_is_high_where_effects_are_apart():
    effect = np.arange(60, dtype=np.int32) % 3
    apart = np.eye(4)[effect] + np.random.default_rng(0).normal(0, 0.05, (60, 4))
    (score,) = structure.silhouette(apart, effect)
    assert score.value > 0.8
    assert structure.silhouette(apart, np.zeros(60, np.int32)) == []
    assert structure.silhouette(np.zeros((60, 1)), effect) == []


def test_divergence_and_active_units_are_those_of_the_dimensions_in_use():
    mean = np.zeros((1_000, 4), np.float32)
    mean[:, 0] = np.random.default_rng(0).normal(size=1_000)
    scores = structure.latent(Posterior(mean, np.zeros_like(mean)))
    assert value(scores, "kl", "") == pytest.approx(0.5, rel=0.1)  # half of the variance of the mean
    assert value(scores, "active_units", "") == 1
    assert value(scores, "active_share", "") == 0.25


# Tables


def entries(*rows, hears=None):
    hears = hears or {
        "ours": "wet",
        "pca": "wet",
        "aware": "wet and dry",
        "pca, dry": "wet and dry",
        "noise": "nothing",
    }
    return Entries([Entry(*row) for row in rows], hears)


def test_the_best_is_marked_among_those_that_hear_the_same():
    found = entries(
        ("effect", "accuracy_logistic", "random", "ours", 0.702, 0.65, 0.75, 9),
        ("effect", "accuracy_logistic", "random", "pca", 0.698),
        ("effect", "accuracy_logistic", "random", "aware", 0.9),
        ("effect", "accuracy_logistic", "random", "pca, dry", 0.8),
        ("effect", "accuracy_logistic", "random", "noise", 0.99),
        ("settings", "mae", "all", "ours", 0.2),
        ("settings", "mae", "all", "pca", 0.1),
    )
    columns = {
        "accuracy": {"section": "effect", "figure": "accuracy_logistic", "item": "random"},
        "MAE": {"section": "settings", "figure": "mae", "item": "all"},
        "nothing": {"section": "settings", "figure": "mae", "item": "identifiable"},
    }
    lines = {name: {"row": name} for name in ("ours", "pca", "aware", "pca, dry", "noise", "absent")}
    drawn = found.table("title", lines, columns, "column")
    assert drawn.columns == ["accuracy", "MAE"]
    assert [line.label for line in drawn.lines] == ["ours", "pca", "aware", "pca, dry", "noise"]
    marked = [[cell.best for cell in line.cells] for line in drawn.lines]
    assert marked == [[True, False], [True, True], [True, False], [False, False], [False, False]]  # 70 % is 70 %
    assert drawn.lines[0].cells[0] == table.Cell("70", "65 – 75", True)
    text = table.text(drawn)
    assert "70* [65 – 75]" in text and "absent" not in text


def test_the_best_of_a_line_is_of_one_figure():
    found = entries(
        ("settings", "r2", "a", "ours", 0.5),
        ("settings", "r2", "a", "pca", 0.6),
        ("settings", "mae", "a", "ours", 0.2),
        ("settings", "mae", "a", "pca", 0.1),
    )
    columns = {
        f"{row} {figure}": {"section": "settings", "figure": figure, "row": row}
        for figure in ("r2", "mae")
        for row in ("ours", "pca")
    }
    (line,) = found.table("", {"a": {"item": "a"}}, columns, "line").lines
    assert [cell.best for cell in line.cells] == [False, True, False, True]


def test_numbers_have_the_digits_of_their_figure():
    assert table.number("accuracy_logistic", 0.1249) == "12"
    assert table.number("r2", -0.256) == "−0.26"
    assert table.number("r2", -0.001) == "0.00"
    assert table.number("elbo", -12345.6) == "−12,346"
    assert table.number("r2", None) == ""


def test_every_number_comes_back_from_the_csv():
    written = [Entry("a", "r2", "all", "x, y", 0.1 + 0.2, None, None, None), Entry("a", "r2", "", "z", None)]
    read = list(csv.reader(io.StringIO(table.as_csv(written))))
    assert read[0] == list(Entry._fields)
    assert float(read[1][4]) == 0.1 + 0.2 and read[1][3] == "x, y" and read[2][4] == ""


@pytest.mark.parametrize(
    ("figure", "ours", "sign"), [("retrieval_r1", 0.6, 1), ("retrieval_rank", 0.2, 1), ("mae", 0.9, -1)]
)
def test_an_advantage_is_positive_where_this_model_is_better(figure, ours, sign):
    recording = np.repeat(np.arange(10), 3)
    values = {"ours": ours, "close": 0.4, "far": 0.9 if table.FIGURES[figure].better == "less" else 0.1}
    scores = {name: structure.of_clips(figure, "", np.full(30, x), recording) for name, x in values.items()}
    found = table.compare("s", "ours", scores, 0)
    assert found.baseline == "close"
    np.testing.assert_allclose([found.value, found.low, found.high], sign * abs(ours - 0.4))
    assert scoreboard.verdict(found) == ("better" if sign > 0 else "worse")


def test_verdicts_follow_the_interval():
    def comparison(low, high):
        return Comparison("effect", "r2", "all", "ours", "pca", 0.1, low, high, 4)

    assert scoreboard.verdict(comparison(-0.1, 0.3)) == "cannot be told"
    assert scoreboard.verdict(comparison(0.0, 0.0)) == "cannot be told"
    assert scoreboard.verdict(comparison(None, None)) == "too few recordings (4)"


def test_only_the_same_clips_are_compared():
    few, many = (structure.of_clips("r2", "all", np.ones(count), np.arange(count)) for count in (8, 9))
    with pytest.raises(ValueError, match="is of 8 clips, that of pca of 9"):
        table.compare("settings", "ours", {"ours": few, "pca": many}, 0)
    assert table.compare("settings", "ours", {"ours": few, "pca": Score("r2", "all", 0.5)}, 0) is None


# Rows


def test_a_function_is_called_once_for_the_wet_clips_of_a_chunk():
    called = []
    remembered = representations.Remembered(lambda clips: called.append(1) or clips + 1)
    wet = np.zeros((2, 3))
    for _ in range(3):
        np.testing.assert_array_equal(remembered(wet), 1)
    assert len(called) == 1
    np.testing.assert_array_equal(remembered(np.zeros((2, 3))), 1)
    assert len(called) == 2  # equal clips are not the same clips


def test_a_function_is_called_once_for_each_dry_clip_however_often_it_comes(monkeypatch):
    monkeypatch.setattr(representations, "_REMEMBERED_CLIPS", 5)
    seen = []
    remembered = representations.RememberedByClip(lambda clips: seen.extend(clips[:, 0]) or clips[:, :1] + 1)
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    for chosen in ([0, 1, 0, 0], [1, 2, 3], [3, 3, 1], [0]):
        np.testing.assert_array_equal(remembered(rows[chosen]), rows[chosen, :1] + 1)
    np.testing.assert_array_equal(seen, rows[:4, 0])
    many = [4, 5, 6, 7, 8, 0]  # more than are kept
    np.testing.assert_array_equal(remembered(rows[many]), rows[many, :1] + 1)
    seen.clear()
    np.testing.assert_array_equal(remembered(rows[many]), rows[many, :1] + 1)
    assert 0 < len(seen) <= 2


@dataclasses.dataclass(frozen=True, eq=False)
class DryAware(inference.Encoder):
    """Stands in for a dry-aware model with heads and a content latent."""

    dry_aware = True
    has_heads = True
    content_dim = 3

    def encode(self, spectrogram, dry=None):
        seen = spectrogram if dry is None else spectrogram - dry
        mean = seen.mean(axis=2)[:, : self.latent_dim]
        mean[:, -1] = dry is not None
        return Posterior(mean, np.full_like(mean, -1))

    def posterior(self, audio, sample_rate, dry=None):
        return self.encode(*(self.spectrogram(clips, sample_rate) for clips in (audio, dry) if clips is not None))

    def content(self, audio, sample_rate):
        return self.spectrogram(audio, sample_rate).mean(axis=1)[:, :3]

    def read_mean(self, mean):
        """Effect and settings that say whether the dry clip was given."""
        side = mean[:, -1].astype(int)
        tilted = side[:, None, None]
        settings = tuple(np.full((len(mean), count, 4), 0.25) + tilted * _tilt(count) for count in (1, 3))
        return inference.Reading(np.eye(2)[side], settings)


def _tilt(count):
    return np.tile([0.05, 0.0, 0.0, -0.05], (count, 1))


@pytest.fixture(scope="module")
def stand_in(trained):
    encoder = inference.load(trained)
    return DryAware(*(getattr(encoder, field.name) for field in dataclasses.fields(encoder)))


def test_answers_of_heads_come_back_as_they_were(stand_in, data):
    wet = audio.to_float(data.split("test").audio(np.arange(4)))
    expected = stand_in.read(wet, 8_000, wet)
    mean = stand_in.embed(wet, 8_000, wet)
    effect, settings = representations.answers(representations.read(stand_in, mean), (1, 3))
    np.testing.assert_allclose(effect, expected.effect, atol=1e-8)  # 0 becomes 1e-9
    for found, truth in zip(settings, expected.settings, strict=True):
        np.testing.assert_allclose(found, truth, atol=1e-8)


@pytest.fixture(scope="module")
def measured(stand_in, trained, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(umap_plot, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))
        loaded = inference.load(trained)
        blind = dataclasses.replace(loaded.experiment.objective, dry_share=0.0)
        plain = dataclasses.replace(
            loaded, parameters=(), experiment=dataclasses.replace(loaded.experiment, objective=blind)
        )
        models = {scoreboard.OURS: stand_in, "plain": plain}
        return board.measure(models, *map(data.split, dataset.SPLITS), SIZES)


def test_rows_of_either_mode_are_compared_with_their_own(measured):
    assert measured.hears == {
        "this model": "wet",
        "plain": "wet",
        "PCA-8": "wet",
        "fresh weights": "wet",
        "MFCC statistics": "wet",
        "this model, dry-aware": "wet and dry",
        "PCA-8, wet − dry": "wet and dry",
        "fresh weights, dry-aware": "wet and dry",
        "MFCC statistics, wet − dry": "wet and dry",
        "noise": "nothing",
        "constant": "nothing",
    }
    modes = {
        (measured.hears[found.row], measured.hears[found.baseline])
        for found in measured.comparisons
        if measured.hears[found.baseline] != "nothing"
    }
    assert modes == {("wet", "wet"), ("wet and dry", "wet and dry")}
    values = Entries(measured.entries, measured.hears)
    for found in measured.comparisons:
        of = (found.section, found.figure, found.item)
        sign = -1 if table.FIGURES[found.figure].better == "less" else 1
        peers = [name for name, hears in measured.hears.items() if hears in (measured.hears[found.row], "nothing")]
        others = [values.value(*of, name) for name in peers if name != found.row]
        best = max(sign * other for other in others if other is not None)
        assert found.value == pytest.approx(sign * values.value(*of, found.row) - best, abs=1e-9)


def test_heads_are_read_in_the_mode_of_their_row(measured):
    values = Entries(measured.entries, measured.hears)
    held = measured.held
    for side, row in enumerate(("this model", "this model, dry-aware")):
        expected = np.mean(held.plan.effect == side)
        assert values.value("effect", "accuracy_head", "random", row) == pytest.approx(expected)
        assert values.value("settings", "nll", "all", row) is not None
        assert values.value("settings", "r2_head", "all", "plain") is None
    assert values.value("settings", "coverage_50", "pedalboard/Delay/mix", "this model") == pytest.approx(0.5, abs=0.3)


def test_what_a_constant_scores_is_chance(measured):
    values = Entries(measured.entries, measured.hears)
    assert values.value("effect", "accuracy_logistic", "random", "constant") == pytest.approx(0.5, abs=0.02)
    assert values.value("invariance", "retrieval_rank", "32-way", "constant") == pytest.approx(0.5)
    assert values.value("invariance", "retrieval_r1", "32-way", "constant") == pytest.approx(1 / 32)
    assert values.value("paths", "monotonicity", "all", "constant") is None
    assert values.value("vae", "reconstruction", "", "constant") > values.value("vae", "reconstruction", "", "PCA-8")


def test_the_page_stands_alone_and_holds_every_section(measured):
    about = {"run": "base", "member": None, "experiment": "tiny", "audio": [], "data": "0123"}
    text = scoreboard.page(dataclasses.replace(measured, about=measured.about | about), "../run/report.html")
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["../run/report.html"]
    assert not re.search(r"\bnan\b|\bNone\b|{{|{%", text)
    for section in scoreboard.sections(measured):
        assert f"<h2>{section.title}</h2>" in text
    assert text.count("Confusion of logistic regression") == 4


# The command

SMALL = [f"--sizes.{field.name.replace('_', '-')}={getattr(SIZES, field.name)}" for field in dataclasses.fields(Sizes)]


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["scoreboard", *map(str, arguments), *SMALL])
    command_line.run(scoreboard.main, scoreboard.Options, scoreboard.__doc__)


def test_the_same_command_gives_the_same_files(trained, tmp_path, monkeypatch, capsys):
    ceiling = {
        "source": "made up",
        "effects": {"pedalboard/Delay": {p.name: {"r2": -0.5} for p in KINDS[1].parameters}},
    }
    (tmp_path / "ceiling.json").write_text(json.dumps(ceiling))
    for out in ("first", "second"):
        run(
            monkeypatch,
            *("--workdir", trained, "--out", tmp_path / out, "--ceiling", tmp_path / "ceiling.json"),
            *("--effects", "pedalboard/Chorus", "pedalboard/Bitcrush", "--compare", trained),
        )
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [f"scoreboard.{kind}" for kind in ("csv", "html", "json", "txt")]
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    figures = json.loads((tmp_path / "first" / "scoreboard.json").read_text())
    assert "tiny" in figures["hears"]  # what was compared, by the name of its config
    rows = {name: {} for name in figures["hears"]}
    for e in figures["entries"]:
        if e["row"] in rows and e["section"] != "vae":
            rows[e["row"]][e["section"], e["figure"], e["item"]] = e["value"]
    ours, same = rows[scoreboard.OURS], rows["tiny"]
    assert set(ours) - set(same) == {
        ("paths", "ring_umap", "pedalboard/Delay"),
        ("paths", "ring_umap", "least"),
        ("paths", "rings_umap", "all"),
    }
    assert {key: ours[key] for key in same} == same  # the same run as another row
    assert {e["item"].split("/")[1] for e in figures["entries"] if e["section"] == "unseen" and "/" in e["item"]} == {
        "Chorus",
        "Bitcrush",
    }
    assert [e["value"] for e in figures["entries"] if e["row"] == "ceiling"] == [0.0] * 3
    assert "made up" in capsys.readouterr().out


def test_other_recordings_take_the_place_of_the_test_recordings(trained, recordings, tmp_path, data, monkeypatch):
    monkeypatch.setattr(scoreboard, "_TEST_CLIPS", 16)
    encoder = inference.load(trained)
    with pytest.raises(ValueError, match=r"files of --audio were trained on, the first is 0/sweep_"):
        scoreboard.unseen_split(encoder, data, [str(recordings)])
    other = tmp_path / "other"
    other.mkdir()
    for index in range(2):
        noise = np.random.default_rng(index).normal(0, 0.1, 20_000)
        soundfile.write(other / f"noise_{index}.wav", noise, 8_000)
    split = scoreboard.unseen_split(encoder, data, [str(other)])
    assert not set(split.recording) & set(range(len(data.recordings)))
    assert len(np.unique(split.recording)) == 2


def test_a_run_on_other_recordings_is_no_comparison(trained, tiny, tmp_path, monkeypatch):
    encoder = inference.load(trained)
    other = dataclasses.replace(encoder.experiment, data=dataclasses.replace(tiny.data, seed=3))
    loaded = {trained: encoder, tmp_path: dataclasses.replace(encoder, experiment=other)}
    monkeypatch.setattr(
        scoreboard.members, "load", lambda run, chosen=(): [scoreboard.members.Chosen(0, "", run, loaded[run])]
    )
    with pytest.raises(ValueError, match=r"trained with another data.seed, so on other recordings"):
        scoreboard.load(trained, None, [tmp_path])


def test_an_effect_that_was_trained_on_is_not_unseen(trained, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="pedalboard/Delay was trained on"):
        run(monkeypatch, "--workdir", trained, "--out", tmp_path, "--effects", "pedalboard/Delay")
