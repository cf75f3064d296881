"""The page of the latent map in a browser: what is heard is what was clicked."""

import base64
import json
import re
import shutil
import threading
import time

import numpy as np
import pytest
import soundfile
import uvicorn
from playwright.sync_api import expect, sync_playwright
from scipy import signal

from analysis.latent_map import server

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--mute-audio",
]
# Beside the loudspeaker, what is played is written down, and how many sources there are at once.
TAP = """
window.taken = []; window.sources = 0; window.most = 0; window.starts = 0; window.rate = 0;
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode && !(this instanceof ScriptProcessorNode)) {
    const tap = this.context.createScriptProcessor(4096, 2, 2);
    window.rate = this.context.sampleRate;
    tap.onaudioprocess = ({ inputBuffer }) => {
      window.taken.push([0, 1].map((channel) => inputBuffer.getChannelData(channel).slice()));
    };
    window.tap = tap;
    connect.call(this, tap);
    connect.call(tap, to);
  }
  return connect.call(this, to, ...rest);
};
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...rest) {
  window.starts += 1;
  window.sources += 1;
  window.most = Math.max(window.most, window.sources);
  this.addEventListener("ended", () => (window.sources -= 1));
  return start.apply(this, rest);
};
"""
TAKEN = """() => [0, 1].map((channel) => {
  const bytes = new Uint8Array(Float32Array.from(window.taken.flatMap((block) => [...block[channel]])).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 30000) text += String.fromCharCode(...bytes.subarray(i, i + 30000));
  return btoa(text);
})"""


@pytest.fixture(scope="module")
def address(atlas):
    at = server.listen(19_765)
    port = at.getsockname()[1]
    settings = uvicorn.Config(server.application(atlas, port), log_level="error", lifespan="off", ws="none")
    one = uvicorn.Server(settings)
    thread = threading.Thread(target=one.run, kwargs={"sockets": [at]})
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    one.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, address):
    """Opens the page at a fragment; at the end, nothing was complained of and nothing else was asked."""
    complaints, asked = [], []

    def note(message):
        if "ScriptProcessorNode is deprecated" not in message.text:  # that of TAP
            complaints.append(message.text)

    def open_page(fragment="#map=pedalboard-delay", size=None):
        page = chromium.new_page(viewport=size or {"width": 1_200, "height": 800})
        page.add_init_script(TAP)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address + fragment)
        expect(page.locator("#status")).not_to_be_empty()
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith((address, f"blob:{address}")) for url in asked)


def pixel(page, atlas, point):
    """Where a point of the map of Delay is on the screen: the square [-1.1, 1.1] fills the smaller side."""
    box = page.locator("#map").bounding_box()
    x, y = atlas.build("pedalboard-delay").store.place(120)[point].tolist()
    scale = min(box["width"], box["height"]) / 2.2
    return box["x"] + box["width"] / 2 + x * scale, box["y"] + box["height"] / 2 - y * scale


def lonely(atlas, count):
    """Points far from all others, so that a click cannot mean another, the loneliest first."""
    places = atlas.build("pedalboard-delay").store.place(120)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
    return np.argsort(-distances.min(axis=1))[:count].tolist()


def taken(page):
    return np.stack([np.frombuffer(base64.b64decode(text), "<f4") for text in page.evaluate(TAKEN)])


def render(atlas, point):
    """By the effect itself, from the columns."""
    build = atlas.build("pedalboard-delay")
    kind, window = build.points.kinds[0], atlas.sources.get("chirp").window
    settings = kind.settings(build.store.column("settings")[point])
    return np.stack([kind.render(channel, settings, 22_050) for channel in window])


def likeness(heard, expected):
    """Largest normalised cross-correlation of the last second that was heard with a loop of what was expected."""
    piece = heard[:, -22_050:]
    loop = np.concatenate([expected, expected], axis=1)
    dots = sum(signal.correlate(one, other, "valid") for one, other in zip(loop, piece, strict=True))
    energies = sum(signal.correlate(one**2, np.ones(piece.shape[1]), "valid") for one in loop)
    return float((dots / np.sqrt(energies * (piece**2).sum() + 1e-20)).max())


