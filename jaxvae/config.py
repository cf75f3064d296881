"""What an experiment is: frozen dataclasses, one per subject.

Conventions
    A field changes a shape or the compiled program, unless it is made by `number`: then it reaches the program as an
    array (`jaxvae.training.hyperparams`), a new value of it never recompiles, and the members of one program may
    differ in it.
    A field named after a term of the objective with `_weight` behind is what that term is multiplied by
    (`jaxvae.training.losses.TERMS`), and one made by `head_weight` is that of a head (`jaxvae.models.heads.HEADS`).
    Every field is checked when the dataclass is made; an error names the value, the limit and the fix.
"""

import dataclasses
import warnings
from typing import Annotated, Any, Literal

import tyro

from jaxvae import backbones, block, fields, sweep
from jaxvae.fields import number, number_property
from jaxvae.sweep import Sweep


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def head_weight(default: float) -> Any:
    """The weight of a head, which is trained where this is above 0."""
    return number(default, head=True)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _next_prime(number: int) -> int:
    return next(n for n in range(number + 1, 2 * number + 3) if _is_prime(n))


@dataclasses.dataclass(frozen=True)
class Audio:
    """The form that every recording is brought to."""

    sample_rate: int = 24_000
    """Hz; recordings are resampled to it."""
    clip_samples: int = 65_536
    """Samples in one clip, 2.73 s at 24 kHz."""

    def __post_init__(self) -> None:
        _require(4_000 <= self.sample_rate <= 192_000, f"sample_rate is {self.sample_rate} Hz; use 4000 to 192000")
        _require(self.clip_samples >= 1_024, f"clip_samples is {self.clip_samples}; use at least 1024")


@dataclasses.dataclass(frozen=True)
class Data:
    """Which effects are rendered over which recordings. Together with `Audio`, it identifies a data set."""

    effects: tuple[str, ...] = (
        "pedalboard/Delay",
        "pedalboard/Distortion",
        "pedalboard/Reverb",
        "pedalboard/Chorus",
        "pedalboard/LadderFilter",
        "pedalboard/Compressor",
    )
    """Names as `jaxvae.effects.names()` lists them."""
    audio: tuple[str, ...] = ()
    """Folders of recordings, or patterns of folders (sound/*/en); empty means the bundled recordings."""
    test_audio: tuple[str, ...] = ()
    """Folders, or patterns, held out whole for testing; empty means a share of the recordings of `audio`."""
    train_clips: int = 6_000
    """Clips rendered for training: a multiple of 4 (a block) times the number of effects."""
    validation_clips: int = 600
    """Clips rendered from the recordings kept for validation; a multiple like that of train_clips."""
    test_clips: int = 1_200
    """Clips rendered from the recordings kept for testing; a multiple like that of train_clips."""
    validation_share: float = 0.15
    """Share of the audio (by duration, whole recordings) kept for validation."""
    test_share: float = 0.15
    """Share of the audio (by duration, whole recordings) kept for testing; unused when `test_audio` is set."""
    peak_dbfs: float = -12.0
    """Peak level of the dry clip at the input of the effect."""
    fade_ms: float = 50.0
    """Fade-in and fade-out of the dry clip."""
    untouched: bool = True
    """Whether clips that nothing was done to are rendered beside train_clips and validation_clips, as many as there are
    of an effect: what "no effect" is learnt from."""
    degraded_share: float = 0.5
    """Share of the training and validation clips to which something happens after the effect, as it does to recordings
    in the world (`jaxvae.data.degradation`)."""
    vary: bool = True
    """Whether training clips are of recordings played at other speeds and through random filters
    (`jaxvae.data.augmentation`)."""
    seed: int = 0
    """Seed of the split, the crops and the settings."""
    directory: str = "datasets"
    """Folder or fsspec URL (s3://bucket/sets) of rendered data sets, each in a folder named after its identity."""

    def kinds(self, split: str) -> int:
        """Kinds of clips in a split: the effects, and untouched ones in those that something is learnt from."""
        return len(self.effects) + (self.untouched and split != "test")

    def clips(self, split: str) -> int:
        """Clips of a split, of all kinds."""
        return getattr(self, f"{split}_clips") // len(self.effects) * self.kinds(split)

    def __post_init__(self) -> None:
        for name in ("effects", "audio", "test_audio"):
            names = getattr(self, name)
            _require(not isinstance(names, str), f"data.{name} is the text {names!r}; write ({names!r},) with a comma")
            _require(all(names), f"data.{name} holds an empty name; leave it out, or give the variable a value")
        _require(len(self.effects) > 0, "data.effects is empty; name at least one effect")
        _require(len(set(self.effects)) == len(self.effects), f"data.effects names one twice: {self.effects}")
        unit = block.CLIPS * len(self.effects)
        for name in ("train_clips", "validation_clips", "test_clips"):
            clips = getattr(self, name)
            nearest = unit * max(1, round(clips / unit))
            _require(
                clips == nearest,
                f"data.{name} is {clips}; use a multiple of {unit}, such as {nearest}: blocks of {block.CLIPS} clips, "
                f"{len(self.effects)} effects equally often",
            )
        _require(
            self.validation_share > 0 and self.test_share > 0 and self.validation_share + self.test_share < 1,
            f"validation_share {self.validation_share} and test_share {self.test_share} must be positive "
            "and leave a share to train on",
        )
        _require(self.peak_dbfs <= 0, f"peak_dbfs is {self.peak_dbfs}; use 0 or less")
        _require(self.fade_ms >= 0, f"fade_ms is {self.fade_ms}; use 0 or more")
        _require(
            0 <= self.degraded_share <= 1, f"data.degraded_share is {self.degraded_share}; use 0 to 1, a share of clips"
        )
        _require(self.seed >= 0, f"data.seed is {self.seed}; use 0 or more")


