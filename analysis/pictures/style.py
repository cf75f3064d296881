"""The look of every picture: sizes for paper, colours and markers of effects, and how a figure becomes a file."""

import base64
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxvae import atomic_file, effects

DPI = 160
# Okabe & Ito (2008), told apart by colour-blind readers; the yellow is darkened to be seen on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E0A800", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")  # one more than the colours, so 56 effects differ

_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@contextlib.contextmanager
def new(width: float, height: float) -> Iterator[Figure]:
    """An empty figure in inches; what is drawn inside the `with` has the common look, and nothing global changes."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI)
        FigureCanvasAgg(figure)
        yield figure


@contextlib.contextmanager
def new_grid(
    panels: int, columns: int, width: float, height: float, margin: float = 0.0
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of so many panels, row by row, each of a width and height in inches; the margin is height for more."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    with new(columns * width, rows * height + margin) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for spare in grid[panels:]:
            spare.remove()
        yield figure, list(grid[:panels])


def effect_style(index: int) -> dict[str, str]:
    """Colour and marker of the index-th effect."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def short_name(effect: str) -> str:
    """ "Delay" of "pedalboard/Delay"."""
    return effect.rpartition("/")[2]


def parameter_name(parameter: effects.Parameter) -> str:
    """ "cutoff" of cutoff_hz: the unit is said elsewhere."""
    unit = {"s": "seconds"}.get(parameter.unit, parameter.unit.lower())
    return parameter.name.removesuffix(f"_{unit}").replace("_", " ")


def axis_label(parameter: effects.Parameter) -> str:
    """ "cutoff (Hz)" of cutoff_hz."""
    return parameter_name(parameter) + (f" ({parameter.unit})" if parameter.unit else "")


def plane_colours(position: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "point 3"]:
    """sRGB colours of places in the unit square: left to right is blue to yellow, bottom to top dark to light.

    The plane is laid out in Oklab (Ottosson 2020), so equal steps look about equal; both directions survive
    red-green colour blindness.
    """
    x, y = np.clip(np.asarray(position, np.float64), 0, 1).T
    lightness, a, b = 0.42 + 0.45 * y, 0.10 * (1 - 2 * y), 0.15 * (2 * x - 1)
    cube = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_linear @ cube**3, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).T


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file.write(path) as file:
        file.write(png(figure))


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def data_url(content: bytes, kind: str) -> str:
    """Bytes as an address that a page can hold inside itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def plain_map(axes: Axes) -> None:
    """Frame a map without ticks or numbers: UMAP's axes have no unit."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="0.8")
