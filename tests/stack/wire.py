"""What really crossed the wire: SIP messages, and RTP packets as they arrive at a port.

with Wire(kamailio_port) as wire:
    ...
    refer = wire.wait_for(lambda m: m.method == "REFER")
    assert not wire.messages(to=caller_port, since=refer.at)
"""

from __future__ import annotations

import struct
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from tests.stack.capture import Capture, Datagram
from tests.stack.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_RTP_HEADER = 12
_RTCP = range(64, 96)  # payload types that only RTCP uses beside RTP (RFC 5761 section 4)


class Wire:
    """Every SIP message over UDP from or to one of `ports`, each exactly once, in order; a context manager."""

    def __init__(self, *ports: int) -> None:
        self._messages: list[Message] = []
        self._changed = threading.Condition()
        self._capture = Capture(ports, self._receive)

    def __enter__(self) -> Self:
        self._capture.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.__exit__()

    def messages(
        self,
        *,
        to: int | None = None,
        frm: int | None = None,
        method: str | None = None,
        status: int | None = None,
        call_id: str | None = None,
        requests: bool = False,
        since: float = 0.0,
    ) -> list[Message]:
        """Return the messages so far that fit; `method` is that of CSeq, `requests` leaves out the replies."""
        with self._changed:
            seen = list(self._messages)
        return [
            m
            for m in seen
            if (to is None or m.destination[1] == to)
            and (frm is None or m.source[1] == frm)
            and (method is None or m.method == method)
            and (status is None or m.status == status)
            and (call_id is None or m.call_id == call_id)
            and (m.is_request or not requests)
            and m.at >= since
        ]

    def wait_for(self, predicate: Callable[[Message], bool], timeout: float = 5.0) -> Message:
        """Return the first message that fits, seen already or to come; AssertionError with the whole trace else."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := [m for m in self._messages if predicate(m)]):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"no such message within {timeout:g} s; seen:\n{self.trace(self._messages)}")
            return found[0]

    @staticmethod
    def trace(messages: Iterable[Message]) -> str:
        """Write messages as a list with milliseconds, for people."""
        messages = list(messages)
        return "\n".join(f"{(m.at - messages[0].at) * 1000:9.1f} ms  {m}" for m in messages)

    def _receive(self, datagram: Datagram) -> None:
        try:
            message = Message.parse(
                datagram.payload, at=datagram.at, source=datagram.source, destination=datagram.destination
            )
        except ValueError:  # a keep-alive, or no SIP at all
            return
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """The header of an RTP packet; `at` is the kernel's time in seconds, `port` where it arrived."""

    at: float
    port: int
    source: int
    ssrc: int
    payload_type: int
    sequence: int
    payload: bytes


class RtpWire:
    """Every RTP packet that arrives at one of `ports`, for measuring gaps; a context manager."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports
        self._packets: list[RtpPacket] = []
        self._capture = Capture(ports, self._receive)

    def __enter__(self) -> Self:
        self._capture.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.__exit__()

    def packets(self, port: int | None = None, *, since: float = 0.0, until: float = float("inf")) -> list[RtpPacket]:
        """Return the packets that arrived at `port` in a time (seconds, `time.time()`)."""
        return [p for p in list(self._packets) if (port is None or p.port == port) and since <= p.at <= until]

    def longest_gap(self, port: int, *, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the longest time between two packets in seconds; ValueError when there are less than two."""
        times = [packet.at for packet in self.packets(port, since=since, until=until)]
        return max(b - a for a, b in pairwise(times))

    def _receive(self, datagram: Datagram) -> None:
        packet = rtp_packet(datagram)
        if packet is not None and packet.port in self._ports:
            self._packets.append(packet)


def rtp_packet(datagram: Datagram) -> RtpPacket | None:
    """Read a datagram as RTP (RFC 3550 section 5.1); None when it is something else."""
    data = datagram.payload
    if len(data) < _RTP_HEADER or data[0] >> 6 != 2 or data[1] & 0x7F in _RTCP:
        return None
    _, second, sequence, _, ssrc = struct.unpack_from("!BBHII", data)
    payload = data[_RTP_HEADER + 4 * (data[0] & 0xF) :]
    return RtpPacket(datagram.at, datagram.destination[1], datagram.source[1], ssrc, second & 0x7F, sequence, payload)