@dataclasses.dataclass(frozen=True)
class Spectrogram:
    """Short-time Fourier transform magnitude, its frequency scale, compression and normalisation."""

    n_fft: int = 2_048
    """Samples that the Fourier transform of a frame takes; n_fft // 2 + 1 frequency bins result."""
    window_length: int = 2_048
    """Samples of the Hann window, zero-padded to n_fft."""
    hop_length: int = 1_024
    """Samples between the starts of two frames."""
    scale: Literal["linear", "mel"] = "mel"
    """linear: the bins of the Fourier transform, equally far apart in Hz; mel: n_mels bands of the mel scale."""
    n_mels: int = 128
    """Mel bands (Slaney's scale and area normalisation, as librosa); unused when scale is linear."""
    compression: Literal["log", "power"] = "log"
    """log: decibels of the power, no lower than floor_db; power: magnitude ** exponent."""
    exponent: float = 0.3
    """Power that the magnitude is raised to when compression is power; unused when it is log."""
    floor_db: float = -80.0
    """Lowest level, relative to a full-scale sine."""
    normalisation: Literal["fixed", "clip"] = "fixed"
    """fixed: mean and standard deviation of each band over the training set; clip: of the whole clip itself."""

    def __post_init__(self) -> None:
        _require(self.n_fft >= 16, f"n_fft is {self.n_fft}; use at least 16")
        _require(
            0 < self.window_length <= self.n_fft,
            f"window_length is {self.window_length}; use 1 to n_fft ({self.n_fft})",
        )
        _require(
            0 < self.hop_length <= self.window_length,
            f"hop_length is {self.hop_length}; use 1 to window_length ({self.window_length})",
        )
        _require(
            0 < self.n_mels <= self.n_fft // 2 + 1,
            f"n_mels is {self.n_mels}; use 1 to n_fft // 2 + 1 ({self.n_fft // 2 + 1})",
        )
        _require(0 < self.exponent <= 2, f"exponent is {self.exponent}; use more than 0, up to 2")
        _require(self.floor_db < 0, f"floor_db is {self.floor_db}; use less than 0")


