"""A host for LV2 audio plug-ins: finds them, reads their ports and renders one clip.

Conventions
    Audio is mono float32: it is fed to every audio input, and the mean of the audio outputs is returned.
    A clip has an instance of its own and is run in blocks, so it depends on nothing that was rendered before; Python's
    lock is released while a plug-in runs. Controls are float32, in the plug-in's own units, by port symbol.
    Specification: https://lv2plug.in/ns/lv2core (lv2.h describes the functions, lv2core.ttl the words of the Turtle).
"""

import contextlib
import ctypes
import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from jaxtyping import Float32

from jaxvae.effects import trial

BLOCK_SIZE = 8_192
"""Samples in one call of a plug-in. Some plug-ins, such as mda Leslie, sound different in blocks of another size."""

_LV2 = "http://lv2plug.in/ns/lv2core#"
_STANDARD_FOLDERS = ("~/.lv2", "/usr/local/lib/lv2", "/usr/lib/lv2", "/usr/lib64/lv2", "~/Library/Audio/Plug-Ins/LV2")

_TRIAL = """
import ctypes, sys
entry = ctypes.CDLL(sys.argv[1]).lv2_descriptor
entry.argtypes, entry.restype = [ctypes.c_uint32], ctypes.c_void_p
entry(0)
"""
_READING = threading.Lock()  # rdflib does not promise that threads may parse at once


@dataclasses.dataclass(frozen=True)
class Control:
    """An input port that takes one number."""

    symbol: str
    index: int
    minimum: float
    maximum: float
    default: float


