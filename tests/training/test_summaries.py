"""What is logged, read back by TensorBoard itself."""

import io
import time

import numpy as np
import soundfile
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxvae.training.summaries import Summaries


def _read(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0, "audio": 0, "scalars": 0}).Reload()


def test_everything_logged_is_read_back(tmp_path):
    log = Summaries(tmp_path)
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    sound = np.sin(np.arange(800) / 5)
    log.scalars(3, {"a/x": 1.5, "a/y": -2.0})
    log.image(3, "picture", pixels)
    log.audio(3, "sound", sound, 8_000)
    log.histogram(3, "values", np.arange(90.0))
    log.text(3, "note", "some **text**")
    log.close()
    events = _read(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars("a/x")] == [(3, 1.5)]
    png = Image.open(io.BytesIO(events.Images("picture")[0].encoded_image_string))
    np.testing.assert_array_equal(np.asarray(png), pixels)
    heard, rate = soundfile.read(io.BytesIO(events.Audio("sound")[0].encoded_audio_string))
    assert rate == 8_000
    np.testing.assert_allclose(heard, sound, atol=2**-15)
    histogram = events.Histograms("values")[0].histogram_value
    assert histogram.num == 90 and sum(histogram.bucket) == 90
    assert events.Tensors("note")[0].tensor_proto.string_val == [b"some **text**"]


def test_resumed_log_supersedes_what_came_after_the_checkpoint(tmp_path):
    first = Summaries(tmp_path)
    for step in (1, 2, 3):
        first.scalars(step, {"loss": float(step)})
    first.close()
    time.sleep(1.1)  # TensorBoard sorts event files by name, in which time counts in seconds
    second = Summaries(tmp_path, first_step=2)
    second.scalars(3, {"loss": 30.0})
    second.close()
    assert [(event.step, event.value) for event in _read(tmp_path).Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 30.0)]