@dataclasses.dataclass(frozen=True)
class Model:
    """Encoder and decoder."""

    backbone: str = "patch"
    """Network that encodes the content and decodes the spectrogram: the name of a file of `jaxvae/models/backbones`."""
    latent_dim: int = number(128, dtype="int32")
    """Dimensions of the effect latent; of the only one there is if content_dim is 0."""
    content_dim: int = 128
    """Dimensions of the latent of what was played, which the backbone encodes, while an encoder of its own takes the
    effect's (`jaxvae.models.effect_encoder`). 0: a plain VAE, in which the backbone encodes both into one."""
    attention: bool = False
    """Whether the effect's encoder attends over time, where it is a convolutional one, without fine structure."""
    fine_structure: bool = True
    """Whether the effect's encoder hears the fine structure of the waveform (`jaxvae.fine_structure`) and what changed
    from frame to frame; if not, it is a convolutional one of spectrograms alone. Unused if content_dim is 0."""
    width: int = 1
    """Multiplies the hidden sizes of every network but Grant's (2023)."""

    def __post_init__(self) -> None:
        known = backbones.names()
        _require(self.backbone in known, f"model.backbone is {self.backbone!r}; use one of {', '.join(known)}")
        _require(1 <= self.latent_dim <= 4_096, f"latent_dim is {self.latent_dim}; use 1 to 4096")
        _require(0 <= self.content_dim <= 4_096, f"content_dim is {self.content_dim}; use 0 to 4096")
        _require(self.width >= 1, f"width is {self.width}; use at least 1")

    @property
    def sees_fine_structure(self) -> bool:
        """Whether the network sees fine structure: a plain VAE never does."""
        return self.fine_structure and self.content_dim > 0