@dataclasses.dataclass(frozen=True)
class Plugin:
    """What the Turtle files say about one plug-in. Ports are given by index."""

    uri: str
    bundle: Path
    binary: Path
    controls: tuple[Control, ...]
    readouts: tuple[int, ...]
    """Output ports of one number, such as a meter."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _Descriptor(ctypes.Structure):
    """LV2_Descriptor of lv2.h."""

    _fields_ = (
        ("uri", ctypes.c_char_p),
        (
            "instantiate",  # (descriptor, rate, bundle_path, features) -> handle
            ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p),
        ),
        ("connect_port", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)),
        ("activate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("run", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)),
        ("deactivate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("cleanup", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("extension_data", ctypes.c_void_p),
    )


def folders() -> tuple[Path, ...]:
    """Folders that are searched for LV2 bundles: those of the variable LV2_PATH, else the standard ones."""
    path = os.environ.get("LV2_PATH")
    names = path.split(os.pathsep) if path else _STANDARD_FOLDERS
    return tuple(Path(name).expanduser() for name in names if name)


def find(uri: str) -> Plugin | None:
    """The installed plug-in of that URI, the first that `folders` hold, or None. The files are read once."""
    with _READING:
        return next((_read(uri, bundles[uri]) for bundles in map(_bundles, folders()) if uri in bundles), None)


@functools.cache
def _bundles(folder: Path) -> dict[str, Path]:
    """Bundle by URI of every plug-in that the manifests in a folder name."""
    import rdflib  # here, so that jaxvae.effects can be imported fast

    found: dict[str, Path] = {}
    for manifest in sorted(folder.glob("*.lv2/manifest.ttl")):
        graph = rdflib.Graph().parse(manifest, format="turtle")
        for uri in graph.subjects(rdflib.RDF.type, rdflib.URIRef(_LV2 + "Plugin")):
            found.setdefault(str(uri), manifest.parent)
    return found


@functools.cache
def _read(uri: str, bundle: Path) -> Plugin:
    import rdflib

    lv2 = rdflib.Namespace(_LV2)
    subject, graph = rdflib.URIRef(uri), rdflib.Graph().parse(bundle / "manifest.ttl", format="turtle")
    for file in list(graph.objects(subject, rdflib.RDFS.seeAlso)):
        if file.startswith("file:"):  # a file of the bundle, not a page of the web
            graph.parse(str(file), format="turtle")
    if required := sorted(graph.objects(subject, lv2.requiredFeature)):
        raise ValueError(f"{uri} requires {', '.join(required)}, which this host does not offer; use another plug-in")

    controls: list[Control] = []
    # Kinds of ports, in the order in which Plugin has them.
    indices: dict[tuple[str, str], list[int]] = {
        (lv2.OutputPort, lv2.ControlPort): [],
        (lv2.InputPort, lv2.AudioPort): [],
        (lv2.OutputPort, lv2.AudioPort): [],
    }
    for port in graph.objects(subject, lv2.port):
        kinds, index = set(graph.objects(port, rdflib.RDF.type)), int(graph.value(port, lv2["index"]))
        if {lv2.InputPort, lv2.ControlPort} <= kinds:
            numbers = [graph.value(port, lv2[word]) for word in ("minimum", "maximum", "default")]
            if None in numbers:
                raise ValueError(f"control {index} of {uri} lacks a minimum, maximum or default; use another plug-in")
            controls.append(Control(str(graph.value(port, lv2.symbol)), index, *map(float, numbers)))
            continue
        kind = next((kind for kind in indices if kinds.issuperset(kind)), None)
        if kind is None:
            raise ValueError(f"port {index} of {uri} carries neither audio nor one number; use another plug-in")
        indices[kind].append(index)
    readouts, inputs, outputs = (tuple(sorted(of_kind)) for of_kind in indices.values())
    if not inputs or not outputs:
        raise ValueError(f"{uri} has {len(inputs)} audio inputs and {len(outputs)} outputs; use an effect, with both")
    binary = Path(url2pathname(urlsplit(graph.value(subject, lv2.binary)).path))
    return Plugin(uri, bundle, binary, tuple(sorted(controls, key=lambda c: c.index)), readouts, inputs, outputs)


@functools.cache
def _descriptor(plugin: Plugin) -> _Descriptor:
    trial.require_loads(f"the plug-in {plugin.binary}", _TRIAL, str(plugin.binary))
    entry = ctypes.CDLL(str(plugin.binary)).lv2_descriptor
    entry.argtypes, entry.restype = [ctypes.c_uint32], ctypes.POINTER(_Descriptor)
    index = 0
    while descriptor := entry(index):
        if descriptor.contents.uri == plugin.uri.encode():
            return descriptor.contents
        index += 1
    raise ValueError(f"{plugin.binary} holds no plug-in {plugin.uri}; reinstall the package of {plugin.bundle}")


def render(
    plugin: Plugin,
    dry: Float32[np.ndarray, " sample"],
    controls: dict[str, float],
    sample_rate: int,
    block_size: int = BLOCK_SIZE,
) -> Float32[np.ndarray, " sample"]:
    """The wet clip of a fresh instance of the plug-in. Controls that are left out take their defaults."""
    with opened(plugin, controls, sample_rate, block_size) as process:
        return process(dry)


@contextlib.contextmanager
def opened(
    plugin: Plugin, controls: dict[str, float], sample_rate: int, block_size: int = BLOCK_SIZE
) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """A fresh instance of the plug-in, which goes on where it was with each piece of a recording it is called with.

    A piece that is not the last has to be a multiple of `block_size` long, for the whole to be as `render` has it.
    """
    symbols = [control.symbol for control in plugin.controls]
    if unknown := sorted(set(controls) - set(symbols)):
        raise ValueError(f"{plugin.uri} has no control {unknown[0]}; it has {', '.join(symbols)}")
    values = [ctypes.c_float(controls.get(control.symbol, control.default)) for control in plugin.controls]
    readouts = [ctypes.c_float() for _ in plugin.readouts]

    descriptor = _descriptor(plugin)
    features = (ctypes.c_void_p * 1)()  # the end of an empty list
    bundle_path = os.fsencode(f"{plugin.bundle}{os.sep}")
    handle = descriptor.instantiate(ctypes.addressof(descriptor), float(sample_rate), bundle_path, features)
    if not handle:
        raise RuntimeError(f"{plugin.uri} could not be started at {sample_rate} Hz")

    def process(dry: np.ndarray) -> np.ndarray:
        dry = np.ascontiguousarray(dry)
        wet = np.zeros((len(plugin.outputs), len(dry)), np.float32)
        for start in range(0, len(dry), block_size):
            for index in plugin.inputs:
                descriptor.connect_port(handle, index, dry[start:].ctypes.data)
            for index, channel in zip(plugin.outputs, wet, strict=True):
                descriptor.connect_port(handle, index, channel[start:].ctypes.data)
            descriptor.run(handle, min(block_size, len(dry) - start))
        return wet.mean(axis=0)

    try:
        for control, value in zip(plugin.controls, values, strict=True):
            descriptor.connect_port(handle, control.index, ctypes.addressof(value))
        for index, readout in zip(plugin.readouts, readouts, strict=True):
            descriptor.connect_port(handle, index, ctypes.addressof(readout))
        if descriptor.activate:
            descriptor.activate(handle)
        yield process
        if descriptor.deactivate:
            descriptor.deactivate(handle)
    finally:
        descriptor.cleanup(handle)
