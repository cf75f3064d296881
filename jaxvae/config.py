"""What an experiment is: frozen dataclasses, one per subject.

Conventions
    A field that changes a shape or the compiled program is static and lives here. Numbers that may differ
    between runs of one program (learning rate, beta, ...) also live here, and reach the program as arrays
    through `jaxvae.training.optimizer.Hyperparams`, so a new value never recompiles.
    Every field is checked when the dataclass is made; an error names the value, the limit and the fix.
"""

import dataclasses
import importlib.util
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from jaxvae.block import CLIPS as BLOCK_CLIPS
from jaxvae.sweep import Changes, Sweep, Value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


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
    validation_clips: int = 600
    test_clips: int = 1_200
    validation_share: float = 0.15
    """Share of the audio (by duration, whole recordings) kept for validation."""
    test_share: float = 0.15
    """Share of the audio (by duration, whole recordings) kept for testing; unused when `test_audio` is set."""
    peak_dbfs: float = -12.0
    """Peak level of the dry clip at the input of the effect."""
    fade_ms: float = 50.0
    """Fade-in and fade-out of the dry clip."""
    vary: bool = True
    """Whether training clips are of recordings played at other speeds and through random filters
    (`jaxvae.data.augmentation`)."""
    seed: int = 0
    """Seed of the split, the crops and the settings."""
    directory: str = "datasets"
    """Folder or fsspec URL (s3://bucket/sets) of rendered data sets, each in a folder named after its identity."""

    def __post_init__(self) -> None:
        _require(len(self.effects) > 0, "data.effects is empty; name at least one effect")
        _require(len(set(self.effects)) == len(self.effects), f"data.effects names one twice: {self.effects}")
        unit = BLOCK_CLIPS * len(self.effects)
        for name in ("train_clips", "validation_clips", "test_clips"):
            clips = getattr(self, name)
            nearest = unit * max(1, round(clips / unit))
            _require(
                clips == nearest,
                f"data.{name} is {clips}; use a multiple of {unit}, such as {nearest}: blocks of {BLOCK_CLIPS} clips, "
                f"{len(self.effects)} effects equally often",
            )
        _require(
            self.validation_share > 0 and self.test_share > 0 and self.validation_share + self.test_share < 1,
            f"validation_share {self.validation_share} and test_share {self.test_share} must be positive "
            "and leave a share to train on",
        )
        _require(self.peak_dbfs <= 0, f"peak_dbfs is {self.peak_dbfs}; use 0 or less")
        _require(self.fade_ms >= 0, f"fade_ms is {self.fade_ms}; use 0 or more")
        _require(self.seed >= 0, f"data.seed is {self.seed}; use 0 or more")


@dataclasses.dataclass(frozen=True)
class Spectrogram:
    """Short-time Fourier transform magnitude, its frequency scale, compression and normalisation."""

    n_fft: int = 2_048
    window_length: int = 2_048
    """Samples of the Hann window, zero-padded to n_fft."""
    hop_length: int = 1_024
    scale: Literal["linear", "mel"] = "mel"
    n_mels: int = 128
    """Mel bands (Slaney's scale and area normalisation, as librosa); unused when scale is linear."""
    compression: Literal["log", "power"] = "log"
    """log: decibels of the power, no lower than floor_db; power: magnitude ** exponent."""
    exponent: float = 0.3
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

    backbone: Literal["seed", "patch", "filterbank", "convolution"] = "patch"
    latent_dim: int = 128
    """Dimensions of the effect latent; of the only one there is if content_dim is 0."""
    content_dim: int = 128
    """Dimensions of the latent of what was played, which the backbone encodes, while an encoder of its own takes the
    effect's (`jaxvae.models.effect_encoder`). 0: a plain VAE, in which the backbone encodes both into one."""
    attention: bool = False
    """Whether the effect's encoder attends over time."""
    width: int = 1
    """Multiplies the hidden sizes of every network but the seed's."""

    def __post_init__(self) -> None:
        _require(1 <= self.latent_dim <= 4_096, f"latent_dim is {self.latent_dim}; use 1 to 4096")
        _require(0 <= self.content_dim <= 4_096, f"content_dim is {self.content_dim}; use 0 to 4096")
        _require(self.width >= 1, f"width is {self.width}; use at least 1")


