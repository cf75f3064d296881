"""The order in which training meets the clips of a split, and the batches in that order.

Conventions
    Steps are consecutive pieces of one endless sequence of epochs, each of which visits every block once. What a step
    meets is a pure function of the seed and the step, so a resumed run continues with the same batches.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, Int, Int16, Int32, Int64

from jaxvae import block
from jaxvae.data.dataset import Split

_AHEAD = 2  # batches prefetched

_Batch = TypeVar("_Batch")


class Batch(NamedTuple):
    """Clips of one training step, in whole blocks (see `jaxvae.block`)."""

    wet: Int16[np.ndarray, "batch sample"]
    dry: Int16[np.ndarray, "content sample"]
    """`Split.contents` of these clips."""
    passage: Int16[np.ndarray, "content sample"]
    """`Split.passages` of them."""
    effect: Int32[np.ndarray, "batch"]
    normalized: Float32[np.ndarray, "batch parameter"]


@functools.lru_cache(maxsize=4)
def _epoch(blocks: int, kinds: int, seed: int, epoch: int) -> Int64[np.ndarray, "block"]:
    """All blocks, once each: a random order within each effect of the first setting, those effects in turn."""
    generator = np.random.default_rng((seed, epoch))
    order = np.stack([kinds * generator.permutation(blocks // kinds) + effect for effect in range(kinds)], axis=1)
    order.flags.writeable = False
    return order.reshape(-1)


def indices(split: Split, seed: int, step: int, batch_size: int) -> Int64[np.ndarray, "batch"]:
    """Clips of a training step, in whole blocks.

    The effects of the blocks' first settings come in turn: a batch of at least as many blocks as there are effects
    holds all of them.
    """
    positions = np.arange(block.block_of(step * batch_size), block.block_of((step + 1) * batch_size))
    count = block.block_of(split.clips)
    epochs, places = np.divmod(positions, count)
    blocks = np.empty(len(positions), np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        blocks[here] = _epoch(count, split.kinds, seed, int(epoch))[places[here]]
    return block.clips_of(blocks)


def batch(split: Split, indices: Int[np.ndarray, "batch"]) -> Batch:
    """Clips of whole blocks, with their effects and settings."""
    contents = block.contents(indices)
    dry, passage = split.contents(contents), split.passages(contents)
    return Batch(split.audio(indices), dry, passage, split.effect[indices], split.normalized[indices])


def prefetch(
    read: Callable[[np.ndarray], _Batch], split: Split, seed: int, first_step: int, last_step: int, batch_size: int
) -> Iterator[_Batch]:
    """What `read` gives of the clips of the steps from `first_step` to before `last_step`.

    A thread that ends with it reads ahead.
    """
    with ThreadPoolExecutor(1, "prefetch") as thread:
        ahead: deque = deque()
        for step in range(first_step, last_step):
            ahead.append(thread.submit(read, indices(split, seed, step, batch_size)))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
