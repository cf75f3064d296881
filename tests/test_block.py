import ast
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import block

# Block, content of the block, setting of the block, of the clips of three blocks, as the layout says it in words.
LAYOUT = [(b, c, s) for b in range(3) for c in range(2) for s in range(2)]


@pytest.fixture(params=[np.asarray, jnp.asarray], ids=["numpy", "jax"])
def array(request):
    return request.param


def test_clips_are_where_the_layout_says(array):
    number, content, setting = map(array, np.array(LAYOUT).T)
    clips = array(np.arange(len(LAYOUT)))
    np.testing.assert_array_equal(block.clip_at(number, content, setting), clips)
    np.testing.assert_array_equal(block.block_of(clips), number)
    np.testing.assert_array_equal(block.content_of(clips), 2 * number + content)
    for clip, where in enumerate(LAYOUT):
        assert block.clip_at(*where) == clip


def test_partners_differ_in_one_thing_and_are_each_others(array):
    clips = array(np.arange(len(LAYOUT)))
    other_content, other_setting = block.same_setting(clips), block.same_content(clips)
    for clip, (b, c, s) in enumerate(LAYOUT):
        assert LAYOUT[int(other_content[clip])] == (b, 1 - c, s)
        assert LAYOUT[int(other_setting[clip])] == (b, c, 1 - s)
    np.testing.assert_array_equal(block.same_setting(other_content), clips)
    np.testing.assert_array_equal(block.same_content(other_setting), clips)


def test_whole_blocks(array):
    clips = block.clips_of(array(np.array([2, 0])))
    assert type(clips) is type(array(np.arange(1)))
    assert [LAYOUT[int(clip)] for clip in clips] == LAYOUT[8:] + LAYOUT[:4]
    np.testing.assert_array_equal(block.contents(clips), [4, 5, 0, 1])
    np.testing.assert_array_equal(block.for_each_clip(block.contents(clips)), block.content_of(clips))
    np.testing.assert_array_equal(block.firsts(clips), block.clip_at(array(np.array([2, 0])), 0, 0))
    np.testing.assert_array_equal(block.by_block(clips), [[8, 9, 10, 11], [0, 1, 2, 3]])
    firsts = block.first_clip_of(block.contents(clips))
    assert [LAYOUT[int(clip)] for clip in firsts] == [(2, 0, 0), (2, 1, 0), (0, 0, 0), (0, 1, 0)]


def test_the_layout_needs_no_jax():
    tree = ast.parse(Path(block.__file__).read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "numpy" in names and not [name for name in names if name.split(".")[0] == "jax"]
