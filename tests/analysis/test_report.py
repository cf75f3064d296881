"""The whole page of a run."""

import base64
import dataclasses
import io
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import soxr
from playwright.sync_api import expect, sync_playwright
from scipy import signal

from analysis.models import members
from analysis.pages import listening_map, report, sound
from analysis.pages.scoreboard import chapters
from jaxvae import config, config_file, effects, inference, sweep
from jaxvae.data import dataset
from jaxvae.training.summaries import Summaries
from tests.analysis import small

SIZES = dataclasses.replace(small.SIZES, gallery=0, components=128)


@pytest.fixture(scope="module")
def build(fresh, quick_map, silence, tmp_path_factory):
    """Makes the page of an encoder and its figures."""
    run = tmp_path_factory.mktemp("run")
    log = Summaries(run)
    for step in (1, 2, 3):
        log.scalars(step, {"train/loss": 10.0 / step, "train/beta": 0.1 * step, "val/mean_squared": 1.0 / step})
    log.close()

    def make(encoder, silent=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(members, "load", lambda run, chosen: [members.Chosen(0, "one", run, encoder)])
            patch.setattr(inference, "untrained", lambda encoder, seed: fresh(seed + 1))
            patch.setattr(report, "_MAP_SETTINGS", 40)
            if silent is not None:
                silence(patch, silent)
            return report.build(run, SIZES)

    return make


@pytest.fixture(scope="module")
def page(build, encoder):
    return build(encoder)


def test_a_run_of_one_effect_has_a_page_without_accuracies(build, data, encoder):
    lone = dataclasses.replace(data.experiment.data, effects=("pedalboard/Delay",))
    experiment = dataclasses.replace(data.experiment, data=lone)
    rendered = dataset.render(experiment, progress=False)
    trained_on = {"dataset": rendered.identity, "dataset_folders": (str(rendered.folder),)}
    text, board, maps = build(dataclasses.replace(encoder, experiment=experiment, **trained_on))
    assert maps == board.confusion == {}
    assert not any(entry.figure.startswith("accuracy_") for entry in board.entries)
    assert {entry.item for entry in board.entries if entry.figure == "mae"} == {
        *(f"pedalboard/Delay/{parameter.name}" for parameter in effects.get("pedalboard/Delay").parameters),
        "all",
    }
    assert "Confusion" not in text
    assert 'id="listening"' not in text and "Which effect?" not in text
    assert_links_lead_somewhere(text)


def test_a_page_says_which_effect_has_no_usable_render(build, encoder, kinds):
    text, board, _ = build(encoder, silent=kinds[0])
    items = {entry.item for entry in board.entries if entry.section == "settings"}
    assert not any(item.startswith(kinds[0].name) for item in items)
    assert board.about["clips"]["held"]["of_effect"][0] == 0
    assert "clips of each effect: 0, 32" in text
    json.dumps(board.figures(), allow_nan=False)


def test_the_page_stands_alone(page):
    text, *_ = page
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert len(addresses) > 5
    assert all(address.startswith(("data:image/png;base64,", "data:audio/mpeg;base64,", "#")) for address in addresses)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"\bnan\b|\bNone\b|{{|{%", re.sub(r'"data:[^"]*"|<pre>.*?</pre>', "", text, flags=re.DOTALL))


def test_the_page_shows_every_row_and_section(page):
    text, board, _ = page
    handmade = ["fine statistics", "waveform statistics", "waveform and fine statistics"]
    blind = ["this model", "PCA-12", "fresh weights", "MFCC statistics", *handmade]
    aware = ["this model, dry-aware", "PCA-12, wet − dry", "fresh weights, dry-aware"]
    aware += [f"{name}, wet − dry" for name in ("MFCC statistics", *handmade)]
    source = ["this model, source-aware", "fresh weights, source-aware"]
    source += [f"{name}, wet − source" for name in ("MFCC statistics", *handmade)]
    names = [*blind, *source, *aware, "noise", "constant"]
    assert list(board.hears) == names
    for name in names:
        assert f"<td>{name}</td>" in text
    for section in chapters(board):
        assert f"<h2>{section.title}</h2>" in text
    json.dumps(board.figures(), allow_nan=False)


