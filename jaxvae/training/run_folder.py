"""The folder of a run: where each of its members lies.

checkpoints/                 of a run without a sweep, whose TensorBoard logs lie beside it
group_0/checkpoints/         of all members of a sweep that one program trains
007,latent_dim=32,seed=0/    TensorBoard logs of member 7 of a sweep; member_007 in runs of older versions
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvae import fields, sweep
from jaxvae.training import population, task
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.task import Task

SHOWN_MEMBERS = 8
"""Members of a sweep whose pictures and sounds are logged, spread over all of them: 2 MB each at every validation."""
_LONGEST = 120  # letters in a folder's name; file systems allow 255


class Group(NamedTuple):
    """Members that one program trains, and where."""

    indices: list[int]
    members: list[Any]
    """Their experiments."""
    folder: Path
    logs: list[Path]
    swept: list[str]
    """Fields in which members of the whole sweep differ, by path."""
    shown: list[int]
    """Places of those whose pictures and sounds are logged."""


class Member(NamedTuple):
    """What the newest checkpoint of a run says of one member."""

    experiment: Any
    folder: Path
    """Of its group."""
    place: int
    """Of its group's members."""
    kind: type[Task]
    best: float | None
    """Lowest value of the member's own criterion (`Task.criterion`), None before the first validation."""
    best_step: int
    figures: Mapping[str, float]
    """Of the validation at that step; none in records of older versions."""
    diverged: bool
    step: int
    """Steps taken; those of a member that diverged are fewer than the run's."""
    logs: Path


def groups(experiment: Any, workdir: Path) -> list[Group]:
    """The groups of an experiment's sweep; without a sweep one, of one member."""
    members = sweep.members(experiment)
    if not experiment.sweep.members:
        return [Group([0], list(members), workdir, [workdir], [], [0])]
    values = [fields.flat(member) for member in members]
    swept = [path for path in values[0] if any(other[path] != values[0][path] for other in values)]
    old = logs(workdir)
    names = [old.get(index, workdir / _name(index, own, swept)) for index, own in enumerate(values)]
    spread = set(np.linspace(0, len(members) - 1, SHOWN_MEMBERS).round().astype(int).tolist())
    return [
        Group(
            indices,
            [members[index] for index in indices],
            workdir / f"group_{number}",
            [names[index] for index in indices],
            swept,
            [place for place, index in enumerate(indices) if index in spread],
        )
        for number, indices in enumerate(population.groups(members))
    ]


def require_own(groups: Sequence[Group], workdir: Path) -> None:
    """Nothing, where a folder holds no checkpoints but those of these groups.

    Raises:
        CheckpointError: it holds others, which would hide these or be mixed up with them.
    """
    own = {group.folder for group in groups}
    found = [folder for folder in _folders(workdir) if folder not in own and has_checkpoint(folder)]
    if not found:
        return
    holds = "a single run" if found[0] == workdir else f"a sweep with {', '.join(folder.name for folder in found)}"
    wanted = "a single run" if own == {workdir} else f"a sweep of {len(groups)} group{'s' * (len(groups) > 1)}"
    raise CheckpointError(
        f"{workdir} holds {holds}; use another --workdir for {wanted}, or both could not be told apart"
    )


def _folders(workdir: Path) -> list[Path]:
    """Where checkpoints of a run may lie: of a run without a sweep, then of groups."""
    groups = [folder for folder in workdir.glob("group_*") if folder.name.removeprefix("group_").isdecimal()]
    return [workdir, *sorted(groups, key=lambda folder: int(folder.name.removeprefix("group_")))]


def has_checkpoint(folder: Path) -> bool:
    """Whether a group has one in its folder."""
    return any(step.name.isdecimal() for step in (folder / "checkpoints").glob("*"))


def logs(workdir: Path) -> dict[int, Path]:
    """Folders of TensorBoard logs by the member of the sweep whose they are."""
    named = ((re.match(r"(?:member_)?(\d{3,})(?:,|$)", folder.name), folder) for folder in sorted(workdir.glob("*")))
    return {int(name[1]): folder for name, folder in named if name and folder.is_dir()}


def _name(index: int, values: Mapping[str, Any], swept: Sequence[str]) -> str:
    """What TensorBoard calls a member, such as 007,latent_dim=32,seed=0."""
    last = [path.rpartition(".")[2] for path in swept]
    words = []
    for path, short in zip(swept, last, strict=True):
        value = f"{values[path]:g}" if isinstance(values[path], float) else values[path]
        words.append(f"{short if last.count(short) == 1 else path}={value}")
    return re.sub(r"[^\w.,=+-]+", "-", ",".join([f"{index:03d}", *words]), flags=re.ASCII)[:_LONGEST]


def read(workdir: Path) -> dict[int, Member]:
    """The members of a run by their index in the sweep, of those groups that have a checkpoint.

    Raises:
        CheckpointError: there is none, or one of another format.
    """
    found, of_members = {}, logs(workdir)
    for folder in filter(has_checkpoint, _folders(workdir)):
        checkpoints = Checkpoints(folder / "checkpoints", keep=2)
        try:
            record = checkpoints.record(checkpoints.latest_step())
        finally:
            checkpoints.close()
        experiments = task.members(record)
        for place, index in enumerate(record["indices"]):
            validation = record["validation"][place]
            found[index] = Member(
                experiments[place],
                folder,
                place,
                task.kind_of(record),
                validation["best"],
                validation["best_step"],
                validation.get("figures", {}),
                record["diverged"][place],
                record["steps"][place],
                workdir if folder == workdir else of_members.get(index, folder),
            )
    if not found:
        raise CheckpointError(
            f"{workdir} holds no checkpoint; make one with python -m launch.train CONFIG --workdir {workdir}"
        )
    return dict(sorted(found.items()))


def criteria(members: Mapping[int, Member]) -> tuple[tuple[str, ...], dict[int, float]]:
    """The names of the figures whose sum judges all members alike, and that sum of each that was ever validated.

    Raises:
        CheckpointError: there is no such figure, or it was not recorded.
    """
    kind = next(iter(members.values())).kind
    names = kind.criterion([member.experiment for member in members.values()])
    validated = {index: member for index, member in members.items() if member.best is not None}
    if not names:
        raise CheckpointError(
            f"no validation figure says the same of all {len(members)} members, which share neither what they read nor "
            "their spectrogram; name one by its index"
        )
    if all(kind.criterion([member.experiment]) == names for member in validated.values()):
        return names, {index: member.best for index, member in validated.items()}
    lacking = [index for index, member in validated.items() if not set(names) <= set(member.figures)]
    if lacking:
        raise CheckpointError(
            f"the {len(members)} members train for different figures, and this run is of a version that kept no figure "
            f"to compare them by ({' + '.join(names)} is not recorded of member {lacking[0]}); name one by its index"
        )
    return names, {index: sum(member.figures[name] for name in names) for index, member in validated.items()}


def best(members: Mapping[int, Member]) -> int:
    """Index of the member with the lowest sum of `criteria`; the first, if none was ever validated.

    Raises:
        CheckpointError: they cannot be compared.
    """
    if all(member.best is None for member in members.values()):
        return next(iter(members))
    found = criteria(members)[1]
    return min(found, key=found.__getitem__)
