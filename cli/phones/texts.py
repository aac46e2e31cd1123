"""Small readings of SIP and SDP texts that PJSIP hands over as strings."""

from __future__ import annotations

import re


def request_port(message: str) -> int | None:
    """Return the port that a request was sent to, by its first line; None when it names none."""
    port = re.match(r"\S+ sips?:(?:[^@ ]*@)?[^@: ;?]+:(\d+)", message)
    return int(port.group(1)) if port else None


def keep_codecs(sdp: str, codecs: tuple[str, ...]) -> str:
    """Cut an SDP down to `codecs` (and telephone-event), in their order of preference.

    PJSIP's own priorities hold for all accounts alike, so each phone's choice is made here, in offers and answers.
    """
    static = {"PCMU": "0", "PCMA": "8", "G722": "9"}
    events = set(re.findall(r"a=rtpmap:(\d+) telephone-event/8000", sdp))
    media = re.search(r"m=audio \d+ \S+ ([\d ]+)", sdp)
    if media is None:
        return sdp
    offered = media.group(1).split()
    kept = [static[c] for c in codecs if static[c] in offered] + [n for n in offered if n in events]
    lines = []
    for line in sdp.splitlines():
        about = re.match(r"a=(?:rtpmap|fmtp):(\d+)", line)
        if about is None or about.group(1) in kept:
            lines.append(line)
    text = "\r\n".join(lines) + "\r\n"
    return text.replace(media.group(0), media.group(0)[: -len(media.group(1))] + " ".join(kept))


def notified_status(notify: str) -> tuple[int, str, bool] | None:
    """Return code, reason and whether it is the last, from a NOTIFY with a sipfrag (RFC 3515 section 2.4.5)."""
    headers, _, body = notify.partition("\r\n\r\n")
    status = re.search(r"^SIP/2\.0 (\d{3}) ?([^\r\n]*)", body, re.MULTILINE)
    if status is None:
        return None
    ended = re.search(r"^Subscription-State\s*:\s*terminated", headers, re.MULTILINE | re.IGNORECASE)
    return int(status.group(1)), status.group(2), ended is not None