@dataclasses.dataclass(frozen=True)
class Beta:
    """Schedule of beta, the weight of the KL divergence (see `jaxvae.training.schedules`)."""

    schedule: Literal["cyclical_cosine", "seed", "linear", "constant"] = "cyclical_cosine"
    maximum: float = 1.0
    minimum: float = 0.0
    cycle_length: int = 5
    """Length of a cycle, or of the one ramp of `linear`. A prime keeps it out of step with other periods."""
    cycle_unit: Literal["epoch", "step"] = "epoch"
    ramp_fraction: float = 0.5
    """Share of a cycle spent moving; the rest holds the end value."""
    direction: Literal["up", "down"] = "up"

    def __post_init__(self) -> None:
        _require(
            0 <= self.minimum <= self.maximum,
            f"beta runs from minimum {self.minimum} to maximum {self.maximum}; use 0 <= minimum <= maximum",
        )
        _require(self.cycle_length >= 1, f"cycle_length is {self.cycle_length}; use at least 1")
        _require(0 < self.ramp_fraction <= 1, f"ramp_fraction is {self.ramp_fraction}; use more than 0, up to 1")
        cyclic = self.schedule in ("cyclical_cosine", "seed")
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
    mean_squared: mean of the squared error over all pixels, the seed's convention."""
    beta: Beta = Beta()
    free_nats: float = 0.0
    """KL divergence per latent dimension that is not charged (free bits, in nats)."""
    swap: float = 0.5
    """Probability that a clip is decoded with the effect latent of the other content at the same setting, and likewise
    with the content latent of the same content at the other setting, against its real render."""
    reconstructed_clips: int = 1
    """Clips of each block of four that a step of training reconstructs, another one each time. With one, a step takes
    half the time of one with all, and heads and contrastive term still see them all."""
    dry_share: float = 0.5
    """Share of blocks whose dry clips the effect's encoder may see."""
    elbo_weight: float = 0.001
    """Weight of the reconstruction and the KL divergences: thousands of nats a clip, its effect and settings a few."""
    reading_noise: float = 1.0
    """Share of the posterior's standard deviation that the heads are trained with: 0 reads the posterior mean; 1 a
    sample, so that what they read has to be paid for in KL divergence (Alemi et al. 2017)."""
    effect_weight: float = 1.0
    """Weight of the effect's negative log-likelihood by the head on the posterior mean."""
    settings_weight: float = 1.0
    """Weight of the settings' negative log-likelihood by the head on the posterior mean."""
    contrastive_weight: float = 1.0
    """Weight of telling the clip of the same setting from the others of the batch, by the posterior mean."""
    temperature: float = 0.1
    """Of the contrastive term."""

    @property
    def reads(self) -> bool:
        """Whether heads are trained."""
        return self.effect_weight > 0 or self.settings_weight > 0

    def __post_init__(self) -> None:
        for name in ("free_nats", "elbo_weight", "effect_weight", "settings_weight", "contrastive_weight"):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; use 0 or more")
        for name in ("swap", "dry_share", "reading_noise"):
            _require(0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name)}; use 0 to 1")
        _require(
            1 <= self.reconstructed_clips <= BLOCK_CLIPS,
            f"reconstructed_clips is {self.reconstructed_clips}; use 1 to {BLOCK_CLIPS}",
        )
        _require(self.temperature > 0, f"temperature is {self.temperature}; use more than 0")


