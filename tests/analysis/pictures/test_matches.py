"""Pictures of matches: what is drawn are the distances, and what is said is what was answered."""

import numpy as np
import pytest

from analysis.pictures import matches
from analysis.pictures.matches import Drawn
from jaxvae import effects
from jaxvae.matching import distances

RATE = 24_000
SHARES = {"distance": 0.5, "spectrum": 0.999, "colour": -0.004, "modulation": -0.123, "decay": 1.0}


@pytest.fixture(scope="module")
def drawn():
    rng, kind = np.random.default_rng(0), effects.get("pedalboard/Delay")
    dry = (0.1 * rng.normal(size=2 * RATE)).astype(np.float32)
    settings = {"true": np.array([0.2, 0.5, 0.5]), "matcher": np.array([0.4, 0.5, 0.5]), "extra trees": None}
    sounds = {"target": kind.render(dry, kind.settings(settings["true"]), RATE), "dry input": dry}
    sounds |= {"matcher": kind.render(dry, kind.settings(settings["matcher"]), RATE), "extra trees": dry}
    return Drawn("Item 1", kind, settings, sounds, {"matcher": SHARES, "extra trees": dict.fromkeys(SHARES, 0.0)})


@pytest.fixture(scope="module")
def figure(drawn):
    return matches.plot(drawn, RATE)


def lines(axes):
    return {line.get_label(): line.get_xydata().T for line in axes.get_lines()}


def test_the_mean_of_what_is_drawn_over_time_is_the_distance(figure, drawn):
    clips = np.stack([drawn.sounds["matcher"], drawn.sounds["target"]])
    sounds = distances.describe(clips, drawn.sounds["dry input"], sample_rate=RATE)
    expected = np.abs(np.asarray(sounds.spectrum[0] - sounds.spectrum[1])).mean()
    panels = figure.get_axes()
    seconds, values = lines(panels[1])["matcher"]
    assert values.mean() == pytest.approx(expected, rel=1e-4) and seconds[-1] == pytest.approx(2, abs=0.05)
    assert "target" not in lines(panels[1])
    assert all(set(lines(panel)) == set(drawn.sounds) for panel in (panels[0], panels[2], panels[3]))


def test_an_echo_is_drawn_where_it_is(figure, drawn):
    seconds, decay = lines(figure.get_axes()[3])["target"]
    delay = drawn.effect.settings(drawn.settings["true"])["delay_seconds"]
    fall = np.diff(decay)
    assert np.abs(seconds[1:][fall < -2] - delay).min() < 0.011
    np.testing.assert_array_equal(lines(figure.get_axes()[0])["extra trees"], lines(figure.get_axes()[0])["dry input"])


def test_settings_have_their_units_and_shares_no_negative_zero(figure, drawn):
    told = figure.get_suptitle()
    seconds = drawn.effect.settings(drawn.settings["true"])["delay_seconds"]
    assert f"true: delay {seconds:.3g} s" in told and "extra trees: no effect" in told
    assert "closed of the distance: matcher 50 %, extra trees 0 %" in told
    titles = [panel.get_title(loc="left") for panel in figure.get_axes()]
    assert "matcher 0 %" in titles[0] and "matcher 100 %" in titles[1] and "matcher −12 %" in titles[2]
