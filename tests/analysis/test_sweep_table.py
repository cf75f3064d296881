"""Reading a sweep: its members, its table, its pictures, and what TensorBoard makes of it."""

import csv
import dataclasses
import io
import itertools
import json
import re
import shutil

import matplotlib.colors
import numpy as np
import pytest
from tensorboard.plugins.hparams import api_pb2

from analysis import embed, scoreboard
from analysis import sweep_table as command
from analysis.models import members
from analysis.pages import sweep_table
from analysis.pictures import curves, style, sweeps
from analysis.pictures.sweeps import Row
from analysis.renders.embedding import Embedding
from analysis.renders.sizes import Sizes
from jaxvae import command_line, config, fields
from jaxvae.training import run_folder
from jaxvae.training.checkpoints import CheckpointError
from jaxvae.training.summaries import Summaries
from jaxvae.training.vae_task import VAETask
from tests.hparams import hparams_of


def made(sizes=(32, 64, 128, 256), betas=(0.3, 3.0), seeds=3, diverged=()):
    """Rows of a grid with figures that say where each comes from: negative_elbo is size + beta + seed."""
    rows = []
    for size, beta, seed in itertools.product(sizes, betas, range(seeds)):
        values = {"model.latent_dim": size, "objective.beta.maximum": beta, "train.seed": seed}
        scores = {"negative_elbo": size + beta + seed, "accuracy": 1 / size, "r2": 0.1 * seed, "rms_error": beta + seed}
        bad = len(rows) in diverged
        status = "diverged at step 5" if bad else "finished"
        rows.append(Row(str(len(rows)), values, status, 10, {} if bad else scores))
    return rows


# Members


def test_swept_fields_are_those_that_differ_with_the_seed_last(tiny):
    changed = dataclasses.replace(
        tiny,
        model=config.Model(latent_dim=4),
        train=dataclasses.replace(tiny.train, seed=1),
        objective=config.Objective(beta=config.Beta(maximum=2.0)),
        data=dataclasses.replace(tiny.data, directory="elsewhere"),
        execution=config.Execution(steps_per_call=3),
    )
    assert members.swept([tiny, changed]) == ("model.latent_dim", "objective.beta.maximum", "train.seed")
    assert members.swept([tiny, tiny]) == ()
    assert (
        members.words(members.values(changed, members.swept([tiny, changed]))) == "latent_dim 4, beta.maximum 2, seed 1"
    )


def test_members_are_chosen_by_index_or_all_or_the_best(swept):
    found = run_folder.read(swept)
    (best,) = members.load(swept)
    assert found[best.index].best == min(member.best for member in found.values())
    every = members.load(swept, ("all",))
    assert [member.index for member in every] == [0, 1, 2, 3]
    assert [member.encoder.latent_dim for member in every] == [4, 4, 8, 8]
    assert (every[2].title, every[2].logs) == ("member 2: latent_dim 8, seed 0", swept / "002,latent_dim=8,seed=0")
    assert [member.index for member in members.load(swept, (3, 1, 3))] == [3, 1]
    with pytest.raises(CheckpointError, match=r"no member 7; it has 0, 1, 2, 3"):
        members.load(swept, (7,))


def test_more_members_than_a_figure_shows_are_refused(swept, monkeypatch):
    monkeypatch.setattr(members, "_MOST_PANELS", 3)
    with pytest.raises(ValueError, match=r"4 members do not fit into one figure; name at most 3"):
        members.load(swept, ("all",))


def test_members_of_different_clips_share_no_data(tiny):
    other = dataclasses.replace(tiny, data=dataclasses.replace(tiny.data, seed=1))
    with pytest.raises(ValueError, match=r"differ in data.seed, so they share no clips"):
        members.require_same_clips([tiny, other])


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a made analysis."""

    member: command_line.Member = None


def test_a_member_is_named_on_the_command_line(monkeypatch):
    given = []
    for arguments in ([], ["--member", "3"]):
        monkeypatch.setattr("sys.argv", ["made", *arguments])
        command_line.run(lambda options: given.append(options.member), Options, None)
    assert given == [None, 3]


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Options of a made analysis that draws panels."""

    members: command_line.Members = ()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], ()), (["--members", "all"], ("all",)), (["--members", "0", "4"], (0, 4)), (["--member", "2"], (2,))],
)
def test_panels_are_named_on_the_command_line(monkeypatch, arguments, expected):
    given = []
    monkeypatch.setattr("sys.argv", ["made", *arguments])
    command_line.run(lambda options: given.append(options.members), SideBySide, None)
    assert given == [expected]


