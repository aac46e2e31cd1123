"""One command and its reply over ng, without any I/O: datagrams and the time go in, datagrams and decisions come out.

ng is request and reply over UDP. Each datagram is a cookie, a space, and a JSON dictionary. rtpengine keeps its
replies for some time and answers a repeated cookie from there, so a retransmission never carries a command out
twice. A reply that comes after its exchange has ended meets the next exchange on the same socket, where its cookie
is foreign and it is dropped.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from rtpengine.replies import Malformed

if TYPE_CHECKING:
    from rtpengine.replies import Dictionary

FIRST_RETRY = 0.05
"""Seconds until the first retransmission; each later one waits twice as long."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Exchange:
    """One command under way; `now` and `deadline` are seconds of any steady clock."""

    __slots__ = ("_cookie", "_ends", "_interval", "_next", "datagram")

    def __init__(self, body: Dictionary, *, now: float, deadline: float) -> None:
        # Twelve random bytes: unique among all processes, also after a fork, and all hosts, without keeping count.
        self._cookie = os.urandom(12).hex().encode()
        # Bytes that are no UTF-8 arrive as lone surrogates; JSON cannot carry them, and a "?" harms less than an error.
        self.datagram = self._cookie + b" " + _encode(body).encode("utf-8", "replace")
        self._ends = now + deadline
        self._next = now
        self._interval = FIRST_RETRY

    def expired(self, now: float) -> bool:
        """Say whether the deadline has passed."""
        return now >= self._ends

    def due(self, now: float) -> bool:
        """Say whether `datagram` is to be sent now (the first time included), and plan the next time."""
        if now < self._next:
            return False
        self._next = now + self._interval
        self._interval *= 2
        return True

    def hurry(self) -> None:
        """Make the datagram due at once, because it is known not to have arrived."""
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """Give the seconds in which only a datagram can change anything; ask after `due`."""
        return min(self._next, self._ends) - now

    def receive(self, datagram: bytes) -> Dictionary | None:
        """Give the reply dictionary, or None for a datagram that is no answer to this command.

        Raises Malformed for one that bears the right cookie but no dictionary: no other reply will come.
        """
        cookie, _, document = datagram.partition(b" ")
        if cookie != self._cookie:
            return None
        try:
            answer = json.loads(document.decode())
        except (ValueError, RecursionError) as error:
            raise Malformed(f"{document[:80]!r} is not JSON") from error
        if not isinstance(answer, dict):
            raise Malformed(f"{document[:80]!r} is not a dictionary")
        return answer
