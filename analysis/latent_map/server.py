"""The server of the latent map, on this machine only; this is its interface.

Conventions
    Places are on [-1, 1]; up is more effect, right is brighter. Settings are physical, in the unit of the parameter.
    Binary answers are little-endian, application/octet-stream. Everything else is JSON.
    An error is {"error": "a sentence"} with 400 (a value), 403 (not this server's page), 404 (no such map, source,
    point, column or effect), 409 (superseded: ask no more; or the map is being built: ask again), 413 (too large),
    422 (a recording or a render that cannot be used) or 503 (too many renders wait).
    MAP, SOURCE are ids; CLIENT is any word that names a page: of its renders that wait, only the newest is done.

GET  /api/maps
    {"run", "source": id of what the maps are made of, "maps": [STATE]}, STATE = {"id", "name", "count": points wanted,
    "rendered", "placed": points of the newest layout or 0, "doing": "render", "lay out" or "nothing", "error": null or
    why it cannot be built}
POST /api/maps/MAP/open
    Build it before the others. STATE. No body.
GET  /api/maps/MAP
    STATE with "effects": [{"name", "neutral": {parameter: value} or null, "neutral_point", "parameters": [{"name",
    "unit", "minimum", "maximum", "scale": "linear" or "log", "default", "default_normalized"}]}], "dry_place": [x, y]
    or null, "figures": {"strength_up", "brightness_right", "trustworthiness"} or null.
    First the first 1,000 points are laid out, later all, when "placed" grows: then columns are to be fetched again.
GET  /api/maps/MAP/columns/NAME?points=N
    The first N points; N is "placed" (of `place`, it may be that of the first layout still). Headers X-Points, X-Width.
    place        float32 (N, 2)      x, y in the layout of N points
    effect       uint8 (N)           index into "effects"
    settings     float32 (N, width)  on [0, 1], NaN behind the effect's parameters
    predicted    float32 (N, width)  the same as the run reads them from the latent vectors
    brightness   float32 (N)         spectral centroid, Hz
    loudness     float32 (N)         LU, relative to the dry clip
    strength     float32 (N)         distance from the dry clip; 1 is as far as renders usually are
GET  /api/render?map=MAP&source=SOURCE&client=CLIENT&CHOICE
    The window of the recording (at most 6 s) through an effect: float32, one channel after the other, to be looped.
    CHOICE is one of
        point=I                       a point's own settings
        point=I&amount=A              A of those predicted for it: 0 neutral, 1 as predicted, at most 1.5
        x=X&y=Y [&amount=A]           of those predicted there, between points too
        effect=NAME&settings=JSON     given ones; left out, they take their defaults
    Headers: X-Sample-Rate (Hz), X-Channels, X-Samples (of a channel), X-Effect, X-Settings (JSON), X-Point (the point
    or the nearest; "" for given settings), X-Gain-Db (of the render), X-Short-Db (what it lacks of the loudness of the
    dry recording, 0 but for extreme peaks), Server-Timing: queue, nearest, render, level (ms).
    It is as loud as /api/dry, and no sample exceeds -1 dBFS.
GET  /api/dry?source=SOURCE
    The same window without an effect, with X-Sample-Rate, X-Channels, X-Samples, X-Gain-Db.
GET  /api/sources
    [{"id", "name", "seconds", "bundled"}]
POST /api/sources?name=FILE_NAME
    The body is an audio file of at most 50 MB, ten minutes and two channels, as it is (no form). 201 and {"id", "name",
    "seconds", "bundled": false, "sample_rate", "channels", "window_start_s", "window_s"}. The last 20 are kept.
POST /api/reference?map=MAP&name=FILE_NAME
    The body as above, of a recording that was heard with an effect; it is not kept. {"x", "y", "radius": how far its
    latent neighbours lie from there, "neighbours": [points, the nearest first], "effect", "settings": as the run reads
    them from it}
GET  /api/export?map=MAP&source=SOURCE&format=FORMAT&CHOICE
    A file to keep: FORMAT is json (settings), python (a program) or wav (the whole recording at its own rate and
    channels, 24 bit, as loud as the recording; header X-Short-Db).
GET  /
    The page.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import uvicorn
from fastapi import FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from analysis.latent_map import source
from analysis.latent_map.atlas import Atlas, Chosen, NotReady
from analysis.latent_map.audition import Sound
from analysis.latent_map.guard import Guard
from analysis.latent_map.render_queue import Busy, RenderQueue, Superseded
from analysis.latent_map.source import MOST_BYTES, Unknown
from jaxvae.data.audio_file import AudioError
from jaxvae.effects import EffectError

PAGE = Path(__file__).parent / "page"
PORT = 8_765
_PORTS = 20  # tried, one after the other
_GRACE_S = 2

Text = Annotated[str, Query(max_length=256)]


def application(atlas: Atlas, port: int) -> Guard:
    """The ASGI application of a server at that port."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    queue = RenderQueue()

    def choose(
        map: str,
        point: int | None,
        x: float | None,
        y: float | None,
        amount: float | None,
        effect: str | None,
        settings: str | None,
    ) -> Chosen:
        if point is not None and x is None and y is None and settings is None:
            return atlas.at_point(map, point, amount)
        if x is not None and y is not None and point is None and settings is None:
            return atlas.at_place(map, x, y, amount)
        if effect is not None and settings is not None and point is None and x is None and amount is None:
            return atlas.at_settings(map, effect, _numbers(settings))
        raise ValueError("the choice is not clear; use point, or x and y, or effect and settings")

    @app.get("/api/maps")
    def maps() -> Any:
        states = [atlas.summary(id) for id in atlas.builds]
        return {"run": atlas.encoder.experiment.name, "source": atlas.default_source, "maps": states}

    @app.post("/api/maps/{map}/open")
    def open_map(map: str) -> Any:
        state = atlas.summary(map)
        if state["doing"] != "nothing":
            atlas.builder.ask(map)
        return {**state, "error": None}

    @app.get("/api/maps/{map}")
    def map_of(map: str) -> Any:
        return atlas.description(map)

    @app.get("/api/maps/{map}/columns/{name}")
    def column(map: str, name: str, points: int) -> Response:
        values = atlas.column(map, name, points)
        width = values.shape[1] if values.ndim > 1 else 1
        headers = {"X-Points": str(len(values)), "X-Width": str(width)}
        return Response(np.ascontiguousarray(values).tobytes(), 200, headers, "application/octet-stream")

    @app.get("/api/render")
    async def render(
        map: Text,
        source: Text,
        client: Text = "",
        point: int | None = None,
        x: float | None = None,
        y: float | None = None,
        amount: float | None = None,
        effect: Annotated[str | None, Query(max_length=4_096)] = None,
        settings: Annotated[str | None, Query(max_length=8_192)] = None,
    ) -> Response:
        def job() -> tuple[Chosen, Sound]:
            chosen = choose(map, point, x, y, amount, effect, settings)
            return chosen, atlas.sound(chosen, source)

        done = await asyncio.wrap_future(queue.submit(client, job))
        chosen, sound = done.value
        timing = {"queue": done.queue_ms, "nearest": chosen.nearest_ms}
        timing |= {"render": sound.render_ms, "level": sound.level_ms}
        headers = {
            "X-Effect": _ascii(chosen.kind.name),
            "X-Settings": json.dumps(chosen.settings),
            "X-Point": "" if chosen.point is None else str(chosen.point),
            "Server-Timing": ", ".join(f"{name};dur={ms:.2f}" for name, ms in timing.items()),
        }
        return _pcm(sound, headers)

    @app.get("/api/dry")
    def dry(source: Text) -> Response:
        return _pcm(atlas.audition.dry(atlas.sources.get(source)), {})

    @app.get("/api/sources")
    def sources() -> Any:
        return atlas.sources.list()

    @app.post("/api/sources", status_code=201)
    async def add_source(request: Request, name: Text) -> Any:
        path = atlas.sources.temporary(name)
        await _receive(request, path)
        found = await run_in_threadpool(atlas.sources.add, path, name)
        return {
            "id": found.id,
            "name": found.name,
            "seconds": found.seconds,
            "bundled": False,
            "sample_rate": found.sample_rate,
            "channels": found.channels,
            "window_start_s": found.start / found.sample_rate,
            "window_s": found.window.shape[1] / found.sample_rate,
        }

    @app.post("/api/reference")
    async def reference(request: Request, map: Text, name: Text) -> Any:
        atlas.surface(map)  # before the file is taken
        path = atlas.sources.temporary(name)
        try:
            await _receive(request, path)

            def locate() -> Any:
                return atlas.locate(map, source.of_file(path, source.shown_name(name), path.stem))

            return await run_in_threadpool(locate)
        finally:
            path.unlink(missing_ok=True)

    @app.get("/api/export")
    def export(
        map: Text,
        source: Text,
        format: Literal["json", "python", "wav"],
        point: int | None = None,
        x: float | None = None,
        y: float | None = None,
        amount: float | None = None,
        effect: Annotated[str | None, Query(max_length=4_096)] = None,
        settings: Annotated[str | None, Query(max_length=8_192)] = None,
    ) -> Response:
        chosen = choose(map, point, x, y, amount, effect, settings)
        recording, audition = atlas.sources.get(source), atlas.audition
        if format == "json":
            text = audition.json(recording, chosen.kind, chosen.settings)
            return Response(text, 200, _download("settings.json"), "application/json")
        if format == "python":
            text = audition.snippet(recording, chosen.kind, chosen.settings)
            return Response(text, 200, _download("render.py"), "text/x-python")
        path = atlas.sources.temporary("export.wav")
        try:
            short_db = audition.write(recording, chosen.kind, chosen.settings, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        headers = {"X-Short-Db": f"{short_db:.3f}", **_download("wet.wav")}
        return FileResponse(path, 200, headers, "audio/wav", BackgroundTask(path.unlink, missing_ok=True))

    for error, status in _STATUS.items():
        app.add_exception_handler(error, _answering(status))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return Guard(app, port, ("/api/sources", "/api/reference"), MOST_BYTES)


def _answering(status: int) -> Callable[[Request, Exception], Any]:
    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        if isinstance(error, RequestValidationError):
            first = error.errors()[0]
            return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, status)
        return JSONResponse({"error": str(error)}, status)

    return answer


