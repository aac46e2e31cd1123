"""One end of an RTCP session: reports to the other one how well it is heard, as well as the test says."""

from __future__ import annotations

import re
import socket
import struct
import time
from typing import TYPE_CHECKING, Self

from tests.stack.rtp import sdp_address

if TYPE_CHECKING:
    from tests.stack.message import Endpoint

SENDER_REPORT = 200
_SINCE_1900 = 2_208_988_800
_PERCENT = 256 / 100


class RtcpPeer:
    """A context manager: sends sender reports for `ssrc` to where an SDP says, and answers those of the other end.

    Each has a report block that `loss` percent of the packets did not arrive (RFC 3550 section 6.4.1).
    """

    def __init__(self, ssrc: int, sdp: str, *, loss: int) -> None:
        self._ssrc = ssrc
        self._loss = loss
        self._remote = _rtcp_address(sdp)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._heard: tuple[int, int, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def report(self) -> None:
        """Read what has come, and send one report."""
        self._read()
        now = time.time()
        seconds, fraction = int(now) + _SINCE_1900, int(now % 1 * (1 << 32))
        block = self._block() if self._heard else b""
        body = struct.pack("!IIIIII", self._ssrc, seconds, fraction, 0, 100, 16000) + block
        head = struct.pack("!BBH", 0x80 | bool(block), SENDER_REPORT, len(body) // 4)
        self._socket.sendto(head + body, self._remote)

    def _block(self) -> bytes:
        assert self._heard is not None, "a block is about somebody"
        ssrc, stamp, at = self._heard
        waited = max(1, int((time.monotonic() - at) * 65536))
        lost = round(self._loss * _PERCENT) << 24 | self._loss
        return struct.pack("!IIIIII", ssrc, lost, 100, 0, stamp, waited)

    def _read(self) -> None:
        """Take the SSRC of the last sender report, the middle of its time, and when it came."""
        while True:
            try:
                data = self._socket.recv(2048)
            except BlockingIOError:
                return
            if data[1] == SENDER_REPORT:
                ssrc, seconds, fraction = struct.unpack("!III", data[4:16])
                self._heard = ssrc, (seconds & 0xFFFF) << 16 | fraction >> 16, time.monotonic()


def _rtcp_address(sdp: str) -> Endpoint:
    host, port = sdp_address(sdp)
    named = re.search(r"^a=rtcp:(\d+)", sdp, re.MULTILINE)
    return host, int(named[1]) if named else port + 1
