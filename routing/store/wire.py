"""One blocking connection to Redis, with a deadline for each request as a whole: connect, send and receive.

The protocol is read and written by hiredis. The client library is not used: its sockets wait for readiness before
each read and write, which costs a third of the CPU of a request, and its time limits hold for each read by itself.
Here the kernel keeps the time (SO_RCVTIMEO), and it is set anew only when a request has used up a part of its own.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Any

import hiredis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.store.address import Address

Command = tuple[str | bytes | int | float, ...]

_BUFFER = bytearray(65536)
_LATE = (BlockingIOError, TimeoutError)


class Broken(Exception):
    """The request has no answer; the message says why, for people."""


class Wire:
    """A connection that is opened when it is first used, again after it broke, and anew in each forked process.

    A host name is looked up at each connect, and a slow resolver is outside the deadline: prefer addresses.
    """

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        """What a request is usually given, so that the kernel need not be told each time."""
        self._armed = seconds
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self._pid = 0
        self._answered = False

    def exchange(self, commands: Sequence[Command], until: float) -> list[Any]:
        """Send commands in one go and give their replies, error replies among them; raises Broken.

        `until` is on the clock of time.monotonic. A connection that is found closed (Redis was restarted) is opened
        again and the commands are sent once more within the same deadline: they may have been done twice then, and
        must be such that this does no harm.
        """
        data = b"".join(map(hiredis.pack_command, commands))  # type: ignore[arg-type]  # its stub knows one argument
        if self._pid != os.getpid():
            self.close()  # It belongs to the parent process.
        try:
            return self._try_twice(data, len(commands), until)
        except _LATE as error:
            self.close()
            raise Broken("it gave no answer in time") from error
        except (OSError, hiredis.ProtocolError) as error:
            self.close()
            raise Broken(getattr(error, "strerror", None) or str(error)) from error
        except BaseException:
            self.close()  # Or the next request would be given the replies to this one.
            raise

    def close(self) -> None:
        """Close the connection, if there is one; what was on its way is lost."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _try_twice(self, data: bytes, count: int, until: float) -> list[Any]:
        """Send and receive; once more on a new connection if this one had been closed while it lay idle."""
        if self._socket is not None:
            try:
                return self._converse(self._socket, data, count, until)
            except ConnectionError:
                if self._answered:
                    raise
                self.close()
        return self._converse(self._connect(until), data, count, until)

    def _converse(self, connection: socket.socket, data: bytes, count: int, until: float) -> list[Any]:
        self._answered = False
        self._arm(connection, until - time.monotonic())
        connection.sendall(data)
        reader = self._reader
        replies: list[Any] = []
        while len(replies) < count:
            self._arm(connection, until - time.monotonic())
            size = connection.recv_into(_BUFFER)
            if size == 0:
                raise ConnectionResetError("it closed the connection")
            self._answered = True
            reader.feed(_BUFFER, 0, size)  # type: ignore[arg-type]  # its stub forgets bytearray
            while (reply := reader.gets()) is not False:
                replies.append(reply)
        return replies

    def _arm(self, connection: socket.socket, seconds: float) -> None:
        """End the next wait after these seconds; costs a system call only when it would be late or early by much."""
        if seconds <= 0:
            raise TimeoutError
        if not 0.9 * self._armed <= seconds <= self._armed:
            self._limit(connection, seconds)

    def _limit(self, connection: socket.socket, seconds: float) -> None:
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(seconds)  # Python would take a kernel timeout for a reason to read again.
        else:
            limit = _timeval(seconds)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._armed = seconds

    def _connect(self, until: float) -> socket.socket:
        """Open the connection and log in."""
        address = self._address
        unix = bool(address.path)
        connection = _open(socket.AF_UNIX, address.path, until, address) if unix else _open_tcp(address, until)
        connection.setblocking(True)
        self._limit(connection, self._seconds)
        self._reader = hiredis.Reader()
        self._pid = os.getpid()
        self._socket = connection
        if greeting := address.greeting():
            data = b"".join(map(hiredis.pack_command, greeting))  # type: ignore[arg-type]
            for reply in self._converse(connection, data, len(greeting), until):
                if isinstance(reply, hiredis.ReplyError):
                    raise OSError(f"it refused the login: {reply}")
        return connection


def _open_tcp(address: Address, until: float) -> socket.socket:
    """Connect to the first address of the host that answers, all within the deadline."""
    failure: OSError = TimeoutError()
    for family, _, _, _, where in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
        try:
            return _open(family, where, until, address)
        except OSError as error:
            failure = error
    raise failure


def _open(family: int, where: Any, until: float, address: Address) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(_left(until))
        connection.connect(where)
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.tls is not None:
            connection.settimeout(_left(until))
            return address.tls.wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise
    return connection


def _left(until: float) -> float:
    """Tell the seconds left; never 0, which would mean not to wait for the kernel at all."""
    return max(until - time.monotonic(), 0.001)


def _timeval(seconds: float) -> bytes:
    micros = max(int(seconds * 1_000_000), 1)
    return struct.pack("@ll", micros // 1_000_000, micros % 1_000_000)
