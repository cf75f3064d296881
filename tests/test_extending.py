"""What it takes to add to jaxvae, each as a complete small example, and all of them in one run that trains.

In the package, an addition is written where its doc says, and no other file has to know of it; here, the same few lines
are registered from outside.
"""

import contextlib
import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.renders.sizes import Sizes
from analysis.sections import FIGURES, board, table
from analysis.sections.outline import Outline, columns
from analysis.sections.score import Figure, Score
from analysis.sections.section import Section
from analysis.sections.table import Entries
from jaxvae import backbones, config, config_file, effects, inference
from jaxvae.data import dataset
from jaxvae.data.recordings import SPLITS
from jaxvae.effects import Effect, Parameter
from jaxvae.fields import number
from jaxvae.models import heads
from jaxvae.models.heads import Head
from jaxvae.models.layers import FromLatent
from jaxvae.sweep import grid
from jaxvae.training import loop, losses, run_folder
from jaxvae.training.vae_task import VAETask


# An effect back-end: a file of jaxvae/effects with these two, and its name in `effects._BACK_ENDS`.
def _fold(dry, settings, sample_rate):
    """What is above the threshold is folded back, as often as it takes: a triangle of the level."""
    threshold = np.float32(settings["threshold"])
    return np.abs((dry - threshold) % (4 * threshold) - 2 * threshold) - threshold


BACK_END = SimpleNamespace(
    EFFECTS=(Effect("hand/Fold", (Parameter("threshold", 0.01, 0.2, "", "log", 0.1),), (), _fold),),
    unavailable=dict,
)


# A backbone: a file of jaxvae/models/backbones with these two.
class Encoder(nn.Module):
    width: int

    @nn.compact
    def __call__(self, spectrogram, train):
        return nn.gelu(nn.Dense(16 * self.width)(spectrogram.mean(axis=2)))


class Decoder(nn.Module):
    width: int

    @nn.compact
    def __call__(self, z, latent_dim, bins, frames, train):
        return FromLatent(bins * frames, name="from_latent")(z, latent_dim).reshape(-1, bins, frames)


# A loss term, and a number of its own that may be swept: a function in jaxvae/training/losses.py with its entry in
# `TERMS`, and the two fields in jaxvae/config.py.
def shrinkage_term(seen):
    value = jnp.mean(jnp.abs(seen.output.posterior.mean) ** seen.hyperparams.shrinkage_power)
    return value, {"shrinkage": value}


# A head: an entry of `HEADS` in jaxvae/models/heads.py, and its weight in jaxvae/config.py.
def upper_logits(mean, latent_dim, parameters):
    return FromLatent(2, name="upper")(mean, latent_dim)


def upper_nll(logits, truth):
    """Whether the first setting is in the upper half of its range."""
    upper = (truth.normalized[:, 0] > 0.5).astype(jnp.int32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, upper)


@dataclasses.dataclass(frozen=True)
class Objective(config.Objective):
    """The fields that jaxvae/config.py would have."""

    shrinkage_weight: float = number(0.0)
    shrinkage_power: float = number(2.0)
    upper_weight: float = config.head_weight(1.0)


# A figure of the scoreboard: its title and score in the file of its section; a section is such a file and its entry in
# `analysis.sections.SECTIONS`.
SIZE = {"size": Figure("RMS of the features", 2, "")}
SECTION = Section(
    name="size",
    title="Size",
    figures=SIZE,
    of_row=lambda study, row: [Score("size", "", float(np.sqrt(np.mean(study.made.held.features[row.name] ** 2))))],
    note=lambda contents: "Root of the mean square of all features.",
    outlines=lambda contents: [Outline("", contents.rows, columns(SIZE, SIZE, section="size", item=""))],
)


