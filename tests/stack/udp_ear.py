"""A UDP socket that keeps what comes."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Self


class UdpEar:
    """A context manager; `place` is where it listens, as host:port."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._heard: list[bytes] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self) -> list[bytes]:
        """Give all packets so far."""
        with suppress(BlockingIOError):
            while True:
                self._heard.append(self._socket.recv(65535))
        return list(self._heard)
