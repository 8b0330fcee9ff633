"""A web server on this machine, for tests of what is fetched: it serves given content, and lists the requests."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Response:
    """What a path gives.

    ``length`` is the Content-Length, that of the body by default, "" for none; with ``chunked`` the body is sent as one
    piece whose length is announced as ``chunked``.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | str | None = None
    chunked: int | None = None


@dataclass
class Web:
    """The server: its address, its responses by path, and the paths that were requested."""

    address: str
    responses: dict[str, Response]
    requested: list[str]

    def put(self, name: str, body: bytes, **options: object) -> str:
        """Serve a body under a name; returns its address."""
        self.responses[f"/{name}"] = Response(body, **options)  # type: ignore[arg-type]
        return f"{self.address}/{name}"


@contextmanager
def web_server() -> Iterator[Web]:
    """Run a server on this machine."""
    web = Web("", {}, [])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.requested.append(self.path)
            response = web.responses.get(self.path, Response(status=404))
            self.close_connection = True
            self.send_response(response.status)
            for key, value in response.headers.items():
                self.send_header(key, value)
            if response.chunked is not None:
                self.send_header("Transfer-Encoding", "chunked")
            elif response.length != "":
                self.send_header(
                    "Content-Length", str(len(response.body) if response.length is None else response.length)
                )
            self.end_headers()
            if response.chunked is not None:
                self.wfile.write(f"{response.chunked:x}\r\n".encode())
            self.wfile.write(response.body)

        def log_message(self, form: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield web
        finally:
            server.shutdown()
