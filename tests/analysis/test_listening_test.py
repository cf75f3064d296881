"""The page of a listening test, as a listener uses it."""

import base64
import csv
import io
import json
import re
import shutil
import time

import numpy as np
import pyloudnorm
import pytest
import soundfile
from playwright.sync_api import expect, sync_playwright
from scipy import signal

from analysis import listening_ratings, listening_test
from analysis.matching.items import PAIRINGS
from analysis.matching.rows import NOTHING, Answer
from analysis.matching.trials import ANCHOR, CONDITIONS, CONSTANT, MATCHER, REFERENCE, TREES, Trial
from analysis.metrics import ratings
from analysis.pages import listening_test as pages
from analysis.pictures import style
from jaxvae import effects

RATE, SECONDS, ITEMS = 8_000, 2, 3
SHARES = {"distance": 0.5, "spectrum": 0.4, "colour": 0.6, "modulation": 0.1, "decay": -0.2, "MR-STFT": 0.2}


@pytest.fixture(scope="module")
def trials():
    """Of noise, of which no sound is like another or like itself at another time, at levels far apart."""
    rng, kind, made = np.random.default_rng(0), effects.get("pedalboard/Distortion"), []
    for item in range(ITEMS):

        def noise():
            return (10 ** rng.uniform(-3, 0) * rng.normal(size=SECONDS * RATE)).astype(np.float32)

        answers = {CONSTANT: Answer(kind, np.full(1, 0.5, np.float32)), TREES: NOTHING}
        answers[MATCHER] = Answer(kind, np.full(1, 0.25, np.float32))
        sounds, shares = {name: noise() for name in CONDITIONS}, dict.fromkeys(answers, SHARES)
        settings = np.full(1, 0.3, np.float32)
        made.append(Trial(kind, PAIRINGS[item], settings, answers, sounds, noise(), shares))
    return made


@pytest.fixture(scope="module")
def page(trials):
    pictures = [style.png(pages.picture(number, trial, RATE)) for number, trial in enumerate(trials, 1)]
    return pages.render(trials, pictures, RATE, "tiny")


@pytest.fixture(scope="module")
def held(page):
    """What the page holds for its script."""
    return json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', page, re.DOTALL)[1])


def samples(address):
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))
    assert rate == RATE
    return heard


def test_all_sounds_of_an_item_are_equally_loud_and_below_full_scale(held):
    meter = pyloudnorm.Meter(RATE)
    for item in held["items"]:
        heard = [samples(address) for address in item["sounds"].values()]
        assert len(heard) == len(CONDITIONS) + 1
        assert np.ptp([meter.integrated_loudness(one) for one in heard]) < 0.1
        assert all(20 * np.log10(np.abs(one).max()) < -1 for one in heard)


def test_a_sound_is_that_of_its_condition(held, trials):
    for item, trial in zip(held["items"], trials, strict=True):
        for name, expected in {**trial.sounds, pages.STYLE: trial.style}.items():
            assert likeness(samples(item["sounds"][name]), expected) > 0.999


def likeness(heard, expected):
    """The highest normalised correlation over all shifts that leave both whole."""
    found = signal.correlate(expected, heard, mode="valid") if len(heard) <= len(expected) else None
    power = np.sqrt(signal.correlate(expected**2, np.ones(len(heard)), mode="valid") * np.sum(heard**2))
    return np.max(np.abs(found / power))


def test_the_page_stands_alone(page):
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert not addresses
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)