def listen(page, seconds=1.6):
    page.evaluate("window.taken = []")
    deadline = time.monotonic() + 20
    while not page.evaluate(f"window.taken.length * 4096 > {seconds} * window.rate"):
        assert time.monotonic() < deadline, "nothing was played"
        page.wait_for_timeout(50)
    return taken(page)


def played(page, point):
    expect(page.locator("#chosen")).to_have_text(f"pedalboard/Delay, point {point}")
    expect(page.locator("#latency")).to_contain_text("click → sound")


def test_a_click_plays_the_nearest_point_and_nothing_was_heard_before(opened, atlas):
    page = opened()
    page.mouse.move(*pixel(page, atlas, lonely(atlas, 2)[1]))  # no gesture
    page.wait_for_timeout(300)
    assert page.evaluate("window.starts") == 0 and not page.evaluate("window.taken.length")
    point, other = lonely(atlas, 2)
    page.mouse.click(*pixel(page, atlas, point))
    played(page, point)
    heard = listen(page)
    assert page.evaluate("window.rate") == 22_050
    assert np.sqrt((heard[:, -22_050:] ** 2).mean()) > 1e-3
    assert likeness(heard, render(atlas, point)) >= 0.999
    assert likeness(heard, render(atlas, other)) < 0.999
    assert np.abs(heard).max() <= 10 ** (-1 / 20)

    # Dry and Wet are equally loud, and the dry one is the recording.
    page.keyboard.press("b")
    dry = listen(page)
    assert likeness(dry, atlas.sources.get("chirp").window) >= 0.999
    expect(page.locator("#matched")).to_have_text(re.compile(r"^matched [−+]\d+\.\d dB"))
    page.keyboard.press("b")
    assert likeness(listen(page), render(atlas, point)) >= 0.999
    page.locator("#map").focus()
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    assert not listen(page, 0.5)[:, -4_096:].any()


