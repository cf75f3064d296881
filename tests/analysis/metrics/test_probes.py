"""Probes on made representations in which it is known what can be read."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analysis.metrics import probes


def made(clips, recordings, seed, signal, effects=3):
    """Features that hold the effect and the first parameter with strength `signal`, among 20 of noise."""
    rng = np.random.default_rng(seed)
    effect = np.arange(clips, dtype=np.int32) % effects
    normalized = rng.uniform(size=(clips, 2)).astype(np.float32)
    normalized[effect == 0, 1] = np.nan
    recording = rng.choice(recordings, size=clips)
    features = rng.normal(size=(clips, 20))
    features[:, :effects] += 3 * signal * np.eye(effects)[effect]
    features[:, 5] = signal * 10 * normalized[:, 0] + 0.5 * features[:, 5]
    return probes.Labelled(features.astype(np.float32), effect, normalized, recording)


TRAIN, TEST = range(10), range(10, 15)


@pytest.fixture(autouse=True)
def all_trees(monkeypatch):
    for name, count in (("FOREST", 100), ("TREES", 300), ("REGRESSION_TREES", 100)):
        monkeypatch.setattr(probes, name, count)


def test_effects_in_the_features_are_read_and_absent_ones_are_chance():
    informed = probes.classify(made(600, TRAIN, 0, 1.0), made(300, TEST, 1, 1.0))
    blind = probes.classify(made(600, TRAIN, 0, 0.0), made(300, TEST, 1, 0.0))
    assert set(informed) == {"logistic", "knn", "forest", "trees"}
    for name in informed:
        assert informed[name].accuracy > 0.85
        assert informed[name].macro_f1 > 0.85
        assert informed[name].chance == pytest.approx(1 / 3)
        assert blind[name].accuracy == pytest.approx(1 / 3, abs=0.1)
        assert informed[name].confusion.sum() == 300
        assert np.trace(informed[name].confusion) == round(informed[name].accuracy * 300)
        assert informed[name].correct.mean() == informed[name].accuracy


def test_an_outlier_in_a_feature_leaves_the_others_their_scale():
    """One clip in 300 at a million times the deviation: unless held, the feature says nothing of the rest."""
    train, test = made(300, TRAIN, 0, 1.0), made(300, TEST, 1, 1.0)
    before = probes.classify(train, test)["logistic"].accuracy
    train.features[7] = test.features[9] = 1e6
    assert probes.classify(train, test)["logistic"].accuracy > before - 0.02
    standard = probes.Standard.of(train.features)
    held = standard(train.features)
    assert np.abs(held).max() < 10 and held.std(axis=0) == pytest.approx(1)
    normal = np.random.default_rng(0).normal(size=(1_000, 3))
    expected = (normal - normal.mean(axis=0)) / normal.std(axis=0)
    np.testing.assert_allclose(probes.Standard.of(normal)(normal), expected, atol=1e-9)  # nothing is held


def test_neighbours_of_numbers_in_different_units_are_those_of_standardised_ones():
    train, test = made(300, TRAIN, 0, 1.0), made(300, TEST, 1, 1.0)
    for clips in (train, test):  # a number that says nothing, in units a thousand times as small
        clips.features[:, 4] = 1_000 * np.random.default_rng(len(clips.features)).normal(size=300)
    assert probes.classify(train, test)["knn"].accuracy > 0.8


def test_strength_of_logistic_regression_is_that_of_least_loss_on_recordings_left_out():
    """Many numbers that name the recording and few that name the effect: a strong fit learns the recordings."""

    def clips(recordings, seed):
        labelled = made(240, recordings, seed, 0.4)
        own = np.random.default_rng(99).normal(size=(15, 200))[labelled.recording]
        effect = labelled.recording % 3  # an effect goes with the recording in part
        chosen = np.random.default_rng(seed).random(240) < 0.5
        return labelled._replace(
            features=np.concatenate([labelled.features, own], axis=1).astype(np.float32),
            effect=np.where(chosen, effect, labelled.effect),
        )

    train, test = clips(TRAIN, 0), clips(TEST, 1)
    standard = probes.Standard.of(train.features)
    features = standard(train.features)

    def loss(strength):
        probe, cv = LogisticRegression(C=strength, tol=1e-2), probes.folds(train.recording)
        answers = cross_val_predict(probe, features, train.effect, cv=cv, method="predict_log_proba")
        return -answers[np.arange(240), train.effect].sum()

    best = min(probes.STRENGTHS, key=loss)
    assert best < probes.STRENGTHS[-1]
    theirs = LogisticRegression(C=best, tol=1e-2).fit(features, train.effect).predict(standard(test.features))
    np.testing.assert_array_equal(probes._logistic(train)(test.features), theirs)


def test_settings_are_read_by_trees_where_no_line_reads_them():
    train, test = made(900, TRAIN, 0, 0.0), made(450, TEST, 1, 0.0)
    for clips in (train, test):  # a circle
        angle = 2 * np.pi * clips.normalized[:, 0]
        clips.features[:, 4:6] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    line, trees = (probes.settings(train, test, probe) for probe in ("ridge", "trees"))
    for effect in line:
        assert line[effect][0].r2 < 0.65 < 0.75 < trees[effect][0].r2


def test_scores_do_not_depend_on_the_order_of_clips():
    train, test = made(300, TRAIN, 0, 0.3), made(300, TEST, 1, 0.3)
    shuffled = probes.Labelled(*(field[np.random.default_rng(2).permutation(300)] for field in test))
    assert probes.classify(train, test)["knn"].accuracy == probes.classify(train, shuffled)["knn"].accuracy


def test_logistic_and_neighbours_ignore_a_constant_offset():
    train, test = made(300, TRAIN, 0, 0.5), made(300, TEST, 1, 0.5)
    before = probes.classify(train, test)
    after = probes.classify(train._replace(features=train.features + 100), test._replace(features=test.features + 100))
    assert after["knn"].accuracy == pytest.approx(before["knn"].accuracy, abs=0.01)
    assert after["logistic"].accuracy == pytest.approx(before["logistic"].accuracy, abs=0.01)


def test_a_constant_representation_is_chance_and_explains_nothing():
    train, test = made(300, TRAIN, 0, 1.0), made(300, TEST, 1, 1.0)
    train, test = (clips._replace(features=np.zeros((300, 1), np.float32)) for clips in (train, test))
    assert all(score.accuracy == score.chance for score in probes.classify(train, test).values())
    for regressions in probes.settings(train, test).values():
        for regression in regressions:
            assert regression.r2 == pytest.approx(0.0, abs=0.05)
            assert regression.mae == pytest.approx(regression.constant_mae)
            assert regression.constant_mae == pytest.approx(0.25, abs=0.03)


def test_settings_in_the_features_are_read_and_others_are_not():
    scores = probes.settings(made(600, TRAIN, 0, 1.0), made(300, TEST, 1, 1.0))
    assert [len(scores[effect]) for effect in range(3)] == [1, 2, 2]  # NaN padding is no parameter
    for effect in range(3):
        # noise of standard deviation .05 on a uniform target: 1 - .0025 / (1 / 12) = .97
        assert scores[effect][0].r2 == pytest.approx(0.97, abs=0.03)
        assert scores[effect][0].mae < 0.06
        assert scores[effect][0].explained.mean() == pytest.approx(scores[effect][0].r2)
    for effect in (1, 2):
        assert scores[effect][1].r2 == pytest.approx(0.0, abs=0.1)


def test_penalty_keeps_many_useless_features_from_hurting():
    rng = np.random.default_rng(0)
    train, test = made(150, TRAIN, 0, 0.0, effects=1), made(150, TEST, 1, 0.0, effects=1)
    train = train._replace(features=rng.normal(size=(150, 140)))
    test = test._replace(features=rng.normal(size=(150, 140)))
    assert probes.settings(train, test)[0][0].r2 > -0.3  # least squares: below -5


@pytest.mark.parametrize("features", [12, 90])  # fewer and more than clips
def test_ridge_equals_scikit_learn_for_every_penalty(features):
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(60, features)) * 7 + 3, rng.normal(size=(9, features))
    targets = rng.uniform(size=(60, 2))
    predicted = probes._ridge_path(train, targets, test)
    for alpha, ours in zip(probes.ALPHAS, predicted, strict=True):
        theirs = make_pipeline(StandardScaler(), Ridge(alpha)).fit(train, targets).predict(test)
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_one_clip_protocol_scores_settings_it_has_not_fitted():
    clips = made(300, TRAIN, 0, 1.0, effects=1)
    clips = clips._replace(normalized=np.random.default_rng(3).uniform(size=(300, 2)))
    features = clips.features.copy()
    features[:, 5] = clips.normalized[:, 0]
    read, unread = probes.settings_one_clip(features, clips.normalized)
    assert read.r2 > 0.99
    assert unread.r2 < 0.05


def test_one_recording_of_each_split_is_enough():
    train, test = made(100, [0], 0, 1.0), made(60, [1], 1, 1.0)
    assert probes.settings(train, test)[0][0].r2 > 0.8


def test_a_recording_in_both_sets_is_refused():
    train, test = made(60, TRAIN, 0, 1.0), made(60, range(9, 15), 1, 1.0)
    with pytest.raises(ValueError, match=r"1 recordings .*\[9\]"):
        probes.classify(train, test)
    with pytest.raises(ValueError, match="another split"):
        probes.settings(train, test)


def test_an_effect_without_training_clips_is_refused():
    with pytest.raises(ValueError, match=r"effects \[2\]"):
        probes.classify(made(60, TRAIN, 0, 1.0, effects=2), made(60, TEST, 1, 1.0, effects=3))


# The recording


def test_features_that_name_the_recording_identify_it_and_others_are_chance():
    recording = np.repeat(np.arange(20), 30)
    told = probes.identify(np.eye(20)[recording], recording)
    assert told[:5] == pytest.approx((1.0, 1.0, 1.0, 1 / 20, 20.0))
    blind = [probes.identify(np.random.default_rng(s).normal(size=(600, 16)), recording, seed=s) for s in range(5)]
    for score in ("logistic", "knn", "chance"):
        assert np.mean([getattr(found, score) for found in blind]) == pytest.approx(1 / 20, abs=0.015)  # error .004
    same = probes.identify(np.zeros((600, 3)), recording)
    assert same.accuracy == same.chance and same.ratio == 1


def test_chance_is_the_share_of_the_most_frequent_recording():
    recording = np.repeat([7, 3, 9], [200, 60, 40])
    found = probes.identify(np.zeros((300, 2)), recording)
    assert found.chance == pytest.approx(2 / 3)
    assert found.logistic == found.knn == found.accuracy == found.chance
    assert found.recordings.tolist() == [3, 7, 9]


def test_partly_named_recordings_are_read_as_often_as_they_are_named():
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(10), 60)
    named = rng.random(600) < 0.5
    found = probes.identify(np.where(named[:, None], np.eye(10)[recording], 0.0), recording)
    assert found.accuracy == pytest.approx(0.5 + 0.5 / 10, abs=0.06)
    assert found.correct[named].all()
    assert found.correct.mean() == found.accuracy == max(found.logistic, found.knn)


def test_groups_are_not_told_by_themselves():
    rng = np.random.default_rng(0)
    recording, group = np.repeat(np.arange(10), 60), np.arange(600) // 6
    features = rng.normal(size=(100, 128))[group]  # names the group and nothing else
    assert probes.identify(features, recording).accuracy > 0.9  # halves part all but 3 % of the groups
    assert probes.identify(features, recording, group).accuracy < 0.25
    assert probes.identify(np.eye(10)[recording], recording, group).accuracy == 1


def test_recordings_of_one_group_are_left_out():
    recording, group = np.array([0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 4, 4, 5])
    found = probes.identify(np.eye(4)[recording], recording, group)
    assert found.recordings.tolist() == [0, 1]
    assert len(found.correct) == 4
    with pytest.raises(ValueError, match="1 recordings have two clips"):
        probes.identify(np.eye(3), np.array([0, 0, 1]))


def test_share_of_ceiling_counts_what_can_be_known():
    ceiling = np.array([0.8, 0.5, 0.5, 0.5, 0.05, np.nan])
    r2 = np.array([0.4, 0.6, -3.0, 0.5, 0.04, 0.9])
    assert probes.share_of_ceiling(r2, ceiling) == pytest.approx(np.mean([0.5, 1, 0, 1]))
    assert probes.share_of_ceiling(r2[4:], ceiling[4:]) is None


# The latent space


def test_active_units_are_those_whose_mean_varies():
    mean = np.random.default_rng(0).normal(size=(1_000, 4)) * [1.0, 0.2, 0.05, 0.0] + 3.0
    assert probes.active_units(mean) == 2
