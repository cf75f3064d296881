"""Intervals by simulation, where the truth is known, and by closed forms."""

import numpy as np
import pytest
from scipy import special

from analysis.metrics import confidence


def sizes(rng, recordings):
    """Clips of each recording, as uneven as those of a folder."""
    return np.maximum(3, rng.lognormal(np.log(30), 0.6, recordings)).astype(int)


def shares(rng, recordings, mean, correlation):
    """A share of right clips for each recording, whose clips correlate so much."""
    spread = 1 / correlation - 1
    return rng.beta(mean * spread, (1 - mean) * spread, recordings)


def covered(simulate, truth, repetitions=800):
    """Percent of the intervals that hold the truth."""
    found = [simulate(np.random.default_rng(seed)) for seed in range(repetitions)]
    return 100 * np.mean([one.low <= truth <= one.high for one in found])


@pytest.mark.parametrize("recordings", [6, 12, 30, 60])
@pytest.mark.parametrize(("mean", "correlation"), [(0.3, 0.05), (0.75, 0.05), (0.93, 0.2)])
def test_interval_of_a_share_covers_it_in_95_percent(recordings, mean, correlation):
    def simulate(rng):
        clips = sizes(rng, recordings)
        right = rng.random(clips.sum()) < np.repeat(shares(rng, recordings, mean, correlation), clips)
        return confidence.interval(right, np.repeat(np.arange(recordings), clips))

    assert 92.5 <= covered(simulate, mean) <= 97.5  # 95 but for two standard errors of 800 repetitions and a half


@pytest.mark.parametrize("recordings", [6, 12, 30, 60])
def test_interval_of_an_explained_variance_covers_it(recordings):
    """1 minus squared errors: unbounded below, skewed, the same within a recording in part."""

    def simulate(rng):
        clips = sizes(rng, recordings)
        explained = 0.4 - np.repeat(rng.normal(0, 0.3, recordings), clips) - (rng.exponential(1, clips.sum()) - 1)
        return confidence.interval(explained, np.repeat(np.arange(recordings), clips))

    assert 92.5 <= covered(simulate, 0.4) <= 97.5


@pytest.mark.parametrize("recordings", [6, 12, 30, 60])
def test_interval_of_a_difference_covers_it(recordings):
    """Of two classifiers that fail on the same recordings, and differ by ten points."""

    def simulate(rng):
        clips = sizes(rng, recordings)
        share = np.repeat(shares(rng, recordings, 0.7, 0.1), clips)
        ours, theirs = (rng.random(clips.sum()) < one for one in (np.minimum(share + 0.1, 1), share))
        return confidence.difference(ours, theirs, np.repeat(np.arange(recordings), clips))

    truth = np.mean(np.minimum(shares(np.random.default_rng(0), 1_000_000, 0.7, 0.1) + 0.1, 1)) - 0.7
    assert 92.5 <= covered(simulate, truth) <= 97.5


@pytest.mark.parametrize("recordings", [6, 12, 30, 60])
def test_interval_of_pairs_covers_where_both_recordings_count(recordings):
    """Retrieval: some recordings are found less often, and find less often; an interval over queries misses half."""

    def odds(rng, count):
        first = rng.normal(size=count)
        return 0.7 * first, 0.7 * (0.6 * first + 0.8 * rng.normal(size=count))

    def simulate(rng, both=True):
        asks, answers = odds(rng, recordings)
        query = rng.integers(recordings, size=25 * recordings)
        answer = (query + rng.integers(1, recordings, len(query))) % recordings
        hit = rng.random(len(query)) < special.expit(asks[query] + answers[answer] - 1)
        return confidence.interval(hit, np.stack([query, answer], axis=1) if both else query)

    rng = np.random.default_rng(0)
    truth = special.expit(odds(rng, 1_000_000)[0] + odds(rng, 1_000_000)[1] - 1).mean()
    assert 92.5 <= covered(simulate, truth) <= 97.5
    assert covered(lambda rng: simulate(rng, both=False), truth) < 90