def test_the_contents_lead_to_every_section_and_fold(page):
    text, *_ = page
    linked = assert_links_lead_somewhere(text)
    assert linked >= set(re.findall(r'<(?:section|details) id="((?!config)[^"]*)"', text))


def assert_links_lead_somewhere(text):
    """The addresses inside the page that it links to."""
    linked, there = set(re.findall(r'href="#([^"]*)"', text)), re.findall(r'\bid="([^"]*)"', text)
    assert len(there) == len(set(there)) and linked <= set(there)
    return linked


def test_findings_come_first_then_the_map_then_sounds_and_pictures_then_tables(page):
    text, *_ = page
    order = ['id="found"', 'id="map"', 'id="sounds"', 'id="maps"', 'id="paths"', 'id="run"', 'id="tables"', "<table><"]
    places = [text.index(part) for part in order[:-1]]
    assert places == sorted(places)
    head = text[text.index('id="sounds"') : text.index('id="tables"')]
    assert head.count("<table>") == 1  # that of the sounds


def listening_of(text):
    """What the script of the map reads."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def test_every_point_has_its_sounds_settings_and_places(page, data, kinds):
    text, board, _ = page
    listening, plan = listening_of(text), board.held.plan
    assert listening["maps"] == ["blind", "dry-aware"]
    assert [effect["name"] for effect in listening["effects"]] == [kind.name for kind in kinds]
    assert len({(effect["colour"], effect["mark"]) for effect in listening["effects"]}) == len(kinds)
    points, test = listening["points"], data.split("test")
    assert len(points) == min(listening_map.MOST_POINTS, len(plan.effect)) > 50
    for row, point in enumerate(points):
        kind = kinds[point["effect"]]
        assert point["effect"] == plan.effect[row]
        assert point["recording"] in data.recordings[test.recording[plan.dry[row]]].files
        values = list(kind.settings(plan.normalized[row]).values())
        assert len(point["settings"]) == len(kind.parameters)
        for parameter, value, words in zip(kind.parameters, values, point["settings"].values(), strict=True):
            said, _, unit = words.partition(" ")
            assert float(said) == pytest.approx(value, rel=0.006, abs=1e-9) and unit == parameter.unit
        for place in point["places"]:
            assert all(0 < coordinate < listening_map.SIDE for coordinate in place)


def test_a_point_sounds_as_its_clip_was_rendered(page, data, kinds):
    text, board, _ = page
    listening, plan, test, rate = listening_of(text), board.held.plan, data.split("test"), 8_000
    for row in (0, 5):
        dry = test.dry(plan.dry[[row]])[0]
        wet = kinds[plan.effect[row]].render(dry, kinds[plan.effect[row]].settings(plan.normalized[row]), rate)
        point = listening["points"][row]
        for address, expected in ((point["wet"], wet), (listening["dry"][point["dry"]], dry)):
            heard, heard_rate = soundfile.read(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))
            heard = soxr.resample(heard, heard_rate, rate)
            assert likeness(heard, np.ravel(expected)) > 0.95


def likeness(one, other):
    """The highest correlation of two sounds over all shifts of one against the other."""
    return signal.correlate(one, other).max() / np.linalg.norm(one) / np.linalg.norm(other)


def test_a_sound_is_the_loudest_part_of_a_long_clip():
    rate, seconds = 1_000, 5
    clips = np.full((2, seconds * rate), 0.01, np.float32)
    clips[0, 2_000:3_000] = clips[1, 4_500:] = 0.5
    cut = listening_map._excerpts(clips, clips, rate)
    assert cut.shape == (2, 1_400)
    assert np.sum(cut[0] > 0.4) > 980 and np.sum(cut[1] > 0.4) > 480


def test_a_map_holds_as_many_points_as_its_sounds_may_weigh(page, data, monkeypatch):
    _, board, _ = page
    plan, most = board.held.plan, 120_000
    monkeypatch.setattr(listening_map, "_MOST_BYTES", most)
    places = {"blind": np.random.default_rng(0).normal(size=(len(plan.effect), 2))}
    made = listening_map.of(plan, places, data.split("test"), data.recordings, 8_000)
    weight = sum(len(point["wet"]) for point in made["points"]) + sum(map(len, made["dry"]))
    assert 0.7 * most < weight <= most
    assert 4 < len(made["points"]) < len(plan.effect)
    assert {point["dry"] for point in made["points"]} == set(range(len(made["dry"])))
    assert sum(effect["count"] for effect in made["effects"]) == len(made["points"])


PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
in_a_browser = pytest.mark.debian("chromium")
PLAYER = "document.querySelector('#listening audio')"
SOUNDING = "[...document.querySelectorAll('audio')].filter((audio) => !audio.paused).length"


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, page, tmp_path):
    """Opens the page in a window of a size; at the end, nothing was complained of and nothing else was asked for."""
    address = tmp_path / "report.html"
    address.write_text(page[0])
    complaints, asked = [], []

    def open_page(size):
        shown = chromium.new_page(viewport=size)
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(address.as_uri())
        shown.evaluate(f"{PLAYER}.defaultPlaybackRate = 0.2")  # so that a sound lasts while it is asked about
        return shown

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert complaints == []
    assert {url for url in asked if not url.startswith("data:")} == {address.as_uri()}


def points(shown):
    return shown.locator("svg.map path")


def alone(shown, listening):
    """Points, one of each effect, with no other in a finger's reach that a click might mean."""
    places = np.array([point["places"][0] for point in listening["points"]])
    far = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(len(places))
    order = np.argsort(-far.min(axis=1)).tolist()
    return [next(i for i in order if listening["points"][i]["effect"] == effect) for effect in (0, 1)]