@dataclasses.dataclass(frozen=True)
class Train:
    """How long and how fast."""

    steps: int = 4_000
    """Steps of the optimiser in the whole run."""
    batch_size: int = 48
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 1e-4
    gradient_norm: float = 5.0
    """Gradients are scaled down to this norm."""
    epoch_clips: int = 0
    """Clips in an epoch, the unit of `beta.cycle_length`; 0 means the training set's number of clips."""
    validate_every: int = 250
    """Steps between validations; each is followed by a checkpoint."""
    patience: int = 8
    """Stop after this many validations without a better one; 0 means never."""
    log_every: int = 25
    seed: int = 0
    """Seed of the weights and the latent noise."""
    order_seed: int = 0
    """Seed of the order of the clips. Members of a population that share it share every batch."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "log_every"):
            _require(getattr(self, name) >= 1, f"train.{name} is {getattr(self, name)}; use at least 1")
        _require(
            self.batch_size % BLOCK_CLIPS == 0,
            f"train.batch_size is {self.batch_size}; use a multiple of {BLOCK_CLIPS}, for whole blocks of clips",
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


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment, complete."""

    name: str
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
        for changes in self.sweep.members:
            _changed(self, changes)
        _require(
            self.audio.clip_samples >= self.spectrogram.n_fft,
            f"a clip of {self.audio.clip_samples} samples is shorter than n_fft ({self.spectrogram.n_fft}); "
            "lengthen audio.clip_samples or shorten spectrogram.n_fft",
        )

    @property
    def frames(self) -> int:
        """Frames in the spectrogram of one clip (centred frames, as librosa)."""
        return 1 + self.audio.clip_samples // self.spectrogram.hop_length

    @property
    def bins(self) -> int:
        """Frequency bins, or mel bands, in a spectrogram."""
        return self.spectrogram.n_mels if self.spectrogram.scale == "mel" else self.spectrogram.n_fft // 2 + 1

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch, at least 1."""
        return max(1, (self.train.epoch_clips or self.data.train_clips) // self.train.batch_size)


def members(experiment: Experiment) -> tuple[Experiment, ...]:
    """The experiment of each member of the sweep, which trained alone gives the same numbers."""
    with warnings.catch_warnings():  # the warnings were given when the sweep was made
        warnings.simplefilter("ignore")
        return tuple(_changed(experiment, changes) for changes in experiment.sweep.members or ((),))


def _changed(experiment: Experiment, changes: Changes) -> Experiment:
    """The experiment without a sweep, after some changes of its fields."""
    values = to_dict(dataclasses.replace(experiment, sweep=Sweep()))
    for path, value in changes:
        *sections, name = path.split(".")
        section = values
        for part in sections:
            section = section.get(part) if isinstance(section, dict) else None
        known = isinstance(section, dict) and name in section and not isinstance(section[name], dict)
        if not known or sections[:1] in (["execution"], ["sweep"]):
            raise ValueError(f"the sweep changes {path!r}, which is no field of audio, data, spectrogram, model, ...")
        section[name] = _as(section[name], value, path)
    return from_dict(values)


def _as(present: Any, value: Value, path: str) -> Value:
    """The value as the type of the one that it replaces."""
    if isinstance(present, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(present):
        raise ValueError(
            f"the sweep sets {path} to {value!r}, a {type(value).__name__}; use a {type(present).__name__}"
        )
    return value


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Plain dictionaries and lists, ready for JSON."""
    return dataclasses.asdict(experiment)


def from_dict(values: dict[str, Any]) -> Experiment:
    """The inverse of `to_dict`. Unknown keys raise TypeError; missing ones take their default."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value

    def build(kind: type, values: dict[str, Any]) -> Any:
        kinds = get_type_hints(kind)
        return kind(
            **{
                name: build(kinds[name], value) if dataclasses.is_dataclass(kinds.get(name)) else frozen(value)
                for name, value in values.items()
            }
        )

    with warnings.catch_warnings():  # the warnings were given when the experiment was first made
        warnings.simplefilter("ignore")
        return build(Experiment, values)


def flat(experiment: Experiment) -> dict[str, Any]:
    """The value of every field, by its path."""

    def leaves(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            found.update(leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
        return found

    return leaves(to_dict(experiment), "")


def differences(first: Experiment, second: Experiment) -> list[str]:
    """Lines `key: first -> second`, one for each field in which two experiments differ."""
    one, two = flat(first), flat(second)
    return [f"{key}: {one[key]} -> {two[key]}" for key in one if one[key] != two[key]]


def load(path: str | Path) -> Experiment:
    """The `config` of a Python file such as configs/vae_base.py."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config at {path}; the ones that ship are in configs/")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file; a config is one, with an Experiment named config")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    experiment = getattr(module, "config", None)
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{path} defines no Experiment named config")
    return experiment
