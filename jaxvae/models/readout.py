"""Readouts: which effect it was, and whether there was one, read from embeddings by what is fitted after training.

Heads learn on the recordings that the encoder learns on, and are too sure of others. A readout takes the place of the
last layer of the head that reads the effect. It is fitted on validation recordings, by multinomial logistic regression,
and by one more for "no effect" against any; a temperature makes the densities of settings as sure as they are right.
(Refitting the last layer of the settings' head instead made its likelihood worse: each effect has few clips.)

Conventions
    Penalties are chosen by the likelihood in folds that keep recordings whole. Everything is in nats and in numpy.
    The two questions are apart, so that what is said of effects does not depend on how many clips had none.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits

from jaxvae import atomic_file
from jaxvae.models import heads

PENALTIES = 10.0 ** np.arange(1, -4, -1)
"""Of half the squared weights of features of unit variance, beside the mean likelihood of a clip."""
FOLDS = 5
UNTOUCHED = 0.2
"""Share of recordings that nothing was done to, before anything of them is heard."""

_ITERATIONS = 200
_TEMPERATURES = (0.25, 16.0)
_LEAST = 1e-30  # of a probability whose logarithm is taken


class Readout(NamedTuple):
    """What is read from posterior means."""

    kernel: Float[np.ndarray, "latent answer"]
    """Logits of the effects, and the log-odds of no effect."""
    bias: Float[np.ndarray, " answer"]
    temperature: float
    """By which the logits of the settings' head are divided."""

    def effect(self, mean: Float[np.ndarray, "clip latent"]) -> Float[np.ndarray, "clip effect"]:
        """Probabilities of the effects, if there was one."""
        return softmax(mean @ self.kernel[:, :-1] + self.bias[:-1], axis=1)

    def no_effect(self, mean: Float[np.ndarray, "clip latent"]) -> Float[np.ndarray, " clip"]:
        """Probabilities that nothing was done that can be heard."""
        return expit(mean @ self.kernel[:, -1] + self.bias[-1])

    def settings(self, probabilities: Float[np.ndarray, "*shape bin"]) -> Float[np.ndarray, "*shape bin"]:
        """Densities of the settings' head as sure as they are right."""
        return softmax(np.log(np.maximum(probabilities, _LEAST)) / self.temperature, axis=-1)


class Clips(NamedTuple):
    """Posterior means with what is known of each clip."""

    mean: Float[np.ndarray, "clip latent"]
    effect: Int[np.ndarray, " clip"]
    audible: Bool[np.ndarray, " clip"]
    """Whether it can be told from the clip before the effect."""
    recording: Int[np.ndarray, " clip"]


def fit(
    clips: Clips,
    dry_mean: Float[np.ndarray, "dry latent"],
    dry_recording: Int[np.ndarray, " dry"],
    effects: int,
    temperature: float,
) -> Readout:
    """The readout of so many effects, from clips of them and from dry clips, which have none.

    However many dry clips there are, they count as `UNTOUCHED` of all.
    """
    means = np.concatenate([clips.mean, dry_mean]).astype(np.float64)
    centre, scale = means.mean(axis=0), means.std(axis=0) + 1e-6
    features = (means - centre) / scale
    none = np.concatenate([~clips.audible, np.ones(len(dry_mean), bool)]).astype(int)
    recordings = np.concatenate([clips.recording, dry_recording])
    each_dry = UNTOUCHED / (1 - UNTOUCHED) * len(clips.mean) / len(dry_mean)
    weights = np.concatenate([np.ones(len(clips.mean)), np.full(len(dry_mean), each_dry)])
    with threadpool_limits(1, "blas"):  # threads that share such small products take ten times as long
        same = weights[: len(clips.mean)]
        kernel, bias = _regression(features[: len(clips.mean)], clips.effect, clips.recording, effects, same)
        none_kernel, none_bias = _regression(features, none, recordings, 2, weights)
    # Of two classes only the difference counts.
    kernel = np.concatenate([kernel, none_kernel[:, 1:] - none_kernel[:, :1]], axis=1) / scale[:, None]
    bias = np.concatenate([bias, none_bias[1:] - none_bias[:1]]) - centre @ kernel
    return Readout(kernel.astype(np.float32), bias.astype(np.float32), temperature)


