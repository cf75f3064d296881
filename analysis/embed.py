"""One file with the posteriors of many settings of effects, rendered over recordings of one split.

    python -m analysis.embed runs/base --out test.npz
    python -m analysis.embed runs/base --out delay.npz --effects pedalboard/Delay --settings sweep --clips 3
    python -m analysis.embed runs/base --out million.npz --clips 200000 --cluster tcp://host:8786

`random` draws every setting uniformly on [0, 1]; `fixed` holds all at 0.5, Grant's (2023) protocol, so effects differ
by kind only; `sweep` moves one parameter at a time over its range while the others rest at 0.5. Every effect meets the
same dry clips. Renders that the data set would not keep (silent, not finite, exploding) are left out, and counted.
"""

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tyro
from jaxtyping import Float, Int
from tqdm import tqdm

from analysis import command_line
from analysis.metrics.probes import Labelled
from jaxvae import atomic_file, config, effects, fields, inference
from jaxvae.data import audio, clips, dataset
from jaxvae.data.cluster import spread
from jaxvae.data.storage import Folder

_CHUNK = 128  # clips rendered at once, about 130 MB of dry and wet audio

Representations = Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]
"""By name, functions of wet clips and of the dry clips before the effect, both (clip, sample), that give
(clip, feature)."""


class Plan(NamedTuple):
    """What to render, one row a clip."""

    effects: tuple[effects.Effect, ...]
    effect: Int[np.ndarray, " clip"]
    normalized: Float[np.ndarray, "clip parameter"]
    dry: Int[np.ndarray, " clip"]
    """Index of the dry clip in its split."""
    moving: Int[np.ndarray, " clip"]
    """Parameter that a sweep moves; -1 where all are random or fixed."""

    def select(self, rows: np.ndarray) -> "Plan":
        """The rows of an index or a mask."""
        return Plan(self.effects, self.effect[rows], self.normalized[rows], self.dry[rows], self.moving[rows])

    def labelled(self, features: Float[np.ndarray, "clip feature"], split: dataset.Split) -> Labelled:
        """Features of these clips with effect, settings and recording beside them, as the probes take them."""
        return Labelled(features, self.effect, self.normalized, split.recording[self.dry])


