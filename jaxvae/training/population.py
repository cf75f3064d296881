"""Many members in one program, on one device or many, of one host or several.

Conventions
    A function of one member (a train step, an evaluation) becomes one of a population here and nowhere else. Arrays of
    a population have a leading member axis, and the devices form a mesh ("population", "data"): members are dealt out
    over the first axis, which needs no communication, and the clips of a batch over the second.
    Members of one device follow one another (lax.map), or are computed together (vmap), or something between.
    Every host runs the same program and holds the same batches; what `gather` returns is the same on all of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvae import config
from jaxvae.block import CLIPS as BLOCK_CLIPS
from jaxvae.config import Execution, Experiment
from jaxvae.training.optimizer import NUMBERS

MEMBERS = PartitionSpec("population")
SHARED = PartitionSpec()


def groups(experiments: Sequence[Experiment]) -> list[list[int]]:
    """Indices of the experiments that one program can train, in order of their first member."""
    found: dict[Any, list[int]] = {}
    for index, experiment in enumerate(experiments):
        fields = config.flat(experiment)
        found.setdefault(tuple((path, fields[path]) for path in fields if path not in (*NUMBERS, "name")), []).append(
            index
        )
    return list(found.values())


def make_mesh(members: int, batch_size: int, execution: Execution) -> Mesh:
    """The devices of the execution as a mesh ("population", "data") that divides the members and the batch.

    Raises:
        ValueError: there is no such mesh.
    """
    devices = jax.devices()
    count = execution.devices or len(devices)
    if count > len(devices):
        raise ValueError(f"execution.devices is {count}, but there are {len(devices)}; use at most that many")
    data = execution.data_devices or (count // members if count % members == 0 else 1)
    if count % data:
        raise ValueError(f"{count} devices cannot be split by execution.data_devices {data}; use a divisor of {count}")
    if members % (count // data):
        raise ValueError(
            f"{members} members cannot be split over {count // data} devices; use a multiple of {count // data} "
            f"members, or set execution.devices to a divisor of {members}"
        )
    if batch_size % (BLOCK_CLIPS * data):
        raise ValueError(
            f"a batch of {batch_size} clips cannot be split over {data} devices in whole blocks of {BLOCK_CLIPS}; use "
            f"a multiple of {BLOCK_CLIPS * data} as train.batch_size, or set execution.devices to fewer"
        )
    return Mesh(np.array(devices[:count]).reshape(-1, data), ("population", "data"))


def members_at_once(members: int, mesh: Mesh, execution: Execution) -> int:
    """Members of one device that are computed together."""
    local = members // mesh.shape["population"]
    default = 1 if mesh.devices.flat[0].platform == "cpu" else local
    return min(execution.members_at_once or default, local)


def over_members(function: Callable, mesh: Mesh, at_once: int, mapped: int) -> Callable:
    """`function` of every member of a population.

    Its first `mapped` arguments have a member axis, as has its result; the others are shared by all members.
    """

    def of_device(*arguments: Any) -> Any:
        own, shared = arguments[:mapped], arguments[mapped:]
        members = len(jax.tree.leaves(own)[0])
        if members == 1:
            return jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], own), *shared))
        if at_once == members:
            return jax.vmap(function, in_axes=(0,) * mapped + (None,) * len(shared))(*arguments)
        batch_size = at_once if at_once > 1 else None  # lax.map of single members keeps lax.cond a choice
        return jax.lax.map(lambda own: function(*own, *shared), own, batch_size=batch_size)

    def of_population(*arguments: Any) -> Any:
        specs = tuple(MEMBERS if index < mapped else SHARED for index in range(len(arguments)))
        # Only the first axis is ours to divide; how the clips of a batch are dealt out is left to the compiler.
        return jax.shard_map(
            of_device, mesh=mesh, in_specs=specs, out_specs=MEMBERS, axis_names={"population"}, check_vma=False
        )(*arguments)

    return of_population


def place(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Arrays on the devices of the mesh; every host passes the same."""
    sharding = NamedSharding(mesh, spec)

    def put(leaf: Any) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(put, tree)


def gather(tree: Any) -> Any:
    """Arrays as numpy, the same on every host. Waits for the devices."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def anywhere(flag: bool) -> bool:
    """Whether the flag is set on any host."""
    return flag if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(jnp.asarray(flag))))


def wait_for_all_hosts(name: str) -> None:
    """Return when every host has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
