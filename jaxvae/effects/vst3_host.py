"""The program of a process that holds one VST3 plug-in, which may crash or hang there.

It is run by its path, imports nothing of jaxvae, and ends with its standard input, whatever the plug-in does.

Conventions
    A message is the lengths of two things, a JSON object and bytes, and those: requests on the standard input, answers
    on what was the standard output. The bytes are mono float32 samples, or a preset. `do` of a request is one of:
        load     path, plugin  ->  parameters (name, default, steps, whether a switch) and channels
        trial    block         ->  usable: whether noise of more than one block comes back finite and as long
        render   settings, sample_rate, block, and dry samples  ->  latencies that were reported, and wet samples
        preset   settings, block  ->  the plug-in's state as a .vstpreset
    What the plug-in itself prints goes to the standard error, which holds what was printed since the last request.
"""

import json
import os
import queue
import struct
import sys
import threading
from typing import Any, BinaryIO

import numpy as np

_LENGTHS = struct.Struct("<QQ")
_FLUSH_SAMPLES = 512
_TRIAL_RATE = 48_000
_TRIAL_BLOCKS = 2.5


def send(stream: BinaryIO, header: dict[str, Any], content: Any = b"") -> None:
    """Write a message to an unbuffered stream. BrokenPipeError where nobody reads it."""
    text = json.dumps(header).encode()
    content = memoryview(content).cast("B")
    for part in (memoryview(_LENGTHS.pack(len(text), len(content)) + text), content):
        while len(part):
            part = part[stream.write(part) :]


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytearray] | None:
    """The next message of an unbuffered stream; None where it ends."""
    lengths = _read(stream, _LENGTHS.size)
    text, content = (_read(stream, length) for length in _LENGTHS.unpack(lengths)) if lengths else (None, None)
    return None if text is None or content is None else (json.loads(text), content)


def _read(stream: BinaryIO, length: int) -> bytearray | None:
    content = bytearray(length)
    rest = memoryview(content)
    while len(rest):
        count = stream.readinto(rest)
        if not count:
            return None
        rest = rest[count:]
    return content


class _Host:
    """The plug-in, and what is asked of it."""

    def load(self, path: str, plugin: str) -> dict[str, Any]:
        import pedalboard

        try:
            choices = pedalboard.VST3Plugin.get_plugin_names_for_file(path)
        except ImportError as error:
            raise ValueError(f"{path} is not a VST3 plug-in of this system: {error}") from error
        if plugin and plugin not in choices:
            raise ValueError(f"{path} holds no plug-in {plugin}; it holds {', '.join(choices)}")
        if not plugin and len(choices) > 1:
            raise ValueError(f"{path} holds {', '.join(choices)}; add # and one of them to the name")
        self._plugin = pedalboard.load_plugin(path, plugin_name=plugin or None)
        if not self._plugin.is_effect:
            raise ValueError(f"{path} is an instrument; use an effect")
        self._channels = self._accepted(path)
        return {
            "parameters": [
                (key, float(parameter.default_raw_value), parameter.num_steps, parameter.is_boolean)
                for key, parameter in self._plugin.parameters.items()
                if parameter.is_automatable  # others are readouts
            ],
            "channels": self._channels,
        }

    def _accepted(self, path: str) -> int:
        """Two channels, or one of a plug-in that is mono."""
        for channels in (2, 1):
            try:
                self._plugin.process(np.zeros((channels, _FLUSH_SAMPLES), np.float32), _TRIAL_RATE, _FLUSH_SAMPLES)
            except ValueError as error:
                refusal = error
            else:
                return channels
        raise ValueError(f"{path} takes neither stereo nor mono ({refusal}); use another plug-in")

    def trial(self, block: int) -> dict[str, Any]:
        noise = 0.1 * np.random.default_rng(0).standard_normal((self._channels, round(_TRIAL_BLOCKS * block)))
        wet = self._plugin.process(noise.astype(np.float32), _TRIAL_RATE, block)
        return {"usable": wet.shape == noise.shape and bool(np.isfinite(wet).all())}

    def render(
        self, settings: dict[str, float], sample_rate: float, block: int, content: bytearray
    ) -> tuple[dict[str, Any], np.ndarray]:
        dry = np.frombuffer(content, np.float32)
        self._set(settings, sample_rate, block)
        before = self._plugin.reported_latency_samples
        wet = self._plugin.process(np.stack([dry] * self._channels), sample_rate, block)  # without the latency
        return {"latencies": [before, self._plugin.reported_latency_samples]}, wet.mean(axis=0)

    def preset(self, settings: dict[str, float], block: int) -> tuple[dict[str, Any], bytes]:
        self._set(settings, _TRIAL_RATE, block)
        return {}, self._plugin.preset_data

    def _set(self, settings: dict[str, float], sample_rate: float, block: int) -> None:
        parameters = self._plugin.parameters
        for key, value in settings.items():
            parameters[key].raw_value = value
        # New values reach a plug-in with its next block, and it may glide to them from those of the clip before.
        # After a silent block and the reset that `process` begins with, the clip starts from the new values.
        self._plugin.process(np.zeros((self._channels, _FLUSH_SAMPLES), np.float32), sample_rate, block)


def main() -> None:
    """Answer requests until there are no more."""
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests: queue.SimpleQueue[tuple[dict[str, Any], bytearray]] = queue.SimpleQueue()

    def read() -> None:
        with open(0, "rb", buffering=0, closefd=False) as stream:
            while (request := receive(stream)) is not None:
                requests.put(request)
        os._exit(0)  # though the plug-in may hang, and without what it would do at the end

    threading.Thread(target=read, daemon=True).start()
    host = _Host()
    while True:
        header, content = requests.get()
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        try:
            answer = getattr(host, header.pop("do"))(**header, **({"content": content} if content else {}))
        except Exception as error:  # which whoever asked raises
            answer = {"error": str(error), "refused": isinstance(error, ValueError)}
        send(answers, *(answer if isinstance(answer, tuple) else (answer,)))


if __name__ == "__main__":
    sys.exit(main())
