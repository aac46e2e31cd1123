"""Reading and answering the SIP message that Kamailio is handling right now; the one place for KEMI's small print.

KEMI functions answer 1 or -1, and -1 is true in Python: `done` is how the rest of handoff asks.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import KSR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.texts import BadValue

_QUOTED = re.compile(r'^\s*"(?:[^"\\]|\\.)*"')
_URI = re.compile(r"<([^>]*)>|^\s*([^;,\s]+)")
_ROUTE = re.compile(r"<[^>]*>")
_MARK = re.compile(r";h=([0-9a-f]{16})\.(\d+);n=([^;>]+);d=([^;>]+)")
_Q850 = re.compile(r"\bQ\.850\s*;(?:[^,]*;)?\s*cause\s*=\s*(\d{1,3})\b", re.IGNORECASE)
_CONTACT_USER = re.compile(r"([0-9a-f]{16})(?:-(\d+))?")


class SipError(Exception):
    """A request cannot be done; `status` and `text` are the answer to it (RFC 3261 section 21)."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        """Keep the answer."""
        self.status = status
        self.text = text
        self.retry_after = retry_after
        super().__init__(text)

    @classmethod
    def of(cls, error: BadValue) -> Self:
        """Make it of a value that cannot be used."""
        return cls(error.status, plain(error.what))


def plain(words: str, length: int = 120) -> str:
    """Make text fit for a reason phrase or the log: printable ASCII on one line, of this length at most."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in words)[:length]


def done(result: int | bool) -> bool:
    """Turn KEMI's 1 and -1 (or a real bool) into a bool."""
    return result is True or result > 0


def text(variable: str) -> str:
    """Read a pseudo-variable as text; empty where it has no value."""
    value = KSR.pv.get(variable)
    return "" if value is None else _clean(str(value))


def _clean(value: str) -> str:
    """Put U+FFFD in the place of bytes that are not UTF-8: neither Redis nor rtpengine would take them."""
    return value if value.isascii() else value.encode(errors="surrogateescape").decode(errors="replace")


def header(name: str) -> str | None:
    """Read the first header field of this name, on one line."""
    value = KSR.hdr.get(name)
    return None if value is None else _unfold(value)


def headers(name: str) -> list[str]:
    """Read all header fields of this name, from the top, each on one line."""
    found: list[str] = []
    while (value := KSR.hdr.get_idx(name, len(found))) is not None:
        found.append(_unfold(value))
    return found


def original(name: str) -> list[str]:
    """Read all header fields of this name of the request that the response at hand answers, each on one line."""
    found: list[str] = []
    variable = f"hdr({name})"
    while value := text(f"$T_req($({variable}[{len(found)}]))" if found else f"$T_req(${variable})"):
        found.append(_unfold(value))
    return found


def reply_headers(name: str) -> list[str]:
    """Read all header fields of this name in the response that a failure route is about."""
    found: list[str] = []
    while value := text(f"$T_rpl($(hdr({name})[{len(found)}]))"):
        found.append(_unfold(value))
    return found


def q850(reasons: Iterable[str]) -> int | None:
    """Find the Q.850 cause in Reason fields (RFC 3326, RFC 6432); 0, by which Asterisk knows none, is none."""
    found = (_Q850.search(value) for value in reasons)
    return next((int(match[1]) or None for match in found if match), None)


def _unfold(value: str) -> str:
    """Undo line folding (RFC 3261 section 7.3.1); Kamailio leaves it, and blanks at the end, as they came."""
    return _clean((" ".join(value.split()) if "\n" in value else value).strip())


def sip_call_id() -> str:
    """Read the Call-ID."""
    return _clean(KSR.kx.get_callid().strip())


def uri_of(value: str | None) -> str:
    """Take the URI out of a Contact, From or Route value; empty where there is none."""
    found = _URI.search(_QUOTED.sub("", value or ""))  # within quotes, brackets mean nothing
    return (found[1] or found[2] or "") if found else ""


def split_routes(values: list[str]) -> list[str]:
    """Take Record-Route or Route fields apart into single entries, each in its angle brackets, from the top."""
    return [entry for value in values for entry in _ROUTE.findall(value)]


def name_call(of: str | None = None) -> str:
    """Make the call id from the caller's Call-ID, this message's or another: the same on every node."""
    return hashlib.blake2b((sip_call_id() if of is None else of).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Mark:
    """What our Record-Route says of a call, so that each request within it brings it along."""

    call_id: str
    cseq: int
    """CSeq of the INVITE that made the call: its ACK needs nothing from the store."""
    media_node: str
    caller_tag: str
    """The caller's tag: whoever sends with another one is the agent."""

    def __str__(self) -> str:
        """Write it as URI parameters."""
        return f";h={self.call_id}.{self.cseq};n={self.media_node};d={self.caller_tag}"

    @classmethod
    def read(cls) -> Mark | None:
        """Find it in the topmost Route field of this request; None for a request that never came through us."""
        found = _MARK.search(header("Route") or "")
        return cls(found[1], int(found[2]), found[3], found[4]) if found else None


def addressed_call(user: str) -> tuple[str, int] | None:
    """Read call id and leg number from the user part of a Contact that we gave out; leg 0 is the caller's dialog."""
    found = _CONTACT_USER.fullmatch(user)
    return (found[1], int(found[2] or 0)) if found else None


def reply(status: int, reason: str, retry_after: int | None = None) -> None:
    """Answer this request, in its transaction where it has one."""
    if retry_after is not None:
        KSR.hdr.append_to_reply(f"Retry-After: {retry_after}\r\n")
    KSR.tm.t_send_reply(status, reason)


def body() -> str:
    """Read the body; empty where there is none."""
    return _clean(KSR.kx.get_body() or "") if KSR.kx.get_bodylen() > 0 else ""


def set_sdp(sdp: str) -> None:
    """Put another SDP in the place of this message's body."""
    KSR.textops.set_body(sdp, "application/sdp")
