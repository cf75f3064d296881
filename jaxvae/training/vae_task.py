"""The spectrogram VAE as a task: its data set, its network, and what of it is measured and shown."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import jax
import matplotlib
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8
from tqdm import tqdm

from jaxvae import block, config, devices, spectrogram
from jaxvae.config import Experiment
from jaxvae.data import dataset
from jaxvae.data.audio import to_float
from jaxvae.data.dataset import Dataset, Split
from jaxvae.data.input_pipeline import Examples, InputPipeline
from jaxvae.models.vae import VAE, Randomness, sample_randomness, still
from jaxvae.spectrogram import Statistics
from jaxvae.training import losses, schedules, vae_steps
from jaxvae.training.checkpoints import CheckpointError
from jaxvae.training.hyperparams import Hyperparams
from jaxvae.training.summaries import Summaries
from jaxvae.training.task import Evaluation, Record, Task
from jaxvae.training.train_state import Metrics, TrainState, Weights

STATISTICS_CLIPS = 2_048
SHOWN_CLIPS = 6


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
        "val/dry_aware/accuracy",
        "val/blind/settings_nll",
        "val/dry_aware/settings_nll",
    )
    BLOCK: ClassVar[int] = block.CLIPS

    experiment: Experiment
    model: VAE
    data: Dataset
    statistics: Statistics
    validation_split: Split
    train: InputPipeline
    validation: Validation

    @classmethod
    def prepare(cls, members: Sequence[Experiment], mesh: Mesh, record: Record | None) -> "VAETask":
        """Render what is missing of the data set, and take from the record or measure how it is normalised.

        Raises:
            CheckpointError: the record is of another data set.
        """
        for member in members:
            schedules.warn_of_rest(member)
        model = dataclasses.replace(members[0].model, latent_dim=max(member.model.latent_dim for member in members))
        experiment = dataclasses.replace(members[0], model=model)
        data = _render(experiment, record and record["dataset"])
        if record is not None and record["dataset"] != data.identity:
            raise CheckpointError(
                f"the run was trained on data set {record['dataset']}, but the recordings or effects now make "
                f"{data.identity}; use another --workdir, or restore the recordings"
            )
        if jax.process_index() == 0:
            tqdm.write(data.counts())
        train, validation = data.split("train"), data.split("validation")
        if record is None:
            statistics = _statistics(train, experiment)
        else:
            statistics = spectrogram.statistics_from(record["statistics"])
        reads = any(member.objective.heads for member in members)
        return cls(
            experiment=experiment,
            model=VAE(model, tuple(len(kind.parameters) for kind in data.effects) if reads else ()),
            data=data,
            statistics=statistics,
            validation_split=validation,
            train=InputPipeline(train, experiment, statistics, mesh),
            validation=Validation(InputPipeline(validation, experiment, statistics, mesh)),
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
        modes, heads = ["blind", "dry_aware"], members[0].objective.heads
        for member in members:
            objective, split = member.objective, member.model.content_dim > 0
            trained = {"blind": objective.dry_share < 1 or not split, "dry_aware": objective.dry_share > 0 and split}
            modes = [mode for mode in modes if trained[mode]]
            heads = [head for head in heads if head in objective.heads]
        if modes and heads:
            return tuple(f"val/{mode}/{head}_nll" for mode in modes for head in heads)
        alike = len({(member.audio, member.spectrogram) for member in members}) == 1
        return ("val/negative_elbo",) if alike else ()

    def record(self) -> Record:
        """How to make the network anew, and what it was trained on."""
        return {
            "statistics": {name: value.tolist() for name, value in self.statistics._asdict().items()},
            "dataset": self.data.identity,
            "dataset_folder": str(self.data.folder.absolute()),
            "parameters": self.model.parameters,
        }

    def batches(self, first_step: int) -> Iterator[Any]:
        """Clips of each step from `first_step` on, in whole blocks."""
        train = self.experiment.train
        return self.train.batches(train.order_seed, first_step, train.steps, train.batch_size)

    def validation_batches(self) -> Iterator[tuple[Any, int]]:
        """Every clip of the validation set once, of every effect, with noise that does not depend on the member."""
        clips, size = self.validation_split.clips, self.experiment.train.batch_size
        for number, first in enumerate(range(0, clips, size)):
            chosen = np.arange(first, first + size) % clips  # the last batch is filled up
            randomness = sample_randomness(jax.random.key(number), size, self.model.config, dry_share=0.0, swap=0.0)
            yield (self.validation.feed.batch(chosen), randomness), min(size, clips - first)

    def create(self, hyperparams: Hyperparams) -> TrainState:
        """The state of a member before its first step."""
        return vae_steps.create(hyperparams, self.model, self.experiment.bins, self.experiment.frames)

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
        for index, effect in enumerate(self.data.effects):
            own = self.validation_split.effect == index
            scalars[f"effect/{effect.name}/mean_squared"] = float(error[own].mean())
        histograms = {
            "latent/kl_per_dimension": kl[:, :latent_dim].mean(axis=0),
            "latent/variance_of_mean": mean[:, :latent_dim].var(axis=0),
        }
        return Evaluation(scalars, histograms)

    @functools.cached_property
    def _shown_clips(self) -> np.ndarray:
        """Clips of the first blocks of the validation set."""
        return np.arange(min(block.CLIPS * SHOWN_CLIPS, self.validation_split.clips))

    def shown_batch(self) -> Any:
        """The first blocks of the validation set, without noise."""
        return self.validation.feed.batch(self._shown_clips), still(len(self._shown_clips), self.model.config)

    def shown(
        self, weights: Weights, hyperparams: Hyperparams, examples: tuple[Examples, Randomness]
    ) -> tuple[jax.Array, jax.Array]:
        """Spectrograms of the first clip of each block, and their reconstructions."""
        wet = block.firsts(examples[0].wet)
        return wet, vae_steps.reconstruct(weights, hyperparams, wet, model=self.model)

    def show(self, log: Summaries, step: int, shown: tuple[np.ndarray, np.ndarray]) -> None:
        """Log reconstructions beside their inputs, and the first clip as sound: dry, wet and decoded."""
        inputs, outputs = shown
        split, chosen = self.validation_split, block.firsts(self._shown_clips)
        audio, scale = self.experiment.audio, self.experiment.spectrogram
        for index, effect in enumerate(split.effect[chosen]):
            tag = f"reconstruction/{index}_{self.data.effects[effect].name}"
            log.image(step, tag, _side_by_side(inputs[index], outputs[index]))
        wet, dry = to_float(split.audio(chosen[:1])[0]), split.dry(chosen[:1])[0]
        decoded = spectrogram.invert(outputs[:1], audio, scale, self.statistics)[0]
        for name, sound in (("1_dry", dry), ("2_wet", wet), ("3_decoded", decoded)):
            log.audio(step, f"audio/{name}", sound, audio.sample_rate)

    def criterion_words(self, experiment: Experiment, value: float) -> str:
        """What the criterion is made of, in nats."""
        return f"{'reading' if experiment.objective.heads else '-ELBO'} {value:.4g} nats per clip"


def _render(experiment: Experiment, recorded: str | None) -> Dataset:
    """The data set, of which every host renders its share first. Hosts that share no disk then render the rest."""
    host, hosts = jax.process_index(), jax.process_count()
    if hosts > 1:
        dataset.render(experiment, part=(host + 1, hosts), progress=host == 0, recorded=recorded)
        devices.wait_for_all_hosts("rendered")
    return dataset.render(experiment, progress=host == 0, recorded=recorded)


def _statistics(train: Split, experiment: Experiment) -> Statistics:
    measured = np.arange(min(train.clips, STATISTICS_CLIPS))
    batches = (train.audio(part) for part in np.array_split(measured, -(-len(measured) // 64)))
    return spectrogram.statistics(batches, experiment.audio, experiment.spectrogram)


def _side_by_side(
    spectrogram: Float[np.ndarray, "bin frame"], reconstruction: Float[np.ndarray, "bin frame"]
) -> UInt8[np.ndarray, "row column 3"]:
    """Input left, reconstruction right, low frequencies below; dark to bright is -3 to 3 standard deviations."""
    gap = np.full((len(spectrogram), 4), 3.0)
    values = np.concatenate([spectrogram, gap, reconstruction], axis=1)[::-1]
    colours = matplotlib.colormaps["magma"](np.clip((values + 3.0) / 6.0, 0.0, 1.0), bytes=True)
    return colours[..., :3].repeat(2, axis=0).repeat(2, axis=1)