# The table


@pytest.mark.parametrize(
    "column", ["negative_elbo", "accuracy", "r2", "model.latent_dim", "latent_dim", "seed", "member"]
)
def test_rows_are_sorted_best_first_and_diverged_ones_last(column):
    rows = made(diverged=(2, 11))
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    ordered = sweep_table.ordered(shuffled, column)
    assert sorted(row.name for row in ordered) == sorted(row.name for row in rows)
    if column in ("negative_elbo", "accuracy", "r2"):
        assert {row.name for row in ordered[-2:]} == {"2", "11"}
        sign = -1 if column == "negative_elbo" else 1
        assert (np.diff([sign * row.figures[column] for row in ordered[:-2]]) <= 0).all()
    elif column == "member":
        assert [row.name for row in ordered] == [row.name for row in rows]
    else:
        path = next(path for path in rows[0].values if path.endswith(column))
        assert (np.diff([row.values[path] for row in ordered]) >= 0).all()


def test_an_unknown_column_is_refused_with_those_there_are():
    with pytest.raises(
        ValueError, match=r"no column loss to sort by; there are member, model.latent_dim.*negative_elbo"
    ):
        sweep_table.ordered(made(), "loss")


def test_baselines_are_drawn_with_dashes_of_their_own():
    reference = [
        Row(name, {}, "", 0, {"r2": float(place)}) for place, name in enumerate(("PCA-9", "fresh weights", "constant"))
    ]
    drawing = sweeps.plot_ablation(made(), reference, "model.latent_dim", "dB")
    (axes,) = [axes for axes in drawing.axes if axes.get_title() == "settings R², blind"]
    level = {line.get_ydata()[0]: line for line in axes.lines if line.get_color() == sweeps._GREY}
    assert set(level) == {0, 2}  # those of a few kinds
    keys = {line.get_label(): line for line in drawing.legends[0].get_lines()}
    for place, name in ((0, "PCA-9"), (2, "constant")):
        assert level[place]._unscaled_dash_pattern == keys[name]._unscaled_dash_pattern
    assert level[0]._unscaled_dash_pattern != level[2]._unscaled_dash_pattern


def test_a_field_with_an_infinite_value_has_no_axis():
    rates = [{"train.learning_rate": rate} for rate in (1e-3, float("inf"))]
    rows = [dataclasses.replace(row, values=values) for row, values in zip(made()[:2], rates, strict=True)]
    assert not sweeps.numeric([row.values["train.learning_rate"] for row in rows])
    titles = [title for title, *_ in sweeps.plot_all(rows, [], {}, "dB")]
    assert titles == ["Reconstruction against structure"]


def test_shares_are_shown_in_percent():
    assert sweep_table.shown("accuracy", 0.7431) == "74.3" and sweep_table.shown("r2", 0.25) == "0.250"
    assert sweep_table.shown("accuracy_dry_aware", (0.5, 0.01)) == "50.0 ± 1.0"


def test_combinations_are_in_the_order_of_their_values():
    rows = sweep_table.ordered(made(), "accuracy")
    assert [entry["values"]["model.latent_dim"] for entry in sweep_table.over_seeds(rows)][::2] == [32, 64, 128, 256]


