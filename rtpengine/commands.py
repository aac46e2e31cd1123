"""What rtpengine can be told, as values that turn themselves into the dictionaries of the ng protocol.

A call is known by its `call_id`, a party of it by its tag (`from_tag`, `to_tag`). What concerns one party alone is in
`party_commands`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from rtpengine.codec_choice import Codecs
from rtpengine.errors import BadReply, CommandRefused
from rtpengine.replies import (
    CallQueried,
    Dictionary,
    Done,
    Malformed,
    Pong,
    Refusal,
    Reply,
    SdpReply,
)
from rtpengine.sdp import without_sources

if TYPE_CHECKING:
    from rtpengine.security import Security

R_co = TypeVar("R_co", bound=Reply, covariant=True)

# Without port latching a party's port changes when it gets another peer, which that party would have to be told.
_FLAGS = ("port-latching",)
_REPLACE = ("origin", "session-connection")


class Command(ABC, Generic[R_co]):
    """One command; R_co is the reply that it gets."""

    __slots__ = ()
    name: ClassVar[str]

    def body(self) -> Dictionary:
        """Give the whole ng dictionary."""
        return {"command": self.name, **self._keys()}

    def understand(self, node: str, answer: Dictionary) -> R_co:
        """Read the reply dictionary; raise CommandRefused or BadReply, which name `node`."""
        result = answer.get("result")
        if result == "error":
            raise CommandRefused(node, self.name, str(answer.get("error-reason", "no reason given")))
        if result not in ("ok", "pong"):
            raise BadReply(node, self.name, f"the result is {result!r}")
        try:
            return self._read(answer)
        except Malformed as error:
            raise BadReply(node, self.name, str(error)) from error
        except Refusal as error:
            raise CommandRefused(node, self.name, str(error)) from error

    @abstractmethod
    def _keys(self) -> Dictionary: ...

    @abstractmethod
    def _read(self, answer: Dictionary) -> R_co: ...


_AS_GIVEN = Codecs()


@dataclass(frozen=True, slots=True)
class Ping(Command[Pong]):
    """Ask whether the node is there."""

    name: ClassVar[str] = "ping"

    def _keys(self) -> Dictionary:
        return {}

    def _read(self, answer: Dictionary) -> Pong:  # noqa: ARG002 - it says nothing more
        return Pong()


class _Negotiation(Command[SdpReply]):
    """What offer and answer share."""

    __slots__ = ()
    call_id: str
    from_tag: str
    to_tag: str | None
    sdp: str
    via_branch: str | None
    codecs: Codecs
    ice: str

    def _keys(self) -> Dictionary:
        keys: Dictionary = {
            "call-id": self.call_id,
            "from-tag": self.from_tag,
            "sdp": self.sdp,
            "flags": _FLAGS,
            "replace": _REPLACE,
            "ICE": self.ice,
        }
        if self.to_tag is not None:
            keys["to-tag"] = self.to_tag
        if self.via_branch is not None:
            keys["via-branch"] = self.via_branch
        if self.codecs is not _AS_GIVEN and (codec := self.codecs.keys()):
            keys["codec"] = codec
        return keys

    def _read(self, answer: Dictionary) -> SdpReply:
        return SdpReply(without_sources(SdpReply.read(answer).sdp))


@dataclass(frozen=True, slots=True)
class Offer(_Negotiation):
    """Pass an SDP offer from `from_tag`; the reply is for the other party (RFC 3264).

    An unknown `call_id` makes a new call. Without `to_tag` the other party is whoever `from_tag` talks to, or one
    that has yet to answer. `ice` is "remove", "force", "default" and so on, as rtpengine calls it. Without `security`
    the media are as safe as those of the SDP.
    """

    call_id: str
    from_tag: str
    sdp: str
    to_tag: str | None = None
    via_branch: str | None = None
    codecs: Codecs = _AS_GIVEN
    ice: str = "remove"
    security: Security | None = None
    name: ClassVar[str] = "offer"

    def _keys(self) -> Dictionary:
        keys = super(Offer, self)._keys()  # the bare one does not know this class, which slots make anew
        return keys | self.security.keys() if self.security else keys


@dataclass(frozen=True, slots=True)
class Answer(_Negotiation):
    """Pass an SDP answer from `to_tag`; the reply is for `from_tag`, who made the offer (RFC 3264).

    Refused for an unknown `call_id`. May be repeated with another SDP, which redirects the media.
    """

    call_id: str
    from_tag: str
    to_tag: str
    sdp: str
    via_branch: str | None = None
    codecs: Codecs = _AS_GIVEN
    ice: str = "remove"
    name: ClassVar[str] = "answer"


@dataclass(frozen=True, slots=True)
class Delete(Command[Done]):
    """End the call at once, or one party of it, with those who never had another peer.

    Deleting what is unknown is not refused: the reply then has a warning.
    """

    call_id: str
    from_tag: str | None = None
    name: ClassVar[str] = "delete"

    def _keys(self) -> Dictionary:
        keys: Dictionary = {"call-id": self.call_id, "delete-delay": 0}
        if self.from_tag is not None:
            keys["from-tag"] = self.from_tag
        return keys

    def _read(self, answer: Dictionary) -> Done:
        return Done.read(answer)


@dataclass(frozen=True, slots=True)
class Query(Command[CallQueried]):
    """Ask what each party of a call has sent; refused for an unknown `call_id`."""

    call_id: str
    name: ClassVar[str] = "query"

    def _keys(self) -> Dictionary:
        return {"call-id": self.call_id}

    def _read(self, answer: Dictionary) -> CallQueried:
        return CallQueried.read(answer)
