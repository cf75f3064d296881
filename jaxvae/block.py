"""Blocks: four clips, two contents each at the same two settings. Only this module knows which clip is which.

Conventions
    Clips, contents and blocks of a split are numbered from 0: clip 4b + 2c + s is content c (0, 1) at setting s (0, 1)
    of block b, and its content has number 2b + c.
    Functions take integers, or arrays of them, of numpy or of JAX, and give the same kind back.
"""

from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int, Shaped

CONTENTS = 2
SETTINGS = 2
CLIPS = CONTENTS * SETTINGS

_Integers = TypeVar("_Integers")  # an int, or an array of them


def clip_at(block: Any, content: Any, setting: Any) -> Any:
    """The clip of that content (0, 1) at that setting (0, 1) of a block."""
    return CLIPS * block + SETTINGS * content + setting


def block_of(clip: _Integers) -> _Integers:
    """The block that holds a clip; of a number of clips in whole blocks, how many blocks they are."""
    return clip // CLIPS


def content_of(clip: _Integers) -> _Integers:
    """The content that a clip is made of; of a number of clips in whole blocks, how many contents they have."""
    return clip // SETTINGS


def first_clip_of(content: _Integers) -> _Integers:
    """The clip of a content at the first setting."""
    return SETTINGS * content


def same_setting(clip: _Integers) -> _Integers:
    """The clip of the block's other content at the same setting."""
    return clip ^ SETTINGS


def same_content(clip: _Integers) -> _Integers:
    """The clip of the same content at the block's other setting."""
    return clip ^ 1


def clips_of(blocks: Int[Any, "block"]) -> Int[Any, "clip"]:
    """All clips of the blocks, block after block."""
    return (CLIPS * blocks[:, None] + np.arange(CLIPS)[None]).reshape(-1)


def contents(clips: Int[Any, "clip"]) -> Int[Any, "content"]:
    """The contents of the clips of whole blocks, each once."""
    return content_of(clips.reshape(-1, SETTINGS)[:, 0])


def firsts(rows: Shaped[Any, "clip *rest"]) -> Shaped[Any, "block *rest"]:
    """Of rows that belong to the clips of whole blocks, those of each block's first clip."""
    return rows[::CLIPS]


def by_block(rows: Shaped[Any, "clip *rest"]) -> Shaped[Any, f"block {CLIPS} *rest"]:
    """Rows that belong to the clips of whole blocks, with an axis for the blocks."""
    return rows.reshape(-1, CLIPS, *rows.shape[1:])


def for_each_clip(rows: Shaped[Any, "content *rest"]) -> Shaped[Any, "clip *rest"]:
    """Rows that belong to contents, repeated for the clips of each."""
    return rows.repeat(SETTINGS, axis=0)
