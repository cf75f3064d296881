"""Fields of nested dataclasses by their paths: "objective.beta.maximum" of an experiment.

Conventions
    An experiment is any frozen dataclass whose sections are frozen dataclasses; plain values are what JSON can hold.
    A field made by `number` may differ between the members of one compiled program, which it reaches as an array (see
    `jaxvae.training.hyperparams`); any other field belongs to the program.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, get_type_hints

Value = bool | int | float | str
Changes = Sequence[tuple[str, Value]]
_Experiment = TypeVar("_Experiment")


class Number(NamedTuple):
    """How a field reaches a program."""

    dtype: str = "float32"
    through: str = ""
    """Name of the `number_property` that is made of the field, where the field itself does not reach the program."""
    shared: bool = False
    """Whether the members of a program may not differ in it after all."""


def number(default: Value, dtype: str = "float32", through: str = "", shared: bool = False, **metadata: Any) -> Any:
    """A field that reaches a program as an array (see `Number`), so that its members may differ in it."""
    return dataclasses.field(default=default, metadata={"number": Number(dtype, through, shared), **metadata})


class number_property(property):
    """A property of an experiment that reaches a program as an array, made of its fields."""


def numbers(experiment: Any) -> dict[str, Number]:
    """The fields that reach a program as arrays, by path."""

    def marked(section: Any, prefix: str) -> Iterator[tuple[str, Number]]:
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            if dataclasses.is_dataclass(value):
                yield from marked(value, f"{prefix}{field.name}.")
            elif "number" in field.metadata:
                yield prefix + field.name, field.metadata["number"]

    return dict(marked(experiment, ""))


def to_dict(experiment: Any) -> dict[str, Any]:
    """Plain dictionaries and lists, ready for JSON."""
    return dataclasses.asdict(experiment)


def from_dict(kind: type[_Experiment], values: dict[str, Any]) -> _Experiment:
    """The inverse of `to_dict`. Unknown keys raise TypeError; missing ones take their default."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value

    def build(kind: type, values: dict[str, Any]) -> Any:
        kinds = get_type_hints(kind)
        return kind(
            **{
                name: build(kinds[name], value) if dataclasses.is_dataclass(kinds.get(name)) else frozen(value)
                for name, value in values.items()
            }
        )

    with warnings.catch_warnings():  # the warnings were given when the experiment was first made
        warnings.simplefilter("ignore")
        return build(kind, values)


def flat(experiment: Any) -> dict[str, Any]:
    """The value of every field, by its path."""

    def leaves(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            found.update(leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
        return found

    return leaves(to_dict(experiment), "")


def differences(first: Any, second: Any) -> list[str]:
    """Lines `path: first -> second`, one for each field in which two experiments differ."""
    one, two = flat(first), flat(second)
    return [f"{path}: {one[path]} -> {two[path]}" for path in one if one[path] != two[path]]


def changed(experiment: _Experiment, changes: Changes) -> _Experiment:
    """The experiment with other values of some fields.

    Raises:
        ValueError: a path names no field, or a value is of another type than the field's.
    """

    def replaced(section: Any, changes: Changes, prefix: str) -> Any:
        own, below = {}, {}
        names = {field.name for field in dataclasses.fields(section)}
        for path, value in changes:
            name, _, rest = path.partition(".")
            nested = name in names and dataclasses.is_dataclass(getattr(section, name))
            if name not in names or nested != bool(rest) or prefix + name in ("execution", "sweep"):
                free = sorted(f"{prefix}{known}" for known in names if prefix + known not in ("execution", "sweep"))
                raise ValueError(
                    f"the sweep changes {prefix + path!r}, which is no field that it may change; "
                    f"fields and sections here are {', '.join(free)}"
                )
            if nested:
                below.setdefault(name, []).append((rest, value))
            else:
                own[name] = _as(getattr(section, name), value, prefix + path)
        for name, some in below.items():
            own[name] = replaced(getattr(section, name), some, f"{prefix}{name}.")
        return dataclasses.replace(section, **own)

    with warnings.catch_warnings():  # the warnings were given when the experiment was first made
        warnings.simplefilter("ignore")
        return replaced(experiment, changes, "")


def _as(present: Any, value: Value, path: str) -> Value:
    """The value as the type of the one that it replaces."""
    if isinstance(present, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(present):
        raise ValueError(
            f"the sweep sets {path} to {value!r}, a {type(value).__name__}; use a {type(present).__name__}"
        )
    return value
