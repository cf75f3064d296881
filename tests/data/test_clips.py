"""Which renders can be used."""

import numpy as np
import pytest

from jaxvae.data import audio, clips

CLIP = 256


def at_peak(level_dbfs: float) -> np.ndarray:
    """A clip whose peak, a negative sample, has that level."""
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, CLIP)
    clip[100] = -1.0
    return (clip * audio.gain(level_dbfs)).astype(np.float32)


def with_sample(value: float) -> np.ndarray:
    clip = at_peak(-1.0)
    clip[7] = value
    return clip


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (at_peak(-1.0), None),
        (at_peak(clips.WET_SILENT_DBFS + 0.1), None),
        (at_peak(clips.WET_SILENT_DBFS - 0.1), "wet_silent"),
        (np.zeros(CLIP, np.float32), "wet_silent"),
        (at_peak(clips.EXPLODING_DBFS - 0.1), None),
        (at_peak(clips.EXPLODING_DBFS + 0.1), "exploding"),
        (with_sample(np.nan), "not_finite"),
        (with_sample(np.inf), "not_finite"),
        (with_sample(-np.inf), "not_finite"),
    ],
)
def test_a_render_is_usable_unless_there_is_a_reason(clip, reason):
    others = np.stack([at_peak(-20.0), clip, np.zeros(CLIP, np.float32)])  # each clip is judged alone
    assert clips.faults(others) == [None, reason, "wet_silent"]
    np.testing.assert_array_equal(clips.usable(others), [True, reason is None, False])
    assert reason is None or reason in clips.REASONS


def test_of_no_renders_none_is_usable():
    found = clips.usable(np.empty((0, CLIP), np.float32))
    assert found.shape == (0,) and found.dtype == bool