def test_means_over_seeds_are_those_of_each_combination():
    rows = made(sizes=(32, 64), betas=(0.3, 3.0), seeds=4, diverged=(0, 4, 5, 6, 8, 9, 10, 11))
    table = {tuple(entry["values"].values()): entry for entry in sweep_table.over_seeds(rows)}
    assert list(table) == [(32, 0.3), (32, 3.0), (64, 0.3), (64, 3.0)]
    assert [(entry["measured"], entry["seeds"]) for entry in table.values()] == [(3, 4), (1, 4), (0, 4), (4, 4)]
    # Seeds 1, 2, 3 have figures 32.3 + seed.
    assert table[32, 0.3]["figures"]["negative_elbo"] == pytest.approx((34.3, 1.0))
    assert table[32, 3.0]["figures"]["negative_elbo"] == (pytest.approx(38.0), None)
    assert table[64, 0.3]["figures"] == {}
    lines = sweep_table.seeds_table(rows, sweep_table.columns(rows, "dB"))
    assert lines[1][:4] == ["32", "0.3", "3 of 4", "34.3 ± 1.0"]
    assert lines[3][2:4] == ["0 of 4", ""]


def test_csv_keeps_every_digit_and_leaves_unknown_cells_empty():
    rows = made(sizes=(32,), betas=(1 / 3,), seeds=2, diverged=(1,))
    read = list(csv.DictReader(io.StringIO(sweep_table.as_csv(rows, sweep_table.columns(rows, "dB")))))
    assert [float(row["objective.beta.maximum"]) for row in read] == [1 / 3, 1 / 3]
    assert float(read[0]["negative_elbo"]) == 32 + 1 / 3
    assert read[1]["negative_elbo"] == "" and read[1]["status"] == "diverged at step 5"


def member(tiny, best_step=10, diverged=False, **train):
    experiment = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, **train))
    folder = run_folder.Path("run/group_0")
    return run_folder.Member(
        experiment, folder, 0, VAETask, 1.0, best_step, {}, diverged, 7, folder.with_name("member_000")
    )


def test_status_says_how_far_a_member_came(tiny):
    points = np.array([[5, 2.0], [10, 1.0], [15, 1.5], [20, 1.2]])
    scalars = {"val/negative_elbo": points}
    assert sweep_table.status(member(tiny, steps=20), scalars) == "finished"
    assert sweep_table.status(member(tiny, steps=30), scalars) == "step 20 of 30"
    assert sweep_table.status(member(tiny, steps=30, patience=3), scalars) == "step 20 of 30"
    assert sweep_table.status(member(tiny, steps=30, patience=2), scalars) == "stopped by patience at step 20"
    assert sweep_table.status(member(tiny, diverged=True), scalars) == "diverged at step 7"
    assert sweep_table.status(member(tiny, diverged=True), {}) == "diverged at step 7"


# The pictures


def test_pareto_front_is_what_no_other_point_dominates():
    rng = np.random.default_rng(0)
    for _ in range(20):
        error, score = rng.integers(0, 8, (2, 40)).astype(float)  # with ties and equal points
        front = sweeps.pareto_front(error, score)
        for point in range(40):
            dominated = any(
                error[other] <= error[point]
                and score[other] >= score[point]
                and (error[other], score[other]) != (error[point], score[point])
                for other in range(40)
            )
            assert front[point] == (not dominated)


def test_an_ablation_joins_the_means_over_seeds_for_each_value_of_another_field():
    rows = made(diverged=(0,))
    drawing = sweeps.plot_ablation(rows, [Row("PCA-9", {}, "", 0, {"r2": 0.5})], "model.latent_dim", "dB")
    axes = {axes.get_title(): axes for axes in drawing.axes}
    assert list(axes) == ["effect, blind (%)", "settings R², blind", "test error (dB)", "−ELBO (nats)"]
    elbo, r2 = axes["−ELBO (nats)"], axes["settings R², blind"]
    shares = axes["effect, blind (%)"].collections[0].get_offsets()[:, 1]
    assert max(shares) == pytest.approx(100 / 32)  # in percent
    assert elbo.get_xscale() == "log"
    lines = [line.get_xydata() for line in elbo.lines]
    assert len(lines) == 2  # of two values of beta
    np.testing.assert_allclose(lines[0][:, 1], [32.3 + 1.5, 64.3 + 1, 128.3 + 1, 256.3 + 1])
    np.testing.assert_allclose(lines[1], [[size, size + 3 + 1] for size in (32, 64, 128, 256)])
    assert sum(len(points.get_offsets()) for points in elbo.collections) == 23
    assert [line.get_ydata()[0] for line in r2.lines if line.get_linestyle() == "--"] == [0.5]


