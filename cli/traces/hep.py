"""Copies of SIP messages as Kamailio sends them (HEP version 3).

A packet is `HEP3`, its length in two bytes, and chunks: vendor, type and length of two bytes each, then the value.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

HEAD = struct.Struct("!4sH")
CHUNK = struct.Struct("!HHH")
PROTOCOL, SOURCE, DESTINATION, SOURCE_6, DESTINATION_6 = 2, 3, 4, 5, 6
SOURCE_PORT, DESTINATION_PORT, SECONDS, MICROSECONDS, PAYLOAD = 7, 8, 9, 10, 15
TEXT_FOLLOWS, NEAR = b"\0\0\0\x0f", 200
"""Vendor and type of the chunk with the message, and where it begins at the latest."""
TRANSPORTS = {17: "udp", 6: "tcp"}
"""By IP protocol; siptrace has a number of no meaning for all that is encrypted."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A message as it came to Kamailio or left it; `at` in seconds since the epoch, addresses are host and port."""

    at: float
    source: tuple[str, int]
    destination: tuple[str, int]
    transport: str
    text: bytes


def find_text(packet: bytes) -> int:
    """Find where the SIP message begins; raises ValueError where the packet is no HEP version 3.

    Kamailio has it last: so nothing else need be read, and that is done for thousands of packets a second.
    """
    place = packet.find(TEXT_FOLLOWS, HEAD.size, NEAR)
    if packet[:4] == b"HEP3" and place > 0 and int.from_bytes(packet[place + 4 : place + 6]) == len(packet) - place:
        return place + CHUNK.size
    return _chunks(packet)[PAYLOAD][0]


def read_packet(packet: bytes) -> Copied:
    """Read a packet; raises ValueError where it is no HEP version 3 of a SIP message."""
    chunks = _chunks(packet)

    def value(kind: int) -> bytes:
        start, end = chunks[kind]
        return packet[start:end]

    def number(kind: int) -> int:
        return int.from_bytes(value(kind))

    def address(*kinds: int) -> str:
        return str(ipaddress.ip_address(value(next(kind for kind in kinds if kind in chunks))))

    try:
        return Copied(
            at=number(SECONDS) + number(MICROSECONDS) / 1e6,
            source=(address(SOURCE, SOURCE_6), number(SOURCE_PORT)),
            destination=(address(DESTINATION, DESTINATION_6), number(DESTINATION_PORT)),
            transport=TRANSPORTS.get(number(PROTOCOL), "tls"),
            text=value(PAYLOAD),
        )
    except (KeyError, StopIteration) as error:
        raise ValueError("the packet does not say whence and whither") from error


def _chunks(packet: bytes) -> dict[int, tuple[int, int]]:
    if len(packet) < HEAD.size or packet[:4] != b"HEP3":
        raise ValueError("it does not begin with HEP3")
    found: dict[int, tuple[int, int]] = {}
    place = HEAD.size
    while place + CHUNK.size <= len(packet):
        _, kind, length = CHUNK.unpack_from(packet, place)
        if length < CHUNK.size:
            break
        found[kind] = (place + CHUNK.size, place + length)
        place += length
    if PAYLOAD not in found or place != len(packet):
        raise ValueError("it is cut off")
    return found