def wait_until_it_plays(shown, address):
    """The player has this sound, and its time goes on."""
    shown.wait_for_function(f"{PLAYER}.currentTime > 0.05")
    assert shown.evaluate(f"{PLAYER}.src") == address


@in_a_browser
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_fits_the_window_folded_and_unfolded(opened, size):
    shown = opened(size)
    for _ in range(2):
        assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        shown.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")


@in_a_browser
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_click_plays_a_point_and_says_what_it_is_and_another_stops_it(opened, page, size):
    shown, listening = opened(size), listening_of(page[0])
    for index in alone(shown, listening):
        point = listening["points"][index]
        points(shown).nth(index).click()
        wait_until_it_plays(shown, point["wet"])
        assert shown.evaluate(SOUNDING) == 1
        told = shown.inner_text("#listening .clip")
        assert listening["effects"][point["effect"]]["name"] in told and point["recording"] in told
        assert all(name in told and value in told for name, value in point["settings"].items())
        expect(shown.locator(".halo.playing")).to_have_count(1)
        expect(shown.get_by_role("status")).to_have_text("Playing wet")
    points(shown).nth(index).click()
    assert shown.evaluate(SOUNDING) == 0
    expect(shown.locator(".halo.playing")).to_have_count(0)  # it is told a moment later
    shown.get_by_label("dry, before the effect").check()
    shown.get_by_role("button", name="Play").click()
    wait_until_it_plays(shown, listening["dry"][point["dry"]])
    shown.get_by_label("wet", exact=True).check()
    wait_until_it_plays(shown, point["wet"])
    shown.keyboard.press("Escape")
    assert shown.evaluate(SOUNDING) == 0


@in_a_browser
def test_a_sound_of_the_table_and_one_of_the_map_do_not_play_together(opened, page):
    shown = opened(DESKTOP)
    points(shown).nth(alone(shown, listening_of(page[0]))[0]).click()
    shown.wait_for_function(f"{PLAYER}.currentTime > 0")  # what begins later stops what plays
    shown.evaluate("document.querySelector('#sounds audio').play()")
    shown.wait_for_function("document.querySelector('#sounds audio').currentTime > 0.02")
    assert shown.evaluate(f"{PLAYER}.paused")


