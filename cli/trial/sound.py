"""The sound of a test call: what we offer, and what is heard and told of it by RTP and RTCP (RFC 3550)."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import random
import re
import secrets
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMATS = {"PCMU": (0, 8000, b"\xff" * 160), "PCMA": (8, 8000, b"\xd5" * 160)}
FORMATS |= {"G722": (9, 8000, b"\xfa" * 160), "opus": (96, 48000, b"\xf8\xff\xfe")}
"""Each codec with its payload type, its clock, and 20 ms of silence."""
RTPMAPS = {"PCMU": "PCMU/8000", "PCMA": "PCMA/8000", "G722": "G722/8000", "opus": "opus/48000/2"}
SILENCE = frozenset(b"\xff\x7f\xd5\x55")
EVENTS = 101
INTERVAL = 0.02
LISTEN = 3.0
"""Seconds that the other side is listened to."""
REPORT = 7.0
"""Seconds after the answer that its RTCP report is waited for: phones send one each five seconds."""
_SINCE_1900 = 2_208_988_800


@dataclass(slots=True)
class Heard:
    """What came of the sound: packets, clock of the codec, and what the other side reported of ours."""

    codec: str
    clock: int
    seconds: float = 0.0
    sent: int = 0
    received: int = 0
    silent: bool = True
    """Whether all that came was digital silence."""
    jitter: float = 0.0
    """In units of the clock."""
    reported_loss: float | None = None
    """Share of our packets that the other side misses; None while it has not told."""
    round_trip: float | None = None
    """Seconds."""
    direction: str = "sendrecv"
    """What its answer says that it does: sendrecv, sendonly, recvonly or inactive (RFC 4566 section 6)."""
    numbers: list[int] = field(default_factory=list)
    _transit: float | None = None

    @property
    def loss(self) -> float:
        """Share of its packets that did not come."""
        if not self.numbers:
            return 0.0
        expected = max(self.numbers) - min(self.numbers) + 1
        return max(0.0, 1 - len(set(self.numbers)) / expected)

    def take(self, packet: bytes, at: float) -> None:
        """Note an RTP packet (RFC 3550 section 6.4.1 and appendix A.8)."""
        _, kind, number, stamp = struct.unpack_from("!BBHI", packet)
        if kind & 0x7F == EVENTS:
            return
        last = self.numbers[-1] if self.numbers else number
        self.numbers.append(last + (number - last + 0x8000) % 0x10000 - 0x8000)
        self.received += 1
        self.silent = self.silent and self.codec in {"PCMU", "PCMA"} and SILENCE.issuperset(packet[12:])
        transit = at * self.clock - stamp
        if self._transit is not None and abs(transit - self._transit) < self.clock:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit


class Sound:
    """Two ports for RTP and RTCP at an address; a context manager."""

    def __init__(self, address: str, *, encrypted: bool = False) -> None:
        self._address = address
        self._encrypted = encrypted
        self._rtp, self._rtcp = _pair(address)
        self._ssrc = random.getrandbits(31)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rtp.close()
        self._rtcp.close()

    def offer(self, codecs: Sequence[str]) -> str:
        """Write an offer of these codecs and of DTMF events."""
        family = "IP6" if ":" in self._address else "IP4"
        numbers = [*(FORMATS[codec][0] for codec in codecs), EVENTS]
        maps = [*((FORMATS[codec][0], RTPMAPS[codec]) for codec in codecs), (EVENTS, "telephone-event/8000")]
        profile = "RTP/SAVP" if self._encrypted else "RTP/AVP"
        key = base64.b64encode(secrets.token_bytes(30)).decode()
        lines = [
            *("v=0", f"o=- {self._ssrc} 1 IN {family} {self._address}", "s=-"),
            *(f"c=IN {family} {self._address}", "t=0 0"),
            f"m=audio {self._rtp.getsockname()[1]} {profile} {' '.join(map(str, numbers))}",
            *(f"a=rtpmap:{number} {name}" for number, name in maps),
            *(["a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key] if self._encrypted else []),
            *("a=fmtp:101 0-15", "a=ptime:20", "a=sendrecv", ""),
        ]
        return "\r\n".join(lines)

    def talk(self, answer: str, goes_on: Callable[[], bool]) -> Heard:
        """Send silence and listen, until enough is known or `goes_on` says no; encrypted sound is only listened to."""
        codec = codec_of(answer)
        number, clock, silence = FORMATS.get(codec, FORMATS["PCMU"])
        heard, to = Heard(codec, clock, direction=direction_of(answer)), place_of(answer)
        began = due = time.monotonic()
        count, report_at = random.getrandbits(15), began
        sends = to is not None and not self._encrypted and heard.direction not in {"sendonly", "inactive"}
        while goes_on():
            now = time.monotonic()
            heard.seconds = now - began
            known = heard.round_trip is not None or not sends
            if heard.seconds > REPORT or (heard.seconds > LISTEN and known):
                break
            if now >= due and to and sends:
                stamp = count * clock // 50 & 0xFFFFFFFF
                head = struct.pack("!BBHII", 0x80, number, count & 0xFFFF, stamp, self._ssrc)
                heard.sent += _send(self._rtp, head + silence, to)
                count, due = count + 1, due + INTERVAL
                if now >= report_at:
                    report_at = now + 1.0
                    _send(self._rtcp, self._report(stamp, heard.sent, len(silence)), (to[0], to[1] + 1))
            to = self._listen(heard, to, max(0.0, min(due - time.monotonic(), INTERVAL)) if sends else INTERVAL)
        return heard

    def _listen(self, heard: Heard, to: tuple[str, int] | None, seconds: float) -> tuple[str, int] | None:
        """Take what has come; sound from elsewhere than its SDP said is answered there, as behind NAT."""
        for ready in select.select([self._rtp, self._rtcp], [], [], seconds)[0]:
            try:
                packet, source = ready.recvfrom(2048)
            except OSError:
                continue
            if len(packet) < 12 or packet[0] >> 6 != 2:
                continue
            if ready is self._rtcp:
                self._read_reports(packet, heard)
            else:
                heard.take(packet, time.monotonic())
                to = source[:2]
        return to

    def _report(self, stamp: int, packets: int, size: int) -> bytes:
        now = time.time() + _SINCE_1900
        fraction = int(now % 1 * (1 << 32))
        report = struct.pack("!BBHIIIIII", 0x80, 200, 6, self._ssrc, int(now), fraction, stamp, packets, packets * size)
        name = b"handoff"
        item = struct.pack("!IBB", self._ssrc, 1, len(name)) + name
        item += bytes(4 - len(item) % 4)
        return report + struct.pack("!BBH", 0x81, 202, len(item) // 4) + item

    def _read_reports(self, packet: bytes, heard: Heard) -> None:
        """Read what the other side reports of us (RFC 3550 sections 6.4.1 and 6.4.2)."""
        at = 0
        while at + 8 <= len(packet):
            first, kind, length = struct.unpack_from("!BBH", packet, at)
            block, end = at + {200: 28, 201: 8}.get(kind, 1 << 16), at + 4 * (length + 1)
            for _ in range(first & 0x1F):
                if block + 24 > min(end, len(packet)):
                    break
                ssrc, lost, _, _, sent, delay = struct.unpack_from("!IIIIII", packet, block)
                block += 24
                if ssrc == self._ssrc:
                    missing = (lost & 0xFFFFFF) - ((lost & 0x800000) << 1)  # less than none where some came twice
                    heard.reported_loss = max(0, missing) / max(1, heard.sent)
                    if sent:
                        now = int((time.time() + _SINCE_1900) * 65536)
                        passed = ((now - sent - delay) & 0xFFFFFFFF) / 65536
                        heard.round_trip = passed if passed < 60 else 0.0
            at = end


def codec_of(sdp: str) -> str:
    """Name the first codec of an answer, as FORMATS does where it is one of them; empty where it has none."""
    media = re.search(r"^m=audio (\d+) \S+ ([\d ]+)", sdp, re.MULTILINE)
    if media is None or media[1] == "0":
        return ""
    names = dict(re.findall(r"^a=rtpmap:(\d+) ([^/\s]+)", sdp, re.MULTILINE))
    static = {str(number): codec for codec, (number, _, _) in FORMATS.items() if number < 96}
    named = (names.get(number) or static.get(number, number) for number in media[2].split())
    codec = next((name for name in named if name != "telephone-event"), "")
    return next((known for known in FORMATS if known.lower() == codec.lower()), codec)


def place_of(sdp: str) -> tuple[str, int] | None:
    """Tell where an answer wants its sound; None where it wants none, or names no address."""
    media = re.search(r"^m=audio (\d+)", sdp, re.MULTILINE)
    lines = re.findall(r"^c=IN IP[46] ([^\s/]+)", sdp, re.MULTILINE)
    if media is None or media[1] == "0" or not lines:
        return None
    try:
        ipaddress.ip_address(lines[-1])
    except ValueError:
        return None
    return lines[-1], int(media[1])


def direction_of(sdp: str) -> str:
    """Tell the direction of the sound of an answer, as its sender sees it; that of the session where it has none."""
    session, _, media = sdp.partition("m=audio")
    found = re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)\b", media.partition("\nm=")[0], re.MULTILINE)
    found += re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)\b", session, re.MULTILINE)
    return str(found[0]) if found else "sendrecv"


def _pair(address: str) -> tuple[socket.socket, socket.socket]:
    """Bind an even port and the next one (RFC 3550 section 11)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        rtp, rtcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        rtp.bind((address, 0))
        port = rtp.getsockname()[1]
        with contextlib.suppress(OSError):  # somebody has the next one
            if port % 2 == 0:
                rtcp.bind((address, port + 1))
                return rtp, rtcp
        rtp.close()
        rtcp.close()


def _send(sender: socket.socket, packet: bytes, to: tuple[str, int]) -> bool:
    try:
        sender.sendto(packet, to)
    except OSError:
        return False
    return True
