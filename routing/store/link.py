"""Requests to Redis: the server behind a circuit breaker, with scripts loaded where they are missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as Late

from routing.store import layout, scripts
from routing.store.breaker import Breaker
from routing.store.errors import StoreUnavailable
from routing.store.server import Command, Server

_MARGIN = 0.75
"""Part of the deadline that is spent waiting; the rest is for the kernel's timers and for us to be scheduled."""

Observer = Callable[[str, float, str], None]
"""Gets operation, seconds and outcome of each request: "ok", "refused" (an error reply), "unavailable", "skipped"."""


def call_script(script: scripts.Script, call_id: str, *arguments: str | bytes | int) -> Command:
    """Make the command that runs a script about one call."""
    return ("EVALSHA", script.sha, 3, *layout.keys(call_id), *arguments)


class Link:
    """Sends commands and gives their replies, or StoreUnavailable: no other error leaves it."""

    def __init__(self, url: str, *, deadline: float, rest: float, observer: Observer | None) -> None:
        self._server = Server(url)
        self._where = str(self._server)
        self._seconds = deadline * _MARGIN
        self._breaker = Breaker(rest)
        self._observer = observer

    def run(self, operation: str, *commands: Command, extra: float = 0.0) -> list[Any]:
        """Send commands in one request; `extra` seconds are granted to one that waits."""
        began = time.monotonic()
        if self._breaker.resting(began):
            self._observe(operation, began, "skipped")
            raise StoreUnavailable(self._where, f"{self._breaker.why}; not tried again yet")
        try:
            replies = self._exchange(commands, began + self._seconds + extra)
        except (RedisError, UnicodeError) as error:  # The latter is for host names that cannot be.
            why = "it gave no answer in time" if isinstance(error, Late) else str(error)
            self._breaker.fail(time.monotonic(), why)
            self._observe(operation, began, "unavailable")
            raise StoreUnavailable(self._where, why) from error
        self._breaker.succeed()
        for reply in replies:
            if isinstance(reply, ResponseError):
                self._server.close()  # A new connection may lead to another server: the one that is master now.
                self._observe(operation, began, "refused")
                raise StoreUnavailable(self._where, f"it answered {reply}")
        self._observe(operation, began, "ok")
        return replies

    def _exchange(self, commands: tuple[Command, ...], until: float) -> list[Any]:
        """Exchange; scripts that Redis does not have (it was restarted) are sent once more with their source."""
        replies = self._server.exchange(commands, until)
        missing = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            sources = [("EVAL", scripts.SOURCES[str(commands[at][1])], *commands[at][2:]) for at in missing]
            for at, reply in zip(missing, self._server.exchange(sources, until), strict=True):
                replies[at] = reply
        return replies

    def _observe(self, operation: str, began: float, outcome: str) -> None:
        if self._observer is not None:
            self._observer(operation, time.monotonic() - began, outcome)

    def measure(self) -> float:
        """Give the seconds that one request takes."""
        began = time.monotonic()
        self.run("ping", ("PING",))
        return time.monotonic() - began

    def close(self) -> None:
        """Close the connection."""
        self._server.close()
