"""The little SDP (RFC 4566) that the in-memory rtpengine needs: one audio stream, its codecs, and the rewriting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtpengine.replies import Refusal
from rtpengine.sdp import EVENTS

if TYPE_CHECKING:
    from rtpengine.codec_choice import Codecs

ADDRESS = "127.0.0.1"
_STATIC = {"PCMU": (0, "PCMU/8000"), "PCMA": (8, "PCMA/8000"), "G722": (9, "G722/8000")}
_DYNAMIC = {"opus": "opus/48000/2"}
_FIRST_DYNAMIC = 96


@dataclass(frozen=True, slots=True)
class Payload:
    """An RTP payload type and its codec as in a=rtpmap, such as "PCMU/8000"."""

    number: int
    codec: str

    @property
    def name(self) -> str:
        """Give the codec's name, such as "PCMU"."""
        return self.codec.partition("/")[0]


def payloads(sdp: str) -> tuple[Payload, ...]:
    """Read the payload types of the first audio stream, in their order; Refusal where there is none."""
    lines = sdp.splitlines()
    audio = next((line for line in lines if line.startswith("m=audio ")), None)
    if audio is None:
        raise Refusal("Failed to parse SDP")
    maps = dict(_STATIC.values())
    for line in lines:
        if line.startswith("a=rtpmap:"):
            number, _, codec = line.removeprefix("a=rtpmap:").partition(" ")
            maps[int(number)] = codec
    return tuple(Payload(int(number), maps[int(number)]) for number in audio.split()[3:])


def offered(given: tuple[Payload, ...], codecs: Codecs) -> tuple[Payload, ...]:
    """Give what the other side is offered when `given` comes in and `codecs` says what to add and leave out."""
    masked = [payload for payload in given if "all" in codecs.mask and payload.name not in codecs.spare]
    masked += [payload for payload in given if payload.name in codecs.mask]
    kept = [payload for payload in given if payload not in masked]
    added: list[Payload] = []
    for name in codecs.transcode:
        restored = next((payload for payload in given if payload.name == name), None)
        if restored not in kept:
            added.append(restored or _new(name, [*given, *added]))
    events = [payload for payload in kept if payload.name == EVENTS]
    return (*(payload for payload in kept if payload not in events), *added, *events)


def accepted(offer: tuple[Payload, ...], answer: tuple[Payload, ...], codecs: Codecs) -> tuple[Payload, ...]:
    """Give what the offerer is answered: the codecs in common, or, with transcoding, its own first one."""
    names = {payload.name for payload in answer} | ({EVENTS} if codecs.transcode else set())
    common = tuple(payload for payload in offer if payload.name in names)
    return common if any(payload.name != EVENTS for payload in common) else (offer[0], *common)


def rewrite(sdp: str, port: int, offer: tuple[Payload, ...]) -> str:
    """Put our address, `port` and the payload types into an SDP."""
    lines = []
    for line in sdp.splitlines():
        if line.startswith("m=audio "):
            kind, _, protocol, *_ = line.split()
            lines.append(f"{kind} {port} {protocol} {' '.join(str(payload.number) for payload in offer)}")
            lines += [f"a=rtpmap:{payload.number} {payload.codec}" for payload in offer]
        elif line.startswith(("o=", "c=")):
            lines.append(f"{line.rpartition(' ')[0]} {ADDRESS}")
        elif not line.startswith(("a=rtpmap:", "a=fmtp:", "a=candidate:", "a=ice-")):
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _new(name: str, taken: list[Payload]) -> Payload:
    if name in _STATIC:
        return Payload(*_STATIC[name])
    numbers = {payload.number for payload in taken}
    free = next(number for number in range(_FIRST_DYNAMIC, 128) if number not in numbers)
    return Payload(free, _DYNAMIC.get(name, f"{name}/8000"))