def test_an_axis_is_logarithmic_over_a_decade_of_positive_values():
    assert sweeps.log_scale([32, 64, 256]) and sweeps.log_scale([1e-4, 1e-2])
    assert not sweeps.log_scale([0.0, 10.0]) and not sweeps.log_scale([1.0, 2.0])


@pytest.mark.parametrize(
    "values", [[32, 64, 128, 256], ["linear", "constant", "seed"], list(np.geomspace(1e-4, 1, 30)), [1, 2, 3]]
)
def test_members_are_told_apart_by_colours_that_a_legend_or_a_scale_explains(values):
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    key = sweeps.Key("field", values)
    colours = [np.array(matplotlib.colors.to_rgb(key.colour(value))) for value in values]
    assert len({tuple(colour) for colour in colours}) == len(values)
    if sweeps.numeric(values):  # from dark to light, which colour-blind readers see
        assert (np.diff([colour @ [0.2126, 0.7152, 0.0722] for colour in colours]) > 0).all()
    with style.new_grid(1, 1, 3.0, 3.0) as (drawing, axes):
        key.explain(drawing, axes)
    if len(values) > 8:
        assert drawing.axes[1].get_ylabel() == "field"
    else:
        assert len(drawing.legends[0].get_texts()) == len(values)


# A trained sweep


