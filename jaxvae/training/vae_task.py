"""The spectrogram VAE as a task: its data set, its network, and what of it is measured and shown."""

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
from jax.sharding import Mesh

from jaxvae import block, config, spectrogram, views
from jaxvae.config import Experiment
from jaxvae.data.audio import to_float
from jaxvae.data.dataset import Dataset
from jaxvae.data.input_pipeline import Examples, InputPipeline
from jaxvae.models.heads import HEADS
from jaxvae.models.vae import VAE, Randomness, sample_randomness, still
from jaxvae.training import losses, rendered, schedules, vae_steps
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.rendered import Rendered
from jaxvae.training.task import Evaluation, Log, Record, Task
from jaxvae.training.train_state import Metrics, TrainState, Weights

SHOWN_CLIPS = 6
_MODES = {
    "blind": "Blind: the encoder hears the wet clip alone.",
    "source_aware": "Source-aware: the encoder hears another dry passage of the recording as well.",
    "dry_aware": "Dry-aware: the encoder hears the clip before the effect as well.",
}
_FIGURES = {
    "beta": "Weight of the KL divergences.",
    "reconstruction": "Reconstruction term: nats a clip under a Gaussian decoder, or the mean squared error.",
    "mean_squared": "Mean squared error per pixel of the normalised spectrogram.",
    "kl": "KL divergence of the effect's posterior from the prior, nats a clip.",
    "val/kl": "KL divergence of the posteriors of effect and content from the prior, nats a clip.",
    "content_kl": "KL divergence of the content's posterior from the prior, nats a clip.",
    "decoder_std": "Standard deviation of the Gaussian decoder, learned, per pixel.",
    "contrastive": "Nats to tell the clip of the same setting from the others of the batch (InfoNCE).",
    "negative_elbo": "−ELBO at beta 1 under the decoder of the best variance, nats a clip; depends on no weight.",
    "criterion": "What the best weights are chosen by, the lower the better: nats of what the trained heads read, "
    "summed over the modes trained; without heads the −ELBO.",
    "active_share": "Share of the effect latent's dimensions that are in use: their posterior means have a variance "
    "above .01 over the validation clips.",
    "accuracy": "Share of clips whose likeliest effect is the right one.",
    "kl_per_dimension": "KL divergence of each dimension of the effect latent, nats, averaged over validation clips.",
    "variance_of_mean": "Variance over validation clips of each dimension of the effect latent's posterior mean.",
    "1_dry": "A validation clip before the effect.",
    "2_wet": "The same clip behind the effect.",
    "3_decoded": "The same clip decoded from its posterior mean, blind, phases by Griffin and Lim's method.",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Validation:
    """Clips of the validation set, each batch with its own noise, the same at every validation."""

    feed: InputPipeline

    @property
    def pool(self) -> Any:
        """That of the feed."""
        return self.feed.pool

    def examples(self, pool: Any, batch: tuple[Any, Randomness]) -> tuple[Examples, Randomness]:
        """Examples, and the noise that they meet."""
        clips, randomness = batch
        return self.feed.examples(pool, clips), randomness


@dataclasses.dataclass(frozen=True, eq=False)
class VAETask(Task):
    """Members that share a data set, a spectrogram and a network."""

    NAME: ClassVar[str] = "vae"
    SHOWN: ClassVar[tuple[str, ...]] = (
        "val/negative_elbo",
        "val/mean_squared",
        "val/kl",
        "latent/active_share",
        "val/blind/accuracy",
        "val/source_aware/accuracy",
        "val/dry_aware/accuracy",
        "val/blind/settings_nll",
        "val/source_aware/settings_nll",
        "val/dry_aware/settings_nll",
    )
    BLOCK: ClassVar[int] = block.CLIPS

    experiment: Experiment
    model: VAE
    rendered: Rendered
    train: InputPipeline
    validation: Validation

    @classmethod
    def prepare(cls, members: Sequence[Experiment], mesh: Mesh, record: Record | None) -> "VAETask":
        """Render what is missing of the data set, and take from the record or measure how it is normalised.

        Raises:
            CheckpointError: the record is of another data set.
        """
        _require_what_shows()
        for member in members:
            schedules.warn_of_rest(member)
        model = dataclasses.replace(members[0].model, latent_dim=max(member.model.latent_dim for member in members))
        experiment = dataclasses.replace(members[0], model=model)
        of_clips = rendered.prepare(experiment, mesh, record)
        reads = any(member.objective.heads for member in members)
        return cls(
            experiment=experiment,
            model=VAE(model, of_clips.parameters() if reads else ()),
            rendered=of_clips,
            train=of_clips.train,
            validation=Validation(of_clips.validation),
        )

    @staticmethod
    def read(values: Record) -> Experiment:
        """The experiment of a record."""
        return config.from_dict(values)

    @staticmethod
    def criterion(members: Sequence[Experiment]) -> tuple[str, ...]:
        """Nats of what all of them read, in every mode that all of them train, or else the -ELBO.

        Effect and settings are what the embedding is for; without heads, all there is to judge by is the ELBO, which
        compares members of one spectrogram. What a member does not train, though others do, says nothing of its
        weights.
        """
        modes, heads = config.MODES, members[0].objective.heads
        for member in members:
            modes = tuple(mode for mode in modes if mode in member.modes)
            heads = tuple(head for head in heads if head in member.objective.heads)
        if modes and heads:
            return tuple(f"val/{mode}/{head}_nll" for mode in modes for head in heads)
        alike = len({(member.audio, member.spectrogram) for member in members}) == 1
        return ("val/negative_elbo",) if alike else ()

    def record(self) -> Record:
        """How to make the network anew, and what it was trained on."""
        return {**self.rendered.record(), "parameters": self.model.parameters}

    def batches(self, first_step: int) -> Iterator[Any]:
        """Clips of each step from `first_step` on, in whole blocks."""
        train = self.experiment.train
        return self.train.batches(train.order_seed, first_step, train.steps, train.batch_size)

    def validation_batches(self) -> Iterator[tuple[Any, int]]:
        """Every clip of the validation set once, of every effect, with noise that does not depend on the member."""
        size = self.experiment.train.batch_size
        for number, (clips, counted) in enumerate(self.rendered.all_of_validation(size)):
            randomness = sample_randomness(jax.random.key(number), size, self.model.config, dry_share=0.0, swap=0.0)
            yield (self.validation.feed.batch(clips), randomness), counted

    def create(self, hyperparams: Hyperparams) -> TrainState:
        """The state of a member before its first step."""
        bins, frames = self.experiment.bins, self.experiment.frames
        return vae_steps.create(hyperparams, self.model, bins, frames, views.numbers(self.experiment))

    def step(self, state: TrainState, hyperparams: Hyperparams, examples: Examples) -> tuple[TrainState, Metrics]:
        """The state after a step, and its figures."""
        return vae_steps.train_step(state, hyperparams, examples, model=self.model, objective=self.experiment.objective)

    def evaluate(self, weights: Weights, hyperparams: Hyperparams, examples: tuple[Examples, Randomness]) -> Metrics:
        """Figures of each clip, none of which depends on beta."""
        return vae_steps.eval_step(weights, hyperparams, *examples, model=self.model)

    def evaluation(self, experiment: Experiment, outputs: dict[str, np.ndarray]) -> Evaluation:
        """Means over the clips, and how the latent dimensions are used."""
        outputs = dict(outputs)
        latent_dim = experiment.model.latent_dim
        error, kl, mean = (outputs.pop(name) for name in ("mean_squared", "kl", "mean"))
        nats = (kl.sum(axis=1) + outputs.pop("content_kl")).mean()
        pixels = experiment.bins * experiment.frames
        scalars = {
            "val/negative_elbo": float(losses.calibrated_negative_elbo(error.mean(), nats, pixels)),
            "val/mean_squared": float(error.mean()),
            "val/kl": float(nats),
            "latent/active_share": float((mean[:, :latent_dim].var(axis=0) > 0.01).mean()),
        }
        scalars |= {f"val/{name}": float(output.mean()) for name, output in outputs.items()}
        for index, effect in enumerate(self.rendered.data.effects):
            own = self.rendered.validation_split.effect == index
            scalars[f"effect/{effect.name}/mean_squared"] = float(error[own].mean())
        histograms = {
            "latent/kl_per_dimension": kl[:, :latent_dim].mean(axis=0),
            "latent/variance_of_mean": mean[:, :latent_dim].var(axis=0),
        }
        return Evaluation(scalars, histograms)

    @functools.cached_property
    def _shown_clips(self) -> np.ndarray:
        """Clips of the first blocks of the validation set."""
        return np.arange(min(block.CLIPS * SHOWN_CLIPS, self.rendered.validation_split.clips))

    def shown_batch(self) -> Any:
        """The first blocks of the validation set, without noise."""
        return self.validation.feed.batch(self._shown_clips), still(len(self._shown_clips), self.model.config)

    def shown(
        self, weights: Weights, hyperparams: Hyperparams, examples: tuple[Examples, Randomness]
    ) -> tuple[jax.Array, jax.Array]:
        """Spectrograms of the first clip of each block, and their reconstructions."""
        wet = jax.tree.map(block.firsts, examples[0].wet)
        return wet.spectrogram, vae_steps.reconstruct(weights, hyperparams, wet, model=self.model)

    @functools.cached_property
    def _picture(self) -> Any:
        from jaxvae.training.pictures import SideBySide  # here, so that a run is read without matplotlib

        return SideBySide(self.experiment, self.rendered.normalisation.spectrogram)

    def show(self, log: Log, step: int, shown: tuple[np.ndarray, np.ndarray]) -> None:
        """Log reconstructions beside their inputs, and the first clip as sound: dry, wet and decoded."""
        inputs, outputs = shown
        split, chosen = self.rendered.validation_split, block.firsts(self._shown_clips)
        audio, scale = self.experiment.audio, self.experiment.spectrogram
        for index, clip in enumerate(chosen):
            name, words = _words(self.rendered.data, int(split.effect[clip]), split.normalized[clip])
            picture = self._picture.draw(inputs[index], outputs[index], words)
            log.image(step, f"reconstruction/{index}_{name}", picture)
        wet, dry = to_float(split.audio(chosen[:1])[0]), split.dry(chosen[:1])[0]
        decoded = spectrogram.invert(outputs[:1], audio, scale, self.rendered.normalisation.spectrogram)[0]
        for name, sound in (("1_dry", dry), ("2_wet", wet), ("3_decoded", decoded)):
            log.audio(step, f"audio/{name}", sound, audio.sample_rate)

    def describe(self, tag: str) -> str:
        """What a tag of the logs shows and in which unit."""
        group, _, name = tag.partition("/")
        if group == "effect":
            return f"Mean squared error per pixel over the validation clips of {name.rpartition('/')[0]}."
        if group == "reconstruction":
            return (
                "A validation clip: its spectrogram and what the decoder makes of its posterior mean, blind. "
                "Time in s, frequency in Hz."
            )
        mode, _, head = name.partition("/") if name.startswith(tuple(_MODES)) else ("", "", name)
        words = _FIGURES.get(tag) or _FIGURES.get(name) or _by_its_function(head)
        where = {"train": "Mean over the steps since the last point.", "val": "Mean over the validation clips."}
        return " ".join(part for part in (words, _MODES.get(mode, ""), where.get(group, "")) if part)

    def criterion_words(self, experiment: Experiment, value: float) -> str:
        """What the criterion is made of, in nats."""
        return f"{'reading' if experiment.objective.heads else '-ELBO'} {value:.4g} nats per clip"


def _by_its_function(figure: str) -> str:
    """What a term of the loss or the likelihood of a head is, in the words of the function that gives it."""
    head = figure.removesuffix("_nll")
    function = HEADS[head].nll if head in HEADS else losses.TERMS.get(figure)
    return (inspect.getdoc(function) or "").partition("\n")[0] if function else ""


def _words(data: Dataset, kind: int, normalized: np.ndarray) -> tuple[str, str]:
    """Of a clip, the name of its effect, and the title of its picture."""
    if kind == len(data.effects):
        return "untouched", "untouched"
    effect = data.effects[kind]
    settings = ", ".join(f"{name} {value:.3g}" for name, value in effect.settings(normalized).items())
    return effect.name, f"{effect.name}: {settings}"


def _require_what_shows() -> None:
    """Find out that a package of the extra `train` is missing before anything is rendered."""
    import librosa  # noqa: F401
    import matplotlib  # noqa: F401
