"""The forms in which a summary travels in an INVITE: as a header field, as User-to-User data, as a part of the body.

Header forms have at most 1,024 bytes and are cut between two characters; a body holds the whole text. Whatever the text
holds, no form of it can break a message: control characters are encoded in headers, and a boundary never occurs inside.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_HEADER = 1024
"""Bytes that a header value may have."""
ELLIPSIS = "\u2026"
HEX = ";encoding=hex"
ISDN = "isdn-uui"
"""The package that User-to-User data belongs to when it names none (RFC 7434 section 7)."""

_UUI_VALUE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PURPOSE = re.compile(r';\s*purpose\s*=\s*"?([^\s;"]+)', re.IGNORECASE)


def header_value(text: str) -> str:
    """Write a text as the value of X-Handoff-Summary: printable ASCII, all else and "%" percent-encoded as UTF-8."""
    return _encode(text, _percent, LONGEST_HEADER)


def uui_value(text: str) -> str:
    """Write a text as the value of User-to-User, encoded in hex (RFC 7433 section 4.1)."""
    return _encode(text, lambda letter: _utf8(letter).hex(), LONGEST_HEADER - len(HEX)) + HEX


def beside_uui(configured: str) -> str:
    """Take out of a User-to-User field what may not stand beside ours; "" when nothing is left.

    Several values may be in one message, but not two of one package, and ours names none (RFC 7433 section 4.1).
    """
    values = (value.strip() for value in _UUI_VALUE.findall(configured))
    kept = (value for value in values if (found := _PURPOSE.search(value)) and found[1].lower() != ISDN)
    return ", ".join(kept)


def multipart(sdp: str, text: str) -> tuple[str, str]:
    """Make a multipart body (RFC 5621 section 3) of SDP and text; gives its Content-Type and the body.

    Who cannot show the text may ignore it: handling=optional (RFC 3261 section 20.11).
    """
    boundary = next(word for number in count() if (word := f"handoff-{number}") not in sdp and word not in text)
    parts = (
        ("application/sdp", "session", sdp),
        ("text/plain;charset=UTF-8", "render;handling=optional", text),
    )
    body = "".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: {disposition}\r\n\r\n{content}\r\n"
        for kind, disposition, content in parts
    )
    return f'multipart/mixed;boundary="{boundary}"', f"{body}--{boundary}--\r\n"


def _utf8(letter: str) -> bytes:
    return letter.encode(errors="replace")  # half of a surrogate pair is no character


def _percent(letter: str) -> str:
    return letter if " " <= letter <= "~" and letter != "%" else "".join(f"%{byte:02X}" for byte in _utf8(letter))


def _encode(text: str, encode: Callable[[str], str], room: int) -> str:
    """Encode character by character; what does not fit is cut off, and an ellipsis says so."""
    pieces = [encode(letter) for letter in text]
    size = sum(map(len, pieces))
    if size <= room:
        return "".join(pieces)
    end = encode(ELLIPSIS)
    while size > room - len(end):
        size -= len(pieces.pop())
    return "".join(pieces) + end
