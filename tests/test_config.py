"""Experiments: what is refused, what is warned about, and that nothing is lost on the way to JSON and back."""

import ast
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaxvae import config, config_file, fields
from jaxvae.config import Beta, Data, Experiment, Model, Objective, Spectrogram, Train


def test_json_round_trip_keeps_everything():
    experiment = Experiment(
        "x", data=Data(audio=("a", "b"), effects=("mda/Delay",)), objective=Objective(beta=Beta(maximum=0.3))
    )
    restored = config.from_dict(json.loads(json.dumps(fields.to_dict(experiment))))
    assert restored == experiment and hash(restored) == hash(experiment)


def test_record_of_an_older_version_has_the_names_of_today():
    values = fields.to_dict(Experiment("seed", model=Model(backbone="grant2023"), data=Data(audio=("seed",))))
    values["model"]["backbone"] = "seed"
    values["objective"]["beta"]["schedule"] = "seed"
    restored = config.from_dict(values)
    assert (restored.model.backbone, restored.objective.beta.schedule) == ("grant2023", "grant2023")
    assert (restored.name, restored.data.audio) == ("seed", ("seed",))  # a name and a folder are what they are


def test_record_of_a_version_that_had_no_fine_structure_is_of_a_network_without():
    values = fields.to_dict(Experiment("older"))
    for section, names in {
        "data": ("untouched", "degraded_share"),
        "model": ("fine_structure",),
        "objective": ("source_share", "dropout", "reconstructed_blocks"),
    }.items():
        for name in names:
            del values[section][name]
    restored = config.from_dict(values)
    assert not restored.model.fine_structure and restored.objective.source_share == 0
    assert not restored.data.untouched and restored.data.degraded_share == 0
    assert restored.modes == ("blind", "dry_aware")
    assert restored.data.clips("train") == restored.data.train_clips


def test_untouched_clips_are_as_many_as_those_of_an_effect_and_never_tested():
    data = config.Data(effects=("mda/Delay", "mda/Combo"), train_clips=80, validation_clips=16, test_clips=24)
    assert [data.clips(split) for split in ("train", "validation", "test")] == [120, 24, 24]
    assert [data.kinds(split) for split in ("train", "validation", "test")] == [3, 3, 2]


@pytest.mark.parametrize(
    ("dry", "source", "modes"),
    [
        (0.0, 0.0, ("blind",)),
        (0.5, 0.0, ("blind", "dry_aware")),
        (0.0, 0.5, ("blind", "source_aware")),
        (0.5, 0.5, config.MODES),
        (0.5, 1.0, ("source_aware", "dry_aware")),
        (1.0, 0.5, ("dry_aware",)),
    ],
)
def test_modes_are_those_that_some_blocks_train(dry, source, modes):
    objective = config.Objective(dry_share=dry, source_share=source)
    assert Experiment("modes", objective=objective).modes == modes
    plain = config.Model(content_dim=0)
    assert Experiment("plain", model=plain, objective=dataclasses.replace(objective, swap=0.0)).modes == ("blind",)


def test_record_of_a_plain_vae_that_was_trained_with_swaps_is_read_with_a_warning():
    plain = Experiment("old", model=Model(content_dim=0), objective=Objective(swap=0.0))
    values = fields.to_dict(plain)
    assert config.from_dict(values) == plain
    values["objective"]["swap"] = 0.25
    with pytest.warns(UserWarning, match=r"old was trained as a plain VAE with objective.swap 0.25.*train it anew"):
        assert config.from_dict(values) == plain


