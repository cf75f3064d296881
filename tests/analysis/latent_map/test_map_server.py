"""The interface of the server, and what it refuses."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile
import uvicorn

from analysis.latent_map import server, source
from analysis.latent_map.source import MOST_BYTES


@pytest.fixture(scope="module")
def running(atlas):
    """Port of a server in a thread."""
    at = server.listen(18_765)
    port = at.getsockname()[1]
    settings = uvicorn.Config(server.application(atlas, port), log_level="error", lifespan="off", ws="none")
    one = uvicorn.Server(settings)
    thread = threading.Thread(target=one.run, kwargs={"sockets": [at]})
    thread.start()
    yield port
    one.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def client(running):
    with httpx.Client(base_url=f"http://127.0.0.1:{running}", timeout=30) as one:
        yield one


def files(atlas):
    """Names of those that the server holds, which tests share."""
    return {path.name for path in atlas.sources._folder.iterdir()}


def pcm(answer):
    assert answer.status_code == 200, answer.text
    channels = int(answer.headers["x-channels"])
    audio = np.frombuffer(answer.content, "<f4").reshape(channels, -1)
    assert audio.shape[1] == int(answer.headers["x-samples"])
    return audio


def test_maps_tell_state_figures_and_parameters(client, atlas):
    found = client.get("/api/maps").json()
    assert found["run"] == "tiny" and found["source"] == "chirp"
    states = {state["id"]: state for state in found["maps"]}
    assert states.keys() == {"pedalboard-distortion", "pedalboard-delay", "all"}
    assert (states["pedalboard-delay"]["placed"], states["pedalboard-delay"]["doing"]) == (120, "nothing")
    assert (states["pedalboard-distortion"]["placed"], states["pedalboard-distortion"]["doing"]) == (0, "render")
    delay = client.get("/api/maps/pedalboard-delay").json()
    assert [p["name"] for p in delay["effects"][0]["parameters"]] == ["delay_seconds", "feedback", "mix"]
    assert delay["effects"][0]["parameters"][0]["unit"] == "s"
    assert delay["effects"][0]["neutral"].keys() == {"delay_seconds", "feedback", "mix"}
    assert len(delay["dry_place"]) == 2 and -1 <= delay["figures"]["strength_up"] <= 1
    assert len(client.get("/api/maps/all").json()["effects"]) == 2
    assert client.get("/api/maps/pedalboard-distortion").json()["figures"] is None
    assert client.get("/api/maps/nothing").status_code == 404


def test_columns_are_those_of_the_store(client, atlas):
    store = atlas.build("all").store
    for name, width in {"settings": 3, "predicted": 3, "brightness": 1, "loudness": 1, "strength": 1}.items():
        answer = client.get(f"/api/maps/all/columns/{name}", params={"points": 100})
        assert (answer.headers["x-points"], answer.headers["x-width"]) == ("100", str(width))
        expected = store.column(name)[:100]
        np.testing.assert_array_equal(np.frombuffer(answer.content, "<f4").reshape(expected.shape), expected)
    effect = client.get("/api/maps/all/columns/effect", params={"points": 120})
    np.testing.assert_array_equal(np.frombuffer(effect.content, np.uint8), np.arange(120) % 2)
    for count in (60, 120):  # of both layouts
        place = client.get("/api/maps/all/columns/place", params={"points": count})
        np.testing.assert_array_equal(np.frombuffer(place.content, "<f4").reshape(-1, 2), store.place(count))
    assert client.get("/api/maps/all/columns/place", params={"points": 61}).status_code == 409
    assert client.get("/api/maps/all/columns/strength", params={"points": 121}).status_code == 409
    assert client.get("/api/maps/all/columns/latent", params={"points": 5}).status_code == 404
    assert client.get("/api/maps/all/columns/..%2fmanifest", params={"points": 5}).status_code == 404


def test_a_point_its_place_and_its_settings_sound_as_the_effect_does(client, atlas):
    ask = {"map": "pedalboard-delay", "source": "chirp"}
    store = atlas.build("pedalboard-delay").store
    kind = atlas.build("pedalboard-delay").points.kinds[0]
    answer = client.get("/api/render", params={**ask, "point": 17})
    own = kind.settings(store.column("settings")[17])
    assert json.loads(answer.headers["x-settings"]) == pytest.approx(own)
    assert (answer.headers["x-effect"], answer.headers["x-point"]) == ("pedalboard/Delay", "17")
    assert answer.headers["x-sample-rate"] == "22050"
    assert [part.partition(";")[0] for part in answer.headers["server-timing"].split(", ")] == [
        *("queue", "nearest", "render", "level")
    ]
    # An independent render correlates with it; one at other settings does not.
    window = atlas.sources.get("chirp").window
    expected = np.stack([kind.render(channel, own, 22_050) for channel in window])
    heard = pcm(answer)
    assert np.corrcoef(heard.ravel(), expected.ravel())[0, 1] > 0.9999
    other = pcm(client.get("/api/render", params={**ask, "point": 18}))
    assert np.corrcoef(other.ravel(), expected.ravel())[0, 1] < 0.999

    x, y = store.place(120)[17].tolist()
    blended = client.get("/api/render", params={**ask, "x": x, "y": y})
    predicted = kind.settings(store.column("predicted")[17])
    assert json.loads(blended.headers["x-settings"]) == pytest.approx(predicted, rel=1e-5)
    same = client.get("/api/render", params={**ask, "point": 17, "amount": 1})
    assert json.loads(same.headers["x-settings"]) == pytest.approx(predicted, rel=1e-5)
    neutral = client.get("/api/render", params={**ask, "x": x, "y": y, "amount": 0})
    told = client.get("/api/maps/pedalboard-delay").json()["effects"][0]["neutral"]
    assert json.loads(neutral.headers["x-settings"]) == pytest.approx(told, rel=1e-5)
    given = client.get("/api/render", params={**ask, "effect": "pedalboard/Delay", "settings": json.dumps(own)})
    np.testing.assert_array_equal(pcm(given), heard)
    assert given.headers["x-point"] == ""


def test_the_dry_window_is_the_recording(client, atlas):
    np.testing.assert_array_equal(pcm(client.get("/api/dry?source=chirp")), atlas.sources.get("chirp").window)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("map=pedalboard-delay&source=chirp", 400),
        ("map=pedalboard-delay&source=chirp&point=1&x=0&y=0", 400),
        ("map=pedalboard-delay&source=chirp&x=0", 400),
        ("map=pedalboard-delay&source=chirp&x=nan&y=0", 400),
        ("map=pedalboard-delay&source=chirp&point=1&amount=2", 400),
        ("map=pedalboard-delay&source=chirp&point=one", 400),
        ("map=pedalboard-delay&source=chirp&point=120", 404),
        ("map=pedalboard-delay&source=chirp&point=-1", 404),
        ("map=pedalboard-delay&source=none&point=1", 404),
        ("map=none&source=chirp&point=1", 404),
        ("map=pedalboard-distortion&source=chirp&point=1", 409),
        ("map=pedalboard-delay&source=chirp&effect=pedalboard/Reverb&settings={}", 404),
        ('map=pedalboard-delay&source=chirp&effect=pedalboard/Delay&settings={"mix":9}', 400),
        ('map=pedalboard-delay&source=chirp&effect=pedalboard/Delay&settings={"mix":"a"}', 400),
        ('map=pedalboard-delay&source=chirp&effect=pedalboard/Delay&settings={"mix":NaN}', 400),
        ("map=pedalboard-delay&source=chirp&effect=pedalboard/Delay&settings=" + "[" * 3_000, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_a_sentence(client, query, status):
    answer = client.get(f"/api/render?{query}")
    assert answer.status_code == status, answer.text
    assert len(answer.json()["error"]) > 10 and "Traceback" not in answer.text


def test_a_recording_is_given_heard_and_exported(client, atlas, tmp_path):
    audio = 0.05 * np.random.default_rng(2).normal(size=(3 * 44_100, 2))
    soundfile.write(tmp_path / "mine.flac", audio, 44_100)
    content = (tmp_path / "mine.flac").read_bytes()
    before = files(atlas)
    answer = client.post("/api/sources", params={"name": "../../mine.flac"}, content=content)
    assert answer.status_code == 201, answer.text
    mine = answer.json()
    assert (mine["name"], mine["sample_rate"], mine["channels"]) == ("mine.flac", 44_100, 2)
    assert client.get("/api/sources").json()[0]["id"] == mine["id"]
    ask = {"map": "pedalboard-delay", "source": mine["id"], "x": 0.1, "y": 0.2}
    rendered = client.get("/api/render", params=ask)
    heard = pcm(rendered)
    assert heard.shape == (2, 3 * 44_100)
    kept = client.get("/api/export", params={**ask, "format": "wav"})
    (tmp_path / "kept.wav").write_bytes(kept.content)
    found, rate = soundfile.read(tmp_path / "kept.wav")
    assert rate == 44_100
    np.testing.assert_allclose(found.T * 10 ** (atlas.sources.get(mine["id"]).play_db / 20), heard, atol=1e-4)
    record = client.get("/api/export", params={**ask, "format": "json"})
    assert record.json()["settings"] == json.loads(rendered.headers["x-settings"])
    compile(client.get("/api/export", params={**ask, "format": "python"}).text, "render.py", "exec")
    assert client.get("/api/export", params={**ask, "format": "exe"}).status_code == 400
    assert files(atlas) - before == {f"{mine['id']}.flac"}  # what was exported is deleted


def test_a_reference_that_was_made_at_a_point_lands_near_it(client, atlas, tmp_path):
    build = atlas.build("pedalboard-delay")
    kind, place, near, before = build.points.kinds[0], build.store.place(120), 0, files(atlas)
    for point in range(0, 120, 10):
        wet = kind.render(build.points.entering, kind.settings(build.store.column("settings")[point]), 8_000)
        soundfile.write(tmp_path / "wet.wav", wet, 8_000, "FLOAT")
        ask = {"map": "pedalboard-delay", "name": "wet.wav"}
        answer = client.post("/api/reference", params=ask, content=(tmp_path / "wet.wav").read_bytes())
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert len(found["neighbours"]) == 10 and found["radius"] >= 0
        assert found["settings"].keys() == {"delay_seconds", "feedback", "mix"}
        near += np.hypot(*(place[point] - (found["x"], found["y"]))) < 0.1
    assert near >= 10  # of 12
    assert files(atlas) == before


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("zip.wav", b"PK\x03\x04" + bytes(1_000), 422),
        ("a.exe", b"MZ", 422),
        ("empty.wav", b"", 400),
        ("x" * 300 + ".wav", b"RIFF", 400),
    ],
)
@pytest.mark.parametrize("path", ["/api/sources?", "/api/reference?map=pedalboard-delay&"])
def test_files_that_are_no_audio_are_refused_and_not_kept(client, atlas, path, name, content, status):
    before = set(atlas.sources._folder.iterdir())
    answer = client.post(f"{path}name={name}", content=content)
    assert answer.status_code == status, answer.text
    assert str(atlas.sources._folder) not in answer.text
    assert set(atlas.sources._folder.iterdir()) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:PORT"},
        {"Host": "127.0.0.1:80"},
        {"Host": "127.0.0.1.evil.example:PORT"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/maps"), ("POST", "/api/sources?name=a.wav"), ("POST", "/api/maps/all/open"), ("GET", "/map.js")],
)
def test_other_hosts_and_origins_are_refused(client, running, method, path, headers):
    headers = {name: value.replace("PORT", str(running)) for name, value in headers.items()}
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 403 and answer.json()["error"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_own_page_is_let_in_with_headers_that_confine_it(client, running, name):
    host = f"{name}:{running}"
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    page = client.get("/", headers={"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert page.status_code == 200 and "Latent map" in page.text  # by a link from elsewhere
    for answer in (page, client.get("/map.js", headers=own), client.get("/api/maps", headers=own)):
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in answer.headers["content-security-policy"]
    for path in ("/docs", "/openapi.json", "/../server.py", "/%2e%2e/server.py", "/..%2fserver.py"):
        assert client.get(path, headers=own).status_code == 404


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_two_gigabytes_are_refused_at_once_where_they_are_announced(running):
    with socket.create_connection(("127.0.0.1", running), 10) as line:
        line.sendall(
            b"POST /api/sources?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n"
            % (running, 2**31)
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_two_gigabytes_that_are_not_announced_are_refused_early_and_take_no_memory(running, atlas):
    before, piece, known = resident_bytes(), bytes(2**20), files(atlas)
    sent, most, answer = 0, 0, b""
    with socket.create_connection(("127.0.0.1", running), 10) as line:
        line.sendall(
            b"POST /api/sources?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\n\r\n"
            % running
        )
        try:
            while sent < 2**31:
                line.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
                sent += len(piece)
                most = max(most, resident_bytes())
        except OSError:  # the server has hung up
            pass
        try:
            answer = line.recv(100)
        except OSError:  # it was lost with the connection
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 413")
    assert MOST_BYTES <= sent < 2 * MOST_BYTES
    assert most - before < 40 * 2**20
    deadline = time.monotonic() + 10
    while files(atlas) != known and time.monotonic() < deadline:
        time.sleep(0.05)
    assert files(atlas) == known


def test_two_clients_at_once_get_what_each_asked_for(running, atlas):
    expected = {point: atlas.sound(atlas.at_point("pedalboard-delay", point), "chirp").audio for point in range(8)}

    def ask(name):
        with httpx.Client(base_url=f"http://127.0.0.1:{running}", timeout=30) as one:
            for point in range(8):
                query = {"map": "pedalboard-delay", "source": "chirp", "client": name, "point": point}
                np.testing.assert_array_equal(pcm(one.get("/api/render", params=query)), expected[point])
        return True

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(ask, ("one", "two")))


def test_where_a_port_is_taken_the_next_is_used_and_told(capsys):
    with server.listen(28_765) as first, server.listen(first.getsockname()[1]) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
        assert ports[1] > ports[0]
        assert f"port {ports[0]} is taken, so the map is at {ports[1]}" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_ended_leaves_no_file_and_no_port(trained, tmp_path, number):
    (tmp_path / "temporary").mkdir()
    with server.listen(38_765) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "launch.latent_map", str(trained), "--effects", "pedalboard/Distortion"]
    command += ["--points", "2000", "--maps", str(tmp_path / "maps"), "--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    )
    try:
        assert f"the map is at http://127.0.0.1:{port}/" in process.stdout.readline()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as one:
            content = next(source.BUNDLED.rglob("loop_tabla.ogg")).read_bytes()
            assert one.post("/api/sources", params={"name": "a.ogg"}, content=content).status_code == 201
            assert len(list((tmp_path / "temporary").glob("jaxvae-map-*/*.ogg"))) == 1
        process.send_signal(number)
        assert process.wait(30) != 0
    finally:
        process.kill()
        process.stdout.close()
    assert not list((tmp_path / "temporary").glob("jaxvae-map-*"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)
