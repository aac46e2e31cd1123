"""What rtpengine answers, as typed values read from the reply dictionaries of the ng protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Dictionary = dict[str, object]


class Malformed(Exception):
    """A reply lacks a field or has one of the wrong kind."""


class Refusal(Exception):
    """A reply says no."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The node is there."""


@dataclass(frozen=True, slots=True)
class SdpReply:
    """The SDP to send on, with rtpengine's own address and port in it."""

    sdp: str

    @classmethod
    def read(cls, answer: Dictionary) -> SdpReply:
        """Take the SDP; raise Malformed where there is none."""
        return cls(_text(answer, "sdp"))


@dataclass(frozen=True, slots=True)
class Done:
    """The command was carried out; `warning` is not empty where there was nothing to do (call or tag unknown)."""

    warning: str = ""

    @classmethod
    def read(cls, answer: Dictionary) -> Done:
        """Take the warning, if any."""
        return cls(_text(answer, "warning") if "warning" in answer else "")


@dataclass(frozen=True, slots=True)
class MediaPlayed:
    """Playback has begun; `duration` is one pass through the file, in seconds. No event tells its end."""

    duration: float

    @classmethod
    def read(cls, answer: Dictionary) -> MediaPlayed:
        """Take the duration; an "ok" without one means that the file could not be read: Refusal."""
        if "duration" not in answer:
            raise Refusal(
                "it cannot play the file; check that the file exists on rtpengine's machine, "
                "that rtpengine may read it, and that it is 16-bit AIFF or WAV"
            )
        return cls(_integer(answer, "duration") / 1000)


@dataclass(frozen=True, slots=True)
class Stream:
    """One port of a party: its RTP, or its RTCP; counts are of what came in from the party.

    `last_packet` is Unix time in whole seconds. It starts as the time when the port was opened, so it means
    something only when `packets` is above 0.
    """

    port: int
    rtcp: bool
    last_packet: int
    packets: int
    bytes: int
    errors: int
    ssrc: int | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How well somebody receives, on average, as its own RTCP reports say; `mos` is from 1 to 5.

    `jitter` is in milliseconds, `loss` in percent, `lost` counts packets.
    """

    mos: float
    jitter: int
    loss: int
    lost: int


@dataclass(frozen=True, slots=True)
class PartyMedia:
    """A tag of a call: its ports, and the codecs seen in what it sends (empty until it has sent)."""

    tag: str
    codecs: tuple[str, ...]
    streams: tuple[Stream, ...]

    @property
    def packets(self) -> int:
        """RTP packets that came in from this party."""
        return sum(stream.packets for stream in self.streams if not stream.rtcp)

    @property
    def last_packet(self) -> int:
        """Unix time in seconds of this party's last RTP packet; 0 if it never sent one."""
        return max((stream.last_packet for stream in self.streams if stream.packets and not stream.rtcp), default=0)


@dataclass(frozen=True, slots=True)
class CallQueried:
    """The living parties of a call by tag; `created` is Unix time in seconds."""

    created: int
    tags: Mapping[str, PartyMedia]
    qualities: Mapping[int, Quality] = field(default_factory=dict)
    """By the SSRC of who reports, of what it receives; those of whom no RTCP report has come are not there."""

    @classmethod
    def read(cls, answer: Dictionary) -> CallQueried:
        """Take the parties that still have a port: deleted ones stay listed until the call ends, without one.

        A party that was offered to and has not answered yet has no tag, and is not listed either.
        """
        parties = [_party(_dictionary(entry, "a tag")) for entry in _mapping(answer, "tags").values()]
        tags = {party.tag: party for party in parties if party.tag and party.streams}
        reports = _mapping(answer, "SSRC") if "SSRC" in answer else {}
        found = {
            int(ssrc): _quality(_dictionary(entry, "an SSRC")) for ssrc, entry in reports.items() if ssrc.isdecimal()
        }
        return cls(_integer(answer, "created"), tags, {ssrc: good for ssrc, good in found.items() if good})

    def quality(self, tag: str) -> Quality | None:
        """Tell how well a party receives the one it talks with; None where no RTCP report of its own says so."""
        streams = self.tags[tag].streams if tag in self.tags else ()
        found = (self.qualities.get(stream.ssrc) for stream in streams if stream.ssrc is not None and not stream.rtcp)
        return next((quality for quality in found if quality), None)


Reply = Pong | SdpReply | Done | MediaPlayed | CallQueried


def _party(entry: Dictionary) -> PartyMedia:
    medias = [_dictionary(media, "a media") for media in _list(entry, "medias")]
    streams = [_dictionary(stream, "a stream") for media in medias for stream in _list(media, "streams")]
    return PartyMedia(
        tag=_text(entry, "tag"),
        codecs=tuple(_text(media, "codec") for media in medias if "codec" in media),
        streams=tuple(_stream(stream) for stream in streams if "local port" in stream),
    )


def _ssrc(entry: Dictionary) -> int | None:
    """Read what the stream comes in with now; since rtpengine 12 that is the first of a list."""
    if "ingress SSRCs" in entry:
        return next((_integer(_dictionary(each, "an SSRC"), "SSRC") for each in _list(entry, "ingress SSRCs")), None)
    return _integer(entry, "SSRC") if "SSRC" in entry else None


def _stream(entry: Dictionary) -> Stream:
    stats = _mapping(entry, "stats")
    return Stream(
        port=_integer(entry, "local port"),
        rtcp="RTCP" in _list(entry, "flags"),
        last_packet=_integer(entry, "last packet"),
        packets=_integer(stats, "packets"),
        bytes=_integer(stats, "bytes"),
        errors=_integer(stats, "errors"),
        ssrc=_ssrc(entry),
    )


def _quality(entry: Dictionary) -> Quality | None:
    if "average MOS" not in entry:
        return None
    average = _mapping(entry, "average MOS")
    return Quality(
        mos=_integer(average, "MOS") / 10,
        jitter=_integer(average, "jitter"),
        loss=_integer(average, "packet loss"),
        lost=_integer(entry, "cumulative loss") if "cumulative loss" in entry else 0,
    )


def _dictionary(value: object, what: str) -> Dictionary:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a dictionary")
    return value


def _mapping(entry: Dictionary, key: str) -> Dictionary:
    return _dictionary(entry.get(key), repr(key))


def _list(entry: Dictionary, key: str) -> list[object]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise Malformed(f"{key!r} is not a list")
    return value


def _text(entry: Dictionary, key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise Malformed(f"{key!r} is not a string")
    return value


def _integer(entry: Dictionary, key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int):
        raise Malformed(f"{key!r} is not an integer")
    return value
