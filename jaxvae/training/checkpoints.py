"""Checkpoints of a run, from which it continues and of which the best weights are used.

Each checkpoint is complete: the `state` of the training, the `best` weights so far, and a `record` of plain values (the
experiment of each member, the normalisation statistics, how validation went). Arrays have a leading member axis.
Orbax writes in the background to a temporary name and renames at the end, so a killed run leaves only whole ones. With
several hosts each writes its members' part, and any number of devices and hosts can read it. The `best` weights of each
member are chunks of their own, so that who loads one reads one.
"""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from orbax.checkpoint import checkpoint_managers

FORMAT = 3

_INDEX_BYTES = 2**26  # kept while a member is read, so that arrays share the index of where chunks lie


class CheckpointError(RuntimeError):
    """A checkpoint is missing, is of another version or cannot be read."""


class Checkpoints:
    """One series of checkpoints in a folder, of which the `keep` newest stay."""

    def __init__(self, directory: Path, keep: int) -> None:
        options = ocp.CheckpointManagerOptions(preservation_policy=checkpoint_managers.LatestN(keep))
        self._manager = ocp.CheckpointManager(directory.resolve(), options=options)

    def save(self, step: int, items: dict[str, Any], record: dict[str, Any]) -> None:
        """Start to write a checkpoint of trees of arrays, which may be donated right after."""
        saved = {name: ocp.args.StandardSave(tree, _by_member(tree)) for name, tree in items.items()}
        saved["record"] = ocp.args.JsonSave({"format": FORMAT, **record})
        self.wait()
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(items)) // jax.process_count()
        free = shutil.disk_usage(self._manager.directory).free
        if free < needed:  # told before, because what is under way when a disk is full says it hundreds of times
            raise self._full(f"it takes {needed / 1e6:.1f} MB and {free / 1e6:.1f} MB are free")
        try:
            self._manager.save(step, args=ocp.args.Composite(**saved), force=True)
        except (OSError, ValueError) as error:
            raise self._full(error) from error

    def wait(self) -> None:
        """Return when everything saved is on disk. OSError when it could not be written."""
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:  # tensorstore reports a full disk as a ValueError
            raise self._full(error) from error

    def _full(self, error: Exception | str) -> OSError:
        # tensorstore says what the system said twice, among a page of its own.
        known = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES)]
        reason = next((text for text in known if text in str(error)), str(error))
        return OSError(
            f"cannot write a checkpoint to {self._manager.directory}: {reason}; make room there, and the same command "
            "continues from the last whole one"
        )

    def close(self) -> None:
        """Finish writing and release the background threads. OSError when something could not be written."""
        try:
            self._manager.close()
        except (OSError, ValueError) as error:
            raise self._full(error) from error

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

    def restore(self, step: int, like: dict[str, Any], sharding: jax.sharding.Sharding) -> dict[str, Any]:
        """Trees of arrays of a checkpoint, shaped as `like` (arrays or shapes; nothing of it is read)."""
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), like)
        items = {name: ocp.args.StandardRestore(tree) for name, tree in abstract.items()}
        return dict(self._restored(step, ocp.args.Composite(**items)).items())

    def restore_member(self, step: int, item: str, like: Any, place: int) -> Any:
        """Arrays of one member of an item, without the member axis; `like` is a tree of that item, or part of it.

        Nothing is read but the chunks in which they lie; those of older checkpoints hold all members.
        """
        folder = self._manager.directory / str(step) / item
        # Orbax restores whole arrays only, so these are opened as it stores them (its `ArrayReadSpec`).
        context = tensorstore.Context({"cache_pool": {"total_bytes_limit": _INDEX_BYTES}})

        def read(path: Any, leaf: Any) -> Any:
            name = ".".join(jax.tree_util.keystr((key,), simple=True) for key in path)
            base = {"driver": "file", "path": f"{folder}/"}
            kvstore = {"driver": "ocdbt", "base": base, "path": f"{name}/"}
            spec = {"driver": "zarr3" if stored["use_zarr3"] else "zarr", "kvstore": kvstore}
            array = tensorstore.open(spec, read=True, open=True, context=context).result()
            if array.shape[1:] != leaf.shape:
                raise ValueError(f"{name} of a member has shape {array.shape[1:]}, not {leaf.shape}")
            return array[place].read()

        try:
            stored = json.loads((folder / "_METADATA").read_text())
            reads = jax.tree.map_with_path(read, like)
            # Releases hold halves of what is computed with.
            return jax.tree.map(lambda arriving, leaf: np.asarray(arriving.result(), leaf.dtype), reads, like)
        except (OSError, ValueError, KeyError) as error:
            raise self._unreadable(step, error) from error

    def _restored(self, step: int, items: ocp.args.Composite) -> Any:
        try:
            return self._manager.restore(step, args=items)
        except (OSError, ValueError, KeyError) as error:
            raise self._unreadable(step, error) from error

    def _unreadable(self, step: int, error: Exception) -> CheckpointError:
        folder = self._manager.directory / str(step)
        return CheckpointError(
            f"the checkpoint in {folder} cannot be read ({error}); delete that folder to use the one before it"
        )


def _by_member(tree: Any) -> Any:
    """How Orbax is told to store each array: every index of its leading axis as a chunk."""
    return jax.tree.map(lambda leaf: ocp.SaveArgs(shard_axes=(0,) if leaf.ndim else ()), tree)