def temperature(
    densities: Sequence[Float[np.ndarray, "clip bin"]], settings: Sequence[Float[np.ndarray, " clip"]]
) -> float:
    """By what the logits of densities are to be divided so that settings on [0, 1] are the likeliest.

    Both are given parameter by parameter. 1 where there are none.
    """
    if not densities:
        return 1.0
    logits = np.log(np.maximum(np.concatenate(list(densities)).astype(np.float64), _LEAST))
    place = np.clip(np.concatenate(list(settings)) * heads.BINS - 0.5, 0.0, heads.BINS - 1.0)
    nearness = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(heads.BINS)))

    def nll(log_temperature: float) -> float:
        return -np.sum(nearness * log_softmax(logits / np.exp(log_temperature), axis=1)) / len(logits)

    return float(np.exp(minimize_scalar(nll, bounds=np.log(_TEMPERATURES), method="bounded").x))


def _regression(
    features: Float[np.ndarray, "clip feature"],
    label: Int[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
    classes: int,
    weight: Float[np.ndarray, " clip"],
) -> tuple[Float[np.ndarray, "feature class"], Float[np.ndarray, " class"]]:
    """Of a multinomial logistic regression of weighted clips, whose penalty is the best of folds over recordings."""
    truth = np.eye(classes)[label] * weight[:, None]
    recordings = np.unique(recording)
    folds = [np.isin(recording, recordings[first::FOLDS]) for first in range(min(FOLDS, len(recordings)))]
    nll = np.zeros(len(PENALTIES))
    for held in folds if len(folds) > 1 else ():
        weights = None
        for number, penalty in enumerate(PENALTIES):
            weights = _fit(features[~held], truth[~held], penalty, weights)
            nll[number] -= np.sum(truth[held] * _log_probabilities(features[held], weights))
    weights = None
    for penalty in PENALTIES[: 1 + int(np.argmin(nll))]:  # each starts where the stronger one ended
        weights = _fit(features, truth, penalty, weights)
    return weights[:-1], weights[-1]


def _fit(
    features: np.ndarray, truth: np.ndarray, penalty: float, start: np.ndarray | None
) -> Float[np.ndarray, "feature_and_bias class"]:
    """`truth` holds the weight of each clip at its class."""
    weight, shape = truth.sum(axis=1, keepdims=True), (features.shape[1] + 1, truth.shape[1])
    total = weight.sum()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        logs = _log_probabilities(features, weights)
        error = (weight * np.exp(logs) - truth) / total
        gradient = np.concatenate([features.T @ error + penalty * weights[:-1], error.sum(axis=0)[None]])
        return -np.sum(truth * logs) / total + penalty / 2 * np.sum(weights[:-1] ** 2), gradient.ravel()

    begin = np.zeros(shape) if start is None else start
    found = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return found.x.reshape(shape)


def _log_probabilities(features: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "clip class"]:
    return log_softmax(features @ weights[:-1] + weights[-1], axis=1)


def save(path: Path, step: int, readouts: dict[str, Readout]) -> None:
    """Write the readouts of the modes of the weights of a step; one .npz of plain arrays, and JSON in `about`. Atomic.

    Raises:
        OSError: the folder cannot be written.
    """
    about = {"step": step, "temperature": {mode: readout.temperature for mode, readout in readouts.items()}}
    arrays = {}
    for mode, readout in readouts.items():
        arrays |= {f"{mode}_kernel": readout.kernel, f"{mode}_bias": readout.bias}
    with atomic_file.write(path) as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def load(path: Path, step: int) -> dict[str, Readout]:
    """The readouts of the weights of a step by mode: none where the file is not there, or is of another step."""
    if not path.is_file():
        return {}
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
        if about["step"] != step:
            return {}
        return {
            mode: Readout(file[f"{mode}_kernel"], file[f"{mode}_bias"], temperature)
            for mode, temperature in about["temperature"].items()
        }
