"""Renders in turn: the newest of each client, all clients."""

import threading

import pytest

from analysis.latent_map import render_queue
from analysis.latent_map.render_queue import Busy, RenderQueue, Superseded


@pytest.fixture
def held():
    """A queue of one worker, which is busy until the event is set."""
    queue, go, busy = RenderQueue(workers=1), threading.Event(), threading.Event()
    first = queue.submit("other", lambda: (busy.set(), go.wait(10)))
    assert busy.wait(10)
    yield queue, go, first
    go.set()
    queue.close()


def test_of_a_client_only_the_newest_is_done_and_other_clients_are_not_disturbed(held):
    queue, go, first = held
    done = []
    mine = [queue.submit("me", lambda index=index: done.append(index) or index) for index in range(5)]
    yours = queue.submit("you", lambda: "yours")
    unnamed = [queue.submit("", lambda index=index: index) for index in range(3)]
    go.set()
    assert mine[-1].result(10).value == 4 and yours.result(10).value == "yours"
    assert [future.result(10).value for future in unnamed] == [0, 1, 2]
    assert done == [4] and first.result(10).value
    for future in mine[:-1]:
        with pytest.raises(Superseded):
            future.result(10)
    assert yours.result().queue_ms >= 0


def test_an_error_is_that_of_its_own_job(held):
    queue, go, _ = held
    go.set()
    with pytest.raises(ZeroDivisionError):
        queue.submit("me", lambda: 1 / 0).result(10)
    assert queue.submit("me", lambda: 2).result(10).value == 2


def test_a_queue_that_is_full_says_so_and_one_that_closes_lets_go(held, monkeypatch):
    monkeypatch.setattr(render_queue, "MOST_WAITING", 2)
    queue, _, _ = held
    waiting = [queue.submit(name, lambda: 1) for name in "ab"]
    with pytest.raises(Busy, match="2 renders are waiting"):
        queue.submit("c", lambda: 1)
    newer = queue.submit("a", lambda: 3)  # takes the place of one
    queue.close()
    for future in (*waiting, newer):
        with pytest.raises(Superseded):
            future.result(10)
