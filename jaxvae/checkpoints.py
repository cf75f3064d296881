"""Checkpoints of a run: the newest, to continue from, and the best, to use.

A run's folder holds `checkpoints/` (the two newest) and `best/` (one). Each checkpoint is complete: the state of the
training and a record of plain values (the experiment, the normalisation statistics, how validation went).
Orbax writes in the background to a temporary name and renames at the end, so a killed run leaves only whole ones.
"""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint is missing, is of another version or cannot be read."""


class Checkpoints:
    """One series of checkpoints in a folder, of which the `keep` newest stay."""

    def __init__(self, directory: Path, keep: int) -> None:
        options = ocp.CheckpointManagerOptions(preservation_policy=checkpoint_managers.LatestN(keep))
        self._manager = ocp.CheckpointManager(directory.resolve(), options=options)

    def save(self, step: int, state: Any, record: dict[str, Any]) -> None:
        """Start to write a checkpoint; the arrays of `state` may be donated right after."""
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave({"format": FORMAT, **record})
        )
        try:
            self.wait()
            if step in self._manager.all_steps():  # of an attempt that was killed before the run got further
                self._manager.delete(step)
            self._manager.save(step, args=items, force=True)
        except OSError as error:
            raise self._full(error) from error

    def wait(self) -> None:
        """Return when everything saved is on disk. OSError when it could not be written."""
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:  # tensorstore reports a full disk as a ValueError
            raise self._full(error) from error

    def forget_after(self, step: int) -> None:
        """Delete checkpoints of later steps: a run that continues from `step` reaches those anew."""
        for later in [found for found in self._manager.all_steps() if found > step]:
            self._manager.delete(later)

    def _full(self, error: Exception) -> OSError:
        return OSError(
            f"cannot write a checkpoint to {self._manager.directory}: {error}; make room there, and the same command "
            "continues from the last whole one"
        )

    def close(self) -> None:
        """Finish writing and release the background threads."""
        self._manager.close()

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint, None where there is none."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """Steps of all the checkpoints, in order."""
        return sorted(self._manager.all_steps())

    def record(self, step: int) -> dict[str, Any]:
        """The plain values of a checkpoint.

        Raises:
            CheckpointError: it is of another format version.
        """
        record = self._restored(step, ocp.args.Composite(record=ocp.args.JsonRestore()))["record"]
        if record.get("format") != FORMAT:
            raise CheckpointError(
                f"the checkpoint of step {step} in {self._manager.directory} has format {record.get('format')}; "
                f"this version of jaxvae reads format {FORMAT}: train again, or use the version that wrote it"
            )
        return record

    def state(self, step: int, like: Any) -> Any:
        """The state of a checkpoint, placed and shaped as `like` (arrays or shapes; nothing of it is read)."""
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._restored(step, items)["state"]

    def _restored(self, step: int, items: ocp.args.Composite) -> Any:
        try:
            return self._manager.restore(step, args=items)
        except (OSError, ValueError, KeyError) as error:
            folder = self._manager.directory / str(step)
            raise CheckpointError(
                f"the checkpoint in {folder} cannot be read ({error}); delete that folder to use the one before it"
            ) from error
