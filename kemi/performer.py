"""Doing what the machine says: SIP through `Outgoing`, media through `CallMedia`, and the request at hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import KSR

from kemi.ended import leave
from routing import actions as do
from routing.events import Event, LegFailed, MediaFailed, MediaLost, PartyLost, ReferAnswered
from routing.records import Party
from routing.store import StoreError
from routing.trunks import Learned
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kemi.hunting import Hunting
    from kemi.media import CallMedia
    from kemi.metrics import Metrics
    from kemi.outgoing import Outgoing
    from kemi.speech import Speech
    from routing.records import Call
    from routing.store import Store

    Answering = do.AcceptRequest | do.RefuseRequest | do.RelayRequest


LEFT = "left"
"""Shared memory of this node: the calls that ended while their records could not be had."""


class Performer:
    """Does actions. Those that answer or relay a request are left to `answering`, set by whoever handles one."""

    def __init__(
        self, outgoing: Outgoing, media: CallMedia, metrics: Metrics, speech: Speech, *, hunting: Hunting, store: Store
    ) -> None:
        """Take the parts."""
        self._store = store
        self._outgoing = outgoing
        self._media = media
        self._metrics = metrics
        self._speech = speech
        self._hunting = hunting
        self.answering: Callable[[Answering, Call], None] | None = None
        self.end_consultation: Callable[[str], None] | None = None

    def perform(self, action: do.Action, call: Call) -> Event | None:  # noqa: C901, PLR0912 - one line an action
        """Do one action; gives the event that follows from it, if any."""
        match action:
            case do.AcceptRequest() | do.RefuseRequest() | do.RelayRequest():
                assert self.answering is not None, "an answer needs a request"
                self.answering(action, call)
            case do.SendNotify():
                self._outgoing.notify(call, action)
            case do.EndConsultation():
                assert self.end_consultation is not None, "set when all parts are there"
                self.end_consultation(action.call_id)
            case do.SendAck():
                self._outgoing.ack(action)
            case do.SendBye():
                self._outgoing.bye(action)
            case do.RefreshSession():
                self._outgoing.refresh(call, action)
            case do.InviteLeg():
                return self._invite(action, call)
            case do.InviteAgain():
                return self._invite(action, call, action.authorization)
            case do.SendRefer():
                if not self._outgoing.refer(call, action):
                    return ReferAnswered(action.cseq, 503, "Service Unavailable")
            case do.LearnTrunk():
                self._learn(call, action)
            case do.CancelLeg():
                self._outgoing.cancel(action)
            case do.ReleaseLegMedia():
                self._media.release_leg(call, action.leg)
            case do.ReleaseMedia():
                heard = self._media.heard(call)
                self._media.release(call.media_node, call.id)
                if heard:
                    leave(call.id, heard)
            case do.SendMessage():
                self._outgoing.message(action)
            case do.PrepareSpeech():
                self._speech.prepare(action.sounds)
            case do.CheckMedia():
                return self._check(call)
            case do.RecordTransfer():
                self._metrics.transfer(action.transfer)
            case do.MediaAction() | do.ForgetCall():
                pass  # done by the engine, with the lease held
        return None

    def _learn(self, call: Call, action: do.LearnTrunk) -> None:
        KSR.info(f"call={call.id} trunk={action.trunk} refer={action.verdict} status={action.status}\n")
        learned = Learned(verdict=action.verdict, status=action.status, at=time.time())
        try:
            self._store.learn_trunk(action.trunk, learned.model_dump_json().encode())
        except StoreError as error:
            KSR.warn(f"call={call.id} what was learned of trunk {action.trunk} is lost: {error.text}\n")

    def _check(self, call: Call) -> Event | None:
        """Look at the media; where it is gone since somebody hung up while the store was away, say so."""
        event = self._media.check(call, time.time())
        if isinstance(event, MediaLost) and KSR.htable.sht_get(LEFT, call.id) is not None:
            return PartyLost(Party.CALLER, "hung up while Redis was away")
        return event

    def _invite(
        self, action: do.InviteLeg | do.InviteAgain, call: Call, authorization: tuple[tuple[str, str], ...] = ()
    ) -> Event | None:
        leg, transfer = action.leg, action.transfer
        if leg.refusal:
            return LegFailed(leg.number, leg.refusal.status, leg.refusal.reason, called=False)
        if not authorization and (full := self._hunting.admit(leg)):
            return full
        try:
            sdp = self._media.offer_leg(call, leg, transfer.codecs)
        except RtpengineError as error:
            return MediaFailed(503, error.text, leg.number)
        if not authorization:
            self._metrics.invited(transfer, time.time())
        if not self._outgoing.invite(call, leg, transfer, sdp, authorization):
            return LegFailed(leg.number, 503, "Service Unavailable", answered=False)
        return None
