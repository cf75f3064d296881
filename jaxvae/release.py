"""Releases: what a trained model is used by, without what trains it, in a folder that `jaxvae.load` reads.

The weights are halved to 16 bits, whose error is below 1/1000 of each; nothing in the record is of the machine.
"""

import contextlib
import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import config, fields, inference, views
from jaxvae.matching.matcher import Matcher
from jaxvae.models import readout
from jaxvae.training import run_folder
from jaxvae.training.checkpoints import CheckpointError, Checkpoints

_LARGEST = float(np.finfo(np.float16).max)


def write(workdir: Path, folder: Path, member: int | None = None) -> None:
    """Write a release of a run, of a sweep that of its best member or of a given one, into a folder of its own.

    Raises:
        CheckpointError: the run holds nothing that can be loaded or its readouts are missing, or the folder holds a
            checkpoint.
        OSError: the folder cannot be written.
    """
    if run_folder.has_checkpoint(folder):
        raise CheckpointError(f"{folder} holds a checkpoint; release into another folder")
    members = run_folder.read(workdir)
    chosen = members[run_folder.best(members) if member is None else member]
    trained = inference.load(workdir, member=member)
    readouts = {} if isinstance(trained, Matcher) else dict(trained.readouts)
    if not isinstance(trained, Matcher) and trained.has_heads and not readouts:
        raise CheckpointError(f"{workdir} has no readout; the command that trained it, given again, adds one")
    step = int(trained.weights.step)
    data = dataclasses.replace(trained.experiment.data, directory=config.Data.directory)
    experiment = dataclasses.replace(trained.experiment, data=data, execution=config.Execution())
    record = {
        "task": chosen.kind.NAME,
        "step": step,
        "indices": [0],
        "diverged": [False],
        "steps": [step],
        "members": [fields.to_dict(experiment)],
        "validation": [{"best": chosen.best, "best_step": step, "figures": dict(chosen.figures)}],
        "dataset": trained.dataset,
        "parameters": trained.parameters,
        **views.as_record(trained.normalisation),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(Checkpoints(folder / "checkpoints", keep=1)) as checkpoints:
        checkpoints.save(step, {"best": jax.tree.map(_halved, trained.weights)}, record)
    for path in folder.rglob("commit_success.txt"):  # in which Orbax writes where it was written
        path.write_text("")
    if readouts:
        readout.save(folder / inference.READOUT, step, readouts)


def _halved(leaf: jax.Array) -> jax.Array:
    """With the leading axis of members that checkpoints have."""
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        leaf = jnp.clip(leaf, -_LARGEST, _LARGEST).astype(jnp.float16)
    return leaf[None]
