"""The benchmark of an accelerator, on the CPU: everything but the device."""

import dataclasses

import jax
import numpy as np
import pytest

from analysis.benchmark import accelerator, accelerator_steps, population_steps
from jaxvae.config import Experiment, Model, Spectrogram


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(accelerator_steps, "BATCH_SIZE", 8)
    experiment = Experiment("small", model=Model(latent_dim=8))
    return dataclasses.replace(
        experiment, spectrogram=Spectrogram(n_fft=512, window_length=512, hop_length=512, n_mels=16)
    )


@pytest.mark.benchmark
def test_the_page_is_written(small, monkeypatch, tmp_path):
    monkeypatch.setattr(accelerator, "Experiment", lambda *_, **__: small)
    monkeypatch.setattr(accelerator_steps, "plan", lambda *_: [(1, 1, 2, "highest"), (2, 2, 1, "default")])
    (path,) = accelerator.main(accelerator.Options(tmp_path / "out", calls=1))
    text = path.read_text(encoding="utf-8")
    assert text.count("| holds |") == 7  # a device agrees with itself
    assert "does not hold" not in text
    assert (
        sum(line.startswith(("| 1 | one model | highest |", "| 2 | vmap | default |")) for line in text.splitlines())
        == 2
    )


def test_a_wrong_device_is_found_out(small, monkeypatch):
    true = np.array([7.6, 2.0])
    answers = iter((true * 1.01, true, true * 1.01, true))
    monkeypatch.setattr(accelerator_steps, "_step", lambda *_: next(answers))
    monkeypatch.setattr(accelerator_steps, "_members", lambda _, at_once: np.full(8, 1.0 + 0.01 * at_once))
    monkeypatch.setattr(accelerator_steps, "_repeat", lambda _: 1e-9)
    wrong = [check.law for check in accelerator_steps.checks(small) if check.difference > check.limit]
    assert wrong == [
        "loss of a step equals the CPU's, highest precision",
        "norm of the gradient equals the CPU's, highest precision",
        "four members by vmap lose what they lose one after another",
        "ten steps anew give the same weights",
    ]


def test_a_program_that_the_device_refuses_is_a_row(small, monkeypatch):
    def refuse(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.")

    monkeypatch.setattr(population_steps, "make", refuse)
    timing = accelerator_steps.measure(small, (4, 4, 2, "default"), 1)
    table = accelerator_steps.table([timing], 1e9, 1e9, {"default": 1.0, "memory": 1.0})
    assert "| 4 | vmap | default | 2 | RESOURCE_EXHAUSTED: Out of memory" in table.splitlines()[-1]


def test_rates_are_those_of_all_members():
    timing = accelerator_steps.Timing(4, "vmap", "default", 25, 3.0, 0.5, 10**9, 10**9, "")
    alone = timing._replace(members=1, mode="one model", second=0.25)
    head, _, _, four = accelerator_steps.table(
        [alone, timing], flops=2e9, bytes_accessed=4e9, most={"default": 1.0, "memory": 1_600.0}
    ).splitlines()
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, four)), strict=True))
    assert cells["steps/s of each"] == "50.0"
    assert cells["clips/s of all"] == str(4 * 25 * 96 * 2)
    assert cells["against one"] == "2.00"
    assert cells["TFLOP/s"] == "0.40"
    assert cells["GB/s"] == "800"


def test_what_matters_most_is_measured_first():
    plan = accelerator_steps.plan((1, 4, 64), (1, 25))
    assert plan[:3] == [(1, 1, 25, "default"), (4, 4, 25, "default"), (64, 64, 25, "default")]
    assert len(set(plan)) == len(plan)
