"""The benchmark of an accelerator, on the CPU: everything but the device."""

import dataclasses
from concurrent.futures import Future

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


def test_a_device_agrees_with_itself(small):
    checks = list(accelerator_steps.checks(small))
    assert len(checks) == 7
    for law, difference, limit in checks:
        assert 0 <= difference <= limit, law


def test_a_wrong_device_is_found_out(small, monkeypatch):
    true = accelerator_steps._step
    seen = iter((1.0, 1.01, 1.0, 1.0))
    monkeypatch.setattr(accelerator_steps, "_step", lambda *arguments: true(*arguments) * next(seen))
    wrong = [check for check in accelerator_steps.checks(small) if check.difference > check.limit]
    assert [check.law for check in wrong] == [
        "loss of a step equals the CPU's, highest precision",
        "norm of the gradient of a step equals the CPU's, highest precision",
    ]


def test_rows_are_timed_and_a_refused_one_is_told(small):
    rows = [(1, 1, 2, "default"), (2, 2, 2, "default"), (4, 4, 2, "default")]
    programs = accelerator_steps.compiled(small, rows)

    def refuse():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.")

    last, programs[2] = programs[2].result()._replace(call=refuse), Future()
    programs[2].set_result(last)
    timings = [accelerator_steps.measure(row, program, 2) for row, program in zip(rows, programs, strict=True)]
    assert [timing.mode for timing in timings] == ["one model", "vmap", "vmap"]
    assert timings[1].state_bytes == 2 * timings[0].state_bytes
    assert timings[0].second > 0
    assert np.isnan(timings[2].second)
    table = accelerator_steps.table(timings, 1e9, 1e9, {"default": 1.0, "memory": 1.0})
    assert "Out of memory" in table.splitlines()[-1]


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


def test_the_page_is_written(small, monkeypatch, tmp_path):
    monkeypatch.setattr(accelerator, "Experiment", lambda *_, **__: small)
    (path,) = accelerator.main(accelerator.Options(tmp_path / "out", members=(1, 2), steps=(1, 2), calls=1))
    text = path.read_text(encoding="utf-8")
    assert text.count("| holds |") == 7
    assert len([line for line in text.splitlines() if "one model" in line]) == 3
    assert population_steps.cost(small, 8)[0] > 0