@dataclasses.dataclass(frozen=True)
class Beta:
    """Schedule of beta, the weight of the KL divergence (see `jaxvae.training.schedules`)."""

    schedule: Literal["cyclical_cosine", "grant2023", "linear", "constant"] = "cyclical_cosine"
    """Curve of beta over the steps: one of `jaxvae.training.schedules`, each with its formula and source there."""
    maximum: float = number(1.0)
    """Highest beta; with the gaussian reconstruction, 1 weighs the KL divergence as the ELBO does."""
    minimum: float = number(0.0)
    """Lowest beta, where cycles and ramps begin; unused by `constant`."""
    cycle_length: int = number(5, through="beta_cycle_length")
    """Length of a cycle, or of the one ramp of `linear`. A prime keeps it out of step with other periods."""
    cycle_unit: Literal["epoch", "step"] = number("epoch", through="beta_cycle_length")
    """What cycle_length counts: epochs of train.epoch_clips clips, or steps of the optimiser."""
    ramp_fraction: float = number(0.5)
    """Share of a cycle spent moving; the rest holds the end value."""
    direction: Literal["up", "down"] = "up"
    """Whether a cosine cycle rises from minimum to maximum or falls from maximum to minimum."""

    def __post_init__(self) -> None:
        _require(
            0 <= self.minimum <= self.maximum,
            f"beta runs from minimum {self.minimum} to maximum {self.maximum}; use 0 <= minimum <= maximum",
        )
        _require(self.cycle_length >= 1, f"cycle_length is {self.cycle_length}; use at least 1")
        _require(0 < self.ramp_fraction <= 1, f"ramp_fraction is {self.ramp_fraction}; use more than 0, up to 1")
        cyclic = self.schedule in ("cyclical_cosine", "grant2023")
        if cyclic and self.cycle_unit == "epoch" and not _is_prime(self.cycle_length):
            warnings.warn(
                f"beta.cycle_length is {self.cycle_length} epochs, not a prime: its cycles line up with other periods "
                f"of the training; the next prime is {_next_prime(self.cycle_length)}",
                stacklevel=3,
            )


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is minimised."""

    reconstruction: Literal["gaussian", "mean_squared"] = "gaussian"
    """gaussian: nats under a Gaussian decoder with one learned variance (sigma-VAE), in which beta is dimensionless;
    mean_squared: mean of the squared error over all pixels, the convention of Grant (2023)."""
    beta: Beta = Beta()
    free_nats: float = number(0.0)
    """KL divergence per latent dimension that is not charged (free bits, in nats)."""
    swap: float = number(0.5)
    """Probability that a clip is decoded with the effect latent of the other content at the same setting, and likewise
    with the content latent of the same content at the other setting, against its real render."""
    reconstructed_clips: int = 1
    """Clips of each block of four that a step of training reconstructs, another one each time. With one, a step takes
    half the time of one with all, and heads and contrastive term still see them all."""
    reconstructed_blocks: int = 24
    """Blocks of which a step of training reconstructs clips, if it has more; 0: all. What is reconstructed takes most
    of a step's time, and what heads and pairs are made of takes little."""
    dry_share: float = number(0.35)
    """Share of blocks whose dry clips the effect's encoder may see: those that train it dry-aware."""
    source_share: float = number(0.45)
    """Of the other blocks, the share of which it may see another dry passage of the recording: those that train it
    source-aware. The rest train it blind. A plain VAE is always blind, whatever the shares."""
    elbo_weight: float = number(0.001)
    """Weight of the reconstruction and the KL divergences: thousands of nats a clip, its effect and settings a few."""
    reading_noise: float = number(1.0)
    """Share of the posterior's standard deviation that the heads are trained with: 0 reads the posterior mean; 1 a
    sample, so that what they read has to be paid for in KL divergence (Alemi et al. 2017)."""
    dropout: float = number(0.3)
    """Share of the hidden units of the effect's encoder that a step leaves out. Unused without fine structure."""
    effect_weight: float = head_weight(1.0)
    """Weight of the effect's negative log-likelihood by the head on the posterior mean."""
    settings_weight: float = head_weight(1.0)
    """Weight of the settings' negative log-likelihood by the head on the posterior mean."""
    contrastive_weight: float = number(1.0)
    """Weight of telling the clip of the same setting from the others of the batch, by the posterior mean."""
    temperature: float = number(0.1)
    """Divides the cosine similarities of the contrastive term: the lower it is, the more the closest clips count."""

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the heads that are trained."""
        weights = [field.name for field in dataclasses.fields(self) if field.metadata.get("head")]
        return tuple(name.removesuffix("_weight") for name in weights if getattr(self, name) > 0)

    def __post_init__(self) -> None:
        weights = [field.name for field in dataclasses.fields(self) if field.name.endswith("_weight")]
        for name in ("free_nats", *weights):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; use 0 or more")
        for name in ("swap", "dry_share", "source_share", "reading_noise"):
            _require(0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name)}; use 0 to 1")
        _require(self.reconstructed_blocks >= 0, f"reconstructed_blocks is {self.reconstructed_blocks}; use 0 or more")
        _require(0 <= self.dropout < 1, f"dropout is {self.dropout}; use 0 or more, below 1")
        _require(
            1 <= self.reconstructed_clips <= block.CLIPS,
            f"reconstructed_clips is {self.reconstructed_clips}; use 1 to {block.CLIPS}",
        )
        _require(self.temperature > 0, f"temperature is {self.temperature}; use more than 0")


@dataclasses.dataclass(frozen=True)
class Train:
    """How long and how fast."""

    steps: int = number(4_000, shared=True)  # a program takes as many with every member
    """Steps of the optimiser in the whole run."""
    batch_size: int = 48
    """Clips in the batch of one step, whole blocks of four."""
    learning_rate: float = number(1e-3)
    """Highest learning rate of Adam, reached after the warm-up; it then falls to 0 by half a cosine."""
    warmup_steps: int = number(200)
    """Steps in which the learning rate rises to its highest value."""
    weight_decay: float = number(1e-4)
    """Decoupled weight decay: a step also subtracts learning rate times this times the weight, except from biases."""
    gradient_norm: float = number(5.0)
    """Gradients are scaled down to this norm."""
    epoch_clips: int = number(0, through="steps_per_epoch")
    """Clips in an epoch, the unit of `beta.cycle_length`; 0 means the training set's number of clips."""
    validate_every: int = 250
    """Steps between validations; each is followed by a checkpoint."""
    patience: int = 8
    """Stop after this many validations without a better one; 0 means never."""
    log_every: int = 25
    """Steps between two entries of the training curves in TensorBoard."""
    seed: int = number(0, dtype="int32")
    """Seed of the weights and the latent noise."""
    order_seed: int = 0
    """Seed of the order of the clips. Members of a population that share it share every batch."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "log_every"):
            _require(getattr(self, name) >= 1, f"train.{name} is {getattr(self, name)}; use at least 1")
        _require(
            self.batch_size % block.CLIPS == 0,
            f"train.batch_size is {self.batch_size}; use a multiple of {block.CLIPS}, for whole blocks of clips",
        )
        for name in ("warmup_steps", "epoch_clips", "patience", "weight_decay", "seed", "order_seed"):
            _require(getattr(self, name) >= 0, f"train.{name} is {getattr(self, name)}; use 0 or more")
        _require(self.learning_rate > 0, f"train.learning_rate is {self.learning_rate}; use more than 0")
        _require(self.gradient_norm > 0, f"train.gradient_norm is {self.gradient_norm}; use more than 0")


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a program uses the machine. Nothing here changes what is trained; 0 leaves the choice to the program."""

    members_at_once: int = 0
    """Members of a device that are computed together (vmap); groups of so many follow one another (lax.map).
    0: one on a CPU, all on an accelerator (`make bench` measures both)."""
    steps_per_call: int = 0
    """Steps in one call of the compiled program. 0: a few on a CPU, train.log_every on an accelerator."""
    devices: int = 0
    """Devices used, of all hosts together. 0: all."""
    data_devices: int = 0
    """Devices that share the batch of one member. 0: one, or as many as there are to each member."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _require(value >= 0, f"execution.{field.name} is {value}; use 0 or more")


MODES = ("blind", "source_aware", "dry_aware")
"""What an encoder can be given beside a wet clip: nothing, another dry passage of the recording, or the dry clip."""


def _modes(objective: "Objective | MatchObjective") -> tuple[str, ...]:
    """Those of MODES that are trained with these shares of blocks."""
    dry, source = objective.dry_share, objective.source_share
    trained = (dry < 1 and source < 1, dry < 1 and source > 0, dry > 0)
    return tuple(mode for mode, is_trained in zip(MODES, trained, strict=True) if is_trained)


class RenderedExperiment:
    """An experiment on rendered clips, whatever is trained on them: what makes the data set, and how it is seen."""

    name: str
    """That of its config file."""
    audio: Audio
    data: Data
    spectrogram: Spectrogram
    train: Train
    execution: Execution
    sweep: Sweep
    """What the members of a population differ in."""

    @property
    def sees_fine_structure(self) -> bool:
        """Whether its network does (`jaxvae.fine_structure`)."""
        raise NotImplementedError

    @property
    def frames(self) -> int:
        """Frames in the spectrogram of one clip (centred frames, as librosa)."""
        return 1 + self.audio.clip_samples // self.spectrogram.hop_length

    @property
    def bins(self) -> int:
        """Frequency bins, or mel bands, in a spectrogram."""
        return self.spectrogram.n_mels if self.spectrogram.scale == "mel" else self.spectrogram.n_fft // 2 + 1

    def _require_frame(self) -> None:
        _require(
            self.audio.clip_samples >= self.spectrogram.n_fft,
            f"a clip of {self.audio.clip_samples} samples is shorter than n_fft ({self.spectrogram.n_fft}); "
            "lengthen audio.clip_samples or shorten spectrogram.n_fft",
        )


@dataclasses.dataclass(frozen=True)
class Experiment(RenderedExperiment):
    """One experiment, complete: a spectrogram VAE."""

    name: str
    """Name of the experiment: that of its config file, in tables and titles."""
    audio: Audio = Audio()
    data: Data = Data()
    spectrogram: Spectrogram = Spectrogram()
    model: Model = Model()
    objective: Objective = Objective()
    train: Train = Train()
    execution: Execution = Execution()
    sweep: Annotated[Sweep, tyro.conf.Suppress] = Sweep()  # too long for a command line
    """What the members of a population differ in; none means one member (see `jaxvae.sweep`)."""

    def __post_init__(self) -> None:
        if self.sweep.members:
            sweep.members(self)  # each is checked where it is made
        self._require_frame()
        _require(
            self.model.content_dim > 0 or self.objective.swap == 0,
            f"objective.swap is {self.objective.swap}, but model.content_dim is 0, so there is no content latent that "
            "could stay while the effect's is swapped; use swap 0, or a content_dim above 0",
        )
        _require(
            self.model.fine_structure or self.model.content_dim == 0 or self.objective.source_share == 0,
            f"objective.source_share is {self.objective.source_share}, but model.fine_structure is False, and passages "
            "are compared by their fine structure alone; use source_share 0, or fine_structure True",
        )

    @property
    def sees_fine_structure(self) -> bool:
        """Whether its network does."""
        return self.model.sees_fine_structure

    @property
    def modes(self) -> tuple[str, ...]:
        """Those of MODES that are trained."""
        if not self.model.content_dim:
            return MODES[:1]
        return _modes(self.objective)

    @number_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch, at least 1."""
        return max(1, (self.train.epoch_clips or self.data.clips("train")) // self.train.batch_size)

    @number_property
    def beta_cycle_length(self) -> int:
        """Steps of one cycle of beta."""
        beta = self.objective.beta
        return beta.cycle_length * (self.steps_per_epoch if beta.cycle_unit == "epoch" else 1)


@dataclasses.dataclass(frozen=True)
class Controller:
    """Network of a matcher (`jaxvae.models.controller`)."""

    width: int = 384
    """Units of each of the two hidden layers that hear the clips."""
    flow_width: int = 256
    """Units of each hidden layer of the flow of settings."""
    flow_layers: int = 3
    """Hidden layers of the flow of settings."""

    def __post_init__(self) -> None:
        for name in ("width", "flow_width", "flow_layers"):
            _require(getattr(self, name) >= 1, f"controller.{name} is {getattr(self, name)}; use at least 1")


@dataclasses.dataclass(frozen=True)
class MatchObjective:
    """What a matcher minimises."""

    dry_share: float = number(0.2)
    """Share of blocks of which it may see the clips before the effect."""
    source_share: float = number(0.5)
    """Of the other blocks, the share of which it may see another dry passage of the recording. The rest train it
    blind, which is how a reference of another recording is heard."""
    dropout: float = number(0.3)
    """Share of the hidden units that hear the clips, which a step leaves out."""
    effect_weight: float = number(1.0)
    """Weight of the effect's negative log-likelihood."""
    settings_weight: float = number(1.0)
    """Weight of the squared error of the settings' flow, summed over the parameters of an effect."""
    times: int = 8
    """Moments of the flow that a step learns of each clip: the more, the less noise is in a step, which hears the clip
    once for all of them."""

    def __post_init__(self) -> None:
        for name in ("effect_weight", "settings_weight"):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; use 0 or more")
        for name in ("dry_share", "source_share"):
            _require(0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name)}; use 0 to 1")
        _require(0 <= self.dropout < 1, f"dropout is {self.dropout}; use 0 or more, below 1")
        _require(self.times >= 1, f"objective.times is {self.times}; use at least 1")


