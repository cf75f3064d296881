"""A trained run as functions of audio: numpy in, numpy out."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxvae import config, effects, views, windows
from jaxvae.answer import Answer, Identification, answer
from jaxvae.data import waveform
from jaxvae.data.audio import AudioError
from jaxvae.data.waveform import Track
from jaxvae.matching.matcher import Matcher
from jaxvae.models import heads, readout
from jaxvae.models.controller import Controller
from jaxvae.models.heads import Logits
from jaxvae.models.readout import Readout
from jaxvae.models.vae import VAE, Posterior, narrow
from jaxvae.training import controller_steps, run_folder, task, train_state, vae_steps
from jaxvae.training.checkpoints import CheckpointError, Checkpoints
from jaxvae.training.hyperparams import Hyperparams, hyperparams
from jaxvae.training.train_state import TrainState, Weights
from jaxvae.views import ALIGNED, NONE, RELATIONS, SOURCE, Normalisation, Views
from jaxvae.windows import Windows

SHIPPED = Path(__file__).parent / "pretrained"
"""Folder of the models that come with the package, and of their card."""
READOUT = "readout.npz"
"""Name of the file of what was fitted after training."""
_SHIPPED = {"pretrained": "all_effects", "pretrained_matcher": "match_all_effects"}
_Kind = TypeVar("_Kind")
_MODES = {"aligned": "dry_aware", "source": "source_aware"}
"""By what a dry recording is to a wet one: what the effect was put on, or another passage of the same recording."""


class Reading(NamedTuple):
    """What is read from clips: by the readout of the run, or by the trained heads where it has none yet."""

    effects: tuple[str, ...]
    """Names."""
    effect: Float[np.ndarray, "clip effect"]
    """Probabilities of the effects, if there was one: each row sums to 1."""
    no_effect: Float[np.ndarray, " clip"] | None
    """Probabilities that nothing was done that can be heard; None where nothing was fitted or trained that tells."""
    settings: tuple[Float[np.ndarray, "clip parameter bin"], ...]
    """Of each effect, were the clip of it: probabilities of equal bins on [0, 1]. `effects.get(name).parameters` are
    the parameters in their order."""


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrogramEncoder:
    """A spectrogram VAE with its weights. Posterior means of the effect are the embedding; nothing is sampled.

    Without `dry` it is blind. With it, it is dry-aware, if that is each recording before the effect (relation
    "aligned"), or source-aware, if it is other dry passages of the same recordings, of any length (relation "source").
    Embeddings of different modes are not in one space: only those of one mode may be compared.

    Audio is one recording or several, in a form of `jaxvae.data.waveform`, at any rate: (sample,),
    (clip, channel, sample), a list of (sample,). It is averaged over channels, resampled, and cut into windows of the
    training length, each brought to the training set's level. Windows whose peak is 40 dB below that of the loudest
    one, which training never met, are left out; the posteriors' means and log-variances of the others are averaged.
    Shorter audio is repeated until it fills one, with a warning where that is more than twice.
    """

    experiment: config.Experiment
    normalisation: Normalisation
    weights: Weights
    parameters: tuple[int, ...] = ()
    """Number of parameters of each effect that the heads read, and a last 0 where they know "no effect"; none without
    heads."""
    dataset: str = ""
    """Identity of the data set that it was trained on."""
    dataset_folders: tuple[str, ...] = ()
    """Where that may lie, the likeliest first."""
    readouts: Mapping[str, Readout] = dataclasses.field(default_factory=dict)
    """Fitted after training, by the mode that they are of (`jaxvae.config.MODES`)."""

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects it was trained on."""
        return self.experiment.data.effects

    @property
    def latent_dim(self) -> int:
        """Dimensions of an embedding."""
        return self.experiment.model.latent_dim

    @property
    def content_dim(self) -> int:
        """Dimensions of the latent of what was played, 0 for a plain VAE."""
        return self.experiment.model.content_dim

    @property
    def dry_aware(self) -> bool:
        """Whether it was trained to make use of the recordings before the effect."""
        return "dry_aware" in self.experiment.modes

    @property
    def source_aware(self) -> bool:
        """Whether it was trained to make use of other dry passages of the recordings."""
        return "source_aware" in self.experiment.modes

    @property
    def has_heads(self) -> bool:
        """Whether it can read effect and settings."""
        return len(self.parameters) > 0

    def embed(
        self, audio: Any, sample_rate: Any, dry: Any = None, relation: str = "aligned"
    ) -> Float[np.ndarray, "clip latent"]:
        """Posterior means of the effect. Raises ValueError as `posterior`."""
        return self.posterior(audio, sample_rate, dry, relation).mean

    def posterior(self, audio: Any, sample_rate: Any, dry: Any = None, relation: str = "aligned") -> Posterior:
        """Mean and log-variance (clip, latent) of each recording's posterior of the effect.

        Raises:
            ValueError: audio or dry is in no form that can be used, silent or not finite, the two are not of the same
                number or, aligned, length, or the run was not trained for what was given.
        """
        mode = self._mode(dry, relation)
        if mode == "source_aware":
            wet, _ = windows.recordings(audio, sample_rate, None, self.experiment.audio)
            return self._encode_beside(wet, windows.passages(dry, sample_rate, len(wet))).means()
        wet, before = windows.recordings(audio, sample_rate, dry, self.experiment.audio)
        return windows.encode(self._encode, wet, before, self.experiment.audio).means()

    def posterior_of_views(self, wet: Views, dry: Views | None = None, relation: str = "aligned") -> Posterior:
        """Posterior (clip, latent) of the effect, from views as `views` gives them."""
        known = RELATIONS[self._mode(dry, relation)]
        return windows.in_batches(
            functools.partial(self._posterior, relation=known), *(wet if dry is None else (*wet, *dry))
        )

    def content(self, audio: Any, sample_rate: Any) -> Float[np.ndarray, "clip content"]:
        """Posterior means of what was played, averaged over the windows of longer audio."""
        wet, _ = windows.recordings(audio, sample_rate, None, self.experiment.audio)

        def encode(clips: np.ndarray) -> np.ndarray:
            return windows.in_batches(self._content, clips)

        return windows.encode(encode, wet, None, self.experiment.audio).means()

    def identify(self, audio: Any, sample_rate: Any, dry: Any = None, relation: str = "aligned") -> Identification:
        """What was done to one recording, as probabilities of effects and "no effect", and settings with intervals.

        Where `dry`, aligned, and the audio are of other lengths, what only one of them has is left out, and said.

        Raises:
            ValueError: as `posterior`; or there are several recordings, or the run was trained without heads.
        """
        tracks = waveform.tracks(audio, sample_rate)
        before = None if dry is None else waveform.tracks(dry, sample_rate, "dry")
        for name, found in (("audio", tracks), ("dry", before or ())):
            if len(found) > 1 and (name, relation) != ("dry", "source"):
                raise ValueError(f"{name} holds {len(found)} recordings; identify them one by one")
        return self._identify(tracks[0], before, self._mode(dry, relation))

    def identify_file(
        self,
        path: str | Path,
        dry: str | Path | None = None,
        progress: Callable[[float], object] | None = None,
        relation: str = "aligned",
    ) -> Identification:
        """The same of an audio file of any length, which is read piece by piece, and if given a dry file.

        `progress` is called with the seconds done so far.

        Raises:
            AudioError, a ValueError: a file is missing or cannot be read.
            ValueError: as `identify`.
        """
        wet, before = waveform.of_file(path), None if dry is None else [waveform.of_file(dry)]
        try:
            return self._identify(wet, before, self._mode(dry, relation), progress)
        except AudioError:  # which names the file
            raise
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def _identify(
        self, wet: Track, dry: list[Track] | None, mode: str, progress: Callable[[float], object] | None = None
    ) -> Identification:
        self._require_heads()
        kinds = [effects.get(name) for name in self.effects]
        length, rate = self.experiment.audio.clip_samples, self.experiment.audio.sample_rate
        notes = []
        if mode == "dry_aware":
            wet, before, trimmed = windows.together(wet, dry[0])
            dry = [before]
            notes += trimmed
        if (times := waveform.repetitions(wet, rate, length)) > 1:
            notes.append(f"the recording is {wet.seconds:.2f} s long and was repeated {times} times to fill a window")
        if mode == "source_aware":
            found = self._encode_beside([wet], [dry], progress)
        else:
            found = windows.encode(self._encode, [wet], dry, self.experiment.audio, progress)
        if found.silent[0]:
            notes.append(f"{found.silent[0]} silent of {found.silent[0] + len(found.start_s)} windows left out")
        reading = self.read_mean(found.encoded.mean, mode)
        if mode not in self.readouts:
            notes.append(
                "this run has no readout yet, so the probabilities are too sure"
                f"{' and have no `no effect`' if reading.no_effect is None else ''}; the command that trained it, "
                "given again, adds one"
            )
        seconds = length / rate

        def told(rows: slice, start_s: float, end_s: float) -> Answer:
            none = None if reading.no_effect is None else reading.no_effect[rows]
            return answer(kinds, reading.effect[rows], none, [part[rows] for part in reading.settings], start_s, end_s)

        parts = [
            told(slice(row, row + 1), float(start_s), min(float(start_s) + seconds, wet.seconds))
            for row, start_s in enumerate(found.start_s)
        ]
        # A file may be shorter than its header claims.
        whole = told(slice(None), 0.0, min(wet.seconds, (found.silent[0] + len(parts) + 1) * seconds))
        return Identification(self.experiment.name, mode, whole, tuple(parts), tuple(notes))

    def read(self, audio: Any, sample_rate: Any, dry: Any = None, relation: str = "aligned") -> Reading:
        """Probabilities of the effects, and of the bins of each setting were the clip of that effect.

        Raises:
            ValueError: the run was trained without heads, or as `posterior`.
        """
        return self.read_mean(self.embed(audio, sample_rate, dry, relation), self._mode(dry, relation))

    def read_mean(self, mean: Float[np.ndarray, "clip latent"], mode: str = "blind") -> Reading:
        """The same of posterior means of that mode (`jaxvae.config.MODES`).

        Raises:
            ValueError: the run was trained without heads.
        """
        trained = self.read_by_heads(mean)
        found = self.readouts.get(mode)
        if found is None:
            return trained
        densities = tuple(found.settings(density) for density in trained.settings)
        return Reading(self.effects, found.effect(mean), found.no_effect(mean), densities)

    def read_by_heads(self, mean: Float[np.ndarray, "clip latent"]) -> Reading:
        """The same as the heads answer that were trained with the encoder, whatever readouts there are.

        Raises:
            ValueError: the run was trained without heads.
        """
        self._require_heads()
        answers, kinds = windows.in_batches(self._answers, mean), len(self.effects)
        counts = self.parameters[:kinds]
        settings = tuple(answers["settings"][:, index, :count] for index, count in enumerate(counts))
        effect = answers["effect"][:, :kinds]
        none = answers["effect"][:, kinds] if len(self.parameters) > kinds else None
        return Reading(self.effects, effect / effect.sum(axis=1, keepdims=True), none, settings)

    def _require_heads(self) -> None:
        if not self.has_heads:
            raise ValueError(
                f"{self.experiment.name} was trained without heads; train with objective.effect_weight and "
                "objective.settings_weight above 0"
            )

    def spectrogram(self, audio: Any, sample_rate: Any) -> Float[np.ndarray, "clip bin frame"]:
        """What the network sees: the normalised spectrogram of the first window of each recording."""
        return self.views(audio, sample_rate).spectrogram

    def views(self, audio: Any, sample_rate: Any) -> Views:
        """The same with the fine structure of that window, as the network sees both (`jaxvae.views`)."""
        return windows.in_batches(self._compute, windows.firsts(audio, sample_rate, self.experiment.audio))

    def reconstruct(self, audio: Any, sample_rate: Any) -> Float[np.ndarray, "clip bin frame"]:
        """The decoder's spectrogram at the posterior mean of the first window of each recording."""
        return windows.in_batches(self._reconstruct, windows.firsts(audio, sample_rate, self.experiment.audio))

    def _mode(self, dry: Any, relation: str) -> str:
        """That of what is given, which the run was trained for, or ValueError."""
        if relation not in _MODES:
            raise ValueError(f"relation is {relation!r}; use one of {', '.join(_MODES)}")
        mode = "blind" if dry is None else _MODES[relation]
        if mode in self.experiment.modes or dry is None:
            return mode
        name, share = self.experiment.name, "dry_share" if mode == "dry_aware" else "source_share"
        if self.experiment.modes == ("blind",):
            raise ValueError(f"{name} is blind; leave out dry, or train with objective.{share} > 0")
        others = [other for other, of in _MODES.items() if of in self.experiment.modes]
        raise ValueError(
            f"{name} was not trained for dry recordings of relation {relation!r}; use "
            f"{' or '.join(map(repr, others))}, or train with objective.{share} > 0"
        )

    def _compute(self, batch: np.ndarray) -> Views:
        return views.compiled(batch, self.experiment.audio, self.experiment.spectrogram, self.normalisation)

    def _encode(self, *clips: np.ndarray) -> Posterior:
        return windows.in_batches(self._posterior_of_audio, *clips)

    def _encode_beside(
        self,
        wet: list[Track],
        passages: list[list[Track]],
        progress: Callable[[float], object] | None = None,
    ) -> Windows:
        """Posteriors of windows of recordings, beside the mean fine structure of the windows of each one's passages."""
        audio = self.experiment.audio
        owner = np.repeat(np.arange(len(passages)), [len(own) for own in passages])
        tracks = [track for own in passages for track in own]
        found = windows.encode(functools.partial(windows.in_batches, self._fine), tracks, None, audio)
        known = found._replace(recording=owner[found.recording]).means()
        function = functools.partial(windows.in_batches, self._posterior_beside)
        return windows.encode(function, wet, None, audio, progress, known=known)

    def _fine(self, clips: np.ndarray) -> jax.Array:
        return self._compute(clips).fine

    def _posterior_beside(self, wet: np.ndarray, passage: np.ndarray) -> Posterior:
        seen = self._compute(wet)
        return self._posterior(*seen, seen.spectrogram, passage, relation=SOURCE)

    def _posterior_of_audio(self, wet: np.ndarray, dry: np.ndarray | None = None) -> Posterior:
        if dry is None:
            return self._posterior(*self._compute(wet), relation=NONE)
        return self._posterior(*self._compute(wet), *self._compute(dry), relation=ALIGNED)

    def _posterior(self, *seen: jax.typing.ArrayLike, relation: int) -> Posterior:
        wet, dry = Views(*seen[:2]), Views(*(seen[2:] or seen[:2]))
        known = jnp.full(len(wet.fine), relation)
        return _posterior(self.weights, wet, dry, known, model=self._model)

    def _content(self, wet: np.ndarray) -> jax.Array:
        return _content(self.weights, self._compute(wet).spectrogram, model=self._model)

    def _answers(self, mean: np.ndarray) -> Logits:
        return _answers(self.weights, mean, model=self._model)

    def _reconstruct(self, wet: np.ndarray) -> jax.Array:
        return _reconstruct(self.weights, hyperparams(self.experiment), self._compute(wet), model=self._model)

    @property
    def _model(self) -> VAE:
        return VAE(self.experiment.model, self.parameters)


