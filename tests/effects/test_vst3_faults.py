"""Plug-ins that crash, hang or change their latency, in worker processes that come and go as they should.

Needs dpf-source and g++ (apt-get install dpf-source g++).
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxvae import effects
from jaxvae.effects import EffectError, PluginError, vst3, vst3_workers
from jaxvae.effects.vst3_workers import Workers

pytestmark = pytest.mark.debian("g++", "dpf-source")
RATE = 24_000


def clip(samples: int = 20_000, seed: int = 0) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def workers_of(process: int) -> set[int]:
    """Processes that hold a plug-in for a process, as Linux lists them."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == process and b"vst3_host.py" in (folder / "cmdline").read_bytes():
                    found.add(int(folder.name))
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                continue
    return found


def started(before: set[int]) -> set[int]:
    return workers_of(os.getpid()) - before


def alive(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended_within(processes: set[int], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not any(map(alive, processes)):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("behaviour", "what"),
    [("crash", r"crashes \(SIGSEGV\)"), ("abort", r'crashes \(SIGABRT\) after it printed "no table for this setting"')],
)
def test_a_crash_is_named_with_the_settings_and_the_next_clip_is_rendered_as_ever(faulty, behaviour, what):
    name, before = faulty(behaviour), workers_of(os.getpid())
    effect = effects.get(name)
    first = effect.render(clip(), {}, RATE)
    np.testing.assert_allclose(first, 0.5 * clip(), rtol=1e-6)
    with pytest.raises(
        PluginError, match=rf"{re.escape(name)} {what} at \{{'gain': 0.5, 'fault': 0.9\}}; use other settings, or"
    ) as caught:
        effect.render(clip(), {"fault": 0.9}, RATE)
    assert caught.value.reason == "crashed" and started(before) == set()
    assert np.array_equal(effect.render(clip(), {}, RATE), first)
    assert len(started(before)) == 1


@pytest.mark.parametrize("behaviour", ["hang", "growing"])
def test_a_hang_is_ended_at_its_limit_and_the_next_clip_is_rendered_as_ever(faulty, monkeypatch, behaviour):
    before = workers_of(os.getpid())
    effect = effects.get(faulty(behaviour))
    first = effect.render(clip(), {}, RATE)
    monkeypatch.setattr(vst3, "LEAST_LIMIT_S", 0.5)
    monkeypatch.setattr(vst3, "LIMIT_TIMES", 2.0)
    for seconds, limit in ((0.1, 0.5), (1.0, 2.0)):  # at least the one, and as many times the clip as the other
        begun = time.monotonic()
        with pytest.raises(PluginError, match=rf"does not end within {limit:g} s at {{'gain': 0.5, 'fault': 1.0}}"):
            effect.render(clip(round(seconds * RATE)), {"fault": 1.0}, RATE)
        assert limit <= time.monotonic() - begun < limit + 5
        assert not started(before)
    monkeypatch.undo()
    assert np.array_equal(effect.render(clip(), {}, RATE), first)


def test_the_limit_of_a_render_is_ten_seconds_or_twenty_times_its_clip():
    assert (vst3.LEAST_LIMIT_S, vst3.LIMIT_TIMES) == (10, 20)


def test_nan_is_passed_on(faulty):
    effect = effects.get(faulty("nan"))
    assert np.isnan(effect.render(clip(), {"fault": 1.0}, RATE)).all()
    np.testing.assert_allclose(effect.render(clip(), {}, RATE), 0.5 * clip(), rtol=1e-6)


def test_a_latency_that_changes_with_the_settings_is_told_of_once_and_every_clip_is_aligned(faulty, capsys):
    name = faulty("late")
    effect, impulse = effects.get(name), np.zeros(20_000, np.float32)
    impulse[1_000] = 1.0
    capsys.readouterr()
    for fault in (0.0, 1.0, 0.0, 1.0, 1.0, 0.0):
        np.testing.assert_array_equal(effect.render(impulse, {"fault": fault}, RATE), 0.5 * impulse)
    said = capsys.readouterr().err
    assert said.count(f"{name} reports a latency that changes with its settings, such as 0 and 300 samples;") == 1


@pytest.mark.parametrize("behaviour", ["blocks", "fragile"])
def test_a_plugin_that_needs_smaller_blocks_gets_the_largest_that_it_can_use(faulty, capsys, behaviour):
    effect = effects.get(faulty(behaviour))
    assert "it is run in blocks of 2048 samples, as it fails in larger ones\n" in capsys.readouterr().err
    np.testing.assert_allclose(effect.render(clip(), {"gain": 0.25}, RATE), 0.25 * clip(), rtol=1e-6)


def test_a_plugin_that_needs_blocks_that_are_not_tried_is_refused(faulty, monkeypatch):
    monkeypatch.setattr(vst3, "BLOCKS", (8_192, 4_096))
    before = workers_of(os.getpid())
    for behaviour, fault in (("blocks", "gives NaN"), ("fragile", r"crashes \(SIGABRT\)")):
        with pytest.raises(ValueError, match=rf"cannot be used at its defaults in blocks of 8192, 4096 .* it {fault}"):
            effects.get(faulty(behaviour))
    assert not started(before)


def test_a_crash_that_comes_of_the_clips_before_is_none(faulty):
    before = workers_of(os.getpid())
    effect = effects.get(faulty("crash"))
    first = effect.render(clip(), {}, RATE)
    (worker,) = started(before)
    os.kill(worker, signal.SIGSEGV)
    assert np.array_equal(effect.render(clip(), {}, RATE), first)


def test_clips_that_crash_are_nan_among_others_that_are_rendered(faulty, capsys):
    name = faulty("crash")
    chosen = [effects.get(other) for other in (name, "pedalboard/Distortion")] * 8
    rows = np.full((16, 2), np.nan, np.float32)
    rows[::2] = [(0.5, fault) for fault in (0, 1, 0.5, 0.9, 0.2, 0, 0, 1)]
    rows[1::2, 0] = 0.3
    dry = np.stack([clip(seed=seed) for seed in range(16)])
    failed = {}
    wet = effects.render_many(chosen, dry, rows, RATE, failed=failed)
    assert sorted(failed) == [2, 6, 14] and np.isnan(wet[[2, 6, 14]]).all()
    for index in sorted(set(range(16)) - set(failed)):
        alone = chosen[index].render(dry[index], chosen[index].settings(rows[index]), RATE)
        assert np.array_equal(wet[index], alone)
    assert capsys.readouterr().err.count("Clips at which it fails are left out") == 1


@pytest.mark.parametrize(
    ("behaviour", "limit", "count"), [("crash", "MOST_CRASHES", "3 crashes and 0"), ("hang", "MOST_HANGS", "0 crashes")]
)
def test_a_plugin_that_fails_too_often_in_a_row_is_given_up(faulty, monkeypatch, behaviour, limit, count):
    monkeypatch.setattr(vst3, limit, 3)
    monkeypatch.setattr(vst3, "LEAST_LIMIT_S", 0.5)
    effect = effects.get(faulty(behaviour))
    for _ in range(2):  # what succeeds begins a new row
        for _ in range(2):
            with pytest.raises(PluginError):
                effect.render(clip(1_000), {"fault": 1.0}, RATE)
        effect.render(clip(1_000), {}, RATE)
    dry, rows = np.stack([clip(1_000)] * 40), np.full((40, 2), 1.0, np.float32)
    with pytest.raises(EffectError, match=rf"clip 2: .*that makes {count} .*in a row, so it is not used any more: use"):
        effects.render_many([effect] * 40, dry, rows, RATE, workers=1)


def test_one_clip_starts_one_worker_and_many_as_many_as_cores_whatever_the_threads(faulty, monkeypatch):
    monkeypatch.setattr(vst3_workers, "cores", lambda: 3)
    before = workers_of(os.getpid())
    effect = effects.get(faulty("nan"))
    effect.render(clip(), {}, RATE)
    assert len(started(before)) == 1
    dry, rows = np.stack([clip(200_000)] * 24), np.full((24, 2), 0.5, np.float32)
    wet = effects.render_many([effect] * 24, dry, rows, RATE, workers=8)
    assert len(started(before)) == 3
    assert all(np.array_equal(one, wet[0]) for one in wet)


def test_the_plugin_is_never_loaded_in_this_process(faulty):
    name = faulty("nan")
    effects.get(name).render(clip(), {}, RATE)
    assert name.removeprefix("vst3:") not in Path("/proc/self/maps").read_text()


def test_an_interrupted_request_does_not_give_its_answer_to_the_next(faulty, monkeypatch):
    effect = effects.get(faulty("nan"))
    effect.render(clip(), {}, RATE)
    receive = vst3_workers.vst3_host.receive

    def interrupted(stream):
        monkeypatch.setattr(vst3_workers.vst3_host, "receive", receive)
        raise KeyboardInterrupt

    monkeypatch.setattr(vst3_workers.vst3_host, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        effect.render(clip(seed=1), {}, RATE)
    np.testing.assert_allclose(effect.render(clip(seed=2), {}, RATE), 0.5 * clip(seed=2), rtol=1e-6)


PARENT = """
import os, sys, threading, time
import numpy as np
from jaxvae import effects
effect, dry = effects.get(sys.argv[1]), np.full(24_000, .1, np.float32)
effect.render(dry, {}, 24_000)
"""
HANGING = "print('ready', flush=True); effect.render(dry, {'fault': 1.0}, 24_000)"
IDLE = "print('ready', flush=True); time.sleep(60)"
CATCHING = """
try:
    print('ready', flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print('caught', flush=True)
    sys.stdin.read()
"""
LEFT = "print('ready', flush=True)"
FORKED = """
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, b"y" if np.allclose(effect.render(dry, {'gain': .25}, 24_000), .25 * dry) else b"n")
    sys.stdin.read()  # it outlives its parent
    os._exit(0)
for _ in range(20):
    assert np.allclose(effect.render(dry, {}, 24_000), .5 * dry)
assert os.read(reading, 1) == b"y"
"""


def begin(name: str, code: str) -> tuple[subprocess.Popen, set[int]]:
    """A process that has a worker, once it is ready, and those workers."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT + code, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while (line := process.stdout.readline()) != "ready\n":
        assert line, process.stderr.read()
    return process, workers_of(process.pid)


@pytest.mark.parametrize("code", [IDLE, HANGING])
def test_workers_end_with_a_parent_that_is_killed(faulty, code):
    process, workers = begin(faulty("hang"), code)
    assert len(workers) == 1 and all(map(alive, workers))
    time.sleep(0.3)  # so that one hangs
    process.kill()
    process.communicate()
    assert ended_within(workers, 5)


def test_workers_end_with_a_parent_that_ends_and_print_nothing(faulty):
    process, workers = begin(faulty("hang"), LEFT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0 and said.count("\n") == 1 and "sweeps gain, fault" in said
    assert ended_within(workers, 5)


def test_ctrl_c_reaches_the_parent_alone(faulty):
    process, workers = begin(faulty("hang"), CATCHING)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "caught\n"
    time.sleep(0.3)
    assert len(workers) == 1 and all(map(alive, workers))
    _, said = process.communicate("", timeout=20)
    assert "Traceback" not in said and ended_within(workers, 5)


def test_a_forked_process_has_workers_of_its_own_and_keeps_none_of_its_parents(faulty):
    process, workers = begin(faulty("hang"), FORKED + IDLE)
    assert len(workers) == 1
    process.kill()
    process.wait()
    assert ended_within(workers, 5)  # though the child lives
    process.communicate("")


def test_a_pool_gives_no_worker_that_has_ended():
    made = []

    class Made:
        ended = False

    def start():
        made.append(Made())
        return made[-1]

    pool = Workers(start)
    with pool.one() as first:
        pass
    with pool.one() as again:
        assert again is first
        first.ended = True
    with pool.one() as second:
        assert second is not first and len(made) == 2
    with pool.one(fresh=True) as third:
        assert third is not second
