"""A scripted user agent that is reached over UDP and TCP at one port, and answers on the connection it was asked on.

The first request over TCP makes it one that sends over TCP as well, on a connection of its own.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING

from tests.stack.message import Message
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack.message import Endpoint, Headers


class TcpUa(Ua):
    """`Ua` with a TCP listener at the port of its UDP socket; `over_tcp` has what came in that way, in order.

    With `first`, it uses TCP from its first request on.
    """

    def __init__(
        self, name: str, *, listening: bool = True, first: bool = False, proxy: Endpoint | None = None
    ) -> None:
        super().__init__(name, proxy=proxy)
        self._first = first
        self._listener = socket.create_server(self.address) if listening else None
        self._streams: dict[Endpoint, tuple[socket.socket, bytearray]] = {}
        self.over_tcp: list[Message] = []

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            super().__exit__(kind, *rest)
        finally:
            self.hang_up_lines()
            if self._listener:
                self._listener.close()

    @property
    def _uses_tcp(self) -> bool:
        return self._first or bool(self.over_tcp)

    def hang_up_lines(self) -> None:
        """Close all connections."""
        for stream, _ in self._streams.values():
            stream.close()
        self._streams.clear()

    def send(self, *messages: Message) -> None:
        """Send each message on the connection with its destination, which is opened once TCP is in use."""
        for message in messages:
            where = message.destination
            if message.is_request and self._uses_tcp and where not in self._streams:
                self._streams[where] = (socket.create_connection(where, timeout=3), bytearray())
            if where in self._streams:
                self._streams[where][0].sendall(bytes(message))
            else:
                super().send(message)

    def _request(
        self, line: tuple[str, str], base: Headers, *, body: str, headers: Mapping[str, str], hop: Endpoint
    ) -> Message:
        message = super()._request(line, base, body=body, headers=headers, hop=hop)
        if not self._uses_tcp:
            return message
        via = ("Via", message["Via"].replace("/UDP ", "/TCP "))
        return message.with_headers((via, *message.headers[1:]))

    def _read(self, timeout: float) -> bool:
        """Read from whatever has something first."""
        sockets = [self._socket, *(stream for stream, _ in self._streams.values())]
        ready = select.select([*sockets, *([self._listener] if self._listener else [])], [], [], timeout)[0]
        if not ready:
            return False
        if self._socket in ready:
            return super()._read(0.0)
        if self._listener in ready:
            assert self._listener is not None
            stream, peer = self._listener.accept()
            self._streams[peer] = (stream, bytearray())
            return True
        for peer, (stream, buffer) in list(self._streams.items()):
            if stream in ready:
                self._feed(peer, stream, buffer)
        return True

    def _feed(self, peer: Endpoint, stream: socket.socket, buffer: bytearray) -> None:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = stream.recv(1 << 16)
        if not data:
            stream.close()
            del self._streams[peer]
        buffer += data
        while message := _cut_message(buffer, peer, self.address):
            self.over_tcp.append(message)
            self.received.append(message)
            self._inbox.append(message)


def _cut_message(buffer: bytearray, peer: Endpoint, own: Endpoint) -> Message | None:
    """Take one whole message off the stream (RFC 3261 section 18.3); None while there is none."""
    head, blank, rest = bytes(buffer).lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not blank:
        return None
    length = int(Message.parse(head + blank)["Content-Length"])
    if len(rest) < length:
        return None
    buffer[:] = rest[length:]
    return Message.parse(head + blank + rest[:length], at=time.time(), source=peer, destination=own)
