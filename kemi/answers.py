"""Responses to requests within a call, and the SDP answers that come in them, or in an ACK."""

from __future__ import annotations

from random import randrange
from typing import TYPE_CHECKING

import KSR

from kemi.message import body, header, name_call, set_sdp, text, uri_of
from kemi.names import Callback
from kemi.stitch import restore_response
from routing import events as ev
from routing.records import BadRecordError, Call, Party
from routing.rule import IllegalEventError
from routing.store import StoreError
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from kemi.context import Context

OFFERS = {"INVITE", "UPDATE"}
"""The methods that carry offers."""
LONGEST_WAIT, STEPS = 2.0, 200
"""Seconds of which one that did not make the Call-ID waits any part until it offers again (RFC 3261 section 14.1)."""


class Answers:
    """Takes what comes back for requests that were relayed."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context

    @staticmethod
    def expect(call_id: str, party: Party, contact: str = "") -> None:
        """Have the response to the request at hand come to `replied`, and remember whose request it answers.

        `contact` is what that party is told as our Contact, where its dialog is another one than the response's.
        """
        KSR.pv.sets("$avp(call)", call_id)
        KSR.pv.sets("$avp(party)", party)
        KSR.pv.sets("$avp(contact)", contact)
        KSR.tm.t_on_reply(Callback.DIALOG_REPLY)

    def replied(self) -> None:
        """Bring a response back into the dialog of its request, and take the answer in it."""
        call_id = text("$avp(call)")
        offer, sdp = text("$T_req($rb)"), body()
        contact = uri_of(header("Contact"))
        restore_response(text("$avp(contact)"))
        if text("$T_req($rm)") in OFFERS and 200 <= KSR.kx.get_status() < 300:
            self._take_answer(call_id, Party(text("$avp(party)")), offer, sdp, contact)

    def _take_answer(self, call_id: str, party: Party, offer: str, sdp: str, contact: str) -> None:
        """Anchor the answer in a 2xx, or the offer where the request had none, and keep both for the bridge."""
        if not sdp:
            self.settle(call_id, ev.OfferRejected(party))
            return
        node = text("$avp(node)")
        try:
            if node:
                set_sdp(self._context.media.answer_unrecorded(node, call_id, party, sdp, offer))
                return
            call = self._context.store.peek(call_id)
            peer = call.peer(party)
            if call.exchange is None and peer and sdp == call.media.of(peer):
                set_sdp(self._context.media.conclude(call, party, sdp))  # the same 2xx again: its ACK was lost
                return
            if peer is None or call.exchange is None:
                set_sdp(call.media.caller_view)  # an answer that came too late: the call has moved on
                return
            if offer:
                view = self._context.media.conclude(call, party, sdp)
                told = view if party is Party.CALLER else text("$avp(view)")
                event = ev.SessionChanged(party, offer, sdp, told, contact or None)
            else:
                view = self._context.media.renegotiate(call, peer, sdp)
                told = view if party is Party.CALLER else ""
                event = ev.SessionChanged(peer, sdp, "", told)
            set_sdp(view)
        except (StoreError, BadRecordError, RtpengineError) as error:
            KSR.warn(f"call={call_id} answer to the {party}: {error.text}\n")
            return
        self.settle(call_id, event)

    def failed(self) -> None:
        """Put the media back as it was when an offer within the dialog was refused."""
        call_id, party = text("$avp(call)"), Party(text("$avp(party)"))
        self.settle(call_id, ev.OfferRejected(party))
        if body():
            try:
                self._context.media.restore(self._context.store.peek(call_id))
            except (StoreError, BadRecordError):
                return  # the next offer, or the bridge, sets it right

    def refresh_failed(self) -> None:
        """End a call whose caller no longer knows of it; try again later where two offers have crossed.

        Any other refusal is left to the next refresh.
        """
        status = KSR.tm.t_get_status_code()
        if status in {408, 481}:
            self.settle(name_call(), ev.PartyLost(Party.CALLER, f"session refresh answered {status}"))
        elif status == 491 and text("$rm") == "INVITE":
            wait = randrange(STEPS + 1) * LONGEST_WAIT / STEPS  # noqa: S311 - it keeps no secret
            self.settle(name_call(), ev.OfferCrossed(wait))

    def settle(self, call_id: str, event: ev.Event) -> None:
        """Tell the machine what became of an offer; where it cannot be told, the next offer sets it right."""
        try:
            self._context.engine.handle(call_id, lambda _: event)
        except (StoreError, BadRecordError, IllegalEventError) as error:
            KSR.warn(f"call={call_id} {type(event).__name__}: {error.text}\n")

    def take_late(self, call: Call, party: Party, peer: Party, sdp: str) -> None:
        """Take the answer that an ACK brings to the offer in the 2xx (RFC 3264 section 4, RFC 3261 section 13.2.1)."""
        if call.exchange is None:
            return
        try:
            view = self._context.media.conclude(call, peer, sdp)
        except RtpengineError as error:
            KSR.warn(f"call={call.id} answer of the {party} in ACK: {error.text}\n")
            return
        set_sdp(view)
        shown = view if peer is Party.CALLER else ""
        self.settle(call.id, ev.SessionChanged(offerer=peer, offer="", answer=sdp, caller_view=shown))
