"""Secrets in SIP messages, and how they are hidden before anybody is shown a message, or sent one.

Hidden are answers to challenges, media keys, passwords in URIs, header fields that are credentials by their names, and
keys that people press, which may be a PIN. What is said of a call, such as its summary, is not: that is what traces
are for.
"""

from __future__ import annotations

import re

FOLDED = rb"([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
"""The rest of a header field (RFC 3261 section 7.3.1)."""


PASSWORD = rb"[^\s@:<>\"?]*:([^\s@;<>\"?]{1,1000})@"
"""In a URI, behind its scheme. What may be long has a limit here: else messages could be made that take seconds."""
SECRETS: tuple[tuple[tuple[bytes, ...], re.Pattern[bytes]], ...] = tuple(
    (words, re.compile(pattern, re.MULTILINE))
    for words, pattern in (
        ((b"authorization",), rb"^(?:proxy-)?authorization[ \t]*:[ \t]*(?:\S+[ \t]+)?" + FOLDED),
        ((b"authorization=",), rb"[?&](?:proxy-)?authorization=([^&>\s]+)"),
        ((b"authentication-info",), rb"^(?:proxy-)?authentication-info[ \t]*:[ \t]*" + FOLDED),
        (
            (b"token", b"secret", b"passw", b"api", b"auth"),
            rb"^(?:[\w-]{0,99}(?:token|secret|password|passwd|api-?key)|x-[\w-]{0,99}auth)[\w-]{0,99}[ \t]*:[ \t]*"
            + FOLDED,
        ),
        ((b"inline:",), rb"inline:([^\s|;]+)"),
        ((b"key-mgmt:",), rb"^a=key-mgmt:\S+[ \t]+([^\r\n]+)"),
        ((b"ice-pwd:",), rb"^a=ice-pwd:([^\r\n]+)"),
        ((b"\nk=",), rb"^k=([^\r\n]+)"),
        ((b"signal",), rb"^signal[ \t]*=[ \t]*(\S+)"),
        ((b"kpml-response",), rb"\sdigits=\"([^\"]*)"),
        ((b"application/dtmf",), rb"application/dtmf\s(?s:(?!application/dtmf).)*?\r?\n\r?\n((?s:.)*)"),
        ((b"sip",), rb"sips?:" + PASSWORD),
        ((b"://",), rb"://" + PASSWORD),
    )
)
"""What is looked for, in small letters, where one of these words is there; the secret is the group."""
LETTER = re.compile(rb"[^\r\n \t]")
DIGIT = re.compile(rb"[^\r\n \t=]")
BASE64 = (b"inline:", b"key-mgmt:")
"""What is written in base64 stays so: else Wireshark takes the message for malformed, and a replay is refused."""


def hide_secrets(packet: bytes) -> bytes:
    """Put a * or an x in the place of each letter of a secret: lengths stay true."""
    lowered = packet.lower()
    found = [
        (*match.span(1), words[0] in BASE64)
        for words, pattern in SECRETS
        if any(word in lowered for word in words)
        for match in pattern.finditer(lowered)
    ]
    if not found:
        return packet
    hidden = bytearray(packet)
    for start, end, base64 in found:
        hidden[start:end] = DIGIT.sub(b"x", packet[start:end]) if base64 else LETTER.sub(b"*", packet[start:end])
    return bytes(hidden)
