"""What a matcher answers: effects with settings that sound like a reference, the render, and how to make it again."""

import dataclasses
import json
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxvae import effects

NO_EFFECT = "no effect"


@dataclasses.dataclass(frozen=True)
class Setting:
    """One control of an effect, in its unit."""

    name: str
    unit: str
    value: float
    low: float
    """The setting of the reference is below it with a probability of 10 %."""
    high: float
    """The setting of the reference is above it with a probability of 10 %."""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {self.value:.3g}{unit} ({self.low:.3g} to {self.high:.3g})"


@dataclasses.dataclass(frozen=True)
class Answer:
    """An effect at settings."""

    effect: str
    """Its name, or "no effect"."""
    weight: float
    """Probability that the reference sounds more like this than like the other answers."""
    expected: float
    """Mean distance from what the reference may be, in that of random renders from their dry clips."""
    settings: tuple[Setting, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Match:
    """Answers, the best first, and the recording through that one. `str()` of it is a text to read."""

    matcher: str
    answers: tuple[Answer, ...]
    probabilities: dict[str, float]
    """Of the effects and of none, by what was heard, the largest first."""
    input_gain_db: float
    """By what the recording is amplified before the effect."""
    audio: Float[np.ndarray, "*channels sample"] | None
    """In the form of the dry recording, at its power; None where it is a file (`Matcher.match_file`)."""
    sample_rate: float
    render_rate: float
    """At which the effect was rendered: the same, unless it sounds otherwise there than where it was matched."""
    excerpt: Float[np.ndarray, " some"]
    """Of the dry recording, as it entered the effects that were compared."""
    excerpt_rate: int
    renders: int
    """Of the excerpt."""
    seconds: float
    notes: tuple[str, ...]

    @property
    def effect(self) -> str:
        """Name of the best answer's effect, or "no effect"."""
        return self.answers[0].effect

    @property
    def settings(self) -> dict[str, float]:
        """Settings of the best answer."""
        return {setting.name: setting.value for setting in self.answers[0].settings}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without audio; `render` of the effect takes the settings."""
        return {
            "effect": self.effect,
            "settings": self.settings,
            "input_gain_db": self.input_gain_db,
            "render_rate": self.render_rate,
            "answers": [dataclasses.asdict(answer) for answer in self.answers],
            "probabilities": self.probabilities,
            "matcher": self.matcher,
            "renders": self.renders,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    def json(self) -> str:
        """The same as a text."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def preset(self) -> bytes:
        """The state of the VST3 plug-in at the best answer, a .vstpreset, which hosts of such plug-ins load.

        A recording enters it amplified by `input_gain_db`.

        Raises:
            ValueError: the best answer is no VST3 plug-in.
            EffectError: the plug-in fails.
        """
        if not effects.is_vst3(self.effect):
            raise ValueError(
                f"the best answer is {self.effect}, of which there is no .vstpreset, as it is no VST3 plug-in; allow "
                "VST3 effects only, or use json() or snippet()"
            )
        return effects.preset(self.effect, self.settings)

    def snippet(self, source: str = "dry.wav", target: str = "wet.wav") -> str:
        """A Python program that renders a file through the best answer, channel by channel."""
        if self.effect == NO_EFFECT:
            return f'import shutil\n\nshutil.copyfile({source!r}, {target!r})  # "no effect" is the best answer\n'
        settings = "".join(f"    {name!r}: {value!r},\n" for name, value in self.settings.items())
        there = back = resampler = ""
        rate = "sample_rate"
        if self.render_rate != self.sample_rate:  # at another it would sound otherwise
            rate = f"{self.render_rate:.0f}"
            resampler = "import soxr\n"
            there = f"dry = soxr.resample(dry, sample_rate, {rate})\n"
            back = f"wet = soxr.resample(wet, {rate}, sample_rate)\n"
        return (
            f"import numpy as np\nimport soundfile\n{resampler}\nimport jaxvae\n\n"
            f"dry, sample_rate = soundfile.read({source!r}, dtype='float32', always_2d=True)\n"
            f"{there}effect = jaxvae.effects.get({self.effect!r})\nsettings = {{\n{settings}}}\n"
            f"dry = dry * np.float32(10 ** ({self.input_gain_db!r} / 20))\n"
            f"wet = [effect.render(channel, settings, {rate}) for channel in np.ascontiguousarray(dry.T)]\n"
            f"wet = np.stack(wet, axis=1)\n{back}"
            f"soundfile.write({target!r}, wet * (0.9 / np.abs(wet).max()), sample_rate)\n"
        )

    def __str__(self) -> str:
        lines = []
        for number, answer in enumerate(self.answers):
            title = "best answer" if not number else f"alternative {number}"
            lines.append(f"{title}: {answer.effect} (nearest of the {len(self.answers)} with {answer.weight:.0%})")
            lines += [f"    {setting}" for setting in answer.settings]
        heard = ", ".join(f"{name} {share:.0%}" for name, share in list(self.probabilities.items())[:4])
        lines.append(f"heard in the reference: {heard}")
        lines.append(f"input gain {self.input_gain_db:+.1f} dB; {self.renders} renders in {self.seconds:.1f} s")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
