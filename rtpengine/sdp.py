"""The little that a bridge must know of SDP (RFC 4566, RFC 3264); all else is rtpengine's business."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_MEDIA = re.compile(r"^m=(\S+) (\d+)\S* (\S+)((?: \S+)*)[ \t]*\r?$", re.MULTILINE)
_CONNECTION = re.compile(r"^c=\S+ \S+ (\S+?)\r?$", re.MULTILINE)
_DIRECTION = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", re.MULTILINE)
_OF_PAYLOAD = re.compile(r"^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) .*\r?\n?", re.MULTILINE)
_SOURCE = re.compile(r"^a=ssrc(?:-group)?:.*\r?\n?", re.MULTILINE)
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\s]+)", re.MULTILINE)
EVENTS = "telephone-event"
"""What SDP calls the keys that a party presses (RFC 4733)."""

_NO_VOICE = {EVENTS, "CN"}
_NAMES = {"0": "PCMU", "8": "PCMA", "9": "G722"}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_SPELLINGS = {name.lower(): name for name in (*_NUMBERS, *_NO_VOICE, "opus")}
"""How we write what others may write otherwise: case does not matter (RFC 4855 section 3)."""
_FORMS = {"opus": "48000/2"}
"""What a=rtpmap says of a codec after its name; of all others 8000."""
_FIRST_DYNAMIC, _LAST_DYNAMIC = 96, 127


def has_audio(sdp: str) -> bool:
    """Tell whether an answer accepts an audio stream: one with a port and at least one payload type."""
    return any(kind == "audio" and port != "0" and types for kind, port, _, types in _MEDIA.findall(sdp))


def payload_types(sdp: str) -> tuple[str, ...]:
    """List the payload types of the first audio stream, in order of preference."""
    for kind, _, _, types in _MEDIA.findall(sdp):
        if kind == "audio":
            return tuple(types.split())
    return ()


def codec_names(sdp: str) -> tuple[str, ...]:
    """Name the codecs of the first audio stream, those known here in our spelling."""
    names = _names(sdp)
    return tuple(names[number] for number in payload_types(sdp) if number in names)


def _names(sdp: str) -> dict[str, str]:
    """Name codecs by their payload types; those without a=rtpmap by RFC 3551 table 4."""
    return _NAMES | {number: _SPELLINGS.get(name.lower(), name) for number, name in _RTPMAP.findall(sdp)}


def voices(sdp: str) -> tuple[str, ...]:
    """Name the codecs of the first audio stream that carry a voice."""
    return tuple(name for name in codec_names(sdp) if name not in _NO_VOICE)


def spoken(own: str, told: str) -> frozenset[str]:
    """Find what a party sends: the first voice codec of the answer, as its own SDP numbers it, and DTMF events.

    Of what it wrote and what it was told, the answer is the one that has nothing that the other has not; where they
    have the same, what it was told (RFC 3264 section 6.1: what is listed first is preferred).
    """
    names = _names(own)
    mine, theirs = payload_types(own), payload_types(told)
    first, second = (theirs, mine) if set(theirs) <= set(mine) else (mine, theirs)
    agreed = [number for number in first if number in second]
    voice = [number for number in agreed if names.get(number) not in _NO_VOICE]
    return frozenset((*voice[:1], *(number for number in agreed if names.get(number) == EVENTS)))


def narrow(offer: str, keep: Collection[str]) -> str:
    """Cut an offer down to the payload types in `keep`; one that has none of them is left as it is."""
    if not set(keep) & set(payload_types(offer)):
        return offer

    def media(line: re.Match[str]) -> str:
        kind, port, profile, types = line.groups()
        if kind != "audio":
            return line[0]
        kept = [number for number in types.split() if number in keep]
        return f"m={kind} {port} {profile} {' '.join(kept)}\r"

    audio = _MEDIA.sub(media, offer)
    return _OF_PAYLOAD.sub(lambda line: line[0] if line[1] in keep else "", audio)


def widen(offer: str, names: Collection[str]) -> str:
    """Add the codecs of `names` that an offer of one audio stream lacks, as rtpengine does when it is to transcode.

    They come after its own, with DTMF events of the same clock rate last where it has any (RFC 4733 section 2.4.1).
    An offer that leaves no payload types for them stays as it is.
    """
    present = codec_names(offer)
    missing = [name for name in names if name not in present]
    types, forms = payload_types(offer), {name: _FORMS.get(name, "8000") for name in (*present, *missing)}
    spare = [str(number) for number in range(_FIRST_DYNAMIC, _LAST_DYNAMIC + 1) if str(number) not in types]
    if len(spare) < 2 * len(missing):
        return offer
    free = iter(spare)
    events = {number for number, name in _names(offer).items() if name == EVENTS}
    added = {_NUMBERS.get(name) or next(free): f"{name}/{forms[name]}" for name in missing}
    lines = [f"a=rtpmap:{number} {form}\r\n" for number, form in added.items()]
    if events:
        known = set(re.findall(rf"^a=rtpmap:\d+ {EVENTS}/(\d+)", offer, re.MULTILINE | re.IGNORECASE))
        for clock in sorted({forms[name].partition("/")[0] for name in missing} - known):
            number = next(free)
            added[number] = EVENTS
            lines += [f"a=rtpmap:{number} {EVENTS}/{clock}\r\n", f"a=fmtp:{number} 0-15\r\n"]
    voice = [number for number in types if number not in events]
    numbers = " ".join((*voice, *added, *(number for number in types if number in events)))
    return _MEDIA.sub(rf"m=\1 \2 \3 {numbers}\r", offer, count=1) + "".join(lines)


def endpoint(sdp: str) -> tuple[str, int, tuple[str, ...]]:
    """Give address, port and payload types of the first audio stream: what its receiver must not see change.

    Telephone events are left aside: whether they are there changes nothing for the voice.
    """
    address = _CONNECTION.search(sdp)
    events = {number for number, name in _RTPMAP.findall(sdp) if name == EVENTS}
    for kind, port, _, types in _MEDIA.findall(sdp):
        if kind == "audio":
            voice = tuple(number for number in types.split() if number not in events)
            return address[1] if address else "", int(port), voice
    return address[1] if address else "", 0, ()


def media_address(sdp: str) -> str:
    """Find where the first audio stream is wanted: by its own line, else by that of the session (RFC 4566 5.7)."""
    session, *streams = re.split(r"^m=", sdp, flags=re.MULTILINE)
    own = next((stream for stream in streams if stream.startswith("audio ")), "")
    found = _CONNECTION.search(own) or _CONNECTION.search(session)
    return found[1] if found else ""


def profile(sdp: str) -> str:
    """Name the profile of the first audio stream, such as RTP/AVP, or RTP/SAVP where it is encrypted."""
    return next((profile for kind, _, profile, _ in _MEDIA.findall(sdp) if kind == "audio"), "")


def has_keys(sdp: str) -> bool:
    """Tell whether it has keys to encrypt its media with (RFC 4568 section 4)."""
    return "\na=crypto:" in sdp


def has_fingerprint(sdp: str) -> bool:
    """Tell whether its keys are agreed on by DTLS (RFC 5763 section 5)."""
    return "\na=fingerprint:" in sdp


def has_ice(sdp: str) -> bool:
    """Tell whether its writer finds the way of the media by ICE (RFC 8839 section 5.4)."""
    return "\na=ice-ufrag:" in sdp


def without_sources(sdp: str) -> str:
    """Leave out which SSRC is sent with (RFC 5576) for a receiver with ICE: browsers take no other one then.

    After a transfer it is another one, of which nobody tells them.
    """
    return _SOURCE.sub("", sdp) if has_ice(sdp) else sdp


def sends(sdp: str) -> bool:
    """Tell whether the party that wrote this SDP means to send (RFC 3264 section 6.1); so unless it says otherwise."""
    direction = _DIRECTION.search(sdp)
    return direction is None or direction[1] in {"sendrecv", "sendonly"}
