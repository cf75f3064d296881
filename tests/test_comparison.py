"""The table of trained models: its rows, its means over seeds and its best, against the board's own entries."""

import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA

from analysis import board, comparison, scoreboard, umap_plot
from analysis.material import Sizes
from analysis.table import Entries, number
from jaxvae import config, dataset, inference, population, workdir
from jaxvae.sweep import listed

SIZES = Sizes(
    fit_clips=16, pairs=32, gallery=0, fixed_clips=8, settings=20, path_clips=2, path_steps=5, map_clips=8, components=8
)


@pytest.fixture(autouse=True)
def quick_map(monkeypatch):
    """Principal components in the place of UMAP, which compiles for seconds."""
    monkeypatch.setattr(umap_plot, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))


def test_members_that_differ_in_their_seed_share_a_row(swept):
    encoders, rows = comparison.load([swept], ())
    assert {label: row.indices for label, row in rows.items()} == {"latent_dim 4": [0, 1], "latent_dim 8": [2, 3]}
    assert sorted(model for row in rows.values() for model in row.models) == sorted(encoders)
    assert [encoders[model].latent_dim for row in rows.values() for model in row.models] == [4, 4, 8, 8]


def test_members_are_called_by_their_names_where_they_have_some(swept, monkeypatch):
    def named(run, step=None, member=None):
        encoder = inference_load(run, step, member)
        return dataclasses.replace(
            encoder, experiment=dataclasses.replace(encoder.experiment, name=("few", "few", "many", "many")[member])
        )

    inference_load = inference.load
    monkeypatch.setattr(inference, "load", named)
    assert list(comparison.load([swept], ())[1]) == ["few", "many"]


def test_names_of_members_make_no_groups_and_no_other_training(tiny, tmp_path):
    changes = [{"name": "one"}, {"name": "two", "objective.swap": 0.0}, {"name": "three", "model.width": 2}]
    experiment = dataclasses.replace(tiny, sweep=listed(changes))
    assert population.groups(config.members(experiment)) == [[0, 1], [2]]
    assert [member.name for group in workdir.groups(experiment, tmp_path) for member in group.members] == [
        "one",
        "two",
        "three",
    ]


def test_table_has_means_over_seeds_beside_baselines_and_marks_the_best(swept, tmp_path, capsys):
    out = tmp_path / "table.md"
    out.write_text("# What was found\n\nWords.\n\n---\nan older table\n")
    options = comparison.Options((swept,), out, config=tmp_path / "sweep.py", sizes=SIZES)
    comparison.main(options)
    text = out.read_text()
    assert text.startswith("# What was found\n\nWords.\n\n---\n\n### Blind") and "older" not in text
    assert f"- latent_dim 8: `python -m launch.train {tmp_path / 'sweep.py'} --workdir {swept} --member 2`" in text

    encoders, rows = comparison.load([swept], ())
    data = dataset.render(encoders[rows["latent_dim 4"].models[0]].experiment, progress=False)
    measured = board.measure(encoders, *map(data.split, dataset.SPLITS), SIZES)
    entries = Entries(measured.entries, measured.hears)
    blind = [line for line in text.partition("### Dry-aware")[0].splitlines() if line.startswith("| ")]
    title = "effect, random settings, logistic (%)"
    place = [cell.strip() for cell in blind[0].split("|")].index(title)
    cells = {line.split("|")[1].strip(): line.split("|")[place].strip() for line in blind[2:]}
    assert list(cells) == ["latent_dim 4", "latent_dim 8", "PCA-8", "fresh weights", "MFCC statistics"]
    key = scoreboard.summary(measured)[title]
    means = {}
    for label, models in {label: row.models for label, row in rows.items()}.items():
        values = [entries.value(key["section"], key["figure"], key["item"], model) for model in models]
        means[label] = np.mean(values)
        mean, deviation = (number(key["figure"], x) for x in (means[label], np.std(values, ddof=1)))
        assert cells[label].replace("*", "") == f"{mean} ± {deviation}"
    for name in ("PCA-8", "fresh weights", "MFCC statistics"):
        means[name] = entries.value(key["section"], key["figure"], key["item"], name)
        assert cells[name].replace("*", "") == number(key["figure"], means[name])
    best = number(key["figure"], max(means.values()))
    assert {name for name, cell in cells.items() if "**" in cell} == {
        name for name, mean in means.items() if number(key["figure"], mean) == best
    }
    assert "| constant |" in text.partition("### By chance")[2]