def draw_dry(split: dataset.Split, clips: int, seed: int) -> Int[np.ndarray, " clip"]:
    """Indices of so many dry clips of a split, of which fewer are the first; no crop repeats before all have come."""
    rng = np.random.default_rng(seed)
    distinct = np.unique(split.start, return_index=True)[1]  # clips of one block share their crops
    return np.concatenate([rng.permutation(distinct) for _ in range(-(-clips // len(distinct)))])[:clips]


def spread_dry(split: dataset.Split, clips: int, seed: int) -> Int[np.ndarray, " clip"]:
    """Indices of so many dry clips (or all crops, if they are fewer) of as many recordings as there are.

    No recording comes again before all others have come as often.
    """
    drawn = draw_dry(split, len(np.unique(split.start)), seed)
    times = np.empty(len(drawn), int)
    for recording in np.unique(split.recording):
        own = split.recording[drawn] == recording
        times[own] = np.arange(np.sum(own))
    return drawn[np.argsort(times, kind="stable")][:clips]


def random_settings(kinds: Sequence[effects.Effect], dry: Int[np.ndarray, " clip"], seed: int) -> Plan:
    """Every effect over every dry clip, each time with settings of its own, uniform on [0, 1]."""
    values = np.random.default_rng((seed, 1)).uniform(size=(len(kinds) * len(dry), _widest(kinds)))
    return _plan(kinds, np.repeat(np.arange(len(kinds)), len(dry)), values, np.tile(dry, len(kinds)))


def fixed_settings(kinds: Sequence[effects.Effect], dry: Int[np.ndarray, " clip"]) -> Plan:
    """Every effect over every dry clip, all parameters at 0.5."""
    values = np.full((len(kinds) * len(dry), _widest(kinds)), 0.5)
    return _plan(kinds, np.repeat(np.arange(len(kinds)), len(dry)), values, np.tile(dry, len(kinds)))


def sweep_settings(kinds: Sequence[effects.Effect], dry: Int[np.ndarray, " clip"], steps: int) -> Plan:
    """Every parameter of every effect over `steps` settings from 0 to 1, the others at 0.5, for every dry clip.

    Rows are ordered by effect, parameter, dry clip, setting.
    """
    paths = [
        (effect, parameter, clip)
        for effect, kind in enumerate(kinds)
        for parameter in range(len(kind.parameters))
        for clip in dry
    ]
    effect, moving, dry = (np.repeat(column, steps) for column in np.array(paths).T)
    values = np.full((len(effect), _widest(kinds)), 0.5)
    values[np.arange(len(effect)), moving] = np.tile(np.linspace(0, 1, steps), len(paths))
    return _plan(kinds, effect, values, dry)._replace(moving=moving.astype(np.int32))


def pair_settings(kinds: Sequence[effects.Effect], split: dataset.Split, pairs: int, seed: int) -> Plan:
    """Settings uniform on [0, 1], each over clips of two recordings: rows 2i and 2i + 1 differ in nothing else.

    The effects take turns. Of a split of one recording, the two are different crops.
    """
    rng = np.random.default_rng((seed, 2))
    first, second = draw_dry(split, pairs, seed), np.empty(pairs, np.int64)
    several = len(np.unique(split.recording)) > 1
    for pair, clip in enumerate(first):
        others = split.recording != split.recording[clip] if several else split.start != split.start[clip]
        second[pair] = rng.choice(np.flatnonzero(others))
    values = rng.uniform(size=(pairs, _widest(kinds)))
    dry = np.stack([first, second], axis=1).reshape(-1)
    return _plan(kinds, np.repeat(np.arange(pairs) % len(kinds), 2), np.repeat(values, 2, axis=0), dry)


def pairs(plan: Plan) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Rows of the first and of the second clips of `pair_settings`, of the pairs of which both were kept."""
    same = np.all((plan.normalized[1:] == plan.normalized[:-1]) | np.isnan(plan.normalized[1:]), axis=1)
    first = np.flatnonzero(same & (plan.effect[1:] == plan.effect[:-1]))
    return first, first + 1


def _widest(kinds: Sequence[effects.Effect]) -> int:
    return max(len(kind.parameters) for kind in kinds)


def _plan(kinds: Sequence[effects.Effect], effect: np.ndarray, values: np.ndarray, dry: np.ndarray) -> Plan:
    count = np.array([len(kind.parameters) for kind in kinds])[effect]
    normalized = np.where(np.arange(values.shape[1]) < count[:, None], values, np.nan).astype(np.float32)
    moving = np.full(len(effect), -1, np.int32)
    return Plan(tuple(kinds), effect.astype(np.int32), normalized, dry.astype(np.int64), moving)


def represent(
    plan: Plan,
    split: dataset.Split,
    sample_rate: int,
    representations: Representations,
    description: str = "embed",
) -> tuple[Plan, dict[str, Float[np.ndarray, "clip feature"]]]:
    """Rows of the plan that can be heard, and each representation of them.

    All representations get the same wet clips, at `sample_rate` and the data set's level, and their dry clips, as they
    went into the effect. Rendering and encoding go chunk
    by chunk, so memory holds two chunks of audio whatever the length of the plan.

    Raises:
        ValueError: nothing that was rendered can be heard.
    """
    rendered = _render_ahead(plan, split, sample_rate)
    chunks = (_represent_chunk(*chunk, representations) for chunk in rendered)
    return _collect(plan, enumerate(chunks), description)


def _render_ahead(
    plan: Plan, split: dataset.Split, sample_rate: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rendered chunks, the next one while the caller represents one, unless an effect renders on this thread only."""
    render = functools.partial(_render_chunk, split=split, sample_rate=sample_rate)
    if any(kind.main_thread for kind in plan.effects):
        yield from map(render, _chunks(plan))
        return
    with ThreadPoolExecutor(1, "render ahead") as thread:
        ahead = None
        for rows in _chunks(plan):
            after = thread.submit(render, rows)
            if ahead is not None:
                yield ahead.result()
            ahead = after
        if ahead is not None:
            yield ahead.result()


def blind(
    function: Callable[[np.ndarray, int], np.ndarray], sample_rate: int
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A representation that hears the wet clips only, of a function of clips and their rate."""
    return lambda wet, dry: function(wet, sample_rate)


def knowing(encoder: inference.SpectrogramEncoder) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The embedding by an encoder, dry-aware if it can be."""
    rate = encoder.experiment.audio.sample_rate
    return lambda wet, dry: encoder.embed(wet, rate, dry if encoder.dry_aware else None)


def _chunks(plan: Plan) -> list[Plan]:
    firsts = range(0, len(plan.effect), _CHUNK)
    return [plan.select(np.arange(first, min(first + _CHUNK, len(plan.effect)))) for first in firsts]


def _render_chunk(
    rows: Plan, split: dataset.Split, sample_rate: int, workers: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows can be heard, and the wet and the dry clips of those."""
    distinct, inverse = np.unique(rows.dry, return_inverse=True)
    dry = split.dry(distinct)[inverse]
    wet = effects.render_many([rows.effects[kind] for kind in rows.effect], dry, rows.normalized, sample_rate, workers)
    audible = clips.usable(wet)
    wet = wet[audible]
    return audible, audio.set_peak(wet, clips.WET_PEAK_DBFS) if len(wet) else wet, dry[audible]


def _represent_chunk(
    audible: np.ndarray, wet: np.ndarray, dry: np.ndarray, representations: Representations
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Which rows can be heard, and each representation of those."""
    return audible, {name: function(wet, dry) for name, function in representations.items() if len(wet)}


def _collect(
    plan: Plan, chunks: Iterable[tuple[int, tuple[np.ndarray, dict[str, np.ndarray]]]], description: str
) -> tuple[Plan, dict[str, np.ndarray]]:
    """What `represent` gives, of positions and contents of chunks in any order."""
    features: dict[str, np.ndarray] = {}
    heard = np.zeros(len(plan.effect), bool)
    with tqdm(total=len(heard), unit="clip", desc=description) as bar:
        for position, (audible, chunk) in chunks:
            rows = slice(position * _CHUNK, position * _CHUNK + len(audible))
            heard[rows] = audible
            for name, values in chunk.items():
                if name not in features:
                    features[name] = np.empty((len(heard), values.shape[1]), np.float32)
                features[name][rows][audible] = values
            bar.update(len(audible))
    count = np.count_nonzero(heard)
    if not count:
        raise ValueError(
            f"all {len(heard)} renders are silent, not finite or exploding; use other effects or recordings"
        )
    if count < len(heard):
        logging.getLogger(__name__).warning(
            "%d of %d renders left out: silent, not finite or exploding", len(heard) - count, len(heard)
        )
        return plan.select(heard), {name: array[heard] for name, array in features.items()}
    return plan, features


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Posteriors and what was rendered for each; `effect` indexes the names."""

    mean: Float[np.ndarray, "clip latent"]
    logvar: Float[np.ndarray, "clip latent"]
    effect: Int[np.ndarray, " clip"]
    effect_names: tuple[str, ...]
    normalized: Float[np.ndarray, "clip parameter"]
    parameter_names: tuple[tuple[str, ...], ...]
    """Of each effect."""
    recording: Int[np.ndarray, " clip"]
    dry: Int[np.ndarray, " clip"]
    """Index of the dry clip in its split."""
    moving: Int[np.ndarray, " clip"]
    """Parameter that a sweep moves, else -1."""
    split: str
    experiment: config.Experiment

    def save(self, path: Path) -> None:
        """Write one .npz of plain arrays; names, split and config are JSON in `about`. Atomic."""
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        about = {
            "effect_names": self.effect_names,
            "parameter_names": self.parameter_names,
            "split": self.split,
            "experiment": fields.to_dict(self.experiment),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file.write(path) as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Embedding":
        """The inverse of `save`."""
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != "about"}
            about = json.loads(str(file["about"]))
        return cls(
            **arrays,
            effect_names=tuple(about["effect_names"]),
            parameter_names=tuple(tuple(names) for names in about["parameter_names"]),
            split=about["split"],
            experiment=config.from_dict(about["experiment"]),
        )


def embed(encoder: inference.SpectrogramEncoder, split: dataset.Split, split_name: str, plan: Plan) -> Embedding:
    """Posteriors of everything in the plan that can be heard."""
    representations = {"posterior": functools.partial(_posterior, encoder)}
    plan, features = represent(plan, split, encoder.experiment.audio.sample_rate, representations)
    return _embedding(encoder, split, split_name, plan, features["posterior"])


class Source(NamedTuple):
    """What `inference.load` loads an encoder from."""

    run: Path
    step: int | None = None
    member: int | None = None


def embed_on(
    cluster: str, source: Source, encoder: inference.SpectrogramEncoder, data: dataset.Dataset, split: str, plan: Plan
) -> Embedding:
    """`embed` by the workers of a cluster (`jaxvae.data.cluster.spread`), which load the encoder from its source."""
    source = source._replace(run=source.run.absolute())
    task = functools.partial(_embed_chunk, source, data.folder.absolute(), split)
    main_thread = any(kind.main_thread for kind in plan.effects)
    plan, features = _collect(plan, spread(task, _chunks(plan), cluster, main_thread), "embed")
    return _embedding(encoder, data.split(split), split, plan, features["posterior"])


def _embed_chunk(
    source: Source, folder: Folder, split_name: str, rows: Plan
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """On a worker: `_represent_chunk`, with one thread."""
    dataset.require_available(rows.effects)
    encoder, split = _load_once(source, folder, split_name)
    representations = {"posterior": functools.partial(_posterior, encoder)}
    chunk = _render_chunk(rows, split, encoder.experiment.audio.sample_rate, workers=1)
    return _represent_chunk(*chunk, representations)


@functools.lru_cache(maxsize=1)
def _load_once(source: Source, folder: Folder, split_name: str) -> tuple[inference.SpectrogramEncoder, dataset.Split]:
    encoder = inference.load(*source)
    return encoder, dataset.load(encoder.experiment, folder).split(split_name)


def _posterior(
    encoder: inference.SpectrogramEncoder, wet: Float[np.ndarray, "clip sample"], dry: Float[np.ndarray, "clip sample"]
) -> np.ndarray:
    return np.concatenate(encoder.posterior(wet, encoder.experiment.audio.sample_rate), axis=1)


def _embedding(
    encoder: inference.SpectrogramEncoder, split: dataset.Split, split_name: str, plan: Plan, posterior: np.ndarray
) -> Embedding:
    return Embedding(
        mean=posterior[:, : encoder.latent_dim],
        logvar=posterior[:, encoder.latent_dim :],
        effect=plan.effect,
        effect_names=tuple(kind.name for kind in plan.effects),
        normalized=plan.normalized,
        parameter_names=tuple(tuple(parameter.name for parameter in kind.parameters) for kind in plan.effects),
        recording=split.recording[plan.dry],
        dry=plan.dry,
        moving=plan.moving,
        split=split_name,
        experiment=encoder.experiment,
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """What to embed."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run."""
    out: Path
    """The .npz file to write."""
    split: Literal["train", "validation", "test"] = "test"
    """Whose recordings are used; those of test were never trained on."""
    effects: tuple[str, ...] = ()
    """Names of effects, trained on or not; empty means the run's."""
    settings: Literal["random", "fixed", "sweep"] = "random"
    clips: int = 100
    """Dry clips; each meets every effect, and in a sweep every parameter at every step."""
    steps: int = 15
    """Settings along a sweep."""
    seed: int = 0
    """Seed of the dry clips and the random settings."""
    step: int | None = None
    """Checkpoint; none means the best."""
    member: command_line.Member = None
    cluster: str | None = None
    """Such as local:2, for two worker processes of this machine, or the address of a Dask scheduler."""


def main(options: Options) -> None:
    """Embed and write the file."""
    if options.clips < 1 or options.steps < 2:
        raise ValueError(f"clips is {options.clips} and steps {options.steps}; use at least 1 and 2")
    source = Source(options.run, options.step, options.member)
    encoder = inference.load(*source)
    data = dataset.render(encoder.experiment, cluster=options.cluster)
    split = data.split(options.split)
    kinds = [effects.get(name) for name in options.effects or encoder.effects]
    dry = draw_dry(split, options.clips, options.seed)
    plan = {
        "random": lambda: random_settings(kinds, dry, options.seed),
        "fixed": lambda: fixed_settings(kinds, dry),
        "sweep": lambda: sweep_settings(kinds, dry, options.steps),
    }[options.settings]()
    if options.cluster:
        embedding = embed_on(options.cluster, source, encoder, data, options.split, plan)
    else:
        embedding = embed(encoder, split, options.split, plan)
    embedding.save(options.out)
    print(f"{options.out}: {len(embedding.mean)} of {len(plan.effect)} clips, {encoder.latent_dim} latent dimensions")


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
