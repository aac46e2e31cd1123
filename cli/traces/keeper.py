"""The SIP messages of calls in memory, bounded in all directions.

A message is not read here but for its Call-ID, so that it costs microseconds: Kamailio may send thousands a second.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cli.traces.hep import find_text

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, LAST = 100, 300
"""Messages of one call that are kept: the first, and the newest. What is between them is counted only."""
OVERHEAD = 150
"""Bytes of memory that a kept message takes besides its own."""
CALL_OVERHEAD = 600
"""Bytes that a call takes besides its messages."""
LINGER = 10.0
"""Seconds that a call without a transfer is still kept after its BYE."""
LOOK_EVERY = 1.0
"""Seconds between two looks at what is too old."""
CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:\s*([^\s]+)", re.IGNORECASE)
USUAL = b"\nCall-ID: "
"""How almost all write it: to look for that is a tenth of the work."""
LEG = re.compile(rb"([0-9a-f]{16})-\d+")
EARLY = 32
"""Replies that wait for their call: Kamailio copies a request when it has been sent, which a reply may overtake."""
STRANGE = frozenset({b"SIP/2.0", b"OPTIONS", b"REGISTER", b"SUBSCRIBE", b"NOTIFY", b"PUBLISH", b"MESSAGE"})
"""What is no sign of a call that is unknown: replies, and requests that stand alone. Others may be of a call that
another node began."""


@dataclass(slots=True)
class Kept:
    """The packets of one call; `over` tells that its BYE has been seen."""

    touched: float
    first: list[bytes] = field(default_factory=list)
    last: deque[bytes] | None = None
    size: int = CALL_OVERHEAD
    left_out: int = 0
    over: bool = False

    def add(self, packet: bytes) -> int:
        """Keep a packet; gives by how much memory that is more."""
        more = len(packet) + OVERHEAD
        if len(self.first) < FIRST:
            self.first.append(packet)
        else:
            self.last = self.last or deque(maxlen=LAST)  # an empty one takes as much memory as a message
            if len(self.last) == LAST:
                more -= len(self.last[0]) + OVERHEAD
                self.left_out += 1
            self.last.append(packet)
        self.size += more
        return more


class Keeper:
    """Keeps packets by call; threads may use it at the same time.

    With `plain`, calls without a transfer are kept as well; else they go soon after their BYE, and first of all when
    there is too little memory. `seconds` is how long a call is kept after its last message, `limit` is in bytes.
    """

    def __init__(self, *, plain: bool, seconds: float, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._keeps_plain = plain
        self._seconds = seconds
        self._limit = limit
        self._clock = clock
        self._plain: OrderedDict[str, Kept] = OrderedDict()
        self._chosen: OrderedDict[str, Kept] = OrderedDict()
        self._over: deque[tuple[float, str]] = deque()
        self._early: deque[tuple[str, bytes]] = deque(maxlen=EARLY)
        self._look_at = 0.0
        self._lock = threading.Lock()
        self.size = 0

    def add(self, packet: bytes) -> bool:
        """Keep a packet if it is of a call; False where it is not even SIP. Raises ValueError for anything but HEP."""
        start = find_text(packet)
        sip_call_id = find_call_id(packet, start)
        if not sip_call_id:
            return False
        with self._lock:
            now = self._clock()
            self._put(packet, start, sip_call_id, now)
            if now >= self._look_at:
                self._look_at = now + LOOK_EVERY
                self._drop_old(now)
            while self.size > self._limit and (calls := self._plain or self._chosen):
                self._drop(calls, next(iter(calls)))
        return True

    def find(self, prefix: str) -> dict[str, tuple[list[bytes], int]]:
        """Give the packets of all calls whose id begins so, and how many of each were left out."""
        with self._lock:
            return {
                call_id: ([*kept.first, *(kept.last or ())], kept.left_out)
                for calls in (self._chosen, self._plain)
                for call_id, kept in calls.items()
                if call_id.startswith(prefix)
            }

    def _put(self, packet: bytes, start: int, sip_call_id: bytes, now: float) -> None:
        leg = LEG.fullmatch(sip_call_id)
        call_id = leg[1].decode() if leg else name_call(sip_call_id)
        method = packet[start : packet.find(b" ", start)]
        handed = leg is not None or method == b"REFER" or (method == b"NOTIFY" and b"sipfrag" in packet)
        kept = self._chosen.get(call_id)
        calls = self._chosen if kept else self._plain
        if kept is None:
            kept = self._plain.get(call_id) or (Kept(now) if handed or method not in STRANGE else None)
            if kept is None:
                if method == b"SIP/2.0":
                    self._early.append((call_id, packet))
                return
            if not kept.first:
                self._begin(call_id, kept)
            if handed or self._keeps_plain:
                calls = self._chosen
                calls[call_id] = self._plain.pop(call_id)
        calls.move_to_end(call_id)
        kept.touched = now
        self.size += kept.add(packet)
        if method == b"BYE" and calls is self._plain and not kept.over:
            kept.over = True
            self._over.append((now + LINGER, call_id))

    def _begin(self, call_id: str, kept: Kept) -> None:
        self._plain[call_id] = kept
        self.size += CALL_OVERHEAD
        self.size += sum(kept.add(packet) for name, packet in self._early if name == call_id)

    def _drop_old(self, now: float) -> None:
        while self._over and self._over[0][0] <= now:
            self._drop(self._plain, self._over.popleft()[1])
        for calls in (self._plain, self._chosen):
            while calls and next(iter(calls.values())).touched < now - self._seconds:
                self._drop(calls, next(iter(calls)))

    def _drop(self, calls: OrderedDict[str, Kept], call_id: str) -> None:
        if kept := calls.pop(call_id, None):
            self.size -= kept.size


def find_call_id(packet: bytes, start: int) -> bytes:
    """Find the Call-ID of the message that begins at `start`; empty where there is none."""
    place = packet.find(USUAL, start)
    if place > 0:
        return packet[place + len(USUAL) : packet.find(b"\r", place)]
    found = CALL_ID.search(packet, start)
    return found[1] if found else b""


def name_call(sip_call_id: bytes) -> str:
    """Make the call id from the caller's Call-ID, as the workers do."""
    text = sip_call_id.decode(errors="replace")
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