@dataclasses.dataclass(frozen=True)
class MatchExperiment(RenderedExperiment):
    """One experiment, complete: a matcher, which tells effect and settings that give a recording a reference's sound.

    It has the fields of `Experiment` that make its data set and its views, so both may share these.
    """

    name: str
    """Name of the experiment: that of its config file, in tables and titles."""
    audio: Audio = Audio()
    data: Data = Data()
    spectrogram: Spectrogram = Spectrogram()
    controller: Controller = Controller()
    objective: MatchObjective = MatchObjective()
    train: Train = Train()
    execution: Execution = Execution()
    sweep: Annotated[Sweep, tyro.conf.Suppress] = Sweep()  # too long for a command line
    """What the members of a population differ in; none means one member (see `jaxvae.sweep`)."""

    def __post_init__(self) -> None:
        if self.sweep.members:
            sweep.members(self)  # each is checked where it is made
        self._require_frame()

    @property
    def sees_fine_structure(self) -> bool:
        """Whether its network does: always."""
        return True

    @property
    def modes(self) -> tuple[str, ...]:
        """Those of MODES that are trained."""
        return _modes(self.objective)


_RENAMED = {"model": {"backbone": {"seed": "grant2023"}}, "objective": {"beta": {"schedule": {"seed": "grant2023"}}}}
"""Values of records that were written before they had another name."""
_LACKING = {
    "data": {"untouched": False, "degraded_share": 0.0},
    "model": {"fine_structure": False},
    "objective": {"source_share": 0.0, "dropout": 0.0, "reconstructed_blocks": 0},
}
"""Values of fields that are not in records which were written before there were such fields."""


def from_dict(values: dict[str, Any]) -> Experiment:
    """The inverse of `fields.to_dict`, of records of older versions as well.

    Versions that did not refuse it trained plain VAEs with swaps. Their weights are read, with a warning. What a field
    does that a record lacks was not done then, whatever is done by default now.
    """

    def renamed(value: Any, names: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item, names.get(key, {})) for key, item in value.items()}
        return names.get(value, value) if isinstance(value, str) else value

    values = renamed(values, _RENAMED)
    values = values | {name: lacking | values.get(name, {}) for name, lacking in _LACKING.items()}
    objective = values.get("objective", {})
    swap = objective.get("swap", Objective.swap)
    if values.get("model", {}).get("content_dim") == 0 and swap > 0:
        warnings.warn(
            f"{values['name']} was trained as a plain VAE with objective.swap {swap}: its clips were decoded from the "
            "whole latent of another recording, so its figures are not those of a plain VAE; train it anew with swap 0",
            stacklevel=2,
        )
        values = {**values, "objective": {**objective, "swap": 0.0}}
    return fields.from_dict(Experiment, values)
