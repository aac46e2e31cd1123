"""Checks of the small texts that people and peers give us: names, hosts, addresses, numbers, header fields.

Every check returns the text in its normal form or raises BadValue, so that nothing unchecked gets into a SIP
message, a Redis key or a log line.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
NAME = re.compile(r"[A-Za-z0-9+][A-Za-z0-9._+-]{0,63}")
HOST_NAME = re.compile(
    r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?"
)
E164 = re.compile(r"\+[1-9][0-9]{1,14}")
DIGITS = re.compile(r"[0-9]{1,15}")
SEPARATORS = str.maketrans("", "", "-.() ")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
PASSWORD = re.compile(r"^([^:]*:[^:@]*):.*@")
SHOWN = 80


class BadValue(ValueError):
    """A value that cannot be used: what is wrong, how to mend it, and the SIP status to answer with."""

    def __init__(self, what: str, status: int = 400, *, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.status = status
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}" if self.mend else self.what


def shown(value: object) -> str:
    """Return the value as it may be shown to people: quoted, short, on one line, no password of a URI."""
    text = repr(PASSWORD.sub(r"\1:***@", value) if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]}...{text[-1]}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a mend that names the known word most like this one, or all of them when none is like it."""
    words = sorted(known)
    close = difflib.get_close_matches(word.lower(), words, n=1)
    return f"did you mean {close[0]}?" if close else f"known are: {', '.join(words)}"


def check_text(text: str, what: str = "the value") -> str:
    """Refuse control characters except tab: CR, LF and NUL would split a header field (RFC 3261 7.3.1)."""
    if found := CONTROL.search(text):
        raise BadValue(
            f"{what} has the control character U+{ord(found[0]):04X}", mend="put it on one line of plain text"
        )
    return text


def decode_percent(text: str, what: str = "the value") -> str:
    """Decode percent-encoded UTF-8 strictly (RFC 3986 2.1) and refuse the control characters found inside."""
    if BAD_ESCAPE.search(text):
        raise BadValue(f"{what} has a % without two hex digits after it", mend="write the sign % as %25")
    try:
        decoded = urllib.parse.unquote_to_bytes(text).decode()
    except UnicodeError:
        raise BadValue(f"{what} is not UTF-8", mend="percent-encode the bytes of UTF-8 text") from None
    return check_text(decoded, what)


def check_name(text: str) -> str:
    """Check the name of a node, trunk, pool or target: it becomes part of URIs, Redis keys and log lines."""
    if not NAME.fullmatch(text):
        raise BadValue(
            f"{shown(text)} is not a name",
            mend="use 1 to 64 letters, digits, + - . _ and begin with a letter or digit",
        )
    return text


def check_address(text: str) -> str:
    """Check an IPv4 or IPv6 address, with or without brackets; IPv6 comes back with brackets as in a URI."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise BadValue(f"{shown(text)} is not an IP address", mend="give one like 192.0.2.1") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is None:
        return f"[{address}]"
    if str(address) != text:
        raise BadValue(f"{shown(text)} is not an IP address", mend="leave out brackets or zone")
    return text


def check_host(text: str) -> str:
    """Check a host as in a SIP URI (RFC 3261 25.1): a name or an address; names come back in lower case."""
    if HOST_NAME.fullmatch(text):
        return text.lower().removesuffix(".")
    try:
        return check_address(text)
    except BadValue:
        raise BadValue(
            f"{shown(text)} is not a host", mend="give a name like pbx.example.com or an IP address"
        ) from None


def check_port(text: str) -> int:
    """Check a port number, 1 to 65535."""
    if not (re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) <= 65535):
        raise BadValue(f"{shown(text)} is not a port", mend="give a number from 1 to 65535")
    return int(text)


def split_host_port(text: str) -> tuple[str, int]:
    """Split "host:port" into the checked host (IPv6 in brackets) and the port."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise BadValue(f"{shown(text)} is not host:port", mend="give one like 127.0.0.1:5060 or [::1]:5060")
    return check_host(host), check_port(port)


def check_number(text: str) -> str:
    """Check a telephone number, E.164 with a + or bare digits, and drop its visual separators."""
    number = text.translate(SEPARATORS)
    if not (E164.fullmatch(number) or DIGITS.fullmatch(number)):
        raise BadValue(f"{shown(text)} is not a number", mend="write it as E.164, like +49301234567")
    return number


def check_header_name(name: str) -> str:
    """Check the name of a header that people may add to our INVITE: X-... or User-to-User (RFC 7433).

    All others are either written by handoff itself or would change how the call is routed.
    """
    if not TOKEN.fullmatch(name):
        raise BadValue(f"{shown(name)} is not a header name", mend="use letters, digits and -")
    folded = name.lower()
    if folded.startswith("x-handoff-"):
        raise BadValue(f"{shown(name)} is written by handoff itself", mend="choose another X- name")
    if folded != "user-to-user" and not (folded.startswith("x-") and len(folded) > len("x-")):
        raise BadValue(f"the header {shown(name)} may not be set", mend="only X-... and User-to-User may be")
    return name


def check_header_value(value: str) -> str:
    """Check the value of a header that people may add to our INVITE, and strip the space around it."""
    return check_text(value, "the header value").strip()
