"""Tasks spread over the workers of a Dask cluster, which runs those of a lost worker again.

A task is worth seconds of work, and what it needs and gives is small: audio goes through files that workers share.
"""

import asyncio
import contextlib
import importlib.metadata
import re
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_CONNECT_S = 10
_SAME = ("numpy", "pedalboard", "jax")
"""Packages whose version decides what a task gives."""


def spread(function: Callable[[_Task], _Result], tasks: Sequence[_Task], cluster: str) -> Iterator[tuple[int, _Result]]:
    """Position and result of each task, whichever is done first.

    `cluster` is "local:2", for two worker processes of this machine, or the address of a scheduler.

    Raises:
        Exception: what `function` raised; the tasks that have not started are dropped.
        ValueError: `cluster` is neither, Dask is not installed, or a worker has other versions of packages.
        OSError: the scheduler does not answer or was lost, or a task was lost with four workers in turn.
    """
    try:
        import distributed
    except ImportError as error:
        raise ValueError(f"a cluster needs Dask: pip install 'jaxvae[cluster]' ({error})") from error
    with _client(cluster) as client:
        # Nothing but as_completed may hold the futures, or what is done would be done again if its worker is lost.
        done = distributed.as_completed(
            client.map(_call, list(enumerate(tasks)), function=function, versions=_versions(), pure=False),
            loop=client.loop,
            with_results=True,
        )
        try:
            for _, result in done:
                if isinstance(result, CancelledError):
                    raise OSError(f"the scheduler at {cluster} was lost; start it, and run this command again")
                yield result
        except RuntimeError as error:
            if not str(error).startswith("Error during deserialization"):
                raise
            raise OSError(f"the machine of the scheduler at {cluster} lacks jaxvae; install the same there") from error
        except distributed.KilledWorker as error:
            raise OSError(
                f"a task was lost with {error.allowed_failures + 1} workers in turn, the last at "
                f"{error.last_worker.address}; most often they had too little memory"
            ) from error


def _call(item: tuple[int, _Task], function: Callable[[_Task], _Result], versions: dict[str, str]) -> Any:
    """On a worker: position and result."""
    if _versions() != versions:
        raise ValueError(f"worker {socket.gethostname()} has {_versions()}; install the client's versions: {versions}")
    try:
        return item[0], function(item[1])
    except OSError as error:  # of its disk, its network or its plug-ins
        raise OSError(f"{error}, on worker {socket.gethostname()}") from error


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _SAME}


@contextlib.contextmanager
def _client(cluster: str) -> Iterator[Any]:
    """A client of the cluster; a local one is started, and ends with the block."""
    import dask
    import distributed

    kind, _, rest = cluster.partition(":")
    if kind == "local" and rest.isdecimal() and int(rest) > 0:
        # Dask would have freed memory returned at once, which doubles the time of a render.
        unset = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
        with (
            dask.config.set(unset),
            distributed.LocalCluster(
                int(rest),
                threads_per_worker=1,
                memory_limit=0,  # memory-mapped files would count
                dashboard_address="127.0.0.1:0",
                silence_logs="CRITICAL",  # what fails is raised
            ) as local,
            distributed.Client(local, set_as_default=False) as client,
        ):
            yield client
        return
    if not re.fullmatch(r"(tcp|tls|wss?)://.+", cluster):
        raise ValueError(f"cluster is {cluster!r}; use local:2 for two processes here, or tcp://host:8786")
    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have a running loop, as in a notebook
            thread.submit(asyncio.run, _reach(cluster)).result()
        client = distributed.Client(cluster, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, MemoryError) as error:  # the latter where something else answers
        raise OSError(
            f"no Dask scheduler answers at {cluster} within {_CONNECT_S} s; start one with: dask scheduler"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            warnings.warn(f"the scheduler at {cluster} has no workers; waiting for the first", stacklevel=4)
        yield client


async def _reach(address: str) -> None:
    """TimeoutError where something accepts the connection and keeps silent, for which a client would wait for ever."""
    import distributed

    async with asyncio.timeout(_CONNECT_S):
        comm = await distributed.comm.connect(address, timeout=_CONNECT_S)
        await comm.close()
