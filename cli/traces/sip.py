"""A traced SIP message, read so far as people want to see it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from sipmessage.message import COMPACT_FORMS

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = tuple[str, int]

STATUS = re.compile(r"SIP/2\.0 (\d{3}) ?(.*)")
TAG = re.compile(r";\s*tag=([^;,\s>]+)", re.IGNORECASE)
FOLD = re.compile(r"\r?\n[ \t]+")
BRANCH = re.compile(r";\s*branch=([^;,\s]+)", re.IGNORECASE)
CSEQ_DIGITS = 10
REASON = 20
"""Letters of a reason phrase that fit in."""
REASON_TEXT = re.compile(r'text="([^"]*)"')


@dataclass(frozen=True)
class Message:
    """A message; `sent` tells that it left handoff, `at` is in seconds since the epoch."""

    at: float
    node: str
    sent: bool
    source: Place
    destination: Place
    transport: str
    raw: bytes

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Take what the sidecar gives."""
        (source, source_port), (host, port) = data["from"], data["to"]
        return cls(
            at=float(data["at"]),
            node=str(data["node"]),
            sent=bool(data["sent"]),
            source=(str(source), int(source_port)),
            destination=(str(host), int(port)),
            transport=str(data["transport"]),
            raw=str(data["text"]).encode("latin-1"),
        )

    @cached_property
    def text(self) -> str:
        """The whole message; bytes that are not UTF-8 are replaced."""
        return self.raw.decode(errors="replace")

    @cached_property
    def _parts(self) -> tuple[str, str]:
        head, _, body = self.text.partition("\r\n\r\n")
        return head, body

    @property
    def body(self) -> str:
        """The body; empty where there is none."""
        return self._parts[1]

    @property
    def first_line(self) -> str:
        """The request line, or the status line."""
        return self._parts[0].partition("\r\n")[0]

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """All header fields, in order, each as it is written: name and value."""
        lines = FOLD.sub(" ", self._parts[0]).split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return [(name.strip(), value.strip()) for name, _, value in pairs if value]

    def header(self, name: str) -> str:
        """Give the first field of this name, in whichever form; empty where there is none."""
        wanted = name.lower()
        return next((value for field, value in self.fields if full_name(field) == wanted), "")

    @property
    def status(self) -> int | None:
        """The status of a response; None for a request."""
        found = STATUS.match(self.first_line)
        return int(found[1]) if found else None

    @property
    def reason(self) -> str:
        """The reason phrase of a response."""
        found = STATUS.match(self.first_line)
        return found[2] if found else ""

    @property
    def method(self) -> str:
        """The method of the request, or of the request that this answers."""
        return self.header("cseq").partition(" ")[2].strip() if self.status else self.first_line.partition(" ")[0]

    @property
    def cseq(self) -> int:
        """The number in CSeq, of 32 bits (RFC 3261 section 8.1.1.5); 0 where there is none."""
        number = self.header("cseq").partition(" ")[0]
        return int(number) if number.isdecimal() and len(number) <= CSEQ_DIGITS else 0

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.header("call-id")

    @property
    def from_tag(self) -> str:
        """The tag of From."""
        return tag_of(self.header("from"))

    @property
    def to_tag(self) -> str:
        """The tag of To; empty in a request that begins a dialog."""
        return tag_of(self.header("to"))

    @property
    def branch(self) -> str:
        """What a response repeats of its request (RFC 3261 section 17.1.3); the rest of Via grows on its way."""
        found = BRANCH.search(self.header("via"))
        return found[1] if found else ""

    @property
    def peer(self) -> Place:
        """The address of the other side, seen from handoff."""
        return self.destination if self.sent else self.source

    @property
    def label(self) -> str:
        """What it is, in a few words: `INVITE`, `180 Ringing (INVITE)`."""
        return f"{self.status} {self.reason[:REASON].strip()} ({self.method})" if self.status else self.method

    @property
    def note(self) -> str:
        """What more people want to know of it, on one line."""
        kind = self.header("content-type").lower()
        parts = [describe_sdp(self.body)] if "v=0" in self.body and "m=" in self.body else []
        if kind.startswith("message/sipfrag"):
            parts.append(self.body.partition("\r\n")[0].removeprefix("SIP/2.0 "))
        if self.method == "REFER" and not self.status:
            parts.append(f"to {self.header('refer-to')}")
        if found := REASON_TEXT.search(self.header("reason")):
            parts.append(found[1])
        return "; ".join(part for part in parts if part)

    def data(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "at": self.at,
            "node": self.node,
            "direction": "out" if self.sent else "in",
            "from": write_place(self.source),
            "to": write_place(self.destination),
            "transport": self.transport,
            "label": self.label,
            "text": self.text,
        }


def write_place(place: Place) -> str:
    """Write an address as host:port."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def full_name(field: str) -> str:
    """Give the long form of a header name, in small letters."""
    return COMPACT_FORMS.get(field.lower(), field).lower()


def tag_of(value: str) -> str:
    """Take the tag out of a From or To value; empty where there is none."""
    found = TAG.search(value)
    return found[1] if found else ""


NAMES = {"0": "PCMU", "8": "PCMA", "9": "G722", "3": "GSM", "18": "G729", "13": "CN"}
"""Payload types that need no rtpmap (RFC 3551)."""
MEDIA = re.compile(r"^m=(\w+) (\d+) (\S+) ([\d ]*)", re.MULTILINE)
RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\s]+)", re.MULTILINE)
HOST = re.compile(r"^c=IN IP[46] (\S+)", re.MULTILINE)
DIRECTION = re.compile(r"^a=(sendonly|recvonly|inactive)\s*$", re.MULTILINE)


def describe_sdp(sdp: str) -> str:
    """Say in a few words what an SDP offers: `PCMU PCMA at 192.0.2.1:4000`."""
    sections = []
    for media in MEDIA.finditer(sdp):
        names = NAMES | dict(RTPMAP.findall(sdp))
        codecs = [names.get(number, number) for number in media[4].split()]
        host = HOST.search(sdp)
        where = f"at {host[1]}:{media[2]}" if host and media[2] != "0" else "refused"
        kind = [] if media[1] == "audio" else [media[1]]
        secure = ["SRTP"] if "SAVP" in media[3] else []
        direction = [found[1]] if (found := DIRECTION.search(sdp)) else []
        sections.append(" ".join([*kind, *codecs, *secure, *direction, where]))
    return ", ".join(sections)
