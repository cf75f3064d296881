"""Renders in turn, of which each client waits for its newest only."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

MOST_WAITING = 64


class Superseded(Exception):
    """A newer request of the same client took the place of this one before it began."""


class Busy(Exception):
    """Too many clients wait already."""


class Done(NamedTuple):
    """What a job gave, and how long it waited."""

    value: Any
    queue_ms: float


class _Job(NamedTuple):
    function: Callable[[], Any]
    future: Future
    asked: float


class RenderQueue:
    """Runs jobs in threads. Of a client no more than one is waiting: the last one that it asked for."""

    def __init__(self, workers: int = 2) -> None:
        self._waiting: dict[object, _Job] = {}  # by client, the oldest first
        self._change, self._open = threading.Condition(), True
        for number in range(workers):
            threading.Thread(target=self._work, name=f"render {number}", daemon=True).start()

    def submit(self, client: str, function: Callable[[], Any]) -> "Future[Done]":
        """The answer to come; a client without a name never supersedes. Raises Busy."""
        key: object = client or object()
        job = _Job(function, Future(), time.perf_counter())
        with self._change:
            before = self._waiting.pop(key, None)
            if before is None and len(self._waiting) >= MOST_WAITING:
                raise Busy(f"{MOST_WAITING} renders are waiting; ask again")
            self._waiting[key] = job
            self._change.notify()
        if before is not None:
            before.future.set_exception(Superseded("a newer request took its place"))
        return job.future

    def close(self) -> None:
        """Begin no more jobs; those that wait are superseded."""
        with self._change:
            self._open = False
            left = list(self._waiting.values())
            self._waiting.clear()
            self._change.notify_all()
        for job in left:
            job.future.set_exception(Superseded("the server is closing"))

    def _work(self) -> None:
        while True:
            with self._change:
                while self._open and not self._waiting:
                    self._change.wait()
                if not self._open:
                    return
                job = self._waiting.pop(next(iter(self._waiting)))
            begun = time.perf_counter()
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                value = job.function()
            except BaseException as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(Done(value, 1_000 * (begun - job.asked)))