@in_a_browser
def test_the_map_is_played_from_the_keyboard(opened, page):
    shown, listening = opened(DESKTOP), listening_of(page[0])
    shown.locator("input[name=map]").first.focus()
    shown.keyboard.press("Tab")  # out of the choice of the map, whose buttons are one stop
    focused = "[...document.querySelectorAll('svg.map path')].indexOf(document.activeElement)"
    assert shown.evaluate(focused) == 0
    shown.keyboard.press("Enter")
    wait_until_it_plays(shown, listening["points"][0]["wet"])
    visited = {0}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        before = shown.evaluate(focused)
        shown.keyboard.press(key)
        after = shown.evaluate(focused)
        (x, y), (left, top) = listening["points"][after]["places"][0], listening["points"][before]["places"][0]
        moved = {"ArrowRight": x - left, "ArrowLeft": left - x, "ArrowDown": y - top, "ArrowUp": top - y}[key]
        assert moved > 0 or after == before  # at the edge there is none beyond
        visited.add(after)
    assert len(visited) > 2
    shown.keyboard.press("Space")
    wait_until_it_plays(shown, listening["points"][after]["wet"])


@in_a_browser
def test_the_legend_hides_an_effect_and_the_switch_moves_the_points(opened, page):
    shown, listening = opened(DESKTOP), listening_of(page[0])
    of_first = sum(point["effect"] == 0 for point in listening["points"])
    shown.locator("input[name=effect]").first.uncheck()
    assert shown.locator("svg.map path:visible").count() == len(listening["points"]) - of_first
    shown.get_by_role("button", name="none").click()
    assert shown.locator("svg.map path:visible").count() == 0
    shown.get_by_role("button", name="all").click()
    assert shown.locator("svg.map path:visible").count() == len(listening["points"])
    for index in (1, 0):
        shown.locator("input[name=map]").nth(index).check()
        x, y = listening["points"][3]["places"][index]
        place = "getComputedStyle(document.querySelectorAll('svg.map path')[3]).transform"
        shown.wait_for_function(f"{place} === 'matrix(1, 0, 0, 1, {x}, {y})'")


@in_a_browser
def test_the_contents_unfold_what_they_lead_to_and_print_shows_all(opened):
    shown = opened(DESKTOP)
    folds = shown.locator("main details")
    assert folds.count() > 4 and shown.locator("#tables details[open]").count() == 0
    for target in ("table-1", "table-3", "table-3", "paths-2"):  # the same again, after it was folded by hand
        shown.locator(f"#{target}").evaluate("(fold) => { fold.open = false }")
        shown.locator(f"nav a[href='#{target}']").click()
        assert shown.locator(f"#{target}").evaluate("(fold) => fold.open")
        shown.wait_for_function(
            f"Math.abs(document.getElementById('{target}').getBoundingClientRect().top) < innerHeight"
        )
    folded = "document.querySelectorAll('details:not([open])').length"
    shown.evaluate(f"addEventListener('beforeprint', () => {{ window.foldedInPrint = {folded} }})")
    shown.pdf()
    assert shown.evaluate("foldedInPrint") == 0
    assert shown.locator("#table-2").evaluate("(fold) => !fold.open")


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_sounds_of_any_rate_keep_their_length_and_pitch(rate, small):
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)
    kind, _, content = sound.address(tone, rate, small).partition("base64,")
    assert kind == "data:audio/mpeg;"
    decoded, decoded_rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert len(decoded) / decoded_rate == pytest.approx(1, abs=0.1)
    spectrum = np.abs(np.fft.rfft(decoded))
    assert spectrum.argmax() * decoded_rate / len(decoded) == pytest.approx(1_000, abs=5)


def test_commands_repeat_the_overrides_of_a_config(tmp_path):
    demo = config_file.load("demo")
    changed = dataclasses.replace(
        demo,
        model=dataclasses.replace(demo.model, latent_dim=32),
        data=dataclasses.replace(demo.data, audio=("my loops", "speech")),
    )
    train = report.commands(tmp_path / "my run", changed)[0]
    assert train.startswith("python -m launch.train demo --workdir '")
    assert "--model.latent-dim 32" in train
    assert "--data.audio 'my loops' speech" in train


def test_commands_of_a_member_train_the_whole_sweep_and_draw_the_member(tmp_path):
    swept = config_file.load("vae_latent_sweep")
    member = sweep.members(swept)[6]
    changed = dataclasses.replace(member, audio=config.Audio(sample_rate=16_000))
    train, *others, _ = report.commands(tmp_path, changed, 6)
    assert train == (f"python -m launch.train vae_latent_sweep --workdir {tmp_path} --audio.sample-rate 16000")
    assert all(" --member 6" in command for command in others)