@contextlib.contextmanager
def added():
    """All of it is registered, and forgotten again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects, "_REGISTERED", [])
        patch.setattr(backbones, "_REGISTERED", {})
        effects.register(BACK_END)
        backbones.register("average", SimpleNamespace(Encoder=Encoder, Decoder=Decoder))
        patch.setitem(losses.TERMS, "shrinkage", shrinkage_term)
        patch.setitem(heads.HEADS, "upper", Head(upper_logits, upper_nll))
        patch.setattr(VAETask, "read", staticmethod(_read))
        yield


def _read(values):
    own = {name: values["objective"].pop(name) for name in ("shrinkage_weight", "shrinkage_power", "upper_weight")}
    plain = config.from_dict(values)
    objective = {field.name: getattr(plain.objective, field.name) for field in dataclasses.fields(plain.objective)}
    return dataclasses.replace(plain, objective=Objective(**objective, **own))


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """Folder of a run of four members that has all of it, two steps long."""
    with added():
        extended = dataclasses.replace(
            tiny,
            data=dataclasses.replace(tiny.data, effects=("hand/Fold", "pedalboard/Delay")),
            model=config.Model(backbone="average", latent_dim=8, content_dim=4),
            objective=Objective(beta=config.Beta(schedule="constant")),
            train=dataclasses.replace(tiny.train, steps=2, validate_every=2, log_every=1, warmup_steps=0),
            sweep=grid({"objective.shrinkage_weight": (0.0, 100.0), "objective.shrinkage_power": (1.0, 2.0)}),
        )
        folder = tmp_path_factory.mktemp("extended")
        assert loop.train(extended, folder, VAETask) == 0
        split = dataset.render(extended, progress=False).split("train")
        members = run_folder.read(folder)
    logs = [_logs(folder, index) for index in range(4)]
    return SimpleNamespace(folder=folder, split=split, members=members, logs=logs)


def _logs(folder, member):
    events = EventAccumulator(str(run_folder.logs(folder)[member])).Reload()
    return {tag: np.array([event.value for event in events.Scalars(tag)]) for tag in events.Tags()["scalars"]}


def test_an_effect_back_end_is_rendered_and_trained_on(run):
    dry = np.linspace(-0.5, 0.5, 101)
    with added():
        assert effects.names()[-1] == "hand/Fold"
        wet = effects.get("hand/Fold").render(dry, {"threshold": 0.1}, 8_000)
    assert np.abs(wet).max() == pytest.approx(0.1, abs=1e-6)
    np.testing.assert_allclose(wet[np.abs(dry) <= 0.1], dry[np.abs(dry) <= 0.1], atol=1e-6)
    np.testing.assert_allclose(wet[np.isclose(dry, 0.15)], 0.05, atol=1e-6)
    assert np.sum(run.split.effect == 0) == run.split.clips // 2 and run.split.effects[0].name == "hand/Fold"
    assert "effect/hand/Fold/mean_squared" in run.logs[0]


@pytest.mark.parametrize("path", sorted(Path("configs").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_a_back_end_more_changes_no_config_that_ships(path):
    """Each names its effects, so that neither their number nor the clips that are a multiple of it change."""
    before = config_file.load(path)
    with added():
        assert effects.names()[-1] == "hand/Fold"
        assert config_file.load(path) == before
    assert not any(name.startswith("hand/") for name in before.data.effects)


def test_a_backbone_encodes_and_decodes(run):
    state = jax.eval_shape(Encoder(1).init, jax.random.key(0), jnp.zeros((4, 32, 33)), True)
    assert state["params"]["Dense_0"]["kernel"].shape == (32, 16)
    assert {member.experiment.model.backbone for member in run.members.values()} == {"average"}
    assert np.isfinite(run.logs[0]["val/mean_squared"]).all()


def test_a_loss_term_is_charged_by_its_weight(run):
    free, charged = run.logs[0], run.logs[2]  # the same power
    assert free["train/shrinkage"][0] == pytest.approx(charged["train/shrinkage"][0], rel=1e-4)  # the same start
    extra = charged["train/loss"][0] - free["train/loss"][0]
    assert extra == pytest.approx(100 * free["train/shrinkage"][0], rel=1e-3)
    assert charged["train/kl"][1] != pytest.approx(free["train/kl"][1], rel=1e-3)  # it was felt by the encoder


def test_a_swept_number_differs_between_members_of_one_program(run):
    assert len(list(run.folder.glob("group_*"))) == 1
    linear, square = (run.logs[index]["train/shrinkage"][0] for index in (0, 1))
    assert linear != pytest.approx(square, rel=0.01)  # the mean magnitude, and the mean square


def test_a_head_is_trained_validated_and_part_of_the_criterion(run):
    figures = run.logs[0]
    assert figures["train/upper_nll"][0] == pytest.approx(np.log(2), abs=0.3)
    read = [f"val/{mode}/{head}_nll" for mode in config.MODES for head in ("effect", "settings", "upper")]
    np.testing.assert_allclose(figures["val/criterion"], sum(figures[name] for name in read), rtol=1e-5)


def test_a_figure_of_the_scoreboard_is_measured_and_laid_out(trained, tiny, monkeypatch):
    monkeypatch.setattr(board, "SECTIONS", (SECTION,))
    monkeypatch.setitem(FIGURES, "size", SIZE["size"])
    data = dataset.render(tiny, progress=False)
    sizes = Sizes(
        fit_clips=2,
        pairs=2,
        gallery=0,
        fixed_clips=1,
        settings=2,
        path_clips=1,
        path_steps=2,
        degraded_pairs=0,
        components=2,
    )
    measured = board.measure({"this model": inference.load(trained)}, *map(data.split, SPLITS), sizes)
    values = {entry.row: entry.value for entry in measured.entries if entry.figure == "size"}
    assert values["constant"] == 0 and values["noise"] == pytest.approx(1.0, abs=0.2)
    (outline,) = SECTION.outlines(measured.contents)
    shown = table.text(Entries(measured.entries, measured.hears).table(outline))
    assert "RMS of the features" in shown and re.search(r"constant +0\.00", shown)
