"""A small RTP endpoint: sends one packet each 20 ms and remembers what it hears, by SSRC."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

from tests.stack.capture import Datagram, kernel_time, want_kernel_time
from tests.stack.ua import PATIENCE
from tests.stack.wire import RtpPacket, rtp_packet

if TYPE_CHECKING:
    from tests.stack.message import Endpoint

PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9}

_INTERVAL = 0.02
_SAMPLES = 160  # G.722 counts 8000 to the second too (RFC 3551 section 4.5.2)


class RtpPeer:
    """One end of an audio stream; a context manager.

    It sends packets whose payload is `byte` all over, once `talk_to` has told where. `ssrc` names it at the other end.
    """

    def __init__(self, codec: str = "PCMU", *, byte: int = 0x55, address: str = "127.0.0.1") -> None:
        self.codec = codec
        self.ssrc = random.getrandbits(32)
        self.remote: Endpoint | None = None
        self._packet = bytes([byte]) * _SAMPLES
        self._heard: list[RtpPacket] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        want_kernel_time(self._socket)
        self.address: Endpoint = self._socket.getsockname()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work, name="rtp") for work in (self._send, self._receive)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._socket.sendto(b"", self.address)  # wakes the receiver
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def sdp(self, *codecs: str, direction: str = "sendrecv", version: int = 1) -> str:
        """Return an SDP with this port and `codecs` (its own when none are named)."""
        host, port = self.address
        numbers = [PAYLOAD_TYPES[codec] for codec in codecs or (self.codec,)]
        maps = [f"a=rtpmap:{PAYLOAD_TYPES[codec]} {codec}/8000" for codec in codecs or (self.codec,)]
        lines = ["v=0", f"o=- {self.ssrc} {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
        media = f"m=audio {port} RTP/AVP {' '.join(map(str, numbers))}"
        return "\r\n".join([*lines, media, *maps, f"a={direction}", "a=ptime:20", ""])

    def say(self, payload: bytes) -> None:
        """Send 20 ms of something, over and over, in each packet from now on."""
        self._packet = payload

    def talk_to(self, sdp: str) -> None:
        """Send to where an SDP says, from now on."""
        self.remote = sdp_address(sdp)

    def hush(self) -> None:
        """Send nothing any more."""
        self.remote = None

    def packets(self, *, since: float = 0.0, until: float = float("inf")) -> list[RtpPacket]:
        """Return what was heard in a time (seconds, `time.time()`)."""
        return [packet for packet in list(self._heard) if since <= packet.at <= until]

    def heard(self, *, since: float = 0.0, until: float = float("inf")) -> Counter[int]:
        """Return how many packets were heard in a time, by SSRC."""
        return Counter(packet.ssrc for packet in self.packets(since=since, until=until))

    def wait_heard(
        self, ssrc: int | None = None, *, count: int = 5, since: float = 0.0, timeout: float = PATIENCE
    ) -> None:
        """Wait until `count` packets (of `ssrc`, or of anybody) were heard; AssertionError with what was heard else."""
        deadline = time.monotonic() + timeout
        while True:
            heard = self.heard(since=since)
            if (heard.total() if ssrc is None else heard[ssrc]) >= count:
                return
            if self._stopping.wait(_INTERVAL / 2) or time.monotonic() > deadline:
                raise AssertionError(f"heard {dict(heard)} within {timeout:g} s, not {count} packets of {ssrc}")

    def _send(self) -> None:
        due = time.monotonic()
        number = random.getrandbits(16)
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            if (remote := self.remote) is not None:
                header = struct.pack(
                    "!BBHII",
                    0x80,
                    PAYLOAD_TYPES[self.codec],
                    number & 0xFFFF,
                    number * _SAMPLES & 0xFFFFFFFF,
                    self.ssrc,
                )
                self._socket.sendto(header + self._packet, remote)
            number += 1
            due += _INTERVAL

    def _receive(self) -> None:
        while not self._stopping.is_set():
            if not select.select([self._socket], [], [], 0.1)[0]:
                continue
            data, ancillary, _, source = self._socket.recvmsg(2048, 64)
            packet = rtp_packet(Datagram(kernel_time(ancillary), source, self.address, data))
            if packet is not None:
                self._heard.append(packet)


def sdp_address(sdp: str) -> Endpoint:
    """Return where an SDP wants its audio."""
    host = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", sdp, re.MULTILINE)
    if host is None or port is None:
        raise ValueError(f"no audio address in this SDP:\n{sdp}")
    return host.group(1), int(port.group(1))
