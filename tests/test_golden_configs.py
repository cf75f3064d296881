"""The resolved values of every shipped config as text, so that a review shows what a change of a default changes.

python -m tests.test_golden_configs      writes tests/golden_configs anew
"""

from pathlib import Path

import pytest

from jaxvae import config, config_file, effects, fields
from jaxvae.config import Experiment

CONFIGS = sorted(Path("configs").glob("[a-z]*.py"))
GOLDEN = Path("tests/golden_configs")
REMEDY = "if that is meant, run `python -m tests.test_golden_configs` and commit what it writes"


def text(experiment: Experiment) -> str:
    """A line `path: value` for each field, and one for what each member of the sweep changes."""
    values = fields.flat(experiment)
    members = values.pop("sweep.members")
    lines = [f"{path}: {value!r}" for path, value in values.items()]
    for index, changes in enumerate(members):
        lines.append(f"member {index}: " + ", ".join(f"{path}={value!r}" for path, value in changes))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_means_what_its_golden_text_says(path):
    golden = GOLDEN / f"{path.stem}.txt"
    assert golden.is_file(), f"{path} has no text in {GOLDEN}; {REMEDY}"
    assert text(config_file.load(path)) == golden.read_text(), (
        f"{path} means something else than {golden} says; {REMEDY}"
    )


def test_every_golden_text_has_its_config():
    assert {path.stem for path in GOLDEN.iterdir()} <= {path.stem for path in CONFIGS}, f"texts too many; {REMEDY}"


def test_a_text_has_a_line_for_each_field_and_each_member():
    def values(**changes):
        return text(Experiment("x", **changes))

    assert "train.learning_rate: 0.001\n" in values() and "sweep" not in values()
    swept = values(sweep=config.Sweep(((("train.seed", 1), ("name", "a")), (("train.seed", 0),))))
    assert swept == values() + "member 0: train.seed=1, name='a'\nmember 1: train.seed=0\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_effects_that_a_config_names_are_known_whatever_is_installed(path):
    assert set(config_file.load(path).data.effects) <= {*effects.names(), *effects.unavailable()}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for left_over in GOLDEN.iterdir():
        left_over.unlink()
    for source in CONFIGS:
        (GOLDEN / f"{source.stem}.txt").write_text(text(config_file.load(source)))
