"""A recording through an effect at settings, to be heard at once and to be kept.

Conventions
    A recording enters an effect at the level of training (its mono peak at `Data.peak_dbfs`), channel by channel, at
    its own rate; where the effect sounds otherwise there than at the rate of training, at that one.
    What is played is the window of the recording: the dry one and every render are equally loud (ITU-R BS.1770), and
    no louder than `MOST_LUFS`. Where a peak would exceed -1 dBFS, a render is quieter.
    What is kept is the whole recording, as loud beside it as it was in the window, below -1 dBFS. An effect begins at
    the beginning of what it is given: of a recording no longer than its window both are the same, but for that gain.
"""

import collections
import dataclasses
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from analysis.latent_map.points import loudness
from analysis.latent_map.source import Source, clip
from jaxvae import config
from jaxvae.data import audio, waveform
from jaxvae.data.audio import gain
from jaxvae.effects import Effect
from jaxvae.matching import matcher
from jaxvae.matching.rendering import HIGHEST_DBFS, Render

_KEPT = 64  # renders, of 2 MB at most for six seconds of stereo


class Sound(NamedTuple):
    """What is played."""

    audio: Float[np.ndarray, "channel sample"]
    sample_rate: int
    gain_db: float
    """By what the render was amplified; of the dry recording, by what that was."""
    short_db: float
    """What it lacks of the loudness of the dry recording, to stay below full scale."""
    render_ms: float
    """0 where it was remembered."""
    level_ms: float