_STATUS: dict[type[Exception], int] = {
    HTTPException: 0,  # which has its own
    RequestValidationError: 400,
    ValueError: 400,
    Unknown: 404,
    NotReady: 409,
    Superseded: 409,
    AudioError: 422,
    EffectError: 422,
    Busy: 503,
}


def _numbers(text: str) -> dict[str, float]:
    """Settings from JSON. ValueError where it is none of numbers by name."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"settings are no JSON ({error}); use an object of numbers") from error
    numbers = isinstance(found, dict) and all(type(value) in (int, float) for value in found.values())
    if not numbers:
        raise ValueError('settings are no object of numbers; use one such as {"mix": 0.5}')
    return {name: float(value) for name, value in found.items()}


def _pcm(sound: Sound, headers: dict[str, str]) -> Response:
    channels, samples = sound.audio.shape
    own = {
        "X-Sample-Rate": str(sound.sample_rate),
        "X-Channels": str(channels),
        "X-Samples": str(samples),
        "X-Gain-Db": f"{sound.gain_db:.3f}",
        "X-Short-Db": f"{sound.short_db:.3f}",
    }
    content = np.ascontiguousarray(sound.audio, "<f4").tobytes()
    return Response(content, 200, own | headers, "application/octet-stream")


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


async def _receive(request: Request, path: Path) -> None:
    """Write the body of a request to a file as it comes. HTTPException 413 as soon as it is too large."""
    size = 0
    try:
        with open(path, "xb") as file:
            async for piece in request.stream():
                size += len(piece)
                if size > MOST_BYTES:
                    headers = {"Connection": "close"}
                    raise HTTPException(413, f"the file has more than {MOST_BYTES // 10**6} MB; use less", headers)
                await run_in_threadpool(file.write, piece)
        if not size:
            raise HTTPException(400, "the request has no body; send the audio file as it is")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def listen(wanted: int) -> socket.socket:
    """A socket at that port of this machine, or where it is taken, at the next free one, which is told.

    Raises:
        OSError: none of 20 is free.
    """
    for port in range(wanted, min(wanted + _PORTS, 65_536)):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere it would let two servers have one port
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(("127.0.0.1", port))
            found.listen()
        except OSError:
            found.close()
            continue
        if port != wanted:
            print(f"port {wanted} is taken, so the map is at {port}", file=sys.stderr)
        return found
    raise OSError(None, f"the ports {wanted} to {wanted + _PORTS - 1} are taken; choose another by --port")


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only this user can read, deleted at the end, whatever ends the program: SIGTERM too."""

    def end(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    with tempfile.TemporaryDirectory(prefix="jaxvae-map-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def serve(atlas: Atlas, at: socket.socket, browser: bool) -> None:
    """Answer until the program is told to end."""
    port = at.getsockname()[1]
    settings = uvicorn.Config(
        application(atlas, port),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(settings)
    address = f"http://127.0.0.1:{port}/"
    begun = time.perf_counter()
    atlas.warm()
    atlas.builder.start()
    print(f"the map is at {address} ({time.perf_counter() - begun:.1f} s); Ctrl-C ends it", flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        server.run(sockets=[at])
    finally:
        at.close()
        atlas.builder.stop()
