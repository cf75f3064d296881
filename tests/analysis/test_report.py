"""The whole page of a run."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
import soundfile

from analysis.models import members
from analysis.pages import report
from analysis.pages.scoreboard import chapters
from analysis.renders.sizes import Sizes
from jaxvae import config, config_file, effects, inference, sweep
from jaxvae.training.summaries import Summaries

SIZES = Sizes(fit_clips=16, pairs=32, gallery=0, fixed_clips=8, settings=20, path_clips=2, path_steps=5, components=128)


@pytest.fixture(scope="module")
def build(fresh, quick_map, silence, tmp_path_factory):
    """Makes the page of an encoder and its figures."""
    run = tmp_path_factory.mktemp("run")
    log = Summaries(run)
    for step in (1, 2, 3):
        log.scalars(step, {"train/loss": 10.0 / step, "train/beta": 0.1 * step, "val/mean_squared": 1.0 / step})
    log.close()

    def make(encoder, silent=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", run, encoder)])
            patch.setattr(inference, "untrained", lambda encoder, seed: fresh(seed + 1))
            patch.setattr(report, "_MAP_SETTINGS", 40)
            if silent is not None:
                silence(patch, silent)
            return report.build(run, SIZES)

    return make


@pytest.fixture(scope="module")
def page(build, encoder):
    return build(encoder)


def test_a_run_of_one_effect_has_a_page_without_accuracies(build, data, encoder):
    lone = dataclasses.replace(data.experiment.data, effects=("pedalboard/Delay",))
    experiment = dataclasses.replace(data.experiment, data=lone)
    text, board, maps = build(dataclasses.replace(encoder, experiment=experiment))
    assert maps == board.confusion == {}
    assert not any(entry.figure.startswith("accuracy_") for entry in board.entries)
    assert {entry.item for entry in board.entries if entry.figure == "mae"} == {
        *(f"pedalboard/Delay/{parameter.name}" for parameter in effects.get("pedalboard/Delay").parameters),
        "all",
    }
    assert "Confusion" not in text


def test_a_page_says_which_effect_has_no_usable_render(build, encoder, kinds):
    text, board, _ = build(encoder, silent=kinds[0])
    items = {entry.item for entry in board.entries if entry.section == "settings"}
    assert not any(item.startswith(kinds[0].name) for item in items)
    assert board.about["clips"]["held"]["of_effect"][0] == 0
    assert "clips of each effect: 0, 32" in text
    json.dumps(board.figures(), allow_nan=False)


def test_the_page_stands_alone(page):
    text, *_ = page
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert len(addresses) > 5
    assert all(address.startswith(("data:image/png;base64,", "data:audio/mpeg;base64,")) for address in addresses)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"\bnan\b|\bNone\b|{{|{%", re.sub(r'"data:[^"]*"|<pre>.*?</pre>', "", text, flags=re.DOTALL))


def test_the_page_shows_every_row_and_section(page):
    text, board, _ = page
    handmade = ["fine statistics", "waveform statistics", "waveform and fine statistics"]
    blind = ["this model", "PCA-12", "fresh weights", "MFCC statistics", *handmade]
    aware = ["this model, dry-aware", "PCA-12, wet − dry", "fresh weights, dry-aware"]
    aware += [f"{name}, wet − dry" for name in ("MFCC statistics", *handmade)]
    names = [*blind, *aware, "noise", "constant"]
    assert list(board.hears) == names
    for name in names:
        assert f"<td>{name}</td>" in text
    for section in chapters(board):
        assert f"<h2>{section.title}</h2>" in text
    json.dumps(board.figures(), allow_nan=False)


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_sounds_of_any_rate_keep_their_length_and_pitch(rate):
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)
    kind, _, content = report._sound(tone, rate).partition("base64,")
    assert kind == "data:audio/mpeg;"
    decoded, decoded_rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert len(decoded) / decoded_rate == pytest.approx(1, abs=0.1)
    spectrum = np.abs(np.fft.rfft(decoded))
    assert spectrum.argmax() * decoded_rate / len(decoded) == pytest.approx(1_000, abs=5)


def test_commands_repeat_the_overrides_of_a_config(tmp_path):
    demo = config_file.load("demo")
    changed = dataclasses.replace(
        demo,
        model=dataclasses.replace(demo.model, latent_dim=32),
        data=dataclasses.replace(demo.data, audio=("my loops", "speech")),
    )
    train = report.commands(tmp_path / "my run", changed)[0]
    assert train.startswith("python -m launch.train demo --workdir '")
    assert "--model.latent-dim 32" in train
    assert "--data.audio 'my loops' speech" in train


def test_commands_of_a_member_train_the_whole_sweep_and_draw_the_member(tmp_path):
    swept = config_file.load("vae_latent_sweep")
    member = sweep.members(swept)[6]
    changed = dataclasses.replace(member, audio=config.Audio(sample_rate=16_000))
    train, *others, _ = report.commands(tmp_path, changed, 6)
    assert train == (f"python -m launch.train vae_latent_sweep --workdir {tmp_path} --audio.sample-rate 16000")
    assert all(" --member 6" in command for command in others)
