"""TensorBoard event files, without TensorFlow.

TensorBoard's writer has no public entry that does not import TensorFlow, so its own protocol buffers are used here
and nowhere else.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float, UInt8
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams import summary_v2 as hparams_plugin
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.text import metadata as text_plugin
from tensorboard.summary.writer.event_file_writer import EventFileWriter

_PLUGINS = {"simple_value": "scalars", "histo": "histograms", "image": "images", "audio": "audio"}


class Summaries:
    """The log of one run: scalars, histograms, pictures, sounds and text, each at a step.

    `describe` says what a tag shows; TensorBoard shows it beside the tag.
    """

    def __init__(self, directory: Path, first_step: int = 0, describe: Callable[[str], str] = lambda tag: "") -> None:
        """Open a new event file; what an earlier one holds of steps after `first_step` is superseded."""
        self._writer = EventFileWriter(str(directory))
        self._describe, self._described = describe, set()
        if first_step > 0:
            self._writer.add_event(
                Event(wall_time=time.time(), step=first_step + 1, session_log=SessionLog(status=SessionLog.START))
            )

    def _add(self, step: int, *values: Summary.Value) -> None:
        for value in values:
            if value.tag not in self._described:  # the first of a file speaks for all
                value.metadata.summary_description = self._describe(value.tag)
                if not value.metadata.plugin_data.plugin_name:
                    value.metadata.plugin_data.plugin_name = _PLUGINS[value.WhichOneof("value")]
                self._described.add(value.tag)
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Log numbers by tag."""
        self._add(step, *(Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()))

    def histogram(self, step: int, tag: str, values: Float[np.ndarray, "value"]) -> None:
        """Log the distribution of some numbers, in 30 equal bins."""
        counts, edges = np.histogram(values, bins=30)
        proto = HistogramProto(
            min=values.min(),
            max=values.max(),
            num=values.size,
            sum=values.sum(),
            sum_squares=np.square(values).sum(),
            bucket_limit=edges[1:],
            bucket=counts,
        )
        self._add(step, Summary.Value(tag=tag, histo=proto))

    def image(self, step: int, tag: str, pixels: UInt8[np.ndarray, "row column 3"]) -> None:
        """Log a picture."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="png")
        image = Summary.Image(
            height=pixels.shape[0], width=pixels.shape[1], colorspace=3, encoded_image_string=buffer.getvalue()
        )
        self._add(step, Summary.Value(tag=tag, image=image))

    def audio(self, step: int, tag: str, audio: Float[np.ndarray, "sample"], sample_rate: int) -> None:
        """Log a sound, full scale at 1."""
        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(audio, -1.0, 1.0), sample_rate, format="WAV", subtype="PCM_16")
        sound = Summary.Audio(
            sample_rate=sample_rate,
            num_channels=1,
            length_frames=len(audio),
            encoded_audio_string=buffer.getvalue(),
            content_type="audio/wav",
        )
        self._add(step, Summary.Value(tag=tag, audio=sound))

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Log a text in Markdown."""
        tensor = TensorProto(
            dtype=DT_STRING,
            string_val=[markdown.encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        metadata = text_plugin.create_summary_metadata(display_name=None, description=None)
        self._add(step, Summary.Value(tag=tag, metadata=metadata, tensor=tensor))

    def begin(self, trial: str, values: dict[str, bool | int | float | str]) -> None:
        """Log what sets this run apart, for the table of TensorBoard's HParams page, in which `trial` is its name."""
        proto = hparams_plugin.hparams_pb(values, trial_id=trial)
        self._writer.add_event(Event(wall_time=time.time(), summary=proto))

    def end(self, well: bool) -> None:
        """Log that the run has ended, which the HParams page shows as its status."""
        status = api_pb2.STATUS_SUCCESS if well else api_pb2.STATUS_FAILURE
        ended = SessionEndInfo(status=status, end_time_secs=time.time())
        metadata = hparams_metadata.create_summary_metadata(HParamsPluginData(session_end_info=ended))
        value = Summary.Value(
            tag=hparams_metadata.SESSION_END_INFO_TAG, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR
        )
        self._writer.add_event(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def flush(self) -> None:
        """Return when everything logged is on disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
