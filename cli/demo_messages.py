"""Every SIP message that the phones sent and got, from PJSIP's own log: what crossed the wire, without being root."""

from __future__ import annotations

import ctypes
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.phones.texts import notified_status, request_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DAY = 86400.0

LOGGED = re.compile(
    rb"^(\d\d):(\d\d):(\d\d\.\d{3}) +\S+ +[.!]*(TX|RX) (\d+) bytes \S+ msg \S+ \(\w+\) (?:to|from) UDP \S+:\n",
    re.MULTILINE,
)
VIA = re.compile(r"^Via: SIP/2\.0/UDP [^:;\s]+:(\d+)\S*?;branch=([^;\s]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP message between a phone and handoff; `at` is `time.time()` in seconds, right to a millisecond."""

    at: float
    phone: str
    sent: bool
    text: str

    @property
    def status(self) -> int | None:
        """The status of a reply; None for a request."""
        found = re.match(r"SIP/2\.0 (\d{3}) ", self.text)
        return int(found[1]) if found else None

    @property
    def method(self) -> str:
        """The method of the request, or of the request that this replies to."""
        found = re.search(r"^CSeq: \d+ (\w+)", self.text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def notified(self) -> int | None:
        """The status that a NOTIFY tells; None for any other message."""
        status = notified_status(self.text) if self.method == "NOTIFY" and self.status is None else None
        return status[0] if status else None

    def header(self, name: str) -> str | None:
        """Read a header by its full name; None when it is not there."""
        head = self.text.partition("\r\n\r\n")[0]
        found = re.search(rf"^{name}: *([^\r\n]*)", head, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else None

    def __str__(self) -> str:
        """Write it as people speak of it: `202 Accepted (REFER)`, `NOTIFY 180 Ringing`."""
        if self.status:
            return f"{self.text.splitlines()[0].removeprefix('SIP/2.0 ')} ({self.method})"
        status = notified_status(self.text) if self.method == "NOTIFY" else None
        return f"{self.method} {status[0]} {status[1]}" if status else self.method


def read_messages(log: Path, phones: Mapping[int, str], began: float) -> list[Message]:
    """Read the messages since `began` (`time.time()`); `phones` are the names by SIP port."""
    ctypes.CDLL(None).fflush(None)  # PJSIP leaves the end of its log in the buffer of the C library
    return [message for message in _read(log.read_bytes(), phones, began) if message.at >= began - 0.001]


def _read(log: bytes, phones: Mapping[int, str], began: float) -> Iterator[Message]:
    requests: dict[str, str] = {}  # branch of a request that came in -> the phone that it came to
    for head in LOGGED.finditer(log):
        hours, minutes, seconds, direction, size = head.groups()
        text = log[head.end() : head.end() + int(size)].decode("utf-8", "replace")
        via = VIA.search(text)
        if via is None:
            continue  # no SIP that anybody could answer
        sent = direction == b"TX"
        if sent is not text.startswith("SIP/2.0"):  # a request sent, or the reply to one: the Via is the phone's
            phone = phones.get(int(via[1]), "")
        elif sent:
            phone = requests.get(via[2], "")
        else:
            phone = requests[via[2]] = phones.get(request_port(text) or 0) or _user(text)
        at = _moment(int(hours) * 3600 + int(minutes) * 60 + float(seconds), began)
        yield Message(at, phone, sent, text)


def _user(request: str) -> str:
    """Name the user that a request is for, by which PJSIP finds the phone where the port is not its own."""
    found = re.match(r"\S+ sips?:([^@:;\s]+)@", request)
    return found[1] if found else ""


def _moment(clock: float, began: float) -> float:
    """Find the time whose time of day is `clock`, closest to `began`."""
    local = time.localtime(began)
    reference = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + began % 1
    return began + (clock - reference + DAY / 2) % DAY - DAY / 2
