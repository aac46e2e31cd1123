"""A receiver of webhooks for tests: a real HTTP server that answers as it is told, or does not."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from cli.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

PATIENCE = 30.0
HANG = 0
"""In the place of a status: no answer until the receiver is left."""
DRIP = -1
"""An answer that begins well, and goes on a byte at a time until the receiver is left or the sender has gone."""
NO_HTTP = -2
CLOSE = -3
"""No answer, and the connection is closed."""
ASTRAY = -4
"""A redirect to what is no place in the web."""
WRITTEN = {NO_HTTP: b"hello\r\n\r\n", ASTRAY: b"HTTP/1.1 302 Found\r\nLocation: mailto:a@b.example\r\n\r\n"}


@dataclass(frozen=True)
class Received:
    """One request, and what was answered."""

    headers: dict[str, str]
    body: str
    status: int


class Receiver:
    """A context manager, within which it listens; it answers with the statuses given, then with 200.

    With a certificate (PEM, its key in the same file) it speaks TLS.
    """

    def __init__(self, *statuses: int, certificate: Path | None = None) -> None:
        self.port = free_port("tcp")
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}/hooks?token=hidden"
        self._certificate = certificate
        self.received: list[Received] = []
        self._statuses = iter(statuses)
        self._changed = threading.Condition()
        self._left = threading.Event()

    def take(self, headers: Iterable[tuple[str, str]], body: str) -> int:
        with self._changed:
            status = next(self._statuses, 200)
            self.received.append(Received(dict(headers), body, status))
            self._changed.notify_all()
        return status

    def wait_for(self, condition: Callable[[list[Received]], Any]) -> list[Received]:
        """Wait until what was received is so; gives it."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.received), PATIENCE), self.received
            return list(self.received)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = receiver.take(self.headers.items(), body)
                if status <= HANG:
                    self.misbehave(status)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def misbehave(self, how: int) -> None:
                if how == HANG:
                    receiver._left.wait()
                elif how in WRITTEN:
                    self.wfile.write(WRITTEN[how])
                elif how == DRIP:
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Long: ")
                    with suppress(OSError):
                        while not receiver._left.wait(0.05):
                            self.wfile.write(b"x")

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    """As many as a sender may connect at once; the default of 5 would keep some waiting."""


def until(condition: Callable[[], Any]) -> None:
    """Ask until the answer is yes: Redis tells nobody when something changes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # for the reason above
