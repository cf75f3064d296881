"""A match as a picture: the target, the dry clip and answers in what the distances between them are taken of.

Panels (`jaxvae.matching.distances`)
    colour       mean level over frequency
    spectrum     how far every moment is from the target's
    modulation   how much levels move, over the rate
    decay        energy that is still to come of the response from the dry clip, over time
"""

import textwrap
from collections.abc import Mapping
from typing import NamedTuple

import jax
import matplotlib.ticker
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from analysis.matching.measure import TOTAL
from analysis.pictures import style
from jaxvae.effects import Effect
from jaxvae.matching import distances

_WIDTH, _HEIGHT = 8.2, 6.4  # inches
_LINE_INCHES, _LINE_CHARACTERS = 0.165, 128
_LOOKS = {  # by the colours of `style.COLOURS`, told apart in grey and by colour-blind readers as well
    "target": {"color": "#000000", "linewidth": 2.4, "zorder": 2},
    "dry input": {"color": "#D55E00", "linewidth": 1.3, "linestyle": (0, (1, 1.2)), "zorder": 4},
    "matcher": {"color": "#0072B2", "linewidth": 1.4, "zorder": 3},
    "extra trees": {"color": "#009E73", "linewidth": 1.1, "linestyle": (0, (5, 1.5)), "zorder": 3},
}
_WORDS = {
    "colour": ("Mean spectrum", "Hz", "level (dB)"),
    "spectrum": ("Spectrum", "s", "distance from the target (dB)"),
    "modulation": ("Modulation", "Hz", "movement of levels (dB)"),
    "decay": ("Decay", "s", "energy still to come (dB)"),
}


class Drawn(NamedTuple):
    """A match to draw."""

    title: str
    effect: Effect
    settings: dict[str, Float[np.ndarray, " parameter"] | None]
    """On [0, 1], the true ones and those of answers, by what they are called; None is no effect."""
    sounds: dict[str, Float[np.ndarray, " sample"]]
    """"target", "dry input" and answers."""
    shares: dict[str, dict[str, float]]
    """Of every distance, what an answer closes, by answer."""


def words(kind: Effect, settings: Float[np.ndarray, " parameter"] | None) -> str:
    """ "drive 0.31, muffle 0.55", with units where there are any."""
    if settings is None:
        return "no effect"
    values = kind.settings(settings)
    return ", ".join(
        f"{style.parameter_name(parameter)} {values[parameter.name]:.3g} {parameter.unit}".strip()
        for parameter in kind.parameters
    )


def plot(drawn: Drawn, sample_rate: int) -> Figure:
    """Four panels, under the settings and the shares of the distance that are closed."""
    names = list(drawn.sounds)
    audio = np.stack(list(drawn.sounds.values()))
    sounds = distances.describe(audio, drawn.sounds["dry input"], sample_rate=sample_rate)
    axes = distances.axes(audio.shape[1], sample_rate)
    target, dry, bands = names.index("target"), names.index("dry input"), len(axes.band_hz)
    apart = distances.apart(*(jax.tree.map(lambda x, row=row: x[row : row + 1], sounds) for row in (dry, target)))
    spectrum = np.asarray(sounds.spectrum)
    curves = {
        "colour": (axes.band_hz, np.asarray(sounds.colour)[:, :bands]),
        "spectrum": (axes.frame_s, np.abs(spectrum - spectrum[target]).mean(axis=1)),
        "modulation": (axes.rate_hz, np.asarray(sounds.modulation).reshape(len(names), -1, len(axes.rate_hz)).mean(1)),
        "decay": (axes.hop_s, np.asarray(sounds.decay)),
    }
    told = [f"{name}: {words(drawn.effect, settings)}" for name, settings in drawn.settings.items()]
    told += [f"closed of the distance: {_closed(drawn.shares, TOTAL)}"]
    lines = [line for text in told for line in textwrap.wrap(text, _LINE_CHARACTERS, subsequent_indent="    ")]
    margin = (len(lines) + 1.6) * _LINE_INCHES
    with style.new(_WIDTH, _HEIGHT + margin) as figure:
        figure.suptitle("\n".join([drawn.title, *lines]), x=0.01, ha="left", fontsize=8.5, linespacing=1.35)
        panels = dict(zip(curves, figure.subplots(2, 2).ravel(), strict=True))
        for what, (places, values) in curves.items():
            for name, row in zip(names, values, strict=True):
                if (what, name) != ("spectrum", "target"):
                    panels[what].plot(places, row, label=name, **_LOOKS[name])
            title, horizontal, vertical = _WORDS[what]
            far = f"the dry input is {float(apart[what][0]):.1f} dB from the target"
            panels[what].set_title(f"{title}: {far}\nclosed: {_closed(drawn.shares, what)}", loc="left", fontsize=8)
            panels[what].set(xlabel=horizontal, ylabel=vertical)
            panels[what].grid(color="0.92", linewidth=0.6)
        for what, ticks in (("colour", (100, 1_000, 10_000)), ("modulation", (0.5, 1, 2, 5, 10, 20))):
            panels[what].set_xscale("log")
            low, high = curves[what][0][[0, -1]]
            panels[what].set_xticks([tick for tick in ticks if 0.7 * low <= tick <= 1.4 * high])
            panels[what].xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            panels[what].xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        panels["spectrum"].set_ylim(bottom=0)
        handles, labels = panels["colour"].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _closed(shares: Mapping[str, Mapping[str, float]], what: str) -> str:
    return ", ".join(f"{name} {percent(of[what])}" for name, of in shares.items())


def percent(share: float) -> str:
    """ "31 %"; neither "-0 %" nor a hyphen for a minus."""
    return f"{round(100 * share)} %".replace("-", "−")