def test_a_pair_within_one_recording_is_left_out_once():
    rng = np.random.default_rng(0)
    recording, scores = rng.integers(10, size=300), rng.normal(size=300)
    alone = confidence.interval(scores, recording)
    paired = confidence.interval(scores, np.stack([recording, recording], axis=1))
    assert (paired.value, paired.recordings) == (alone.value, 10)
    assert paired.high - paired.low <= alone.high - alone.low


def test_where_every_clip_is_right_the_interval_is_that_of_as_many_recordings():
    """Clopper & Pearson: of n right of n, the lower end is .025 to the power of 1 / n."""
    recording = np.repeat(np.arange(20), 10)
    found = confidence.interval(np.ones(200), recording)
    assert found == pytest.approx((1.0, 0.025 ** (1 / 20), 1.0, 20))
    found = confidence.interval(np.zeros(200), recording)
    assert found == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 20), 20))


def correctness(recordings, clips, share, seed, clustered=False):
    """Answers of so many clips of each recording, right in `share` of the clips or of whole recordings."""
    draws = np.random.default_rng(seed).random((recordings, 1 if clustered else clips))
    return np.broadcast_to(draws < share, (recordings, clips)).reshape(-1), np.repeat(np.arange(recordings), clips)


def test_identical_answers_differ_by_nothing():
    answers, recording = correctness(20, 30, 0.7, 0)
    assert confidence.difference(answers, answers, recording) == (0.0, 0.0, 0.0, 20)


def test_answers_that_fail_by_recording_widen_the_interval_by_the_root_of_its_clips():
    widths = {}
    for clustered in (False, True):
        ours, recording = correctness(200, 25, 0.8, 0, clustered)
        theirs, _ = correctness(200, 25, 0.6, 1, clustered)
        found = confidence.difference(ours, theirs, recording)
        assert found.value == pytest.approx(ours.mean() - theirs.mean())
        assert found.low < found.value < found.high
        widths[clustered] = found.high - found.low
    # two independent shares of 5,000 clips: 2 x 1.96 x sqrt((.16 + .24) / 5000) = .035; of 200 recordings 5 times that
    assert widths[False] == pytest.approx(0.035, rel=0.15)
    assert widths[True] == pytest.approx(0.175, rel=0.15)


def test_interval_of_one_mean_is_that_of_a_share_of_clips_or_of_whole_recordings():
    for clustered, width in ((False, 0.022), (True, 0.11)):  # 2 x 1.96 x sqrt(.16 / 5000), and of 200 recordings
        answers, recording = correctness(200, 25, 0.8, 0, clustered)
        found = confidence.interval(answers, recording)
        assert found.value == pytest.approx(answers.mean())
        assert found.low < found.value < found.high
        assert found.high - found.low == pytest.approx(width, rel=0.15)
        nothing = confidence.difference(answers, np.zeros(len(answers)), recording)
        assert found == pytest.approx(nothing, abs=0.005)
    root = confidence.interval(answers, recording, np.sqrt)
    assert root[:3] == pytest.approx(np.sqrt(found[:3]))  # a monotone score takes the ends with it
    assert confidence.interval(answers[:100], recording[:100]) == (answers[:100].mean(), None, None, 4)


def test_difference_ignores_the_order_of_clips_and_weighs_recordings_by_them():
    rng = np.random.default_rng(0)
    recording = rng.choice(8, size=400, p=np.arange(1, 9) / 36)
    ours, theirs = rng.random(400) < 0.7, rng.random(400) < 0.5
    order = rng.permutation(400)
    found = confidence.difference(ours, theirs, recording)
    assert found == pytest.approx(confidence.difference(ours[order], theirs[order], recording[order]))
    assert found.value == pytest.approx(ours.mean() - theirs.mean())


def test_score_is_taken_of_the_means():
    rng = np.random.default_rng(0)
    ours, theirs = rng.uniform(3, 5, 400), rng.uniform(0, 1, 400)
    found = confidence.difference(ours, theirs, np.arange(400) // 10, np.sqrt)
    assert found.value == pytest.approx(np.sqrt(ours.mean()) - np.sqrt(theirs.mean()))
    assert found.low < found.value < found.high


def test_five_recordings_give_no_interval():
    answers, recording = correctness(5, 30, 0.7, 0)
    assert confidence.difference(answers, ~answers, recording)[1:] == (None, None, 5)
