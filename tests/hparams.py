"""The HParams page of TensorBoard, by the code that serves it."""

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler


def hparams_of(logdir, paths, *runs):
    """The rows of the page, or of some runs, with the values of these fields and the metric val/negative_elbo."""
    events = EventMultiplexer()
    for run in runs:
        events.AddRun(str(logdir / run), run)
    if not runs:
        events.AddRunsFromDirectory(str(logdir))
    context = Context(TBContext(data_provider=MultiplexerDataProvider(events.Reload(), str(logdir))))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_RUNNING],
        col_params=[
            {"metric": {"tag": "val/negative_elbo"}, "include_in_result": True},
            *({"hparam": path, "include_in_result": True} for path in paths),
        ],
    )
    return Handler(RequestContext(), context, "", request).run().session_groups