# Jitted once for all encoders, so that those which differ only in their weights share a program.


@functools.partial(jax.jit, static_argnames="model")
def _posterior(weights: Weights, wet: Views, dry: Views, relation: jax.Array, *, model: VAE) -> Posterior:
    return model.apply(weights.variables, wet, dry, relation, train=False, method="effect_posterior")


@functools.partial(jax.jit, static_argnames="model")
def _content(weights: Weights, wet: jax.Array, *, model: VAE) -> jax.Array:
    return model.apply(weights.variables, wet, train=False, method="content_posterior").mean


@functools.partial(jax.jit, static_argnames="model")
def _answers(weights: Weights, mean: jax.Array, *, model: VAE) -> Logits:
    return heads.probabilities(model.apply(weights.variables, mean, method="read"))


@functools.partial(jax.jit, static_argnames="model")
def _reconstruct(weights: Weights, numbers: Hyperparams, clips: Views, *, model: VAE) -> jax.Array:
    return vae_steps.reconstruct(weights, numbers, clips, model=model)


class Stored(NamedTuple):
    """A member of a run as a checkpoint holds it."""

    workdir: Path
    record: dict[str, Any]
    experiment: Any
    restore: Callable[[Weights], Weights]
    """Its weights, of these shapes."""
    readouts: Callable[[int], Mapping[str, Readout]]
    """What was fitted to the weights of a step after training, by mode."""
    figures: Mapping[str, float]
    """Of the best weights, on validation clips."""


