"""A trace as a pcap file, for Wireshark: each message is one UDP packet, whatever carried it.

Layouts: the pcap file of draft-ietf-opsawg-pcap with link type 101 (raw IP), RFC 791, RFC 8200 and RFC 768.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.traces.sip import Message, Place

MAGIC, RAW_IP = 0xA1B2C3D4, 101
LONGEST = 65535
UDP = 17
HEADERS = {4: 28, 6: 48}
"""Bytes of the IP and UDP headers, by IP version."""


def write_pcap(messages: Iterable[Message]) -> bytes:
    """Write messages as a pcap file; one that is longer than a packet can be is cut."""
    parts = [struct.pack("!IHHiIII", MAGIC, 2, 4, 0, 0, LONGEST, RAW_IP)]
    for message in messages:
        packet = _packet(message.source, message.destination, message.raw)
        seconds, micros = divmod(round(message.at * 1e6), 1_000_000)
        parts += [struct.pack("!IIII", seconds, micros, len(packet), len(packet)), packet]
    return b"".join(parts)


def _packet(source: Place, destination: Place, payload: bytes) -> bytes:
    ends = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    version = 6 if ends[0].version == 6 else 4
    data = payload[: LONGEST - HEADERS[version]]
    addresses = ends[0].packed + ends[1].packed
    length = 8 + len(data)
    pseudo = (
        addresses + struct.pack("!IHH", length, 0, UDP) if version == 6 else addresses + struct.pack("!HH", UDP, length)
    )
    head = struct.pack("!HHH", source[1], destination[1], length)
    udp = head + struct.pack("!H", _checksum(pseudo + head + b"\0\0" + data) or 0xFFFF) + data
    if version == 6:
        return struct.pack("!IHBB", 6 << 28, length, UDP, 64) + addresses + udp
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0, 64, UDP)
    return start + struct.pack("!H", _checksum(start + b"\0\0" + addresses)) + addresses + udp


def _checksum(data: bytes) -> int:
    """Compute the checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
