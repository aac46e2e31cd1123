"""An ng server on loopback that does with each datagram what the test says."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


def reply(cookie: bytes, **keys: object) -> bytes:
    """Make a reply datagram; result ok unless told otherwise."""
    return cookie + b" " + json.dumps({"result": "ok"} | keys).encode()


class ScriptedServer:
    """Calls `script(number of the datagram from 0, its cookie, its document)` and sends back what that gives."""

    def __init__(self, script: Callable[[int, bytes, bytes], list[bytes]]) -> None:
        self.received: list[bytes] = []
        self._script = script
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while datagram_from := self._socket.recvfrom(65535):
            datagram, peer = datagram_from
            if not datagram:
                return
            cookie, _, document = datagram.partition(b" ")
            self.received.append(datagram)
            for answer in self._script(len(self.received) - 1, cookie, document):
                self._socket.sendto(answer, peer)
