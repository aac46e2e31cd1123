"""Secrets in SIP messages, and how they are hidden before anybody is shown a message, or sent one.

Hidden are answers to challenges, media keys, passwords in URIs, header fields that are credentials by their names, and
keys that people press, which may be a PIN. What is said of a call, such as its summary, is not: that is what traces
are for.
"""

from __future__ import annotations

import re

FOLDED = rb"([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
"""The rest of a header field (RFC 3261 section 7.3.1)."""


def _pattern(before: bytes, secret: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(" + before + rb")" + secret, re.IGNORECASE | re.MULTILINE)


SECRETS: tuple[tuple[tuple[bytes, ...], re.Pattern[bytes]], ...] = (
    ((b"authorization",), _pattern(rb"^(?:proxy-)?authorization[ \t]*:[ \t]*(?:\S+[ \t]+)?", FOLDED)),
    ((b"authorization=",), _pattern(rb"[?&](?:proxy-)?authorization=", rb"([^&>\s]+)")),
    ((b"authentication-info",), _pattern(rb"^(?:proxy-)?authentication-info[ \t]*:[ \t]*", FOLDED)),
    (
        (b"token", b"secret", b"password", b"api", b"auth"),
        _pattern(
            rb"^(?:[\w-]*(?:token|secret|password|passwd|api-?key)[\w-]*|x-[\w-]*auth[\w-]*)[ \t]*:[ \t]*", FOLDED
        ),
    ),
    ((b"inline:",), _pattern(rb"inline:", rb"([^\s|;]+)")),
    ((b"key-mgmt:",), _pattern(rb"^a=key-mgmt:\S+[ \t]+", rb"([^\r\n]+)")),
    ((b"ice-pwd:",), _pattern(rb"^a=ice-pwd:", rb"([^\r\n]+)")),
    ((b"\nk=",), _pattern(rb"^k=", rb"([^\r\n]+)")),
    ((b"signal",), _pattern(rb"^signal[ \t]*=[ \t]*", rb"(\S+)")),
    ((b"kpml-response",), _pattern(rb"\sdigits=\"", rb"([^\"]*)")),
    ((b"application/dtmf",), _pattern(rb"application/dtmf\s(?s:.)*?\r?\n\r?\n", rb"((?s:.)*)")),
    ((b"@",), _pattern(rb"(?:sips?:|\w+://)[^\s@:<>\"?]*:", rb"([^\s@;<>\"?]+)(?=@)")),
)
"""What is looked for, in small letters: only where one of these words is there. Then what is hidden behind what."""


def hide_secrets(packet: bytes) -> bytes:
    """Put a * in the place of each letter of a secret: lengths stay true."""
    lowered = packet.lower()
    for words, pattern in SECRETS:
        if any(word in lowered for word in words):
            packet = pattern.sub(_stars, packet)
    return packet


def _stars(found: re.Match[bytes]) -> bytes:
    return found[1] + re.sub(rb"[^\r\n \t]", b"*", found[2])
