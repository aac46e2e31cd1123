"""A SIP message as tests see it: tolerant to read, exact to write, with the packet's time and addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from sipmessage import Address
from sipmessage.message import COMPACT_FORMS

if TYPE_CHECKING:
    from collections.abc import Iterable

Endpoint = tuple[str, int]
Headers = tuple[tuple[str, str], ...]

NOWHERE: Endpoint = ("", 0)
BRANCH = re.compile(r";\s*branch\s*=\s*([^\s;,]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """One SIP message.

    `headers` keeps the order and the repetitions; compact names are written out. `at` is the kernel's time of the
    packet in seconds (`time.time()`), `source` and `destination` are address and port.
    """

    first_line: str
    headers: Headers
    body: str = ""
    at: float = field(default=0.0, compare=False)
    source: Endpoint = field(default=NOWHERE, compare=False)
    destination: Endpoint = field(default=NOWHERE, compare=False)

    @classmethod
    def parse(
        cls, data: bytes, *, at: float = 0.0, source: Endpoint = NOWHERE, destination: Endpoint = NOWHERE
    ) -> Self:
        """Read a datagram; raises ValueError when it is no SIP message."""
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        first_line, *lines = head.replace("\r\n\t", " ").replace("\r\n ", " ").split("\r\n")
        is_sip = first_line.startswith("SIP/2.0 ") or first_line.endswith(" SIP/2.0")
        if not is_sip or not first_line.isprintable():  # copies for the sidecar have a message within
            raise ValueError(f"no SIP message: {first_line[:60]!r}")
        return cls(first_line, tuple(_header(line) for line in lines), body, at, source, destination)

    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
        return not self.first_line.startswith("SIP/2.0 ")

    @property
    def status(self) -> int | None:
        """The status code; None for a request."""
        return None if self.is_request else int(self.first_line.split(" ")[1])

    @property
    def reason(self) -> str:
        """The reason phrase; empty for a request."""
        return "" if self.is_request else self.first_line.split(" ", 2)[2]

    @property
    def method(self) -> str:
        """The method of the request, or of the request that was replied to."""
        return self.first_line.split(" ")[0] if self.is_request else self["CSeq"].split()[1]

    @property
    def uri(self) -> str:
        """The Request-URI; empty for a reply."""
        return self.first_line.split(" ")[1] if self.is_request else ""

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self["Call-ID"]

    @property
    def cseq(self) -> int:
        """The number in CSeq."""
        return int(self["CSeq"].split()[0])

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: the name of the transaction (RFC 3261 section 17.1.3)."""
        found = BRANCH.search(self["Via"])  # sipmessage takes no received=::1, which RFC 5118 section 4.5 has
        return found[1] if found else ""

    @property
    def from_tag(self) -> str:
        """The tag in From."""
        return Address.parse(self["From"]).parameters.get("tag") or ""

    @property
    def to_tag(self) -> str:
        """The tag in To; empty outside of a dialog."""
        return Address.parse(self["To"]).parameters.get("tag") or ""

    @property
    def contact(self) -> str:
        """The URI in Contact."""
        return str(Address.parse_many(self["Contact"])[0].uri)

    def get(self, name: str) -> str:
        """Return the first value of a header; empty when it is missing."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """Return every line of a header in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        if not (values := self.all(name)):
            raise KeyError(f"no {name} in {self}")
        return values[0]

    def with_headers(self, headers: Iterable[tuple[str, str]]) -> Self:
        """Return the message with other headers."""
        return replace(self, headers=tuple(headers))

    def __bytes__(self) -> bytes:
        body = self.body.encode()
        kept = [(name, value) for name, value in self.headers if name.lower() != "content-length"]
        lines = [self.first_line, *(f"{name}: {value}" for name, value in kept), f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def __str__(self) -> str:
        about = "" if self.is_request else f" to {self.method}"
        return f"{self.source[1]} -> {self.destination[1]}: {self.first_line}{about}"


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"a header without a colon: {line!r}")
    name = name.strip()
    return COMPACT_FORMS.get(name.lower(), name), value.strip()
