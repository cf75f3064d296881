"""The card of a model, of a tiny run."""

import shutil

import numpy as np
import pytest

import jaxvae
from analysis.models import members
from analysis.pages import card
from jaxvae import readouts


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A run with readouts."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("card") / "run")
    readouts.complete(folder)
    return folder


def test_every_figure_is_told_of_every_mode_and_package(run):
    encoder = jaxvae.load(run)
    split = members.data([encoder], splits=("test",)).split("test")
    text = card.markdown(encoder, split)
    assert text.count("### ") == len(encoder.experiment.modes) == 3
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    figures = [row for row in rows if row[0].strip()]
    assert len(figures) == 3 * 9 and {len(row) for row in rows} == {2 + len(set(split.sources))}
    named = [float(row[1].split()[0]) for row in figures if row[0].strip() == "effect named rightly"]
    by_hand = encoder.read(readouts.sounds(split, np.arange(split.clips)).wet[:, None], 8_000).effect.argmax(axis=1)
    assert named[0] == pytest.approx((by_hand == split.effect).mean(), abs=0.006)


def test_a_run_without_readouts_is_refused(trained):
    encoder = jaxvae.load(trained)
    split = members.data([encoder], splits=("test",)).split("test")
    with pytest.raises(ValueError, match="no readout, whose answers a card is of"):
        card.markdown(encoder, split)
