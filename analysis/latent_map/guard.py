"""What a server on one's own machine lets in: requests of its own page, no larger than they need to be.

Any page of the web can make a browser send requests to 127.0.0.1, and a name of its own can be made to mean that
address (DNS rebinding). So the Host has to be this server, and an Origin, if one is told, too.
"""

from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SMALL_BODY = 2**16
"""Bytes of a request that brings no file."""


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Any, port: int, uploads: Iterable[str], most_bytes: int) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"} | ({"127.0.0.1", "localhost"} if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts}
        self._uploads, self._most = frozenset(uploads), most_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return  # there are no web sockets, and nothing to do at the start

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                taken = {name for name, _ in own}
                message["headers"] = [*(pair for pair in message["headers"] if pair[0].lower() not in taken), *own]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, reason = refusal
            # The body stays unread, so the connection cannot be used again.
            refused = JSONResponse({"error": reason}, status, {"Connection": "close"})
            await refused(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        """Status and reason, where a request is not let in."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)

        def text(name: bytes) -> str | None:
            return headers[name][0].decode("latin-1") if name in headers else None

        host, origin, length = text(b"host"), text(b"origin"), text(b"content-length")
        if len(headers.get(b"host", [])) != 1 or host not in self._hosts:
            return 403, f"the Host {host} is not this server; use {min(self._hosts)}"
        if origin is not None and origin not in self._origins:
            return 403, f"the Origin {origin} is not the page of this server"
        opened = scope["method"] == "GET" and scope["path"] == "/" and text(b"sec-fetch-mode") == "navigate"
        if text(b"sec-fetch-site") not in (None, "same-origin", "none") and not opened:
            return 403, "another site asked for this; only the page of this server may"
        most = self._most if scope["path"] in self._uploads else SMALL_BODY
        if length is not None and (not length.isdecimal() or int(length) > most):
            return 413, f"the request has {length} bytes; at most {most:,} are taken"
        return None
