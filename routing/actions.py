"""What is to be done now: the outputs of the transfer machine, named in the imperative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routing.dialog import Dialog
    from routing.records import Party
    from routing.transfer_record import Leg, Sound, Standard, Transfer
    from routing.trunks import Verdict


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a CANCEL or BYE was sent, as its Reason header says it (RFC 3326)."""

    cause: int
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do."""


@dataclass(frozen=True, slots=True)
class AcceptRequest(Action):
    """Answer the request being handled ourselves: 202 to a REFER, 200 to a BYE."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class RefuseRequest(Action):
    """Answer the request being handled with an error; `retry_after` in seconds."""

    status: int
    reason: str
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class RelayRequest(Action):
    """Send the request being handled on within `dialog`, numbered `cseq` there."""

    party: Party
    dialog: Dialog
    cseq: int


@dataclass(frozen=True, slots=True)
class SendNotify(Action):
    """Tell the sender of the REFER how the transfer stands (RFC 3515 section 2.4.4)."""

    dialog: Dialog
    cseq: int
    event_id: str | None
    status: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class SendBye(Action):
    """End a dialog."""

    dialog: Dialog
    cseq: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class EndConsultation(Action):
    """Tell the call in which the agent had consulted the person that it is over."""

    call_id: str


@dataclass(frozen=True, slots=True)
class SendAck(Action):
    """Acknowledge a second person's 2xx to one INVITE; the first one's was acknowledged by the transaction layer."""

    dialog: Dialog
    cseq: int


@dataclass(frozen=True, slots=True)
class RefreshSession(Action):
    """Keep the caller's session timer from running out, as the agent had promised (RFC 4028 section 10).

    Or take the caller off hold; without a timer the `interval` is 0.
    """

    dialog: Dialog
    cseq: int
    method: str
    interval: int
    sdp: str


@dataclass(frozen=True, slots=True)
class InviteLeg(Action):
    """Offer the caller's media to an endpoint: an rtpengine offer from the leg's shadow, then the INVITE."""

    leg: Leg
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class InviteAgain(Action):
    """Send the INVITE of a leg once more, with the fields that answer those who have asked who calls."""

    leg: Leg
    transfer: Transfer
    authorization: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SendRefer(Action):
    """Ask the caller's side to call the target itself; `authorization` has the fields that answer its challenge."""

    dialog: Dialog
    cseq: int
    uri: str
    transfer: Transfer
    authorization: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LearnTrunk(Action):
    """Keep what the caller's side has made of a REFER, for the transfers to come."""

    trunk: str
    verdict: Verdict
    status: int


@dataclass(frozen=True, slots=True)
class CancelLeg(Action):
    """Send CANCEL for the INVITE of a leg, by its Call-ID and CSeq."""

    call_id: str
    cseq: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class SendMessage(Action):
    """Send a text to a party as SIP MESSAGE within its dialog (RFC 3428)."""

    dialog: Dialog
    cseq: int
    text: str


@dataclass(frozen=True, slots=True)
class PrepareSpeech(Action):
    """Have texts spoken into files, so that they are there when they are needed."""

    sounds: tuple[Sound, ...]


class MediaAction(Action):
    """What is done to the media while nothing else may happen to the call; an event may follow from it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class HoldCaller(MediaAction):
    """Let caller and agent no longer hear one another; the caller hears music, if so said."""

    music: bool


@dataclass(frozen=True, slots=True)
class ResumeAgent(MediaAction):
    """Let caller and agent hear one another again, and nothing else."""


@dataclass(frozen=True, slots=True)
class OpenLeg(MediaAction):
    """Take the person's answer, so that it can hear something before the bridge; MediaFailed follows where it fails."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class Play(MediaAction):
    """Let a party hear a sound in the place of any other one; SoundStarted or SoundMissing follows."""

    party: Party
    sound: Sound | Standard


@dataclass(frozen=True, slots=True)
class Silence(MediaAction):
    """Stop what a party hears."""

    party: Party


@dataclass(frozen=True, slots=True)
class BridgeMedia(MediaAction):
    """Join caller and target in rtpengine and let the agent go there; MediaBridged or MediaFailed follows."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class ReleaseLegMedia(Action):
    """Drop the media of a leg that was not bridged; caller and agent stay as they are."""

    leg: int


@dataclass(frozen=True, slots=True)
class ReleaseMedia(Action):
    """Drop all media of the call."""


@dataclass(frozen=True, slots=True)
class CheckMedia(Action):
    """Ask rtpengine whether the parties still send; PartyLost follows when one does not."""


@dataclass(frozen=True, slots=True)
class RecordTransfer(Action):
    """Put a finished transfer in the call log and the metrics."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class ForgetCall(Action):
    """Delete the call's record."""
