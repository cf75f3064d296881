"""The board of a model with heads, a content latent and a dry-aware mode, beside a plain one and the baselines."""

import dataclasses
import re

import numpy as np
import pytest
from sklearn.decomposition import PCA

from analysis.metrics import layout
from analysis.models import representations
from analysis.pages.scoreboard import chapters, page
from analysis.sections import FIGURES, SECTIONS, board
from analysis.sections.outline import OURS
from analysis.sections.table import Entries
from jaxvae import inference
from jaxvae.data import audio, dataset
from jaxvae.data.recordings import SPLITS
from jaxvae.models.vae import Posterior
from tests.analysis.small import SIZES


@pytest.fixture(scope="module")
def data(tiny):
    return dataset.render(tiny, progress=False)


@dataclasses.dataclass(frozen=True, eq=False)
class DryAware(inference.SpectrogramEncoder):
    """Stands in for a model of every mode with heads and a content latent."""

    dry_aware = True
    source_aware = True
    has_heads = True
    content_dim = 3

    def posterior_of_views(self, wet, dry=None, relation="aligned"):
        spectrogram = wet.spectrogram if dry is None else wet.spectrogram - dry.spectrogram
        mean = spectrogram.mean(axis=2)[:, : self.latent_dim]
        mean[:, -1] = dry is not None
        return Posterior(mean, np.full_like(mean, -1))

    def posterior(self, audio, sample_rate, dry=None, relation="aligned"):
        return self.posterior_of_views(*(self.views(clips, sample_rate) for clips in (audio, dry) if clips is not None))

    def content(self, audio, sample_rate):
        return self.spectrogram(audio, sample_rate).mean(axis=1)[:, :3]

    def read_mean(self, mean, mode="blind"):
        """Effect and settings that say whether the dry clip was given."""
        side = mean[:, -1].astype(int)
        tilted = side[:, None, None]
        settings = tuple(np.full((len(mean), count, 4), 0.25) + tilted * _tilt(count) for count in (1, 3))
        return inference.Reading(self.effects, np.eye(2)[side], None, settings)


def _tilt(count):
    return np.tile([0.05, 0.0, 0.0, -0.05], (count, 1))


@pytest.fixture(scope="module")
def stand_in(trained):
    encoder = inference.load(trained)
    return DryAware(*(getattr(encoder, field.name) for field in dataclasses.fields(encoder)))


def test_answers_of_heads_come_back_as_they_were(stand_in, data):
    wet = audio.to_float(data.split("test").audio(np.arange(4)))
    expected = stand_in.read(list(wet), 8_000, list(wet))
    mean = stand_in.embed(list(wet), 8_000, list(wet))
    effect, settings = representations.answers(representations.read(stand_in, mean, "wet and dry"), (1, 3))
    np.testing.assert_allclose(effect, expected.effect, atol=1e-8)  # 0 becomes 1e-9
    for found, truth in zip(settings, expected.settings, strict=True):
        np.testing.assert_allclose(found, truth, atol=1e-8)


@pytest.fixture(scope="module")
def measured(stand_in, trained, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))
        loaded = inference.load(trained)
        blind = dataclasses.replace(loaded.experiment.objective, dry_share=0.0)
        plain = dataclasses.replace(
            loaded, parameters=(), experiment=dataclasses.replace(loaded.experiment, objective=blind)
        )
        models = {OURS: stand_in, "plain": plain}
        return board.measure(models, *map(data.split, SPLITS), SIZES)


def test_every_figure_is_declared_by_one_section_and_measured_there(measured):
    declared = [name for section in SECTIONS for name in section.figures]
    assert len(declared) == len(set(declared)) == len(FIGURES)
    of_section = {section.name: set(section.figures) for section in SECTIONS}
    for entry in measured.entries:
        assert entry.figure in of_section[entry.section]
    for section in SECTIONS:
        assert set(section.compared) <= set(section.figures)


def test_rows_of_either_mode_are_compared_with_their_own(measured):
    assert measured.hears == {
        "this model": "wet",
        "plain": "wet",
        "PCA-8": "wet",
        "fresh weights": "wet",
        "MFCC statistics": "wet",
        "fine statistics": "wet",
        "waveform statistics": "wet",
        "waveform and fine statistics": "wet",
        "this model, source-aware": "wet and source",
        "plain, source-aware": "wet and source",
        "fresh weights, source-aware": "wet and source",
        "MFCC statistics, wet − source": "wet and source",
        "fine statistics, wet − source": "wet and source",
        "waveform statistics, wet − source": "wet and source",
        "waveform and fine statistics, wet − source": "wet and source",
        "this model, dry-aware": "wet and dry",
        "PCA-8, wet − dry": "wet and dry",
        "fresh weights, dry-aware": "wet and dry",
        "MFCC statistics, wet − dry": "wet and dry",
        "fine statistics, wet − dry": "wet and dry",
        "waveform statistics, wet − dry": "wet and dry",
        "waveform and fine statistics, wet − dry": "wet and dry",
        "noise": "nothing",
        "constant": "nothing",
    }
    modes = {
        (measured.hears[found.row], measured.hears[found.baseline])
        for found in measured.comparisons
        if measured.hears[found.baseline] != "nothing"
    }
    assert modes == {(hears, hears) for hears in ("wet", "wet and source", "wet and dry")}
    values = Entries(measured.entries, measured.hears)
    for found in measured.comparisons:
        of = (found.section, found.figure, found.item)
        sign = -1 if FIGURES[found.figure].better == "less" else 1
        peers = [name for name, hears in measured.hears.items() if hears in (measured.hears[found.row], "nothing")]
        others = [values.value(*of, name) for name in peers if name != found.row]
        best = max(sign * other for other in others if other is not None)
        assert found.value == pytest.approx(sign * values.value(*of, found.row) - best, abs=1e-9)


def test_heads_are_read_in_the_mode_of_their_row(measured):
    values = Entries(measured.entries, measured.hears)
    held = measured.held
    for side, row in enumerate(("this model", "this model, dry-aware")):
        expected = np.mean(held.plan.effect == side)
        assert values.value("effect", "accuracy_head", "random", row) == pytest.approx(expected)
        assert values.value("settings", "nll", "all", row) is not None
        assert values.value("settings", "r2_head", "all", "plain") is None
    assert values.value("settings", "coverage_50", "pedalboard/Delay/mix", "this model") == pytest.approx(0.5, abs=0.3)


def test_what_a_constant_scores_is_chance(measured):
    values = Entries(measured.entries, measured.hears)
    assert values.value("effect", "accuracy_logistic", "random", "constant") == pytest.approx(0.5, abs=0.02)
    assert values.value("invariance", "retrieval_rank", "32-way", "constant") == pytest.approx(0.5)
    assert values.value("invariance", "retrieval_r1", "32-way", "constant") == pytest.approx(1 / 32)
    assert values.value("paths", "monotonicity", "all", "constant") is None
    assert values.value("vae", "reconstruction", "", "constant") > values.value("vae", "reconstruction", "", "PCA-8")


def test_the_page_stands_alone_and_holds_every_section(measured):
    about = {"run": "base", "member": None, "experiment": "tiny", "audio": [], "data": "0123"}
    text = page(dataclasses.replace(measured, about=measured.about | about), "../run/report.html")
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["../run/report.html"]
    assert not re.search(r"\bnan\b|\bNone\b|{{|{%", text)
    for section in chapters(measured):
        assert f"<h2>{section.title}</h2>" in text
    assert text.count("Confusion of logistic regression") == 6