@dataclasses.dataclass(eq=False)
class Audition:
    """Renders of recordings, the last ones of which are remembered."""

    experiment: config.Experiment
    """Of the run whose effects are heard: it knows their rate and level."""
    _sounds: collections.OrderedDict = dataclasses.field(default_factory=collections.OrderedDict)
    _rates: dict = dataclasses.field(default_factory=dict)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def dry(self, source: Source) -> Sound:
        """The window of a recording as it is, as loud as its renders."""
        played = source.window * np.float32(gain(source.play_db))
        return Sound(_below_full_scale(played), source.sample_rate, source.play_db, 0.0, 0.0, 0.0)

    def wet(self, source: Source, kind: Effect, settings: Mapping[str, float]) -> Sound:
        """The window through an effect at physical settings.

        Raises:
            ValueError: settings are unknown or out of range.
            EffectError: the effect fails, or gives nothing that can be used.
        """
        settings = self.complete(kind, settings)
        key = (source.id, kind.name, tuple(settings.items()))
        with self._lock:
            if key in self._sounds:
                self._sounds.move_to_end(key)
                return self._sounds[key]._replace(render_ms=0.0, level_ms=0.0)
        begun = time.perf_counter()
        window = waveform.recording(source.window, source.sample_rate)
        render = Render(kind, settings, window, self.input_gain_db(source), self.rate(source, kind))
        raw = np.concatenate(list(render.blocks()), axis=1)
        rendered = time.perf_counter()
        wanted = float(gain(source.loudness - loudness(raw.T, source.sample_rate) + source.play_db))
        found = render.levelled(wanted)
        played = _below_full_scale((raw * np.float32(found.gain)).astype(np.float32))
        gain_db = float(20 * np.log10(found.gain))
        done = time.perf_counter()
        times = 1_000 * (rendered - begun), 1_000 * (done - rendered)
        sound = Sound(played, source.sample_rate, gain_db, found.short_db, *times)
        with self._lock:
            self._sounds[key] = sound
            while len(self._sounds) > _KEPT:
                self._sounds.popitem(last=False)
        return sound

    def complete(self, kind: Effect, settings: Mapping[str, float]) -> dict[str, float]:
        """Values of all swept parameters, in their order. Raises ValueError as `Effect.complete`."""
        every = kind.complete(settings)
        return {parameter.name: every[parameter.name] for parameter in kind.parameters}

    def input_gain_db(self, source: Source) -> float:
        """By what a recording is amplified before an effect."""
        return self.experiment.data.peak_dbfs - source.peak_dbfs

    def rate(self, source: Source, kind: Effect) -> float:
        """At which a recording is rendered: its own, if the effect at its middle sounds there as in training."""
        own, trained = source.sample_rate, self.experiment.audio.sample_rate
        if own == trained:
            return float(own)
        with self._lock:
            known = self._rates.get((kind.name, own))
        if known is None:
            middle = kind.settings(np.full(len(kind.parameters), 0.5))
            # Of one length, so that the comparison is compiled once for all recordings.
            excerpt = clip(source, trained, self.experiment.audio.clip_samples)
            excerpt = audio.set_peak(excerpt, self.experiment.data.peak_dbfs)
            # Below it, frequencies of some settings do not exist.
            alike = own > trained and matcher.same_at(kind, middle, excerpt, trained, float(own))
            known = float(own if alike else trained)
            with self._lock:
                self._rates[kind.name, own] = known
        return known

    def write(self, source: Source, kind: Effect, settings: Mapping[str, float], path: Path) -> float:
        """A file of the whole recording through an effect; what it lacks of the recording's loudness in dB.

        Raises:
            ValueError, EffectError: as `wet`.
            OSError: the folder cannot be written or is full.
        """
        settings = self.complete(kind, settings)
        rate, input_gain_db = self.rate(source, kind), self.input_gain_db(source)
        render = Render(kind, settings, source.recording, input_gain_db, rate)
        return render.write(path, wanted=float(gain(self._output_gain_db(source, kind, settings))))

    def _output_gain_db(self, source: Source, kind: Effect, settings: Mapping[str, float]) -> float:
        """By what a render is amplified to be as loud as the recording."""
        sound = self.wet(source, kind, settings)
        return sound.gain_db + sound.short_db - source.play_db

    def json(self, source: Source, kind: Effect, settings: Mapping[str, float]) -> str:
        """The settings as a text: effect, values with units, gains and rate."""
        settings = self.complete(kind, settings)
        record = {
            "effect": kind.name,
            "settings": settings,
            "units": {parameter.name: parameter.unit for parameter in kind.parameters},
            "input_gain_db": self.input_gain_db(source),
            "output_gain_db": self._output_gain_db(source, kind, settings),
            "render_rate": self.rate(source, kind),
            "source": source.name,
            "run": self.experiment.name,
        }
        return json.dumps(record, indent=1) + "\n"

    def snippet(self, source: Source, kind: Effect, settings: Mapping[str, float]) -> str:
        """A Python program that renders a file of the recording's rate through the settings, channel by channel."""
        settings = self.complete(kind, settings)
        rate = self.rate(source, kind)
        values = "".join(f"    {name!r}: {value!r},\n" for name, value in settings.items())
        resampler = there = back = ""
        if rate != source.sample_rate:  # at another it would sound otherwise
            resampler = "import soxr\n"
            there = f"dry = soxr.resample(dry, sample_rate, {rate:.0f})\n"
            back = f"wet = soxr.resample(wet, {rate:.0f}, sample_rate)\n"
        used = f"{rate:.0f}" if resampler else "sample_rate"
        before_db, after_db = self.input_gain_db(source), self._output_gain_db(source, kind, settings)
        return (
            f"import numpy as np\nimport soundfile\n{resampler}\nimport jaxvae\n\n"
            f"dry, sample_rate = soundfile.read('dry.wav', dtype='float32', always_2d=True)\n"
            f"dry = dry * np.float32(10 ** ({before_db!r} / 20))\n{there}"
            f"effect = jaxvae.effects.get({kind.name!r})\nsettings = {{\n{values}}}\n"
            f"wet = [effect.render(channel, settings, {used}) for channel in np.ascontiguousarray(dry.T)]\n"
            f"wet = np.stack(wet, axis=1)\n{back}"
            f"gain = min(10 ** ({after_db!r} / 20), 10 ** ({HIGHEST_DBFS!r} / 20) / np.abs(wet).max())\n"
            f"soundfile.write('wet.wav', wet * gain, sample_rate)\n"
        )


def _below_full_scale(played: Float[np.ndarray, "channel sample"]) -> Float[np.ndarray, "channel sample"]:
    """Rounding may leave the limit by one unit; a dry recording may have been above it."""
    peak, highest = float(np.abs(played).max()), float(gain(HIGHEST_DBFS))
    return played if peak <= highest else (played * np.float32(highest / peak * (1 - 1e-6))).astype(np.float32)