def test_dragging_plays_the_last_and_never_more_than_two(opened, atlas):
    page = opened()
    points = lonely(atlas, 8)
    page.mouse.move(*pixel(page, atlas, points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*pixel(page, atlas, point), steps=6)
        page.wait_for_timeout(40)
    page.mouse.up()
    played(page, points[-1])
    heard = listen(page)
    assert likeness(heard, render(atlas, points[-1])) >= 0.999
    assert page.evaluate("window.starts") >= 4
    assert page.evaluate("window.most") == 2


def test_a_click_gives_up_the_render_before_it(opened, atlas):
    page = opened()
    given_up = []
    page.on("requestfailed", lambda request: given_up.append(request.url))
    first, last = lonely(atlas, 2)
    held = []
    page.route(f"**/api/render?*point={first}&*", lambda route: held.append(route))  # it is never answered
    page.mouse.click(*pixel(page, atlas, first))
    page.wait_for_timeout(100)
    page.mouse.click(*pixel(page, atlas, last))
    played(page, last)
    assert held and len(given_up) == 1 and f"point={first}&" in given_up[0]
    assert page.evaluate("window.starts") == 1
    page.unroute_all(behavior="ignoreErrors")


def test_it_is_used_by_keys_alone(opened, atlas):
    page = opened()
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_have_text(re.compile(r"point \d+$"))
    first = page.locator("#chosen").text_content()
    places = atlas.build("pedalboard-delay").store.place(120)
    before = int(first.split()[-1])
    page.keyboard.press("ArrowUp")
    expect(page.locator("#chosen")).not_to_have_text(first)
    after = int(page.locator("#chosen").text_content().split()[-1])
    moved = places - places[before]
    upward = np.flatnonzero((moved[:, 1] > 1e-6) & (np.abs(moved[:, 0]) <= moved[:, 1]))
    assert after == upward[np.argmin(np.linalg.norm(moved[upward], axis=1))]
    page.keyboard.press("1")
    page.keyboard.press("f")
    expect(page.locator("#kept li")).to_have_count(2)
    page.keyboard.press("u")
    expect(page.locator("#chosen")).to_have_text(first)
    page.keyboard.press("1")
    expect(page.locator("#chosen")).to_have_text("pedalboard/Delay, own settings")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_a_knob_is_heard_and_an_amount_of_none_is_neutral(opened, atlas):
    page = opened()
    point = lonely(atlas, 1)[0]
    page.mouse.click(*pixel(page, atlas, point))
    played(page, point)
    page.locator("#amount").fill("0")
    expect(page.locator("#chosen")).to_have_text("pedalboard/Delay, predicted settings")
    mix = page.get_by_label("Mix", exact=True)
    mix.fill("1000")
    expect(page.locator("#chosen")).to_have_text("pedalboard/Delay, own settings")
    href = page.locator("#export-json").get_attribute("href")
    parameter = next(one for one in atlas.build("pedalboard-delay").points.kinds[0].parameters if one.name == "mix")
    record = page.evaluate("async (path) => (await fetch(path)).json()", href)
    assert record["settings"]["mix"] == pytest.approx(parameter.maximum)
    page.keyboard.press("u")
    expect(page.locator("#chosen")).to_have_text("pedalboard/Delay, predicted settings")
    page.keyboard.press("Control+z")
    played(page, point)
    own = atlas.build("pedalboard-delay").store.column("settings")[point][2]
    assert int(mix.input_value()) == pytest.approx(1_000 * own, abs=1)


def test_what_is_exported_is_what_was_heard(opened, atlas, tmp_path):
    page = opened()
    point = lonely(atlas, 1)[0]
    page.mouse.click(*pixel(page, atlas, point))
    played(page, point)
    for format, name in {"wav": "wet.wav", "json": "settings.json", "python": "render.py"}.items():
        with page.expect_download() as download:
            page.locator(f"#export-{format}").click()
        download.value.save_as(tmp_path / name)
    kept, rate = soundfile.read(tmp_path / "wet.wav")
    expected = render(atlas, point)
    gain = (kept.T * expected).sum() / (expected**2).sum()
    assert rate == 22_050
    np.testing.assert_allclose(kept.T, gain * expected, atol=1e-4)
    build = atlas.build("pedalboard-delay")
    own = build.points.kinds[0].settings(build.store.column("settings")[point])
    assert json.loads((tmp_path / "settings.json").read_text())["settings"] == pytest.approx(own)
    compile((tmp_path / "render.py").read_text(), "render.py", "exec")


def test_a_link_opens_a_point_and_a_reference_is_shown(opened, atlas, tmp_path):
    page = opened("#map=pedalboard-delay&point=17")
    expect(page.locator("#chosen")).to_have_text("pedalboard/Delay, point 17")
    assert page.evaluate("window.starts") == 0
    soundfile.write(tmp_path / "heard.wav", render(atlas, 17).T, 22_050, "FLOAT")
    page.locator("#reference-file").set_input_files(tmp_path / "heard.wav")
    expect(page.locator("#status")).to_contain_text("heard.wav lies at R: pedalboard/Delay")
    page.locator("#source-file").set_input_files(tmp_path / "heard.wav")
    expect(page.locator("#sources option:checked")).to_have_text("heard.wav")


def test_it_fits_a_narrow_window_and_every_map_can_be_coloured(opened):
    page = opened("#map=all", {"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    for value in page.locator("#colour option").evaluate_all("(all) => all.map((one) => one.value)"):
        page.locator("#colour").select_option(value)
        expect(page.locator("#low")).not_to_be_empty()


def test_a_map_that_is_being_built_says_so_and_plays_nothing(opened):
    page = opened()
    page.locator("#maps").select_option("pedalboard-distortion")
    expect(page.locator("#status")).to_contain_text("0 of 120 points; building")
    expect(page.locator("#chosen")).to_have_text("The map is being built.")
    page.locator("#map").click()
    page.locator("#map").press("ArrowUp")
    page.locator("#map").press("Enter")
    page.wait_for_timeout(200)
    assert page.evaluate("window.starts") == 0
