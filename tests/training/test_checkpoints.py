"""What is said when a checkpoint cannot be written."""

from types import SimpleNamespace

from jaxvae.training.checkpoints import Checkpoints


def test_a_full_disk_is_said_once_and_shortly():
    long = "RESOURCE_EXHAUSTED: Error writing a: OS error 28: No space left on device [source locations]\n" * 8
    manager = SimpleNamespace(_manager=SimpleNamespace(directory="runs/mine/checkpoints"))
    said = str(Checkpoints._full(manager, ValueError(long)))
    assert said.startswith("cannot write a checkpoint to runs/mine/checkpoints: No space left on device; make room")
    assert said.count("No space") == 1
    assert len(said) < 200
