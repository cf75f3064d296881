"""Several hosts as one run: how a process finds the others, and what it says when one of them is lost."""

import dataclasses
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

_HEARTBEAT_S = 30  # a host that is silent for so long counts as lost


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The processes of a run. Start the same command on every host; one host needs none of this."""

    coordinator: str = ""
    """Address (host:port) of the first process. "cluster" asks SLURM, Open MPI, Kubernetes or the TPU pod instead."""
    count: int = 1
    """Processes of the run; unused with "cluster"."""
    index: int = 0
    """Which of them this is, from 0; unused with "cluster"."""

    def __post_init__(self) -> None:
        if self.count > 1 and not self.coordinator:
            raise ValueError(
                f"hosts.count is {self.count}; name the first one by hosts.coordinator, such as node0:8476"
            )
        if not 0 <= self.index < self.count:
            raise ValueError(f"hosts.index is {self.index}; use 0 to {self.count - 1} (hosts.count - 1)")

    def join(self) -> None:
        """Return when all hosts have come, or at once where there is one.

        Raises:
            ConnectionError: they did not come.
        """
        if not self.coordinator:
            return
        known = (
            {}
            if self.coordinator == "cluster"
            else {"coordinator_address": self.coordinator, "num_processes": self.count, "process_id": self.index}
        )
        import jax  # here, so that --help does not wait for it

        try:
            jax.distributed.initialize(**known, heartbeat_timeout_seconds=_HEARTBEAT_S)
        except (RuntimeError, ValueError) as error:
            raise ConnectionError(f"the hosts of {self.coordinator!r} did not meet: {error}") from error


@contextmanager
def together() -> Iterator[None]:
    """End this process with a clear message when another host of the run is lost, instead of waiting for it."""
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        traceback.print_exc()
        print(
            f"error: host {jax.process_index()} of {jax.process_count()} lost another one "
            f"({str(error).splitlines()[0]}); start the same command on every host "
            "again: it continues from the newest checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)  # an orderly exit would wait for the host that is lost