# ---- In a browser

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
pytestmark = pytest.mark.debian("chromium")
# All that comes to a destination comes to an analyser as well, which holds the last samples: what is really heard.
RECORDER = """
window.contexts = [];
const Real = AudioContext;
window.AudioContext = class extends Real {
  constructor(options) {
    super(options);
    contexts.push(this);
    this.heard = new AnalyserNode(this, { fftSize: 32768, smoothingTimeConstant: 0 });
  }
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to === this.context.destination && this.context.heard) connect.call(this, this.context.heard);
  return connect.call(this, to, ...rest);
};
window.lately = (count) => {
  const samples = new Float32Array(32768);
  contexts[0].heard.getFloatTimeDomainData(samples);
  return [...samples.slice(-count)];
};
"""


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, page, tmp_path):
    """Opens the page without a network; at the end, nothing was complained of and nothing else was asked for."""
    address = tmp_path / "listening_test.html"
    address.write_text(page)
    complaints, asked, contexts = [], [], []

    def open_page(size=DESKTOP, **more):
        context = chromium.new_context(viewport=size, offline=True, **more)
        contexts.append(context)
        context.add_init_script(RECORDER)
        shown = context.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(address.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {address.as_uri()}


def begin(shown, seed=7, listener="A, B"):
    shown.get_by_label("Your name").fill(listener)
    shown.get_by_label("Seed").fill(str(seed))
    shown.get_by_role("button", name="Begin").click()


def slot(shown, number):
    return shown.locator(f".rows button[data-slot='{number}']")


def slider(shown, number):
    return shown.locator(f".rows input[data-slot='{number}']")


def recognised(shown, held, item):
    """The name and likeness of the sound of an item that the last tenth of a second was, and where it was in it."""
    heard = np.array(shown.evaluate(f"lately({RATE // 10})"))
    found = {}
    for name, address in held["items"][item]["sounds"].items():
        twice = np.tile(samples(address), 2)
        found[name] = likeness(heard, twice), twice
    best = max(found, key=lambda name: found[name][0])
    place = np.argmax(np.abs(signal.correlate(found[best][1], heard, mode="valid"))) % (SECONDS * RATE)
    return best, found[best][0], place / RATE


def told(shown, name):
    """A value of the script: what is where after shuffling, which no listener sees."""
    return shown.evaluate(name)


def wait_for_sound(shown):
    """A tenth of a second after the switch, so that nothing of the sound before is in it."""
    shown.wait_for_function("contexts.length && contexts[0].state === 'running' && active")
    now = shown.evaluate("since")
    shown.wait_for_function(f"contexts[0].currentTime > {now} + 0.25")


def test_nothing_sounds_before_a_click_and_then_what_was_asked_for_alone(opened, held):
    shown = opened()
    begin(shown)
    assert shown.evaluate("contexts.length") == 0
    item = told(shown, "item()")
    asked = {pages.STYLE: shown.get_by_role("button", name="Style reference")}
    asked[REFERENCE] = shown.get_by_role("button", name=re.compile("^Reference"))
    asked[ANCHOR] = shown.get_by_role("button", name="Dry input")
    order = [CONDITIONS[index] for index in told(shown, "order.conditions[item()]")]
    assert sorted(order) == sorted(CONDITIONS)
    pressed = [*asked.items(), *((name, slot(shown, place)) for place, name in enumerate(order, 1))]
    for name, button in pressed:
        button.click()
        wait_for_sound(shown)
        while True:  # not across the seam of the loop, where a fade is
            best, alike, place = recognised(shown, held, item)
            if 0.01 < place < SECONDS - 0.11:
                break
            time.sleep(0.15)
        assert best == name and alike > 0.999, (name, best, alike)
        expect(button).to_have_attribute("aria-pressed", "true")
        assert shown.locator("[aria-pressed=true]").count() == 1
    shown.keyboard.press("Escape")
    time.sleep(0.4)
    assert np.abs(shown.evaluate(f"lately({RATE // 10})")).max() < 1e-6
    assert shown.locator("[aria-pressed=true]").count() == 0


def test_a_switch_keeps_the_place(opened, held):
    """Between two looks the place goes on by as much as the clock does, whatever is switched meanwhile."""
    shown = opened()
    begin(shown)
    item = told(shown, "item()")
    slot(shown, 1).click()
    places = []
    for number in (1, 2, 3, 2):
        if number > 1:
            slot(shown, number).click()
        wait_for_sound(shown)
        now, heard = shown.evaluate(f"[contexts[0].currentTime, lately({RATE // 10})]")
        name = CONDITIONS[told(shown, f"conditionOf({number})")]
        twice = np.tile(samples(held["items"][item]["sounds"][name]), 2)
        places.append(np.argmax(signal.correlate(twice, np.array(heard), mode="valid")) / RATE - now)
    drift = np.diff(places) % SECONDS
    assert np.minimum(drift, SECONDS - drift).max() < 0.04


def test_a_loop_is_played_over_its_range(opened, held):
    shown = opened()
    begin(shown)
    item = told(shown, "item()")
    slot(shown, 2).click()
    for name, value in (("from", 0.5), ("to", 1.0)):
        shown.locator(f"[data-part={name}]").fill(str(value))
    wait_for_sound(shown)
    expected = samples(held["items"][item]["sounds"][CONDITIONS[told(shown, "conditionOf(2)")]])
    time.sleep(0.6)
    heard = np.array(shown.evaluate(f"lately({RATE // 2})"))
    looped = np.tile(expected[RATE // 2 : RATE], 3)
    assert likeness(heard, looped) > 0.98  # seams are faded
    assert likeness(heard, np.tile(expected, 2)) < 0.9


def test_nothing_tells_which_sound_is_which(opened):
    shown = opened()
    begin(shown)
    slot(shown, 1).click()
    wait_for_sound(shown)
    shown.evaluate("for (const script of document.querySelectorAll('script')) script.remove()")
    rows = shown.locator(".rows").evaluate("(rows) => rows.outerHTML").lower()
    whole = shown.content().lower()
    for name in CONDITIONS:
        assert name not in rows
    text = shown.inner_text("body").lower()
    whole = re.sub(r'<head>.*?</head>|<section data-part="end".*?</section>|\bhidden=""', "", whole, flags=re.S)
    for secret in ("matcher", "constant", "extra trees", "hidden reference", "distortion", "pedalboard", *PAIRINGS):
        assert secret not in whole and secret not in text
    labels = shown.eval_on_selector_all("[aria-label]", "(nodes) => nodes.map((node) => node.ariaLabel)")
    assert {label for label in labels if re.match("(Sound|Rating)", label)} == {
        f"{word} {number}" for word in ("Sound", "Rating of sound") for number in range(1, 6)
    }


def answer_an_item(shown, values):
    """Hears every sound long enough and rates it, by condition."""
    for number in range(1, 6):
        slot(shown, number).click()
        shown.wait_for_function(f"state.seconds[item()][conditionOf({number})] >= 1")
        name = CONDITIONS[told(shown, f"conditionOf({number})")]
        slider(shown, number).fill(str(values[name]))


def test_an_item_is_left_only_after_all_was_heard_and_rated_and_it_is_told_why(opened):
    shown = opened()
    begin(shown)
    following, todo = shown.locator("[data-part=next]"), shown.get_by_role("status")
    expect(todo).to_contain_text("hear sounds 1, 2, 3, 4, 5")
    for number in range(1, 6):
        slider(shown, number).fill("40")
    expect(todo).not_to_contain_text("rate sound")
    following.click(force=True)  # playwright waits for what is disabled; a listener does not
    expect(todo).to_contain_text("Not yet: hear sounds 1, 2, 3, 4, 5")
    expect(todo).to_contain_text("compared only where all")
    expect(shown.get_by_role("heading", name="Item 1 of 3")).to_be_visible()
    answer_an_item(shown, dict.fromkeys(CONDITIONS, 50))
    expect(following).to_have_attribute("aria-disabled", "false")
    following.click()
    expect(shown.get_by_role("heading", name="Item 2 of 3")).to_be_focused()


def test_ratings_come_to_the_file_under_their_condition_and_a_reload_keeps_them(opened, held, tmp_path, capsys):
    shown = opened()
    begin(shown, listener='A, "B"')
    wanted = {}
    for place in range(ITEMS):
        item = told(shown, "item()")
        # By the sound, not by what the script thinks of it: a slot is rated for what is heard of it.
        by_sound = {}
        for number in range(1, 6):
            slot(shown, number).click()
            shown.wait_for_function(f"state.seconds[item()][conditionOf({number})] >= 1.05")
            name, alike, _ = recognised(shown, held, item)
            assert alike > 0.9
            by_sound[number] = name
        assert sorted(by_sound.values()) == sorted(CONDITIONS)
        for number, name in by_sound.items():
            value = 10 * CONDITIONS.index(name) + item if name != REFERENCE else 100 - 20 * (item == 1)
            slider(shown, number).fill(str(value))
            wanted[item + 1, name] = value
        if place == 1:
            shown.reload()
            assert shown.evaluate("contexts.length") == 0
            expect(shown.get_by_role("heading", name="Item 2 of 3")).to_be_visible()
            for number, name in by_sound.items():
                expect(slider(shown, number)).to_have_value(str(wanted[item + 1, name]))
            expect(shown.locator("[data-part=next]")).to_have_attribute("aria-disabled", "false")
        shown.locator("[data-part=next]").click()
    with shown.expect_download() as download:
        shown.get_by_role("button", name="Save").click()
    path = tmp_path / download.value.suggested_filename
    assert path.name == "listening_A_B__7.csv"
    download.value.save_as(path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == ratings.COLUMNS
    assert {(int(row["item"]), row["condition"]): int(row["rating"]) for row in rows} == wanted
    assert [int(row["order"]) for row in rows] == list(range(1, 16))
    assert {row["listener"] for row in rows} == {'A, "B"'} and {row["seed"] for row in rows} == {"7"}
    assert all(1 <= float(row["seconds"]) < 20 for row in rows)
    assert {(int(row["item"]), row["pairing"]) for row in rows} == set(enumerate(PAIRINGS, 1))
    # The reveal says the same, and the reader of files too.
    told_at_the_end = shown.inner_text("[data-part=screening]")
    assert "below 90 in 1 of 3 items (33 %)" in told_at_the_end and "left out" in told_at_the_end
    for name in CONDITIONS:
        mean = np.mean([value for (_, own), value in wanted.items() if own == name])
        line = shown.locator("[data-part=means] tr").filter(has_text=re.compile(f"^{name}"))
        assert f"{mean:.1f}" in line.inner_text()
    for number in range(1, ITEMS + 1):
        match = shown.locator(".match").nth(number - 1)
        assert held["items"][number - 1]["title"] in match.inner_text()
        for name in CONDITIONS:
            row = match.locator("tr").filter(has=shown.get_by_role("button", name=name, exact=True))
            assert row.locator(".number").inner_text() == str(wanted[number, name])
        image = match.locator("img")
        image.scroll_into_view_if_needed()
        shown.wait_for_function("(image) => image.naturalWidth > 600", arg=image.element_handle())
    match.get_by_role("button", name=MATCHER).click()
    wait_for_sound(shown)
    assert recognised(shown, held, ITEMS - 1)[0] == MATCHER
    listening_ratings.main(listening_ratings.Options((path,)))
    assert 'A, "B" is left out: the hidden reference below 90 in 33% of items' in capsys.readouterr().out
    shown.on("dialog", lambda dialog: dialog.accept())
    shown.get_by_role("button", name="Begin anew").click()
    expect(shown.get_by_label("Your name")).to_have_value("")


def test_one_item_is_done_by_the_keyboard_alone(opened):
    shown = opened()
    expect(shown.get_by_label("Your name")).to_be_visible()
    shown.keyboard.press("Tab")
    shown.keyboard.type("KB")
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("heading", name="Item 1 of 3")).to_be_focused()
    for key, label in (("r", "Reference"), ("s", "Style reference"), ("d", "Dry input")):
        shown.keyboard.press(key)
        expect(shown.get_by_role("button", name=re.compile(f"^{label}"))).to_have_attribute("aria-pressed", "true")
    for number in range(1, 6):
        shown.keyboard.press(str(number))
        expect(slider(shown, number)).to_be_focused()
        assert slider(shown, number).evaluate("(node) => getComputedStyle(node).outlineStyle") == "solid"
        shown.wait_for_function(f"state.seconds[item()][conditionOf({number})] >= 1")
        for key in ("Home",) if number == 1 else ("End", "PageDown", "ArrowLeft"):
            shown.keyboard.press(key)
        expected = "0, Bad" if number == 1 else "89, Excellent"
        expect(slider(shown, number)).to_have_attribute("aria-valuetext", expected)
    shown.keyboard.press("Escape")
    assert shown.locator("[aria-pressed=true]").count() == 0
    for _ in range(10):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.dataset.part") == "next":
            break
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("heading", name="Item 2 of 3")).to_be_focused()


def test_the_order_is_that_of_the_seed(opened):
    orders = {}
    for seed in (7, 7, 8, 9, 4_294_967_295):
        shown = opened()
        begin(shown, seed)
        orders.setdefault(seed, []).append(json.dumps(told(shown, "order")))
    assert orders[7][0] == orders[7][1]
    assert len({own for of_seed in orders.values() for own in of_seed}) == 4
    # All places are as likely: of 2,000 seeds each condition is in each slot of each item in a fifth.
    orders = np.array(shown.evaluate("Array.from({ length: 2000 }, (_, seed) => drawn(seed).conditions[1])"))
    counts = np.array([[np.sum(orders[:, place] == own) for place in range(5)] for own in range(5)])
    assert np.abs(counts - 400).max() < 5 * np.sqrt(2_000 * 0.2 * 0.8)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_fits_the_window(opened, size):
    shown = opened(size)
    assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    begin(shown)
    assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    shown.evaluate("state.ratings = empty(50); go(3)")
    assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_the_light_and_in_the_dark(opened, scheme):
    """Contrast of at least 4.5 (WCAG 2, 1.4.3) for every text and button."""
    shown = opened(color_scheme=scheme)
    begin(shown)
    slot(shown, 1).click()
    shown.wait_for_function("active")
    pairs = shown.evaluate("""() => {
      const style = (node) => getComputedStyle(node);
      const written = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
      const shown = (node) => node.offsetParent && !node.closest("[aria-disabled=true]");
      return all("main *").filter((node) => shown(node) && written(node)).map((node) => {
        let ground = node;
        while (style(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        return [style(node).color, style(ground).backgroundColor];
      });
    }""")
    assert len(pairs) > 15
    for pair in set(map(tuple, pairs)):
        lighter, darker = sorted((luminance(colour) for colour in pair), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, pair
    assert (luminance(shown.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.5) == (scheme == "light")


def luminance(colour):
    numbers = np.array([float(number) for number in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# ---- The command


def test_the_command_writes_a_page_of_a_matcher_with_its_pictures(matched, tmp_path):
    options = listening_test.Options(matched, tmp_path, items=3, candidates=3, refine=6, fit_clips=20)
    page, *pictures = listening_test.main(options)
    assert page == tmp_path / "listening_test.html"
    text = page.read_text()
    held = json.loads(re.search(r'id="test">(.*?)</script>', text, re.DOTALL)[1])
    assert 1 <= len(held["items"]) == len(pictures) <= 3
    for item, path in zip(held["items"], pictures, strict=True):
        assert item["picture"].endswith(base64.b64encode(path.read_bytes()).decode())
        assert set(item["settings"]) == {REFERENCE, CONSTANT, TREES, MATCHER}


@pytest.mark.parametrize("change", [{"items": 0}, {"refine": 0}, {"fit_clips": 5}])
def test_sizes_that_measure_nothing_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match="or more"):
        listening_test.Options(tmp_path, **change)