def load(workdir: str | Path, step: int | None = None, member: int | None = None) -> Any:
    """What was trained, with the best weights of the run, or those of a given step; of a sweep, of the best member, or
    of a given one. What it is, the checkpoint says: of a VAE, a `SpectrogramEncoder`, of
    a matcher, a `Matcher`.

    "pretrained" is a model that comes with the package, of every effect of mda and pedalboard (`SHIPPED` has its card).

    Raises:
        CheckpointError: the folder holds no checkpoint, or none of that step or member, or one of another format, or
            of a task that nothing is made of; or it was never validated, so that no weights are the best.
    """
    workdir = located(workdir)
    members = run_folder.read(workdir)
    if member is None:
        member = run_folder.best(members)
    if member not in members:
        raise CheckpointError(f"{workdir} has no member {member}; it has {', '.join(map(str, members))}")
    chosen = members[member]
    checkpoints = Checkpoints(chosen.folder / "checkpoints", keep=2)

    if step is None and chosen.best is None:
        raise CheckpointError(_never_validated(workdir, member, chosen, alone=len(members) == 1))

    def restore(like: Weights) -> Weights:
        weights = checkpoints.restore_member(record["step"], "best" if step is None else "state", like, chosen.place)
        return jax.device_put(weights, jax.local_devices()[0])

    try:
        steps = checkpoints.steps()
        if step is not None and step not in steps:
            raise CheckpointError(
                f"{workdir} holds no checkpoint of step {step}; it holds {', '.join(map(str, steps))}"
            )
        record = checkpoints.record(steps[-1] if step is None else step)
        name = task.kind_of(record).NAME
        if name not in LOADERS:
            raise CheckpointError(
                f"{workdir} holds a run of task {name!r}, which cannot be loaded; those that can are "
                f"{', '.join(LOADERS)}"
            )
        readouts = functools.partial(readout.load, readout_path(chosen))
        return LOADERS[name](Stored(workdir, record, chosen.experiment, restore, readouts, chosen.figures))
    finally:
        checkpoints.close()


