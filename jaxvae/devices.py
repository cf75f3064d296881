"""The devices of a run, of one host or several, and the arrays that lie on them.

Conventions
    The devices form a mesh ("population", "data"): the members of a population are dealt out over the first axis, the
    examples of a batch over the second.
    Every host runs the same program and holds the same batches; what `gather` returns is the same on all of them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvae.config import Execution

MEMBERS = PartitionSpec("population")
EXAMPLES = PartitionSpec("data")
SHARED = PartitionSpec()


def make_mesh(members: int, batch_size: int, execution: Execution, block: int = 1) -> Mesh:
    """The devices of the execution as a mesh ("population", "data") that divides the members and the batch.

    So many examples of a `block` stay together on one device.

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
    if batch_size % (block * data):
        raise ValueError(
            f"a batch of {batch_size} cannot be split over {data} devices in whole blocks of {block}; use a multiple "
            f"of {block * data} as train.batch_size, or set execution.devices to fewer"
        )
    return Mesh(np.array(devices[:count]).reshape(-1, data), ("population", "data"))


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
