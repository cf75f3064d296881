"""The gradient report: what it calls true is the slope of the plug-in's loss, and its figures are what they say."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from analysis import gradient_report
from analysis.matching import gradients
from jaxvae.data.audio_file import AudioError

pytestmark = pytest.mark.debian("mda-lv2")
RATE, SAMPLES = 24_000, 12_000  # the echoes of Delay's defaults come after 8,191 samples
CASES = {case.title: case for case in gradients.cases()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Plucked tones in noise, and one recording that is too short."""
    path, rng, time = tmp_path_factory.mktemp("tones"), np.random.default_rng(0), np.arange(16_000) / RATE
    for index in range(6):
        tone = np.sin(2 * np.pi * (200 + 170 * index) * time) * np.exp(-time / 0.1) + 0.05 * rng.normal(size=len(time))
        soundfile.write(path / f"{index}.wav", 0.5 * tone, RATE)
    soundfile.write(path / "short.wav", 0.1 * rng.normal(size=900), RATE)
    return path


@pytest.fixture(scope="module")
def dry(folder):
    return gradients.dry_clips((str(folder),), 5, SAMPLES, RATE, seed=0)


def test_dry_clips_are_crops_at_one_peak_and_too_few_are_refused(folder, dry):
    np.testing.assert_allclose(np.abs(dry).max(axis=1), 10 ** (-12 / 20), rtol=1e-5)
    assert dry.shape == (5, SAMPLES)
    with pytest.raises(AudioError, match="only 6 of 7 recordings hold 12000 samples"):
        gradients.dry_clips((str(folder),), 7, SAMPLES, RATE, seed=0)


@pytest.mark.parametrize("loss", gradients.LOSSES)
@pytest.mark.parametrize("title", ["Overdrive", "Delay, lengths held"])
def test_the_true_gradient_is_the_slope_of_the_plugins_loss(dry, title, loss):
    case = CASES[title]
    items = gradients.draw(case, dry, RATE, seed=0)
    true = np.asarray(gradients.true_gradient(case, items, loss, RATE)(jnp.asarray(items.normalized)))
    slope = gradients._differences(case, items, loss, RATE, 1e-3)
    np.testing.assert_allclose(true, slope, rtol=0.05, atol=0.03 * np.abs(slope).max())


@pytest.mark.parametrize("title", CASES)
def test_a_twin_of_a_case_is_what_the_case_renders(dry, title):
    case = CASES[title]
    items = gradients.draw(case, dry, RATE, seed=1)
    base = gradients.losses(case, items, "MR-STFT", RATE, items.normalized)
    wet = case.wet(jnp.asarray(dry), jnp.asarray(items.normalized), RATE)
    mine = gradients.LOSSES["MR-STFT"](wet, jnp.asarray(items.target), jnp.asarray(dry), RATE)
    np.testing.assert_allclose(base, mine, rtol=1e-3)
    assert (base > 0).all() and case.smooth.sum() == len(case.kind.parameters) - 2 * (title == "Delay")


def made(true: np.ndarray, case) -> gradients.Estimates:
    """Estimates that are the truth by central differences of every step but the first, and noise by pairs."""
    steps, rng = len(gradients.STEPS), np.random.default_rng(0)
    right = np.broadcast_to(true, (steps, *true.shape)).copy()
    right[0] = -true
    noise = rng.normal(size=(steps, gradients.DRAWS, *true.shape)) + 1.5 * true
    return gradients.Estimates(true, np.stack([true] * len(gradients.NEAR)), right, noise, -right)


def test_figures_are_cosines_on_the_clips_that_nothing_was_chosen_on(dry):
    case = CASES["Overdrive"]
    items = gradients.draw(case, dry, RATE, seed=0)
    true = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    found = gradients.figures(case, items, "MR-STFT", RATE, made(true, case), chosen_on=2)
    central, of_loss = found["rows"]["central differences"], found["rows"][gradients.OF_LOSS]
    assert central["step"] != gradients.STEPS[0] and central["median cosine"] == pytest.approx(1)
    assert central["curve"] == pytest.approx([-1] + [1] * (len(gradients.STEPS) - 1))
    assert of_loss["step"] == gradients.STEPS[0] and of_loss["median cosine"] == pytest.approx(1)
    assert central["renders"] == 4 and [found["rows"][f"SPSA, {k} pairs"]["renders"] for k in (2, 4, 8)] == [4, 8, 16]
    assert found["clips"] == 3 and found["parameters"] == ["drive", "muffle"]
    one, eight = (found["rows"][name] for name in ("SPSA, 1 pair", "SPSA, 8 pairs"))
    assert one["median cosine"] < eight["median cosine"] < one["bias"]
    assert one["limit"] == pytest.approx(0.5**0.5) and eight["limit"] == pytest.approx((8 / 9) ** 0.5)


@pytest.mark.parametrize("chosen_on", [2, 3])  # fewer and more than half
def test_steps_are_chosen_on_the_first_clips_alone_and_reported_on_the_others(dry, chosen_on):
    case = CASES["Overdrive"]
    items = gradients.draw(case, dry, RATE, seed=0)
    true = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    estimates = made(true, case)
    estimates.central[:] = true * np.where(np.arange(5) < chosen_on, -1, 1)[:, None]
    estimates.central[1] *= -1  # right where it is chosen, wrong where it is reported
    found = gradients.figures(case, items, "MR-STFT", RATE, estimates, chosen_on)
    central = found["rows"]["central differences"]
    assert central["step"] == gradients.STEPS[1] and central["median cosine"] == pytest.approx(-1)


def test_pairs_have_the_truth_as_their_mean_and_a_step_along_it_lowers_the_loss(dry, monkeypatch):
    monkeypatch.setattr(gradients, "STEPS", (1e-3, 1e-2))
    case = CASES["Overdrive"]
    items = gradients.draw(case, dry, RATE, seed=0)
    estimates = gradients.estimate(case, items, "MR-STFT", RATE, 0)
    found = gradients.figures(case, items, "MR-STFT", RATE, estimates, chosen_on=1)
    assert found["rows"]["central differences"]["median cosine"] > 0.99
    assert found["rows"]["SPSA, 1 pair"]["bias"] > 0.9 > found["rows"]["SPSA, 1 pair"]["10th percentile"]
    assert found["true gradient, lower"] == 1


def test_the_command_writes_table_figures_and_picture(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gradients, "STEPS", (1e-3, 1e-2))
    monkeypatch.setattr(gradients, "DRAWS", 8)
    monkeypatch.setattr(gradients, "LOSSES", {"MR-STFT": gradients.LOSSES["MR-STFT"]})
    monkeypatch.setattr(gradients, "cases", lambda: (CASES["Overdrive"],))
    out = tmp_path / "report"
    options = gradient_report.Options(out, (str(folder),), clips=2, chosen_on=1, clip_samples=4_096)
    written = gradient_report.main(options)
    assert written == [out / f"gradients.{ending}" for ending in ("md", "json", "png")]
    found = json.loads(written[1].read_text())["losses"]["MR-STFT"]["Overdrive"]
    text = written[0].read_text()
    assert text in capsys.readouterr().out and "| Overdrive (drive, muffle) | true, by the twin |" in text
    assert all(len(row["curve"]) == 2 and row["ms"] > 0 for row in found["rows"].values())
    assert written[2].stat().st_size > 10_000


@pytest.mark.parametrize(
    ("change", "message"), [({"clips": 0}, "clips is 0; use 1 or more"), ({"clip_samples": 100}, "use 4096 or more")]
)
def test_options_without_a_meaning_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        gradient_report.Options(**change)
