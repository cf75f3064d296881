"""The LV2 host against dawdreamer, an independent host built on JUCE: the nine mda effects, bit for bit.

Needs the extra `evaluation` and the package mda-lv2; run with `python -m pytest -m evaluation`.
"""

import re

import numpy as np
import pytest

from jaxvae.effects import lv2, mda

pytestmark = pytest.mark.evaluation
RATE = 24_000


def clip() -> np.ndarray:
    """Not a multiple of the block size: the last block is shorter."""
    rng, samples = np.random.default_rng(0), 3 * lv2.BLOCK_SIZE + 1_234
    noise = rng.standard_normal(samples) * np.exp(-(np.arange(samples) % 6_000) / 1_500)
    return (0.25 * noise / np.abs(noise).max()).astype(np.float32)


def dawdreamer_render(plugin: lv2.Plugin, dry: np.ndarray, controls: dict[str, float]) -> np.ndarray:
    """The same in a new engine, because dawdreamer's plug-ins keep their state between renders."""
    import dawdreamer

    engine = dawdreamer.RenderEngine(RATE, lv2.BLOCK_SIZE)
    source = engine.make_playback_processor("source", np.stack([dry, dry]))
    effect = engine.make_plugin_processor("effect", plugin.uri)
    engine.load_graph([(source, []), (effect, ["source"])])  # before the controls, or it resets them
    order = {  # its own, by groups
        re.sub(r"\W+", "_", description["name"].lower()): description["index"]
        for description in effect.get_parameters_description()
    }
    assert set(order) == set(controls)
    for symbol, value in controls.items():
        effect.set_parameter(order[symbol], value)
    engine.render(len(dry) / RATE)
    return engine.get_audio()[:, : len(dry)].mean(axis=0)


@pytest.mark.parametrize("effect", mda.EFFECTS, ids=[effect.name for effect in mda.EFFECTS])
def test_mda_renders_equal_dawdreamers_bit_for_bit(effect):
    plugin = lv2.find("http://drobilla.net/plugins/mda/" + effect.name.removeprefix("mda/"))
    rng, dry = np.random.default_rng(len(effect.name)), clip()
    for _ in range(4):
        settings = effect.settings(rng.random(len(effect.parameters)))
        theirs = dawdreamer_render(plugin, dry, {**dict(effect.held), **settings})
        wet = effect.render(dry, settings, RATE)
        assert np.array_equal(wet, theirs), (settings, np.abs(wet - theirs).max())
        assert np.linalg.norm(wet - dry) > 0.01 * np.linalg.norm(dry)
