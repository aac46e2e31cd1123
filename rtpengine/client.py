"""Talks to one rtpengine node over UDP: blocking, and never longer than its deadline."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, TypeVar

from rtpengine.errors import BadAddress, BadReply, CommandRefused, DeadlineExceeded, NodeUnreachable
from rtpengine.exchange import Exchange
from rtpengine.replies import Malformed, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtpengine.commands import Command
    from rtpengine.replies import Dictionary

R = TypeVar("R", bound=Reply)

_LONGEST_RECEIVED = 65535
_LONGEST_SENT = 65507  # what fits into a UDP datagram over IPv4
_HIGHEST_PORT = 65535


class Client:
    """The way to one node; `address` is "host:port", `deadline` the seconds that one command may take in all.

    The socket is opened at the first request of each process, since Kamailio forks after Python has loaded this.
    Not to be shared between threads.
    """

    def __init__(
        self, name: str, address: str, *, deadline: float = 0.3, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raise BadAddress if `address` is not host:port."""
        self.name = name
        self.deadline = deadline
        self._host, self._port = _split(name, address)
        self._clock = clock
        self._socket: socket.socket | None = None
        self._owner = 0

    def request(self, command: Command[R]) -> R:
        """Carry out `command`; raise DeadlineExceeded, NodeUnreachable, CommandRefused or BadReply."""
        exchange = self._exchange(command)
        try:
            answer = self._converse(exchange)
        except OSError as error:
            raise self._unreachable(command, error) from error
        except Malformed as error:
            raise BadReply(self.name, command.name, str(error)) from error
        if answer is None:
            raise DeadlineExceeded(self.name, command.name, self.deadline)
        return command.understand(self.name, answer)

    def tell(self, command: Command[R]) -> None:
        """Send `command` once, and wait for nothing: its reply meets the next request, which passes it over.

        Raises NodeUnreachable and CommandRefused, as far as that is known without a reply.
        """
        exchange = self._exchange(command)
        try:
            sock = self._open()
            try:
                sock.send(exchange.datagram)
            except ConnectionRefusedError:  # the belated echo of an earlier one, which has swallowed our datagram
                sock.send(exchange.datagram)
        except OSError as error:
            raise self._unreachable(command, error) from error

    def _exchange(self, command: Command[R]) -> Exchange:
        exchange = Exchange(command.body(), now=self._clock(), deadline=self.deadline)
        if len(exchange.datagram) > _LONGEST_SENT:
            reason = f"it takes {len(exchange.datagram)} bytes, and {_LONGEST_SENT} fit into a datagram"
            raise CommandRefused(self.name, command.name, reason)
        return exchange

    def _unreachable(self, command: Command[R], error: OSError) -> NodeUnreachable:
        self.close()
        return NodeUnreachable(self.name, command.name, error.strerror or str(error))

    def close(self) -> None:
        """Close this process's socket; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _converse(self, exchange: Exchange) -> Dictionary | None:
        sock = self._open()
        refused = False
        while not exchange.expired(now := self._clock()):
            try:
                if exchange.due(now):
                    sock.send(exchange.datagram)
                sock.settimeout(exchange.wait(now))
                answer = exchange.receive(sock.recv(_LONGEST_RECEIVED))
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                # The first one may be the belated echo of an earlier request, and has swallowed our datagram.
                if refused:
                    raise
                refused = True
                exchange.hurry()
                continue
            if answer is not None:
                return answer
        return None

    def _open(self) -> socket.socket:
        if self._socket is None or self._owner != os.getpid():
            self.close()  # after a fork: our copy only, the parent keeps its own
            family, kind, protocol, _, peer = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._owner = os.getpid()
            self._socket.connect(peer)
        return self._socket


def _split(name: str, address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
        raise BadAddress(name, address)
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise BadAddress(name, address)
    return (host[1:-1] if bracketed else host), int(port)
