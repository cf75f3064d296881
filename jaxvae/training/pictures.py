"""Pictures of spectrograms with axes and labels, for logs."""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from jaxvae import spectrogram
from jaxvae.config import RenderedExperiment
from jaxvae.spectrogram import Statistics

_SHOWN_HZ = (125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
_TITLES = ("input (wet)", "reconstruction")
_DOTS_PER_INCH = 100


class SideBySide:
    """A spectrogram beside its reconstruction, on one scale of colours that is the same for all clips.

    The axes are drawn once and the contents anew, which takes a tenth of the time.
    """

    def __init__(self, experiment: RenderedExperiment, statistics: Statistics) -> None:
        """The axes of an experiment's spectrograms."""
        settings, audio = experiment.spectrogram, experiment.audio
        self._mean, self._std = np.asarray(statistics.mean)[:, None], np.asarray(statistics.std)[:, None]
        self._figure = Figure(figsize=(7.2, 3.0), dpi=_DOTS_PER_INCH, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        seconds = experiment.frames * settings.hop_length / audio.sample_rate
        panels = self._figure.subplots(1, 2, sharey=True)
        empty = np.zeros((experiment.bins, experiment.frames))
        limits = float((self._mean - 3 * self._std).min()), float((self._mean + 3 * self._std).max())
        extent = (0.0, seconds, 0.0, float(experiment.bins))
        self._images = [
            panel.imshow(empty, "magma", aspect="auto", origin="lower", extent=extent, interpolation="nearest")
            for panel in panels
        ]
        frequencies = spectrogram.frequencies(audio, settings)
        shown = np.array([hz for hz in _SHOWN_HZ if frequencies[0] < hz < frequencies[-1]])
        places = 0.5 + np.interp(shown, frequencies, np.arange(experiment.bins))
        apart = np.diff(places, prepend=-np.inf) > 0.07 * experiment.bins  # the lowest are close on a mel scale
        shown, places = shown[apart], places[apart]
        panels[0].yaxis.set_major_locator(FixedLocator(places))
        panels[0].set_yticklabels([f"{hz:,}" for hz in shown])
        panels[0].set_ylabel("frequency (Hz)")
        for panel, title in zip(panels, _TITLES, strict=True):
            panel.set_title(title, fontsize=9)
            panel.set_xlabel("time (s)")
        unit = "dBFS" if settings.compression == "log" else f"magnitude ^ {settings.exponent:g}"
        self._figure.colorbar(self._images[0], ax=panels, label=f"level ({unit})", pad=0.01)
        self._title = self._figure.suptitle(" ", fontsize=9)
        for image in self._images:
            image.set_clim(*limits)
        self._contents = [*self._images, self._title]
        for content in self._contents:
            content.set_animated(True)  # left out of the background
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def draw(
        self, wet: Float[np.ndarray, "bin frame"], reconstruction: Float[np.ndarray, "bin frame"], title: str
    ) -> UInt8[np.ndarray, "row column 3"]:
        """The picture of two normalised spectrograms."""
        for image, values in zip(self._images, (wet, reconstruction), strict=True):
            image.set_data(values * self._std + self._mean)
        self._title.set_text(title)
        self._canvas.restore_region(self._background)
        for content in self._contents:
            self._figure.draw_artist(content)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
