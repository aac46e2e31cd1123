"""What rtpengine can be told about one party of a call: what it hears, and who hears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rtpengine.commands import Command
from rtpengine.replies import Dictionary, Done, MediaPlayed

# Newer ones block the whole call without it; 10.5 needs it not, and logs that it does not know it.
_DIRECTIONAL = ("directional",)
_NOTHING_PLAYED = "Not currently playing media"


@dataclass(frozen=True, slots=True)
class PlayMedia(Command[MediaPlayed]):
    """Play a sound file of rtpengine's machine to a party, `repeat_times` times in all (once if None).

    It takes the place of what is being played to the party, also when it is refused: then nothing plays any more.
    """

    call_id: str
    from_tag: str
    file: str
    repeat_times: int | None = None
    name: ClassVar[str] = "play media"

    def _keys(self) -> Dictionary:
        keys: Dictionary = {"call-id": self.call_id, "from-tag": self.from_tag, "file": self.file}
        if self.repeat_times is not None:
            keys["repeat-times"] = self.repeat_times
        return keys

    def _read(self, answer: Dictionary) -> MediaPlayed:
        return MediaPlayed.read(answer)


@dataclass(frozen=True, slots=True)
class _ForParty(Command[Done]):
    call_id: str
    from_tag: str

    def _keys(self) -> Dictionary:
        return {"call-id": self.call_id, "from-tag": self.from_tag}

    def _read(self, answer: Dictionary) -> Done:
        return Done.read(answer)


@dataclass(frozen=True, slots=True)
class StopMedia(_ForParty):
    """Stop what is being played to a party; done with a warning where nothing ever was."""

    name: ClassVar[str] = "stop media"

    def understand(self, node: str, answer: Dictionary) -> Done:
        """Read the reply dictionary; raise CommandRefused or BadReply, which name `node`."""
        if answer.get("error-reason") == _NOTHING_PLAYED:
            return Done(_NOTHING_PLAYED)
        return _ForParty.understand(self, node, answer)


class _Directional(_ForParty):
    """What concerns only the media that the party sends, not what it hears."""

    __slots__ = ()

    def _keys(self) -> Dictionary:
        return {"call-id": self.call_id, "from-tag": self.from_tag, "flags": _DIRECTIONAL}


@dataclass(frozen=True, slots=True)
class BlockMedia(_Directional):
    """Let nobody hear what a party says; its DTMF events pass all the same."""

    name: ClassVar[str] = "block media"


@dataclass(frozen=True, slots=True)
class UnblockMedia(_Directional):
    """Undo BlockMedia."""

    name: ClassVar[str] = "unblock media"


@dataclass(frozen=True, slots=True)
class BlockDtmf(_Directional):
    """Let nobody get the DTMF events (RFC 4733) of a party; they are logged all the same."""

    name: ClassVar[str] = "block DTMF"


@dataclass(frozen=True, slots=True)
class UnblockDtmf(_Directional):
    """Undo BlockDtmf."""

    name: ClassVar[str] = "unblock DTMF"
