"""A connection to one place, over UDP, TCP or TLS, that carries whole SIP messages."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, Self

import sipmessage

if TYPE_CHECKING:
    from cli.trial.places import Place

LONGEST = 65535
CONNECT = 3.0
"""Seconds for connecting, and as many for the handshake."""


class NoLine(Exception):
    """A place cannot be reached, or is no longer; the text says why."""


class Line:
    """A context manager; raises NoLine where the place does not let us in, ssl.SSLError for a bad handshake."""

    def __init__(self, place: Place, context: ssl.SSLContext | None = None) -> None:
        self.place = place
        family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        kind = socket.SOCK_DGRAM if place.transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(family, kind)
        self._buffer = b""
        try:
            self._socket.settimeout(CONNECT)
            self._socket.connect((place.address, place.port))
            if context is not None:
                self._socket = context.wrap_socket(self._socket, server_hostname=place.host)
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
                raise _no_line(error) from error
            raise
        address, port = self._socket.getsockname()[:2]
        self.address: str = address
        self.port: int = port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def here(self) -> str:
        """Give our host:port on it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def send(self, message: bytes, to: tuple[str, int] | None = None) -> None:
        """Send a message; over UDP it may go to another place than the one connected with."""
        try:
            if to is not None and self.place.transport == "udp":
                self._socket.sendto(message, to)
            else:
                self._socket.sendall(message)
        except OSError as error:
            raise _no_line(error) from error

    def receive(self, until: float) -> sipmessage.Message | None:
        """Give the next message that comes before `until` (of time.monotonic); None where none does."""
        while True:
            if message := self._cut():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # what is no SIP is passed over
                    return sipmessage.Message.parse(message)
                continue
            left = max(0.0, until - time.monotonic())
            pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
            if not pending and not select.select([self._socket], [], [], left)[0]:
                return None
            try:
                data = self._socket.recv(LONGEST)
            except TimeoutError:
                return None
            except OSError as error:
                raise _no_line(error) from error
            if not data and self.place.transport != "udp":
                raise NoLine("it closed the connection")
            self._buffer = data if self.place.transport == "udp" else self._buffer + data

    def certificate(self) -> bytes:
        """Give the certificate of the other side, as DER."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return self._socket.getpeercert(binary_form=True) or b""

    def _cut(self) -> bytes:
        """Take one whole message off what has come (RFC 3261 section 18.3); empty while there is none."""
        self._buffer = self._buffer.lstrip(b"\r\n\0")
        if self.place.transport == "udp":
            message, self._buffer = self._buffer, b""
            return message
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return b""
        length = _length(head)
        if len(rest) < length:
            return b""
        self._buffer = rest[length:]
        return head + blank + rest[:length]


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in {b"content-length", b"l"} and value.strip().isdigit():
            return int(value)
    return 0


def _no_line(error: OSError) -> NoLine:
    if isinstance(error, TimeoutError):
        return NoLine(f"no answer in {CONNECT:g} s")
    return NoLine((error.strerror or str(error)).lower())
