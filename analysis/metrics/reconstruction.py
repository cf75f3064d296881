"""How far rebuilt spectrograms are from what an encoder sees."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from jaxvae import config, inference
from jaxvae.data import audio, dataset

_CLIPS = 96
_BATCH = 32

Guess = Callable[[np.ndarray, int], np.ndarray]
"""From clips (clip, sample) and their rate to spectrograms (clip, bin, frame)."""


def unit(experiment: config.Experiment) -> str:
    """Unit of the root of `squared_errors`: dB where the spectrogram is logarithmic with fixed scaling."""
    settings = experiment.spectrogram
    return "dB" if settings.compression == "log" and settings.normalisation == "fixed" else "standard deviations"


def of_model(encoder: inference.SpectrogramEncoder) -> Guess:
    """What a model makes of clips, at their posterior means."""
    return lambda wet, rate: encoder.reconstruct(wet[:, None], rate)


def squared_errors(
    encoder: inference.SpectrogramEncoder, guesses: Mapping[str, Guess], test: dataset.Split, seed: int
) -> tuple[Int[np.ndarray, " clip"], dict[str, Float[np.ndarray, "2 clip"]]]:
    """Some test clips, and the mean squared error over pixels of each guess at the spectrograms that the encoder sees.

    Errors are first in the unit of `unit`, then as normalised for the network.
    """
    rate = encoder.experiment.audio.sample_rate
    scale = np.asarray(encoder.normalisation.spectrogram.std)[:, None] if unit(encoder.experiment) == "dB" else 1.0
    chosen = np.sort(np.random.default_rng(seed).choice(test.clips, min(test.clips, _CLIPS), replace=False))
    squares = {name: np.empty((2, len(chosen))) for name in guesses}
    for part in np.array_split(np.arange(len(chosen)), -(-len(chosen) // _BATCH)):
        wet = audio.to_float(test.audio(chosen[part]))
        truth = encoder.spectrogram(wet[:, None], rate)
        for name, guess in guesses.items():
            error = guess(wet, rate) - truth
            for row, values in enumerate((scale * error, error)):
                squares[name][row, part] = np.square(values).mean(axis=(1, 2), dtype=np.float64)
    return chosen, squares
