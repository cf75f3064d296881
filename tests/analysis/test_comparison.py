"""The table and the picture of trained models: rows, means over seeds and the best, against the board's own entries."""

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from analysis import comparison, sweep_structure
from analysis.metrics import layout
from analysis.models import replicates
from analysis.pages.scoreboard import summary
from analysis.pictures import structure
from analysis.sections import FIGURES, board
from analysis.sections.table import Entries, number
from jaxvae import config_file, inference, sweep
from jaxvae.data import dataset
from jaxvae.data.recordings import SPLITS
from jaxvae.sweep import listed
from jaxvae.training import population, run_folder
from tests.analysis import small

HANDMADE = ("fine statistics", "waveform statistics", "waveform and fine statistics")
BASELINES = ("PCA-8", "fresh weights", "MFCC statistics", *HANDMADE)
SIZES = dataclasses.replace(small.SIZES, gallery=0, map_clips=8)


@pytest.fixture(scope="module")
def measured(swept):
    """The board of the sweep, with principal components in the place of UMAP, which compiles for seconds."""
    encoders, _ = replicates.load([swept], ())
    data = dataset.render(next(iter(encoders.values())).experiment, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))
        return board.measure(encoders, *map(data.split, SPLITS), SIZES, source=False)


@pytest.fixture
def measures_once(measured, monkeypatch):
    """A command that measures the sweep gets what is measured already."""

    def measure(encoders, train, validation, test, sizes, *rest, seed=0, source=True):
        assert {name for name in encoders} <= set(measured.hears) and (train.name, test.name) == ("train", "test")
        return measured

    monkeypatch.setattr(board, "measure", measure)


def test_members_that_differ_in_their_seed_share_a_row(swept):
    encoders, rows = replicates.load([swept], ())
    assert {label: len(row) for label, row in rows.items()} == {"latent_dim 4": 2, "latent_dim 8": 2}
    assert sorted(model for row in rows.values() for model in row) == sorted(encoders)
    assert [encoders[model].latent_dim for row in rows.values() for model in row] == [4, 4, 8, 8]


def test_members_are_called_by_their_names_where_they_have_some(swept, monkeypatch):
    def named(run, step=None, member=None):
        encoder = inference_load(run, step, member)
        return dataclasses.replace(
            encoder, experiment=dataclasses.replace(encoder.experiment, name=("few", "few", "many", "many")[member])
        )

    inference_load = inference.load
    monkeypatch.setattr(inference, "load", named)
    assert list(replicates.load([swept], ())[1]) == ["few", "many"]


def test_names_of_members_make_no_groups_and_no_other_training(tiny, tmp_path):
    changes = [{"name": "one"}, {"name": "two", "objective.swap": 0.0}, {"name": "three", "model.width": 2}]
    experiment = dataclasses.replace(tiny, sweep=listed(changes))
    assert population.groups(sweep.members(experiment)) == [[0, 1], [2]]
    assert [member.name for group in run_folder.groups(experiment, tmp_path) for member in group.members] == [
        "one",
        "two",
        "three",
    ]


def test_table_has_means_over_seeds_beside_baselines_and_marks_the_best(
    swept, measured, measures_once, tmp_path, monkeypatch
):
    out = tmp_path / "table.md"
    out.write_text("# What was found\n\nWords.\n\n---\nan older table\n")
    members = [member.experiment for member in run_folder.read(swept).values()]
    monkeypatch.setattr(config_file, "load", lambda path: path)
    monkeypatch.setattr(sweep, "members", lambda path: members)
    options = comparison.Options((swept,), out, config=Path("configs/sweep.py"), sizes=SIZES)
    comparison.main(options)
    text = out.read_text()
    assert text.startswith("# What was found\n\nWords.\n\n---\n\n### Blind") and "older" not in text
    assert "- latent_dim 8: `python -m launch.train configs/sweep.py --workdir runs/sweep_2 --member 2`" in text

    rows = replicates.load([swept], ())[1]
    entries = Entries(measured.entries, measured.hears)
    blind = [line for line in text.partition("### Dry-aware")[0].splitlines() if line.startswith("| ")]
    title = "effect, random settings, logistic (%)"
    place = [cell.strip() for cell in blind[0].split("|")].index(title)
    cells = {line.split("|")[1].strip(): line.split("|")[place].strip() for line in blind[2:]}
    assert list(cells) == ["latent_dim 4", "latent_dim 8", *BASELINES]
    key = summary(measured)[title]
    means = {}
    for label, models in rows.items():
        values = [entries.value(key["section"], key["figure"], key["item"], model) for model in models]
        means[label] = np.mean(values)
        mean, deviation = (number(key["figure"], x) for x in (means[label], np.std(values, ddof=1)))
        assert cells[label].replace("*", "") == f"{mean} ± {deviation}"
    for name in BASELINES:
        means[name] = entries.value(key["section"], key["figure"], key["item"], name)
        assert cells[name].replace("*", "") == number(key["figure"], means[name])
    best = number(key["figure"], max(means.values()))
    assert {name for name, cell in cells.items() if "**" in cell} == {
        name for name, mean in means.items() if number(key["figure"], mean) == best
    }
    chance = text.partition("### By chance")[2].partition("### Commands")[0]
    assert "| constant |" in chance and "**" not in chance  # nothing to win there
    cells_of = [line.count("|") for line in blind]
    assert len(set(cells_of)) == 1 and "paths, Spearman" in blind[0]


