"""The model that comes with the package: small, there for who installs it, right about what is plain to hear."""

import re
from pathlib import Path

import numpy as np
import pytest

import jaxvae
from jaxvae import effects, inference
from jaxvae.answer import NO_EFFECT
from jaxvae.data.audio import set_peak
from jaxvae.matching import distances
from jaxvae.matching.matcher import SAMPLES
from launch import identify

LOOP = "jaxvae/bundled_audio/loops/loop_tabla.ogg"
PLAIN = {
    "pedalboard/Bitcrush": {"bit_depth": 4.0},
    "pedalboard/LowpassFilter": {"cutoff_frequency_hz": 800.0},
    "pedalboard/Reverb": {"wet_level": 0.8, "room_size": 0.8},
    "pedalboard/Distortion": {"drive_db": 35.0},
}


@pytest.fixture(scope="module")
def encoder():
    return jaxvae.load("pretrained")


@pytest.fixture(scope="module")
def loop():
    return jaxvae.read_audio(LOOP)


def test_it_is_small_and_its_card_tells_of_every_mode():
    size = sum(path.stat().st_size for path in inference.SHIPPED.rglob("*") if path.is_file())
    assert size < 16e6
    card = (inference.SHIPPED / "CARD.md").read_text(encoding="utf-8")
    assert re.findall(r"### (\S+)", card) == ["Blind", "Source-aware", "Dry-aware"]
    assert "@" not in card


def test_it_knows_every_effect_of_both_back_ends(encoder):
    known = {name for name in effects.names() if name.startswith(("mda/", "pedalboard/"))}
    assert known <= set(encoder.effects) and len(encoder.effects) == 25
    assert encoder.has_heads and encoder.readouts.keys() == {"blind", "source_aware", "dry_aware"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_effect_is_named_beside_the_dry_recording(encoder, loop, name):
    dry, rate = loop
    told = encoder.identify(effects.get(name).render(dry, PLAIN[name], rate), rate, dry)
    # Effects of one sound stand for one another: the three low-pass filters, the two reverberations, and what clips.
    alike = [
        {"pedalboard/LowpassFilter", "pedalboard/LadderFilter", "pedalboard/HighShelfFilter"},
        {"pedalboard/Reverb", "mda/Ambience"},
        {"pedalboard/Distortion", "pedalboard/Clipping", "mda/Overdrive"},
    ]
    family = next((names for names in alike if name in names), {name})
    assert sum(told.whole.probabilities[one] for one in family) > 0.6
    assert told.whole.probabilities[NO_EFFECT] < 0.1


def test_an_untouched_recording_is_called_so_beside_itself(encoder, loop):
    dry, rate = loop
    assert encoder.identify(dry, rate, dry).whole.best == NO_EFFECT


def test_settings_are_read_beside_the_dry_recording(encoder, loop):
    dry, rate = loop
    kind = effects.get("pedalboard/LowpassFilter")
    index = encoder.effects.index(kind.name)
    found = []
    for cutoff in (300.0, 1_000.0, 4_000.0):
        reading = encoder.read(kind.render(dry, {"cutoff_frequency_hz": cutoff}, rate), rate, dry)
        found.append(float(reading.settings[index][0, 0] @ np.arange(20)))
    assert np.all(np.diff(found) > 1)  # bins of twenty


def test_identify_uses_it_with_nothing_trained(loop, tmp_path, monkeypatch, capsys):
    path = Path(LOOP).resolve()
    monkeypatch.chdir(tmp_path)
    identify.main(identify.Options((path,)))
    assert "pretrained, from the wet recording alone" in capsys.readouterr().out


@pytest.fixture(scope="module")
def matcher():
    return jaxvae.load_matcher("pretrained")


def test_a_matcher_of_the_same_effects_comes_with_it(matcher, encoder):
    assert set(matcher.effects) == set(encoder.effects)
    assert "load_matcher" in (inference.SHIPPED / "CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_effect_is_matched_from_another_recording(matcher, loop, name):
    """Which effect it is is known; two fifths of the distance to the true render are closed at least.

    All samples are rendered, so that it is the posterior that is judged and not the luck of a few.
    """
    dry, rate = loop
    rate_of_model = matcher.experiment.audio.sample_rate
    other, other_rate = jaxvae.read_audio("jaxvae/bundled_audio/loops/loop_amen.ogg")
    kind = effects.get(name)
    reference = kind.render(set_peak(other, -12.0), PLAIN[name], other_rate)
    found = matcher.match(dry, reference, rate, reference_rate=other_rate, allowed=[name], candidates=SAMPLES)
    assert found.excerpt_rate == rate_of_model
    target = kind.render(found.excerpt, PLAIN[name], rate_of_model)
    answer = found.excerpt
    if found.effect != NO_EFFECT:
        answer = effects.get(found.effect).render(found.excerpt, found.settings, rate_of_model)
    clips = np.stack([target, answer, found.excerpt])
    apart = distances.pairwise(distances.describe(clips, found.excerpt, sample_rate=rate_of_model))[0]
    assert apart[1] < 0.6 * apart[2], (found.effect, found.settings)
