"""The Redis server as one process sees it: one connection of redis-py, and a deadline for each request as a whole.

redis-py limits each wait by itself, so what is left of the deadline is shared out among the waits.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.connection import Connection, SSLConnection, parse_url
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as Late

if TYPE_CHECKING:
    from collections.abc import Sequence

Command = tuple[str | bytes | int | float, ...]

_FORMS = "write unix:///path, redis://host:port/db or rediss://host:port/db, and after a ? only options of redis-py"


class Server:
    """A connection that is opened when it is first used, again after it broke, and anew in each forked process.

    `str()` shows where it leads to, without the password. Raises ValueError for a URL that is none. A host name is
    looked up at each connect, and a slow resolver is outside the deadline: prefer addresses.
    """

    def __init__(self, url: str) -> None:
        try:
            # RESP2 needs no greeting, and nobody asks Redis for the name of the client library.
            self._options = {**parse_url(url), "protocol": 2, "driver_info": None}  # type: ignore[no-untyped-call]
            self._kind = self._options.pop("connection_class", Connection)
            self._connection = self._kind(**self._options)
        except (RedisError, TypeError, ValueError):
            # The cause may hold a part of the password.
            raise ValueError(f"it is no address of a Redis server: {_FORMS}") from None
        more = (issubclass(self._kind, SSLConnection), "password" in self._options, "db" in self._options)
        self._steps = 1 + sum(more)
        """How often connecting waits for Redis: for the socket, and maybe for TLS, the login and the database."""

    def __str__(self) -> str:
        names = dict(self._connection.repr_pieces())
        return names["path"] if "path" in names else f"{names['host']}:{names['port']}"

    def exchange(self, commands: Sequence[Command], until: float) -> list[Any]:
        """Send commands in one go and give their replies, error replies among them; raises RedisError.

        `until` is on the clock of time.monotonic. A connection that is found closed (Redis was restarted) is opened
        again and the commands are sent once more within the same deadline: they may have been done twice then, and
        must be such that this does no harm.
        """
        if self._connection.pid != os.getpid():
            self.close()  # The parent process goes on with its own.
            self._connection = self._kind(**self._options)
        data = [b"".join(map(pack_command, commands))]  # type: ignore[arg-type]  # its stub knows one argument
        reused = self._connection.is_connected
        replies: list[Any] = []
        try:
            try:
                self._converse(data, len(commands), until, replies)
            except Disconnected:
                if replies or not reused:
                    raise
                self._converse(data, len(commands), until, replies)
        except BaseException:
            self.close()  # Or the next request would be given the replies to this one.
            raise
        return replies

    def close(self) -> None:
        """Close the connection, if there is one; what was on its way is lost."""
        self._connection.disconnect()

    def _converse(self, data: Sequence[bytes], count: int, until: float, replies: list[Any]) -> None:
        """Connect if need be, send, and add the replies as they come."""
        connection = self._connection
        if not connection.is_connected:
            share = _left(until) / self._steps
            connection.socket_connect_timeout = connection.socket_timeout = share
            connection.connect()
        connection.send_packed_command(data)
        while len(replies) < count:
            try:
                replies.append(connection.read_response(timeout=_left(until)))
            except ResponseError as error:
                replies.append(error)


def _left(until: float) -> float:
    """Tell the seconds left; raises TimeoutError of redis-py when there are none."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise Late
    return seconds