def load_encoder(workdir: str | Path, step: int | None = None, member: int | None = None) -> SpectrogramEncoder:
    """The same of a run that trained a spectrogram VAE.

    Raises:
        CheckpointError: as `load`, or the run trained something else.
    """
    return _of_kind(load(workdir, step, member), SpectrogramEncoder, workdir, "demo")


def load_matcher(workdir: str | Path, step: int | None = None, member: int | None = None) -> Matcher:
    """The same of a run that trained a matcher; "pretrained" is the one that comes with the package.

    Raises:
        CheckpointError: as `load`, or the run trained something else.
    """
    name = "pretrained_matcher" if str(workdir) == "pretrained" else workdir
    return _of_kind(load(name, step, member), Matcher, workdir, "match_demo")


def _of_kind(found: Any, kind: type[_Kind], workdir: str | Path, config_name: str) -> _Kind:
    if not isinstance(found, kind):
        raise CheckpointError(
            f"{workdir} trained no {kind.__name__} but a {type(found).__name__}; train one with python -m launch.train "
            f"configs/{config_name}.py"
        )
    return found


def located(workdir: str | Path) -> Path:
    """The folder of a run: that of a shipped model, where one has this name and no folder here has."""
    folder = Path(workdir)
    return SHIPPED / _SHIPPED[str(workdir)] if str(workdir) in _SHIPPED and not folder.exists() else folder