@pytest.fixture(scope="module")
def table(swept, tmp_path_factory):
    """Folder of the table of the trained sweep, of which members 1 and 3 are said to have diverged."""
    out = tmp_path_factory.mktemp("table")
    found = run_folder.read(swept)
    found |= {index: found[index]._replace(diverged=True) for index in (1, 3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "read", lambda run: dict(found))
        command.main(command.Options(swept, out, sizes=dataclasses.replace(command.SIZES, fit_clips=8, pairs=16)))
    return out


def test_the_table_of_a_trained_sweep_has_every_member_and_baseline(table, swept):
    rows = {row["member"]: row for row in csv.DictReader(io.StringIO((table / "sweep_table.csv").read_text()))}
    baselines = ["PCA-12", "fresh weights", "MFCC statistics", "fine statistics", "waveform statistics"]
    assert list(rows)[2:] == ["1", "3", *baselines, "waveform and fine statistics", "noise", "constant"]
    found = run_folder.read(swept)
    for index, one in found.items():
        row = rows[str(index)]
        assert int(row["model.latent_dim"]) == one.experiment.model.latent_dim
        assert int(row["train.seed"]) == one.experiment.train.seed
        if index in (1, 3):
            assert row["status"] == "diverged at step 10" and row["negative_elbo"] == row["accuracy"] == ""
        else:
            assert row["status"] == "finished"
            logged = dict(curves.read_scalars(one.logs)["val/negative_elbo"])
            assert float(row["negative_elbo"]) == pytest.approx(logged[one.best_step], rel=1e-6)
            assert float(row["active_units"]) <= one.experiment.model.latent_dim
            assert 0 <= float(row["accuracy"]) <= 1 and 0 <= float(row["accuracy_dry_aware"]) <= 1
            assert float(row["criterion"]) == pytest.approx(one.best, rel=1e-6)
    assert float(rows["constant"]["accuracy"]) == pytest.approx(0.5, abs=0.1)
    order = [float(row["criterion"]) for row in list(rows.values())[:2]]
    assert order == sorted(order)
    assert f"jaxvae.load takes member {next(iter(rows))}," in (table / "sweep_table.html").read_text()


def test_a_member_has_the_figures_of_the_scoreboard(table, swept, tmp_path):
    """One protocol: the probes of either are fitted on the same validation clips and scored on the same unseen ones."""
    sizes = Sizes(fit_clips=8, pairs=16, gallery=0, fixed_clips=0, settings=0, path_clips=1, path_steps=4, map_clips=4)
    sizes = dataclasses.replace(sizes, degraded_pairs=0, components=12)
    scoreboard.main(scoreboard.Options(swept, tmp_path, member=2, sizes=sizes))
    board = json.loads((tmp_path / "scoreboard.json").read_text())
    of = {(entry["figure"], entry["item"], entry["row"]): entry["value"] for entry in board["entries"]}
    (row,) = [
        row for row in csv.DictReader(io.StringIO((table / "sweep_table.csv").read_text())) if row["member"] == "2"
    ]
    for name, mode in (("", "this model"), ("_dry_aware", "this model, dry-aware")):
        assert float(row[f"accuracy{name}"]) == pytest.approx(of["accuracy_logistic", "random", mode])
        assert float(row[f"r2{name}"]) == pytest.approx(of["r2", "all", mode], abs=1e-6)


def test_the_page_of_a_sweep_stands_alone(table):
    text = (table / "sweep_table.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert len(addresses) == 3  # latent_dim, the front, the curves
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    words = re.sub(r'"data:[^"]*"', "", text)
    assert not re.search(r"\bnan\b|\bNone\b|{{|{%|http", words)
    assert "2 of 4 members diverged: 1, 3." in words and "PCA-12" in words


def test_members_of_a_group_without_checkpoint_are_told_from_their_logs(swept, tmp_path):
    shutil.copytree(swept, tmp_path / "run")
    log = Summaries(tmp_path / "run" / "member_004")
    experiment = run_folder.read(swept)[0].experiment
    log.text(0, "config", f"```json\n{json.dumps(fields.to_dict(experiment))}\n```")
    log.close()
    rows, _ = sweep_table.read(tmp_path / "run")
    assert [row.status for row in rows] == ["finished"] * 4 + ["no checkpoint"]
    assert rows[4].values["model.latent_dim"] == 4 and rows[4].figures == {}


def test_a_run_of_one_member_has_a_table_of_one_row(trained, tmp_path, capsys):
    command.main(command.Options(trained, tmp_path, structure=False))
    (row,) = csv.DictReader(io.StringIO((tmp_path / "sweep_table.csv").read_text()))
    assert row["status"] == "finished" and "model.latent_dim" not in row
    assert "Structure was not measured" in (tmp_path / "sweep_table.html").read_text()
    assert "−ELBO (nats)" in capsys.readouterr().out


def test_the_embedding_of_a_member_is_its_own(swept, tmp_path):
    for member, latents in ((0, 4), (3, 8)):
        embed.main(embed.Options(swept, tmp_path / "member.npz", clips=2, effects=("pedalboard/Delay",), member=member))
        written = Embedding.load(tmp_path / "member.npz")
        assert written.mean.shape == (2, latents)
        assert written.experiment == run_folder.read(swept)[member].experiment


def test_tensorboard_shows_each_members_swept_values_and_validation(swept):
    found = run_folder.read(swept)
    rows = {group.sessions[0].name: group for group in hparams_of(swept, ("model.latent_dim", "train.seed"))}
    assert sorted(rows) == ["000,latent_dim=4,seed=0", "001,latent_dim=4,seed=1", *sorted(rows)[2:]]
    for (name, row), one in zip(sorted(rows.items()), found.values(), strict=True):
        assert one.logs == swept / name
        assert row.name == f"swept/{name}"  # the trial is called what its run is called
        assert len(row.sessions) == 1 and row.sessions[0].status == api_pb2.STATUS_SUCCESS
        assert {path: value.number_value for path, value in row.hparams.items()} == {
            "model.latent_dim": one.experiment.model.latent_dim,
            "train.seed": one.experiment.train.seed,
        }
        (metric,) = (value for value in row.metric_values if value.name.tag == "val/negative_elbo")
        assert metric.training_step == 10
        assert metric.value >= one.best * (1 - 1e-6)