def test_picture_of_a_sweep_has_every_member_at_its_place_in_each_panel(swept, measured, measures_once, tmp_path):
    out = tmp_path / "structure.png"
    sweep_structure.main(sweep_structure.Options(swept, out, colour="train.seed", sizes=SIZES))
    assert out.read_bytes().startswith(b"\x89PNG")
    lines = list(csv.DictReader(io.StringIO(out.with_suffix(".csv").read_text())))
    entries = Entries(measured.entries, measured.hears)
    panels = {panel.title: panel for panel in structure.PANELS}
    ways = {entry.item for entry in measured.entries if entry.figure == "retrieval_r10"}
    for line in lines:
        panel = panels[line["figure"]]
        of = entries.value(panel.section, panel.figure, panel.item or min(ways), line["representation"])
        assert float(line["value"]) == pytest.approx(FIGURES[panel.figure].scale * of)
    of_members = [line for line in lines if line["model.latent_dim"]]
    places = {(line["hears"], line["model.latent_dim"], line["train.seed"], line["figure"]) for line in of_members}
    assert len(places) == len(of_members) == 2 * 4 * len(panels)
    baselines = {name + mode for name in ("PCA-8", "waveform and fine statistics") for mode in ("", ", wet − dry")}
    assert {line["representation"] for line in lines if not line["model.latent_dim"]} == baselines

    values = {
        name: {"x": size, "seed": seed} for name, size, seed in zip("abcd", (4, 4, 8, 8), (0, 1, 0, 1), strict=True)
    }
    title = structure.PANELS[0].title
    made = [structure.Point(name, "wet", of, title, of["x"] + of["seed"]) for name, of in values.items()]
    axes = structure.plot(made, "x", "seed", "seed").axes[0]
    drawn = sorted(tuple(point) for dots in axes.collections for point in np.asarray(dots.get_offsets()))
    assert drawn == [(4, 4), (4, 5), (8, 8), (8, 9)]
    one_colour = [point._replace(values={"x": point.values["x"], "beta": 1.0}) for point in made]
    axes = structure.plot(one_colour, "x", "beta", "β").axes[0]
    assert len(axes.collections) == 1  # of a sweep over nothing else


def test_a_picture_of_a_field_that_is_the_same_in_all_is_refused_before_anything_is_measured(swept, tmp_path):
    with pytest.raises(ValueError, match=r"model\.width is 1 in the members; name a field by --x"):
        sweep_structure.main(sweep_structure.Options(swept, tmp_path / "structure.png", x="model.width", sizes=SIZES))
    with pytest.raises(ValueError, match=r"model\.backbone is patch in the members"):
        structure.require_axis([{"model.backbone": "patch"}, {"model.backbone": "patch"}], "model.backbone")


def test_figures_of_a_sweep_are_kept_when_they_cannot_be_drawn(swept, measures_once, tmp_path, monkeypatch):
    monkeypatch.setattr(structure, "plot", lambda *arguments: 1 / 0)
    out = tmp_path / "structure.png"
    with pytest.raises(ZeroDivisionError):
        sweep_structure.main(sweep_structure.Options(swept, out, colour="train.seed", sizes=SIZES))
    assert "Spearman" in out.with_suffix(".csv").read_text() and not out.exists()
