"""How much of each setting can be recovered at all: a search with the true dry clip, or a network that was asked.

Conventions
    Settings are normalised to [0, 1]. Of one effect they are a Latin hypercube over the clips, so that a few clips
    cover every range evenly.
    A search spreads 15 % of its evaluations evenly (Halton), the centre first. Four starts, the best of these that are
    at least .2 apart, share 30 % of the others, and the better two go on with the rest: settings that sound the same
    are then found side by side.
    The answer is the mean of the four, each weighted by the inverse square of its distance to the wet clip. Where two
    settings sound alike nothing can know which it was, and the mean has the least squared error.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cma
import numpy as np
import scipy.fft
import scipy.signal
from jaxtyping import Float
from scipy.stats import qmc
from tqdm import tqdm

from analysis.metrics.probes import Labelled
from analysis.sections.settings import head
from jaxvae import atomic_file, effects, inference
from jaxvae.data import audio, clips, dataset
from jaxvae.effects import Effect

STARTS = 4
_EXPLORED = 0.15  # share of the evaluations
_ROUNDS = ((STARTS, 0.3), (STARTS // 2, 0.7))  # how many starts go on, and their share of the other evaluations
_APART = 0.2
_STEP_SIZE = 0.15
_SOLVED = 1e-3  # a distance at which a start is done; below, all are as good
_UNUSABLE = 10.0  # distance of silent, exploding and not finite renders: above that of any other
_CHUNK = 32
_CLIPS = 200  # that a network reads at a time
_WINDOWS = (512, 4_096)
_LEVEL_FLOOR_DB = -80.0  # relative to a sine of the clip's power
_LEVEL_UNIT_DB = 40.0
_REGULARISATION = 1e-3
_DECAY_FLOOR_DB = -40.0
_DECAY_UNIT_DB = 10.0
_DECAY_HOP = 16
_DB = np.float32(10 / np.log(10))  # of a natural logarithm of power


class Target:
    """The distance of renders of a dry clip to one wet clip, without a unit; 0 for the wet clip itself.

    The sum of three, of clips at equal power, because the level of a clip in a data set says nothing:
    - magnitudes of a multi-resolution STFT (Hann windows of 512 and 4,096 samples, without overlap): mean absolute
      difference of their square roots, relative to the mean of the wet clip's. It leads to what is loud.
    - levels of the same: mean absolute difference in 40 dB, down to -80 dB. It leads to what a gate leaves.
    - energy decay curve of the response from dry to wet (Schroeder 1965), by regularised deconvolution: mean absolute
      difference in 10 dB, down to -40 dB. It leads the search to delays, which a spectrogram shows only from nearby.
    """

    def __init__(self, dry: Float[np.ndarray, " sample"], wet: Float[np.ndarray, " sample"]):
        self._samples = len(dry)
        self._length = scipy.fft.next_fast_len(self._samples, real=True)
        spectrum = scipy.fft.rfft(dry, self._length)
        power = spectrum.real**2 + spectrum.imag**2
        self._inverse = (spectrum.conj() / (power + np.float32(_REGULARISATION) * power.mean())).astype(np.complex64)
        self._windows = [scipy.signal.get_window("hann", n).astype(np.float32) for n in _WINDOWS if n <= len(dry)]
        self._features, share = self._describe(wet[None]), 1 / len(self._windows)
        roots = self._features[: len(self._windows)]
        self._scales = [share / root.mean() for root in roots] + [share / _LEVEL_UNIT_DB] * len(roots)
        self._scales.append(1 / _DECAY_UNIT_DB)

    def __call__(self, wet: Float[np.ndarray, "clip sample"]) -> Float[np.ndarray, " clip"]:
        """Distance of each clip; 10 for those that a data set would not keep."""
        usable = clips.usable(wet)
        distance = np.full(len(wet), _UNUSABLE)
        if usable.any():
            features = self._describe(wet[usable])
            terms = [np.abs(ours - theirs).mean(axis=1) for ours, theirs in zip(features, self._features, strict=True)]
            distance[usable] = sum(scale * term for scale, term in zip(self._scales, terms, strict=True))
        return distance

    def _describe(self, wet: Float[np.ndarray, "clip sample"]) -> list[Float[np.ndarray, "clip feature"]]:
        """Roots of magnitudes at each resolution, levels in dB at each, and the energy decay curve in dB."""
        wet = wet / np.sqrt(np.square(wet).mean(axis=1, keepdims=True))
        roots, levels = [], []
        for window in self._windows:
            frames = np.lib.stride_tricks.sliding_window_view(wet, len(window), axis=1)[:, :: len(window)]
            spectrum = scipy.fft.rfft(frames * window)
            power = (spectrum.real**2 + spectrum.imag**2).reshape(len(wet), -1) * (2 / window.sum() ** 2)
            roots.append(np.sqrt(np.sqrt(power)))
            levels.append(_DB * np.log(np.maximum(power, np.float32(10 ** (_LEVEL_FLOOR_DB / 10)))))
        response = scipy.fft.irfft(scipy.fft.rfft(wet, self._length) * self._inverse, self._length)
        hops = response[:, : self._samples // _DECAY_HOP * _DECAY_HOP].reshape(len(wet), -1, _DECAY_HOP)
        energy = np.einsum("cht,cht->ch", hops, hops)[:, ::-1].cumsum(axis=1)[:, ::-1]
        floor = np.float32(10 ** (_DECAY_FLOOR_DB / 10))
        return [*roots, *levels, _DB * np.log(np.maximum(energy / energy[:, :1], floor))]


class Found(NamedTuple):
    """What the starts of one search found."""

    settings: Float[np.ndarray, "start parameter"]
    distance: Float[np.ndarray, " start"]

    @property
    def best(self) -> Float[np.ndarray, " parameter"]:
        """The settings of least distance."""
        return self.settings[np.argmin(self.distance)]

    @property
    def weight(self) -> Float[np.ndarray, " start"]:
        """Share of each start in the answer."""
        inverse = np.maximum(self.distance, _SOLVED) ** -2.0
        return inverse / inverse.sum()

    @property
    def mean(self) -> Float[np.ndarray, " parameter"]:
        """The answer."""
        return self.weight @ self.settings

    @property
    def spread(self) -> Float[np.ndarray, " parameter"]:
        """Standard deviation of the starts about the answer: large where different settings sound alike."""
        return np.sqrt(self.weight @ (self.settings - self.mean) ** 2)


def search(
    effect: Effect,
    dry: Float[np.ndarray, " sample"],
    wet: Float[np.ndarray, " sample"],
    sample_rate: int,
    evaluations: int,
    seed: int = 0,
    workers: int | None = None,
) -> Found:
    """Settings whose renders of `dry` sound like `wet`, from at most so many renders.

    Raises:
        EffectError: a render failed.
    """
    target, rng, count = Target(dry, wet), np.random.default_rng(seed), len(effect.parameters)

    def evaluate(settings: Float[np.ndarray, "clip dimension"]) -> Float[np.ndarray, " clip"]:
        settings = np.clip(settings[:, :count], 0, 1).astype(np.float32)
        many = np.broadcast_to(dry, (len(settings), len(dry)))
        return target(effects.render_many([effect] * len(settings), many, settings, sample_rate, workers))

    dimensions = max(count, 2)  # cma fails in one dimension with bounds; the second is not rendered
    explored = qmc.Halton(dimensions, rng=rng).random(round(_EXPLORED * evaluations))
    explored[0] = 0.5
    parts = np.array_split(explored, -(-len(explored) // _CHUNK))
    distance = np.concatenate([evaluate(part) for part in parts])
    chosen: list[int] = []
    for index in np.argsort(distance, kind="stable").tolist():
        if all(np.abs(explored[index] - explored[other])[:count].max() >= _APART for other in chosen):
            chosen.append(index)
    starts = [_Start(explored[index], float(distance[index]), rng) for index in chosen[:STARTS]]
    left = evaluations - len(explored)
    for alive, share in _ROUNDS:
        running = sorted(starts, key=lambda start: start.distance)[:alive]
        budget = round(share * left)
        for number, start in enumerate(running):
            budget -= start.run(evaluate, budget // (len(running) - number))  # what one leaves goes to the next
    return Found(
        np.clip([start.settings[:count] for start in starts], 0, 1), np.array([start.distance for start in starts])
    )


class _Start:
    """CMA-ES from one point, and the best that it met."""

    def __init__(self, settings: Float[np.ndarray, " dimension"], distance: float, rng: np.random.Generator):
        self.settings, self.distance = settings, distance
        options = {
            "bounds": [0, 1],
            "ftarget": _SOLVED,
            "tolx": 1e-4,
            "tolfun": 1e-4,
            "tolfunhist": 1e-4,
            "seed": np.nan,  # numbers come from `randn`
            "randn": lambda *shape: rng.standard_normal(shape),
            "verbose": -10,
            "verb_log": 0,
        }
        self._strategy = cma.CMAEvolutionStrategy(settings, _STEP_SIZE, options)

    def run(self, evaluate: Callable[[np.ndarray], np.ndarray], evaluations: int) -> int:
        """Go on for as many evaluations as make whole populations; returns how many it took."""
        before = self._strategy.countevals
        end = before + evaluations - self._strategy.popsize
        while not self._strategy.stop() and self._strategy.countevals <= end:
            population = self._strategy.ask()
            distance = evaluate(np.array(population))
            self._strategy.tell(population, distance.tolist())
            if distance.min() < self.distance:
                self.settings, self.distance = population[int(distance.argmin())], float(distance.min())
        return self._strategy.countevals - before


def score(effect: Effect, truth: Float[np.ndarray, "clip parameter"], found: Sequence[Found]) -> dict[str, Any]:
    """Figures of each parameter over clips, ready for JSON.

    r2 and mae are those of the answer, r2_error is the standard error of r2, hit is the share of clips whose best
    settings are within .05, and spread is the mean disagreement of starts that sound alike.
    """
    error = np.array([each.mean for each in found]) - truth
    explained = 1 - error**2 / truth.var(axis=0)
    hit = np.abs(np.array([each.best for each in found]) - truth) <= 0.05
    spread = np.array([each.spread for each in found])
    return {
        parameter.name: {
            **_recovered(explained[:, column], np.abs(error[:, column]).mean()),
            "hit": float(hit[:, column].mean()),
            "spread": float(spread[:, column].mean()),
        }
        for column, parameter in enumerate(effect.parameters)
    }


def _recovered(explained: Float[np.ndarray, " clip"], mae: float) -> dict[str, float]:
    r2 = float(explained.mean())
    error = float(explained.std(ddof=1) / np.sqrt(len(explained)))
    return {"r2": r2, "r2_clipped": max(r2, 0.0), "r2_error": error, "mae": float(mae)}


def measure(
    data: dataset.Dataset,
    kinds: Sequence[Effect],
    number: int,
    evaluations: int,
    searches: Path,
    seed: int = 0,
    workers: int | None = None,
) -> dict[str, Any]:
    """The figures of every effect over `number` dry clips of the test split, ready for JSON.

    Each search is kept in the file `searches` as soon as it ends. Clips that a data set would not keep are left out.

    Raises:
        ValueError: there are fewer dry clips, or the file is of other searches.
        EffectError: a render failed.
    """
    test, rate = data.split("test"), data.experiment.audio.sample_rate
    different = np.unique(test.start, return_index=True)[1]
    if not 2 <= number <= len(different):
        raise ValueError(f"clips is {number}; use 2 to {len(different)}, the dry clips of the test split")
    dry = test.dry(np.random.default_rng(seed).permutation(different)[:number])
    of = {
        "data set": data.identity,
        "clips": number,
        "evaluations": evaluations,
        "seed": seed,
        "distance": [_WINDOWS, _LEVEL_FLOOR_DB, _LEVEL_UNIT_DB, _REGULARISATION, _DECAY_FLOOR_DB, _DECAY_UNIT_DB],
        "starts": [_EXPLORED, _APART, _ROUNDS, _STEP_SIZE, _SOLVED],
    }
    done = _load(searches, of)
    figures: dict[str, Any] = {
        "source": f"CMA-ES over {evaluations} renders of the true dry clip, {STARTS} starts (analysis.ceiling)",
        "experiment": data.experiment.name,
        **of,
        "searches": {},
        "effects": {},
    }
    with tqdm(total=len(kinds) * number, desc="search", unit="clip") as bar:
        for kind in kinds:
            truth = qmc.LatinHypercube(len(kind.parameters), rng=np.random.default_rng([seed, *kind.name.encode()]))
            truth = truth.random(number).astype(np.float32)
            wet = effects.render_many([kind] * number, dry, truth, rate, workers)
            usable = np.flatnonzero(clips.usable(wet))
            bar.total -= number - len(usable)
            if len(usable) < 2:
                raise ValueError(f"{len(usable)} of {number} renders of {kind.name} can be used; leave it out")
            found = []
            for clip in usable.tolist():
                key = f"{kind.name} {clip}"
                if key not in done:
                    answer = search(kind, dry[clip], wet[clip], rate, evaluations, seed + clip, workers)
                    done[key] = {field: values.tolist() for field, values in answer._asdict().items()}
                    save(searches, {"of": of, "searches": done})
                else:
                    bar.initial += 1  # no part of the rate
                found.append(Found(**{field: np.array(values) for field, values in done[key].items()}))
                bar.update()
            figures["searches"][kind.name] = {
                "clips": len(usable),
                "distance": float(np.median([each.distance.min() for each in found])),
            }
            figures["effects"][kind.name] = score(kind, truth[usable].astype(np.float64), found)
    return figures


def supervised(encoder: inference.SpectrogramEncoder, test: dataset.Split) -> dict[str, Any]:
    """What the heads of a dry-aware network read of the clips of a split, ready for JSON.

    Raises:
        ValueError: the network is blind, or has no heads.
    """
    kinds, rate = test.effects, encoder.experiment.audio.sample_rate
    readings = [
        encoder.read(audio.to_float(test.audio(rows))[:, None], rate, test.dry(rows)[:, None])
        for rows in np.array_split(np.arange(test.clips), -(-test.clips // _CLIPS))
    ]
    answers = [np.concatenate(parts) for parts in zip(*(reading.settings for reading in readings), strict=True)]
    held = Labelled(np.empty((test.clips, 0)), test.effect, test.normalized, test.recording)
    return {
        "source": f"supervised network {encoder.experiment.name}, dry-aware, {test.clips} clips",
        "experiment": encoder.experiment.name,
        "effects": {
            kinds[index].name: {
                parameter.name: _recovered(explained, mae)
                for parameter, explained, mae in zip(kinds[index].parameters, of.explained.T, of.mae, strict=True)
            }
            for index, of in head(answers, held).items()
        },
    }


def _load(path: Path, of: Mapping[str, Any]) -> dict[str, Any]:
    if not path.exists():
        return {}
    kept = json.loads(path.read_text())
    if kept["of"] != json.loads(json.dumps(of)):
        raise ValueError(f"{path} holds searches of {kept['of']}, not of {dict(of)}; delete it or use another --out")
    return kept["searches"]


def save(path: Path, content: Mapping[str, Any]) -> None:
    atomic_file.write_text(path, json.dumps(content, indent=1))


def table(figures: Mapping[str, Any]) -> list[str]:
    """Lines that show the figures of each parameter."""
    columns = {"r2": "R²", "r2_error": "±", "mae": "MAE", "hit": "hit", "spread": "spread"}
    lines = [f"{'':32}" + "".join(f"{title:>8}" for title in columns.values())]
    for effect, parameters in figures["effects"].items():
        if "searches" in figures:
            of = figures["searches"][effect]
            lines.append(f"{effect}: {of['clips']} clips, median distance {of['distance']:.3f}")
        else:
            lines.append(effect)
        lines += [
            f"  {name:30}" + "".join(f"{found[column]:8.3f}" for column in columns if column in found)
            for name, found in parameters.items()
        ]
    return lines