def _never_validated(workdir: Path, member: int, stopped: run_folder.Member, alone: bool) -> str:
    what = f"the run in {workdir}" if alone else f"member {member} of {workdir}"
    if stopped.diverged:
        return f"{what} diverged at step {stopped.step}, before its first validation, so no weights of it are the best"
    return (
        f"{what} stopped at step {stopped.step}, before its first validation, so it has no best weights; the same "
        f"command of launch.train continues it, and step={stopped.step} loads the weights of its newest checkpoint"
    )


def _load_encoder(stored: Stored) -> SpectrogramEncoder:
    record, experiment = stored.record, stored.experiment
    parameters, normalisation = tuple(record["parameters"]), views.from_record(record)
    members = task.members(record)
    widest = max(members, key=lambda member: member.model.latent_dim)
    shapes, own = (
        jax.eval_shape(functools.partial(_create, one, parameters), hyperparams(one)) for one in (widest, experiment)
    )
    weights = stored.restore(shapes.weights)
    weights = weights._replace(params=narrow(weights.params, own.params))
    # A program trains heads if one of its members has them.
    return SpectrogramEncoder(
        experiment,
        normalisation,
        weights,
        parameters if experiment.objective.heads else (),
        record["dataset"],
        _dataset_folders(stored),
        stored.readouts(int(weights.step)),
    )