def test_differences_name_each_changed_field_once():
    first = Experiment("x")
    second = dataclasses.replace(first, model=Model(latent_dim=32), train=Train(seed=4))
    assert fields.differences(first, second) == ["model.latent_dim: 128 -> 32", "train.seed: 0 -> 4"]
    assert fields.differences(first, first) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Data(effects=()), "effects is empty"),
        (lambda: Data(audio=("a", "")), "data.audio holds an empty name"),
        (lambda: Data(test_audio=("",)), "data.test_audio holds an empty name"),
        (lambda: Data(effects=("a", "a")), "names one twice"),
        (lambda: Data(train_clips=100), "train_clips is 100; use a multiple of 24, such as 96: blocks of 4 clips, 6"),
        (lambda: Data(test_clips=0), "test_clips is 0; use a multiple of 24, such as 24"),
        (lambda: Train(batch_size=18), "batch_size is 18; use a multiple of 4"),
        (lambda: Data(validation_share=0.6, test_share=0.5), "leave a share"),
        (lambda: Spectrogram(hop_length=4_096), "hop_length is 4096"),
        (lambda: Spectrogram(window_length=4_096), "window_length is 4096"),
        (lambda: Spectrogram(n_mels=2_000), "n_mels is 2000"),
        (lambda: Model(latent_dim=0), "latent_dim is 0"),
        (lambda: Model(content_dim=-1), "content_dim is -1"),
        (lambda: Objective(swap=1.5), "swap is 1.5; use 0 to 1"),
        (lambda: Objective(dry_share=-0.1), "dry_share is -0.1; use 0 to 1"),
        (lambda: Objective(source_share=1.1), "source_share is 1.1; use 0 to 1"),
        (lambda: Objective(dropout=1.0), "dropout is 1.0; use 0 or more, below 1"),
        (lambda: Data(degraded_share=2.0), "data.degraded_share is 2.0; use 0 to 1"),
        (
            lambda: Experiment("x", model=Model(fine_structure=False)),
            "objective.source_share is 0.45, but model.fine_structure is False.*use source_share 0",
        ),
        (lambda: Objective(contrastive_weight=-1.0), "contrastive_weight is -1.0"),
        (lambda: Objective(temperature=0.0), "temperature is 0.0; use more than 0"),
        (lambda: Beta(minimum=2.0, maximum=1.0), "minimum 2.0"),
        (lambda: Data(seed=-1), "data.seed is -1"),
        (lambda: Train(learning_rate=0.0), "learning_rate is 0.0"),
        (lambda: Experiment("x", audio=config.Audio(clip_samples=1_500)), "shorter than n_fft"),
        (lambda: Experiment("x", model=Model(content_dim=0)), "swap is 0.5, but model.content_dim is 0.*use swap 0"),
    ],
)
def test_impossible_values_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_composite_cycle_warns_and_names_the_next_prime():
    with pytest.warns(UserWarning, match="next prime is 17"):
        Beta(cycle_length=16)
    Beta(cycle_length=17)
    Beta(cycle_length=16, cycle_unit="step")
    Beta(schedule="linear", cycle_length=16)


def test_config_files_that_hold_no_experiment_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config at"):
        config_file.load(tmp_path / "missing.py")
    (tmp_path / "empty.py").write_text("config = 3\n")
    with pytest.raises(ValueError, match="no Experiment or MatchExperiment named config"):
        config_file.load(tmp_path / "empty.py")


def test_every_field_is_explained():
    classes = [node for node in ast.parse(Path(config.__file__).read_text()).body if isinstance(node, ast.ClassDef)]
    sections = {kind.name for kind in classes}  # a field that is a section is explained by the section's docstring
    assert {"Data", "Experiment"} <= sections and all(ast.get_docstring(kind) for kind in classes)
    bare = [
        f"{kind.name}.{field.target.id}"
        for kind in classes
        for field, below in zip(kind.body, [*kind.body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign) and ast.unparse(field.annotation) not in sections
        if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and below.value.value)
    ]
    assert bare == []


@pytest.mark.parametrize("path", sorted(Path("configs").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_says_how_to_run_it(path):
    experiment = config_file.load(path)
    assert experiment.name == path.stem
    assert f"python -m launch.train configs/{path.name}" in path.read_text()


def test_a_text_where_names_are_wanted_is_refused():
    code = (
        "from jaxvae.config import Data\nData(audio=('/folder'))"  # in a process without the checks of types of tests
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError: data.audio is the text '/folder'; write ('/folder',) with a comma" in done.stderr
