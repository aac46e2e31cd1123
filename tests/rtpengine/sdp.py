"""SDP of the parties in the tests, and what the tests read from an SDP."""

from __future__ import annotations

MAPS = {
    "PCMU": (0, "PCMU/8000"),
    "PCMA": (8, "PCMA/8000"),
    "G722": (9, "G722/8000"),
    "opus": (107, "opus/48000/2"),
    "telephone-event": (101, "telephone-event/8000"),
}


def sdp(port: int, *codecs: str, direction: str = "sendrecv", version: int = 1) -> str:
    """Write an SDP with one audio stream at a loopback port."""
    maps = [MAPS[codec] for codec in codecs or ("PCMU",)]
    lines = [
        "v=0",
        f"o=- 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} RTP/AVP {' '.join(str(number) for number, _ in maps)}",
        *(f"a=rtpmap:{number} {codec}" for number, codec in maps),
        f"a={direction}",
        "a=ptime:20",
    ]
    return "\r\n".join(lines) + "\r\n"


def media(text: str) -> tuple[int, tuple[int, ...]]:
    """Read port and payload types of the audio stream."""
    _, port, _, *numbers = next(line for line in text.split("\r\n") if line.startswith("m=audio")).split()
    return int(port), tuple(int(number) for number in numbers)


def names(text: str) -> tuple[str, ...]:
    """Read the codec names in the order of their payload types."""
    maps = dict(
        line.removeprefix("a=rtpmap:").split(" ", 1) for line in text.split("\r\n") if line.startswith("a=rtpmap:")
    )
    return tuple(maps[str(number)].split("/")[0] for number in media(text)[1])
