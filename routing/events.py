"""What has happened to a call: the inputs of the transfer machine, named in the past tense."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from routing.records import Party

if TYPE_CHECKING:
    from routing.records import Deadline
    from routing.transfer_record import Sound, Standard, Transfer


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a call."""


@dataclass(frozen=True, slots=True)
class TransferRequested(Event):
    """The agent sent a REFER, or a person gave the command; `transfer` says what is to be done."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class TransferCancelled(Event):
    """A person gave the command to give the transfer up."""


@dataclass(frozen=True, slots=True)
class ConsultationOver(Event):
    """The person whom an agent consulted in this call talks with the caller, in a call of their own."""


@dataclass(frozen=True, slots=True)
class LegRang(Event):
    """An endpoint sent a provisional response from 180 to 189 to the INVITE of this CSeq."""

    leg: int
    cseq: int = 1
    trying_at: float | None = None
    """When its first response came."""


@dataclass(frozen=True, slots=True)
class LegAnswered(Event):
    """An endpoint sent a 2xx; the rest is what its dialog is made from (RFC 3261 section 12.1.2)."""

    leg: int
    call_id: str
    local: str
    local_tag: str
    cseq: int
    remote: str
    remote_tag: str
    remote_target: str
    routes: tuple[str, ...]
    sdp: str
    codecs: tuple[str, ...] = ()
    """The voice codecs of its SDP."""
    trying_at: float | None = None
    source: str = ""
    """The address that the 2xx came from."""
    media: str = ""
    """The address that its SDP wants the media at."""


@dataclass(frozen=True, slots=True)
class LegFailed(Event):
    """An endpoint refused, or nothing came: `answered` is False when not a single response was received.

    `called` is False when it was not sent anything, since it has as many calls as it may have. `cause` is the Q.850
    cause of its Reason header (RFC 6432), `size` how many bytes an INVITE had that went by UDP and got no response.
    """

    leg: int
    status: int
    reason: str
    answered: bool = True
    called: bool = True
    cause: int | None = None
    trying_at: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class LegChallenged(Event):
    """An endpoint, or a proxy before it, wants to know who calls (401, 407).

    `authorization` are the header fields that answer it and those who asked before, if we can.
    """

    leg: int
    status: int
    reason: str
    authorization: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LegRedirected(Event):
    """An endpoint wants us to call elsewhere (302), which the policy allows."""

    leg: int
    uri: str


@dataclass(frozen=True, slots=True)
class ReferAnswered(Event):
    """The caller's side has answered the REFER of this CSeq, or was silent for too long (408).

    `authorization` has the header fields that answer its challenge, if it was one that we can answer.
    """

    cseq: int
    status: int
    reason: str
    authorization: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReferralReported(Event):
    """The caller's side has told by NOTIFY how its call to the target stands (RFC 3515 section 2.4.4).

    `refer` is the CSeq of the REFER that it is about, 0 where it does not say; `final` is whether nothing will follow.
    """

    refer: int
    status: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class SummaryGiven(Event):
    """The agent sent the summary by INFO or MESSAGE in its dialog; with no `request`, a person did by command."""

    text: str
    request: bool = True


@dataclass(frozen=True, slots=True)
class KeyPressed(Event):
    """The person pressed a key: told by rtpengine (RFC 4733), or by INFO, which is a `request` to be answered."""

    key: str
    request: bool = False


@dataclass(frozen=True, slots=True)
class SoundStarted(Event):
    """A party hears the sound that it was to hear; it lasts `seconds`."""

    party: Party
    seconds: float


@dataclass(frozen=True, slots=True)
class SoundMissing(Event):
    """A party does not hear the sound that it was to hear: it is not there yet, or rtpengine could not play it."""

    party: Party
    sound: Sound | Standard
    hopeless: bool = False
    """Whether it is known already that it will not come: the speech engine has failed."""


@dataclass(frozen=True, slots=True)
class MediaBridged(Event):
    """rtpengine has joined caller and target; in `changeover` seconds, see `Transfer`."""

    changeover: float


@dataclass(frozen=True, slots=True)
class MediaFailed(Event):
    """rtpengine could not do what the transfer needed; `status` is what the agent is told.

    `leg` is the one that could not be offered media, 0 for the one that has answered.
    """

    status: int
    reason: str
    leg: int = 0


@dataclass(frozen=True, slots=True)
class HungUp(Event):
    """A party sent BYE; `cause` is the Q.850 cause of its Reason header (RFC 3326)."""

    party: ClassVar[Party]
    cseq: int
    cause: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class CallerHungUp(HungUp):
    """The caller sent BYE."""

    party: ClassVar[Party] = Party.CALLER


@dataclass(frozen=True, slots=True)
class AgentHungUp(HungUp):
    """The agent sent BYE."""

    party: ClassVar[Party] = Party.AGENT


@dataclass(frozen=True, slots=True)
class TargetHungUp(HungUp):
    """The target sent BYE; `leg` is the one whose Contact it sent it to, known before its answer has been handled."""

    party: ClassVar[Party] = Party.TARGET
    leg: int = 0


@dataclass(frozen=True, slots=True)
class OfferCrossed(Event):
    """The caller answered a re-INVITE of ours 491: it has sent one itself. Ours may be sent again in `wait` seconds."""

    wait: float


@dataclass(frozen=True, slots=True)
class PartyLost(Event):
    """A party is gone without BYE: no media for too long, or it answered 481 or 408 within the dialog."""

    party: Party
    reason: str


@dataclass(frozen=True, slots=True)
class MediaLost(Event):
    """rtpengine has given the call up, or is gone for too long: nobody hears anybody."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestReceived(Event):
    """A party sent a request within its dialog that is for the other party to answer.

    `offer` says whether it carries or asks for an SDP offer; `contact` is the sender's new remote target, if any.
    """

    party: Party
    method: str
    cseq: int
    contact: str | None = None
    offer: bool = False


@dataclass(frozen=True, slots=True)
class SessionChanged(Event):
    """An offer that `offerer` made within the dialog was answered; the bodies are as their senders wrote them.

    `caller_view` is the SDP that the caller got; `contact` is the answerer's new remote target, if it gave one.
    An offer in a 2xx is answered in the ACK: that is told in two events, and in each the other bodies are empty.
    """

    offerer: Party
    offer: str
    answer: str
    caller_view: str
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class OfferRejected(Event):
    """An offer that `offerer` made within the dialog came to nothing; the session stays as it was."""

    offerer: Party


@dataclass(frozen=True, slots=True)
class DeadlinePassed(Event):
    """A time that the call waited for has come."""

    name: Deadline
