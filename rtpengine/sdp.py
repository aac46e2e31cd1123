"""The little that a bridge must know of SDP (RFC 4566, RFC 3264); all else is rtpengine's business."""

from __future__ import annotations

import re

_MEDIA = re.compile(r"^m=(\S+) (\d+)\S* (\S+)((?: \S+)*)[ \t]*\r?$", re.MULTILINE)
_CONNECTION = re.compile(r"^c=\S+ \S+ (\S+?)\r?$", re.MULTILINE)
_DIRECTION = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", re.MULTILINE)
_OF_PAYLOAD = re.compile(r"^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) .*\r?\n?", re.MULTILINE)
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\s]+)", re.MULTILINE)
_NAMES = {"0": "PCMU", "8": "PCMA", "9": "G722"}


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
    """Name the codecs of the first audio stream as SDP spells them; those without a=rtpmap by RFC 3551 table 4."""
    names = dict(_NAMES) | dict(_RTPMAP.findall(sdp))
    return tuple(names[number] for number in payload_types(sdp) if number in names)


def narrow(offer: str, agreed: str) -> str:
    """Cut an offer down to the payload types that were agreed upon in `agreed`, numbered as its owner numbers them.

    An offer of which nothing was agreed is left as it is.
    """
    keep = set(payload_types(agreed))
    if not keep & set(payload_types(offer)):
        return offer

    def media(line: re.Match[str]) -> str:
        kind, port, profile, types = line.groups()
        if kind != "audio":
            return line[0]
        kept = [number for number in types.split() if number in keep]
        return f"m={kind} {port} {profile} {' '.join(kept)}\r"

    audio = _MEDIA.sub(media, offer)
    return _OF_PAYLOAD.sub(lambda line: line[0] if line[1] in keep else "", audio)


def endpoint(sdp: str) -> tuple[str, int, tuple[str, ...]]:
    """Give address, port and payload types of the first audio stream: what its receiver must not see change.

    Telephone events are left aside: whether they are there changes nothing for the voice.
    """
    address = _CONNECTION.search(sdp)
    events = {number for number, name in _RTPMAP.findall(sdp) if name == "telephone-event"}
    for kind, port, _, types in _MEDIA.findall(sdp):
        if kind == "audio":
            voice = tuple(number for number in types.split() if number not in events)
            return address[1] if address else "", int(port), voice
    return address[1] if address else "", 0, ()


def sends(sdp: str) -> bool:
    """Tell whether the party that wrote this SDP means to send (RFC 3264 section 6.1); so unless it says otherwise."""
    direction = _DIRECTION.search(sdp)
    return direction is None or direction[1] in {"sendrecv", "sendonly"}
