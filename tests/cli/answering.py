"""A SIP host on loopback that gives each request over UDP or TCP what the test says."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

END = b"\r\n\r\n"


def respond(status: int, request: bytes) -> bytes:
    """Make a response with the headers that it must repeat (RFC 3261 section 8.2.6)."""
    names = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
    kept = [line for line in request.split(b"\r\n") if line.lower().startswith(names)]
    return b"\r\n".join([b"SIP/2.0 %d Whatever" % status, *kept, b"Content-Length: 0", b"", b""])


class SipHost:
    """Answers with all that `script(number of the request from 0, request)` gives; a context manager."""

    def __init__(self, script: Callable[[int, bytes], list[bytes]]) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.port = self._udp.getsockname()[1]
        self._tcp = socket.create_server(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            request, peer = self._udp.recvfrom(65535)
            if not request:
                return
            for answer in self._answers(request):
                self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            with connection:
                request = b""
                while END not in request and (part := connection.recv(65535)):
                    request += part
                if not request:
                    return
                for answer in self._answers(request):
                    connection.sendall(answer)

    def _answers(self, request: bytes) -> list[bytes]:
        self.requests.append(request)
        return self._script(len(self.requests) - 1, request)
