"""The benchmark of bookkeeping reads a set as any other, whose answers it knows."""

from analysis.benchmark import bookkeeping_steps


def test_a_made_set_is_read_as_any_other():
    figures = bookkeeping_steps.measure(2_000)  # what is spot-checked is asserted there
    assert figures["split opened"] > 0
    assert 0 < figures["memory, GB"] < 100
