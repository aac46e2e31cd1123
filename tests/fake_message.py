"""A SIP message as Kamailio's KEMI functions show it to Python, read from plain text.

Only what the adapter asks for is here; asking for anything else is an AssertionError, never a guess. One test puts
the same message to the real Kamailio and compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Value = str | int | None

COMPACT = {
    "b": "referred-by",
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "v": "via",
    "x": "session-expires",
}


def canonical(name: str) -> str:
    """Give the lower-case long form of a header's name."""
    return COMPACT.get(name.lower(), name.lower())


def uri_of(address: str | None) -> str | None:
    """Give the URI of a From, To, Contact or Refer-To value (RFC 3261, 20.10)."""
    if address is None:
        return None
    found = re.search(r"<([^>]*)>", re.sub(r'"(\\.|[^"\\])*"', "", address))
    return found[1] if found else address.split(";")[0].strip()


def parts_of(uri: str | None) -> tuple[str | None, str | None]:
    """Give user and host of a SIP URI."""
    found = re.match(r"sips?:(?:([^@:;]*)[^@]*@)?(\[[^\]]*\]|[^:;?]*)", uri or "")
    return (found[1] or None, found[2] or None) if found else (None, None)


def tag_of(address: str | None) -> str | None:
    """Give the tag parameter of a From or To value: the header's, not one inside the URI."""
    found = re.search(r";\s*tag=([^;\s]+)", re.sub(r"<[^>]*>", "", address or ""))
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """A received message: its first line, headers in order, body, and the addresses it came from and arrived at."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: str
    text: str
    source: tuple[str, int]
    local: tuple[str, int]
    proto: str = "udp"

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        source: tuple[str, int] = ("127.0.0.1", 5080),
        local: tuple[str, int] = ("127.0.0.1", 5060),
        proto: str = "udp",
    ) -> FakeMessage:
        """Read a message from text with LF or CRLF line ends; ValueError when it is no SIP message."""
        text = re.sub(r"\r?\n", "\r\n", text.lstrip())
        if "\r\n\r\n" not in text:
            text = text.rstrip() + "\r\n\r\n"
        head, _, body = text.partition("\r\n\r\n")
        first, *lines = re.split(r"\r\n(?![ \t])", head)
        if not re.fullmatch(r"SIP/2\.0 \d{3} .*|[A-Z]+ \S+ SIP/2\.0", first):
            raise ValueError(f"{first!r} does not begin a SIP message")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"{line!r} is not a SIP header")
            headers.append((canonical(name.strip()), value.lstrip()))
        return cls(first, tuple(headers), body, text, source, local, proto)

    @property
    def is_reply(self) -> bool:
        """True for a response."""
        return self.first.startswith("SIP/2.0 ")

    @property
    def method(self) -> str:
        """The method of the request, or the one that the CSeq of a reply names."""
        return self.header("cseq", "").split()[-1] if self.is_reply else self.first.split()[0]

    @property
    def status(self) -> int | None:
        """The status code of a reply."""
        return int(self.first.split()[1]) if self.is_reply else None

    @property
    def uri(self) -> str | None:
        """The Request-URI as received; None in a reply."""
        return None if self.is_reply else self.first.split()[1]

    def all(self, name: str) -> list[str]:
        """Give the values of every header of that name, long or compact, in order."""
        return [value for each, value in self.headers if each == canonical(name)]

    def header(self, name: str, default: str | None = None, index: int = 0) -> str:
        """Give one header's value, the first if not told otherwise; AssertionError without it and without a default."""
        values = self.all(name)
        if -len(values) <= index < len(values):
            return values[index]
        assert default is not None, f"the message has no {name} header"
        return default

    def get(self, name: str, index: int = 0) -> str | None:
        """Give one header's value like `KSR.hdr.get_idx`."""
        values = self.all(name)
        return values[index] if -len(values) <= index < len(values) else None

    def contact(self) -> str | None:
        """Give the URI of the first contact, None when there is none or only `*`."""
        uri = uri_of(self.get("contact"))
        return None if uri == "*" else uri

    def pv(self, name: str, uri: str | None) -> Value:
        """Give the value of a pseudo-variable like `KSR.pv.get`; `uri` is the Request-URI, perhaps a new one."""
        if header := re.fullmatch(r"\$hdr\(([\w.-]+)\)", name):
            return self.get(header[1])
        if header := re.fullmatch(r"\$\(hdr\(([\w.-]+)\)\[(-?\d+)\]\)", name):
            return self.get(header[1], int(header[2]))
        if header := re.fullmatch(r"\$hdrc\(([\w.-]+)\)", name):
            return len(self.all(header[1]))
        assert name in PVS, f"the fake does not know the pseudo-variable {name}: add it to tests/fake_message.py"
        return uri_pv(name, uri) if name in ("$ru", "$rU", "$rd") else PVS[name](self)


def uri_pv(name: str, uri: str | None) -> str | None:
    """Give `$ru`, `$rU` or `$rd`."""
    user, host = parts_of(uri)
    return {"$ru": uri, "$rU": user, "$rd": host}[name]


def _length(message: FakeMessage) -> int | None:
    value = message.get("content-length")
    return None if value is None else int(value)


PVS: dict[str, Callable[[FakeMessage], Value]] = {
    "$ru": lambda m: m.uri,
    "$rU": lambda m: parts_of(m.uri)[0],
    "$rd": lambda m: parts_of(m.uri)[1],
    "$ou": lambda m: m.uri,
    "$oU": lambda m: parts_of(m.uri)[0],
    "$od": lambda m: parts_of(m.uri)[1],
    "$rm": lambda m: m.method,
    "$rs": lambda m: m.status,
    "$rr": lambda m: m.first.split(maxsplit=2)[2] if m.is_reply else None,
    "$rb": lambda m: m.body,
    "$ci": lambda m: m.get("call-id"),
    "$cs": lambda m: m.header("cseq").split()[0],
    "$ft": lambda m: tag_of(m.get("from")),
    "$tt": lambda m: tag_of(m.get("to")),
    "$fu": lambda m: uri_of(m.get("from")),
    "$tu": lambda m: uri_of(m.get("to")),
    "$fU": lambda m: parts_of(uri_of(m.get("from")))[0],
    "$tU": lambda m: parts_of(uri_of(m.get("to")))[0],
    "$fd": lambda m: parts_of(uri_of(m.get("from")))[1],
    "$td": lambda m: parts_of(uri_of(m.get("to")))[1],
    "$ct": lambda m: m.get("contact"),
    "$rt": lambda m: uri_of(m.get("refer-to")),
    "$cT": lambda m: m.get("content-type"),
    "$cl": _length,
    "$ua": lambda m: m.get("user-agent"),
    "$si": lambda m: m.source[0],
    "$sp": lambda m: m.source[1],
    "$su": lambda m: f"sip:{m.source[0]}:{m.source[1]}" + ("" if m.proto == "udp" else f";transport={m.proto}"),
    "$Ri": lambda m: m.local[0],
    "$Rp": lambda m: m.local[1],
    "$pr": lambda m: m.proto,
    "$proto": lambda m: m.proto,
    "$mb": lambda m: m.text,
    "$ml": lambda m: len(m.text.encode()),
}
