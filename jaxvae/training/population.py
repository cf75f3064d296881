"""Many members in one program, on one device or many.

Conventions
    A function of one member (a train step, an evaluation) becomes one of a population here and nowhere else. Arrays of
    a population have a leading member axis, and members are dealt out over the axis "population" of the mesh (see
    `jaxvae.devices`), which needs no communication.
    Members of one device follow one another (lax.map), or are computed together (vmap), or something between.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from jaxvae import fields
from jaxvae.config import Execution
from jaxvae.devices import MEMBERS, SHARED


def groups(experiments: Sequence[Any]) -> list[list[int]]:
    """Indices of the experiments that one program can train, in order of their first member."""
    found: dict[Any, list[int]] = {}
    for index, experiment in enumerate(experiments):
        free = {"name", *(path for path, mark in fields.numbers(experiment).items() if not mark.shared)}
        program = tuple((path, value) for path, value in fields.flat(experiment).items() if path not in free)
        found.setdefault(program, []).append(index)
    return list(found.values())


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
