"""Features that are the settings, and features that are the recording."""

import numpy as np
import pytest

from analysis.sections import invariance

from .labelled import clips, value


def test_same_settings_are_found_when_features_are_settings_and_recordings_when_they_are_recordings():
    labelled = clips(256)
    dry = np.arange(256)
    hidden = np.eye(8)[labelled.recording % 8]
    settings = np.random.default_rng(1).normal(size=(128, 16))
    found = invariance.same_setting(settings, settings + 1e-3, labelled.recording.reshape(-1, 2), 64)
    assert value(found, "retrieval_r1", "64-way") == 1.0
    assert value(found, "retrieval_rank", "64-way") == 0.0
    other = invariance.same_setting(settings, settings[::-1], labelled.recording.reshape(-1, 2), 64)
    assert value(other, "retrieval_r1", "64-way") < 0.1
    read = invariance.recording_read(hidden.astype(np.float32), dry, labelled.recording, 0)
    assert value(read, "recording_accuracy", "") == 1.0
    assert value(read, "recording_ratio", "") == pytest.approx(8, rel=0.1)
    assert invariance.recording_read(hidden, dry, np.zeros(256, np.int32), 0) == []  # one recording