def _dataset_folders(stored: Stored) -> tuple[str, ...]:
    """Where training left the data set, then where it lies if it was moved together with the run."""
    record, directory = stored.record, Path(stored.experiment.data.directory).expanduser()
    recorded = [record["dataset_folder"]] if "dataset_folder" in record else []  # older records name none
    if "://" in stored.experiment.data.directory:
        return (*recorded, f"{stored.experiment.data.directory.rstrip('/')}/{record['dataset']}")
    places = [Path.cwd(), *stored.workdir.absolute().parents]  # all the same to an absolute directory
    return tuple(dict.fromkeys([*recorded, *(str(place / directory / record["dataset"]) for place in places)]))


def readout_path(member: run_folder.Member) -> Path:
    """Where the readouts of a member lie."""
    return member.logs / READOUT


def _load_matcher(stored: Stored) -> Matcher:
    record, experiment = stored.record, stored.experiment
    parameters, kinds = tuple(record["parameters"]), tuple(map(effects.get, experiment.data.effects))
    if tuple(len(kind.parameters) for kind in kinds) != parameters[: len(kinds)]:
        raise CheckpointError(f"{stored.workdir} was trained on effects that have other parameters here; train it anew")
    create = functools.partial(
        controller_steps.create,
        model=Controller(experiment.controller, parameters),
        bins=experiment.bins,
        frames=experiment.frames,
        numbers=views.numbers(experiment),
    )
    weights = stored.restore(jax.eval_shape(create, hyperparams(experiment)).weights)
    folders = _dataset_folders(stored)
    return Matcher(
        experiment,
        views.from_record(record),
        weights,
        kinds,
        parameters,
        {mode: stored.figures.get(f"val/{mode}/temperature", 1.0) for mode in config.MODES},
        record["dataset"],
        folders,
    )


LOADERS: dict[str, Callable[[Stored], Any]] = {"vae": _load_encoder, "match": _load_matcher}
"""What is made of the checkpoints of each task."""


def untrained(encoder: SpectrogramEncoder, seed: int = 0) -> SpectrogramEncoder:
    """An encoder of the same shape with fresh weights: the random-encoder baseline."""
    create = functools.partial(_create, encoder.experiment, encoder.parameters)
    numbers = hyperparams(encoder.experiment)._replace(seed=jnp.asarray(seed))
    state = jax.jit(create, compiler_options=train_state.RUN_ONCE)(numbers)
    return dataclasses.replace(encoder, weights=state.weights, readouts={})


def _create(experiment: config.Experiment, parameters: tuple[int, ...], numbers: Hyperparams) -> TrainState:
    model = VAE(experiment.model, parameters)
    return vae_steps.create(numbers, model, experiment.bins, experiment.frames, views.numbers(experiment))
