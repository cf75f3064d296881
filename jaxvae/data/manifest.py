"""The manifest of a data set: everything that its clips depend on, its identity, and its recordings.

Conventions
    The identity is a hash of what clips depend on: the config, the effects' tables and renderers, the content of the
    recordings, how they are split, and the format. It is made of the manifest's own words, so sets of other formats
    keep theirs.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxvae import effects
from jaxvae.config import RenderedExperiment
from jaxvae.data import recordings
from jaxvae.data.recordings import Prepared, Recording, Remark, Skipped
from jaxvae.data.storage import Folder
from jaxvae.effects import Effect, Parameter

FILE = "manifest.json"
FORMAT = 8  # of the files; a change of what is in them, or of how clips are drawn, raises it
_IDENTIFYING = ("format", "audio", "data", "effects", "files", "split")  # of older sets, those that they have
_ELSEWHERE = ("audio", "test_audio", "directory")  # fields of Data that say where files lie, not what they are


class Manifest(NamedTuple):
    """What a manifest says."""

    identity: str
    described: dict[str, Any]
    """Everything that clips depend on."""
    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...]
    remarks: tuple[Remark, ...]

    @property
    def effects(self) -> tuple[Effect, ...]:
        """As they were when the set was begun; only a render needs their plug-ins."""
        return tuple(
            effects.recorded(
                entry["name"],
                tuple(Parameter(**parameter) for parameter in entry["parameters"]),
                tuple((name, value) for name, value in entry["held"]),
            )
            for entry in self.described["effects"]
        )


def describe(experiment: RenderedExperiment, kinds: Sequence[Effect], files: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Everything that clips depend on. `files` are names and digests."""
    data = dataclasses.asdict(experiment.data)
    described = {
        "format": FORMAT,
        "audio": dataclasses.asdict(experiment.audio),
        "data": {name: value for name, value in data.items() if name not in _ELSEWHERE},
        "effects": [
            {
                "name": kind.name,
                "parameters": [dataclasses.asdict(parameter) for parameter in kind.parameters],
                "held": kind.held,
                "renderer": kind.renderer(),
            }
            for kind in kinds
        ],
        "files": files,
        "split": recordings.SPLIT_RULE,
    }
    return json.loads(json.dumps(described))  # as it is read back


def identify(described: dict[str, Any]) -> str:
    """The identity of a set."""
    return hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=8).hexdigest()


def as_json(described: dict[str, Any], prepared: Prepared) -> bytes:
    """The manifest's file."""
    return json.dumps({**described, "identity": identify(described), **prepared._asdict()}, indent=1).encode()


def read(folder: Folder) -> Manifest:
    """The manifest in a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    try:
        found = json.loads(folder.path(FILE).read_text())
        described = {name: found[name] for name in _IDENTIFYING if name in found}
        if identify(described) != found["identity"]:
            raise ValueError(f"it is not what made {found['identity']}")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no data set in {folder}; data.directory has to be where every machine sees it"
        ) from error
    except (ValueError, KeyError) as error:
        raise ValueError(f"{folder}/{FILE} is damaged ({error}); delete {folder} to render it anew") from error
    made = tuple(Recording(tuple(names), *rest) for names, *rest in found["recordings"])
    skipped = tuple(Skipped(*item) for item in found["skipped"])
    remarks = tuple(Remark(*item) for item in found.get("remarks", ()))  # older sets have none
    return Manifest(found["identity"], described, made, skipped, remarks)


def without_renderers(described: dict[str, Any]) -> dict[str, Any]:
    """The same, whatever renders the effects."""
    return described | {"effects": [{**entry, "renderer": None} for entry in described["effects"]]}


def differences(found: dict[str, Any], experiment: RenderedExperiment) -> tuple[list[str], list[str]]:
    """Lines that say how a set differs from what an experiment asks for, and from what this program makes of that."""
    data = dataclasses.asdict(experiment.data)
    asked = {
        "audio": dataclasses.asdict(experiment.audio),
        "data": {name: value for name, value in data.items() if name not in _ELSEWHERE},
    }
    of_config = [
        f"{section}.{name}: {found[section][name]} -> {value}"
        for section, values in json.loads(json.dumps(asked)).items()
        for name, value in values.items()
        if name in found[section] and found[section][name] != value
    ]
    of_program = [] if found["format"] == FORMAT else [f"format: {found['format']} -> {FORMAT}"]
    for entry in found["effects"]:
        name, renderer = entry["name"], effects.renderer(entry["name"])
        if renderer is not None and entry.get("renderer", renderer) != renderer:
            of_program.append(f"renderer of {name}: {entry['renderer']} -> {renderer}")
        table = effects.table().get(name)
        made = table and {
            "parameters": [dataclasses.asdict(parameter) for parameter in table.parameters],
            "held": [list(pair) for pair in table.held],
        }
        if made and made != {"parameters": entry["parameters"], "held": entry["held"]}:
            of_program.append(f"parameters of {name}")
    return of_config, of_program
