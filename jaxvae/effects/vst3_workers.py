"""Processes that hold a VST3 plug-in each (`vst3_host`), so that it may crash or hang in the place of this one.

Conventions
    A worker answers one request at a time, and ends with this process, however that ends. A Ctrl-C does not reach it.
    A process that is forked from this one has no workers and starts its own.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from jaxvae.effects import cores, vst3_host

_SHOWN = 300  # characters of what a plug-in printed before it crashed
_END_S = 5.0
_LIVE: "set[Worker]" = set()
_POOLS: "list[Workers]" = []


class WorkerError(RuntimeError):
    """A worker that ended instead of giving an answer. The message is a phrase, such as "crashes (SIGSEGV)"."""

    def __init__(self, message: str, reason: Literal["crashed", "hung"]) -> None:
        super().__init__(message)
        self.reason = reason


class Worker:
    """A process with a plug-in."""

    def __init__(self) -> None:
        self.fresh = True
        """Whether it has rendered nothing; for its owner to say."""
        self.ended = False
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115, `end` closes it
        self._process = subprocess.Popen(
            # Without the folder of the program, in which names of other packages are.
            [sys.executable, "-P", str(Path(vst3_host.__file__).resolve())],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            process_group=0,
        )
        _LIVE.add(self)

    def ask(self, request: dict[str, Any], limit_s: float, content: Any = b"") -> tuple[dict[str, Any], bytearray]:
        """The answer to a request.

        Raises:
            WorkerError: the process crashed, or gave none within `limit_s` and was ended.
            ValueError: the plug-in, or what was asked of it, is refused.
            RuntimeError: the plug-in failed otherwise.
        """
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            self._process.kill()

        timer = threading.Timer(limit_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # what was sent is lost with the process, which gives no answer
                vst3_host.send(self._process.stdin, request, content)
            answer = vst3_host.receive(self._process.stdout)
        except BaseException:  # such as Ctrl-C: the next answer would be that to this request
            self.end()
            raise
        finally:
            timer.cancel()
        if answer is None or hung.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):  # where it lives on without its standard output
                self._process.wait(_END_S)
            self._process.kill()
            code = self._process.wait()
            printed = self._last_printed()
            self.end()
            if answer is None:
                what = f"does not end within {limit_s:.3g} s" if hung.is_set() else f"crashes ({_name(code)})"
                raise WorkerError(f"{what}{printed}", "hung" if hung.is_set() else "crashed")
        header, content = answer
        if "error" in header:
            raise (ValueError if header["refused"] else RuntimeError)(header["error"])
        return header, content

    def end(self) -> None:
        """Kill the process."""
        self.ended = True
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._printed):
            stream.close()
        _LIVE.discard(self)

    def forget(self) -> None:
        """In a forked process: let go of the pipes, or the worker would not see its parent end."""
        self.ended = True
        self._process.returncode = 0  # it is not a child of this process
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()

    def _last_printed(self) -> str:
        self._printed.seek(0)
        text = " ".join(self._printed.read().decode(errors="replace").split())
        return f' after it printed "{text[-_SHOWN:]}"' if text else ""


class Workers:
    """As many workers as cores at most, each started when there is none to spare."""

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start = start
        self._idle: list[Worker] = []
        self._free = threading.Semaphore(cores())
        _POOLS.append(self)

    def add(self, worker: Worker) -> None:
        """Give it one that is not needed any more."""
        self._idle.append(worker)

    @contextlib.contextmanager
    def one(self, fresh: bool = False) -> Iterator[Worker]:
        """A worker for the block, which waits until there is one; a new one, if it has to be `fresh`."""
        with self._free:
            try:
                worker = self._start() if fresh else self._idle.pop()
            except IndexError:  # there is none
                worker = self._start()
            try:
                yield worker
            finally:
                if not worker.ended:
                    self._idle.append(worker)

    def forget(self) -> None:
        """In a forked process: have none."""
        self._idle = []
        self._free = threading.Semaphore(cores())


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"its process ended with code {code}"


def _forget() -> None:
    for worker in _LIVE:
        worker.forget()
    _LIVE.clear()
    for pool in _POOLS:
        pool.forget()


def _end() -> None:
    for worker in list(_LIVE):
        worker.end()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
