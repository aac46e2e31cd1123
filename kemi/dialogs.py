"""Requests within a call: who sent them, what the machine says of them, and sending them on.

While caller and agent share a dialog a request is relayed as it is, but for its CSeq where handoff has sent requests of
its own in between. After the bridge, caller and target have dialogs of their own, and Call-ID, From, To, CSeq, Contact
and routes are those of the other one ("stitching").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import KSR

from kemi.message import (
    Mark,
    SipError,
    addressed_call,
    body,
    done,
    header,
    name_call,
    reply,
    set_sdp,
    sip_call_id,
    text,
    uri_of,
)
from kemi.names import Callback
from kemi.refer import read_refer
from routing import actions as do
from routing import events as ev
from routing.records import BadRecordError, Call, Dialog, Party, decode
from routing.rule import IllegalEventError
from routing.store import CallBusy, CallUnknown, StoreError
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from kemi.context import Context
    from kemi.engine import Finding
    from kemi.performer import Answering

STITCHED = ("Call-ID", "From", "To", "CSeq", "Contact", "Route")
OFFERS = {"INVITE", "UPDATE"}
BRIDGED = "bridged"
"""Shared memory of this node for calls handed over: what Redis holds, for when it is away."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent the request at hand, as far as the message itself tells."""

    call_id: str
    party: Party
    mark: Mark | None
    leg: int

    @classmethod
    def read(cls) -> Sender | None:
        """Find it from our Route, or from our Contact in the Request-URI; None for a stranger."""
        mark = Mark.read()
        if mark:
            party = Party.CALLER if text("$ft") == mark.caller_tag else Party.AGENT
            return cls(mark.call_id, party, mark, 0)
        addressed = addressed_call(text("$rU"))
        if addressed is None:
            return None
        call_id, leg = addressed
        return cls(call_id, Party.TARGET if leg else Party.CALLER, None, leg)


class Dialogs:
    """Handles requests within dialogs, and the responses to those that it relays."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context

    # --- requests ----------------------------------------------------------------------------------------------------

    def request(self, method: str) -> None:
        """Handle a request with a To tag; raises SipError."""
        sender = Sender.read()
        if method == "ACK":
            self._acknowledge(sender)
            return
        if KSR.tm.t_newtran() <= 0:
            return  # a retransmission, answered by tm
        if sender is None:
            self._pass_on(None, method)
            return
        cseq = int(text("$cs"))
        find = read_refer(self._context, sender.party, cseq) if method == "REFER" else _find(sender.party, method, cseq)

        def checked(call: Call) -> ev.Event | None:
            if method != "BYE" or call.dialog(sender.party) is not None:  # else it may have crossed ours
                _check_dialog(call, sender)
            return find(call)

        try:
            self._apply(sender, method, checked)
        except IllegalEventError as error:
            raise SipError(481, "Call/Transaction Does Not Exist") from error
        except CallUnknown:
            if method == "REFER":
                raise SipError(481, "This call is not known, or has ended") from None
            self._pass_on(sender, method)
        except (StoreError, BadRecordError) as error:
            KSR.warn(f"call={sender.call_id} {method}: {error.text}\n")
            self._without_store(sender, method, error)

    def _apply(self, sender: Sender, method: str, find: Finding) -> None:
        performer = self._context.performer
        performer.answering = lambda action, call: self._answer(action, call, sender.party, method)
        try:
            if method == "BYE":
                self._context.engine.hang_up(sender.call_id, find, lambda: self._pass_on(sender, method))
            else:
                self._context.engine.handle(sender.call_id, find)
        finally:
            performer.answering = None

    def _without_store(self, sender: Sender, method: str, error: StoreError | BadRecordError) -> None:
        """Do what can be done when the record cannot be had: calls still hang up, transfers are refused."""
        if method == "REFER" or isinstance(error, CallBusy):
            raise SipError(503, "Transfers are not possible right now", retry_after=2)
        copy = KSR.htable.sht_get(BRIDGED, sender.call_id)
        if copy is None:
            self._pass_on(sender, method)
            return
        call = decode(sender.call_id, str(copy).encode())
        _check_dialog(call, sender)
        if method != "BYE":
            raise SipError(503, "Not possible right now", retry_after=2)
        peer = call.peer(sender.party)
        other = call.dialog(peer) if peer else None
        if peer is None or other is None:
            reply(200, "OK")  # the agent leaves, as it was told to
            return
        self._relay(do.RelayRequest(peer, other, other.next_cseq() + 1000), call, sender.party, method)
        self._context.media.release(call.media_node, call.id)

    def _pass_on(self, sender: Sender | None, method: str) -> None:
        """Relay by the route set alone what no record is needed, or known, for."""
        if not done(KSR.rr.loose_route()):
            raise SipError(481, "Call/Transaction Does Not Exist")
        if sender and sender.mark:
            node, sdp = sender.mark.media_node, body() if method in OFFERS else ""
            if method == "BYE":
                self._context.media.release(node, sender.call_id)
            elif sdp:
                try:
                    set_sdp(self._context.media.offer_unrecorded(node, sender.call_id, sender.party, sdp))
                except RtpengineError as error:
                    raise SipError(500, "The media server did not take the offer") from error
                self._expect_reply(sender.call_id, sender.party)
                KSR.pv.sets("$avp(node)", node)
        _send_on(method)

    @staticmethod
    def _expect_reply(call_id: str, party: Party) -> None:
        """Have the response brought back here, and remember whose request it answers."""
        KSR.pv.sets("$avp(call)", call_id)
        KSR.pv.sets("$avp(party)", party)
        KSR.tm.t_on_reply(Callback.DIALOG_REPLY)

    def _answer(self, action: Answering, call: Call, party: Party, method: str) -> None:
        if isinstance(action, do.RelayRequest):
            self._relay(action, call, party, method)
            return
        if isinstance(action, do.AcceptRequest) and method == "REFER":
            KSR.hdr.append_to_reply(f"Contact: <{call.caller.remote_target}>\r\n")
            if call.transfer and call.transfer.subscription and not call.transfer.subscription.notify:
                KSR.hdr.append_to_reply("Refer-Sub: false\r\n")
        if isinstance(action, do.RefuseRequest):
            self._context.metrics.answer(action.status)
        reply(action.status, action.reason, action.retry_after if isinstance(action, do.RefuseRequest) else None)

    def _relay(self, action: do.RelayRequest, call: Call, party: Party, method: str) -> None:
        """Send the request at hand on within the other dialog."""
        sdp = body() if method in OFFERS else ""
        if sdp:
            try:
                view = self._context.media.renegotiate(call, party, sdp)
                set_sdp(view)
                KSR.pv.sets("$avp(view)", view)  # what the caller is told, if it is the caller's to answer
            except RtpengineError as error:
                KSR.warn(f"call={call.id} offer of the {party}: {error.text}\n")
                self._settle(call.id, ev.OfferRejected(party))
                raise SipError(500, "The media server did not take the offer") from error
        rewritten = self._rewrite(action.dialog, action.cseq, call, method)
        if rewritten or method in OFFERS:
            self._expect_reply(call.id, party)
        if method in OFFERS:
            KSR.tm.t_on_failure(Callback.DIALOG_FAILURE)
        _send_on(method)

    def _rewrite(self, dialog: Dialog, cseq: int, call: Call, method: str) -> bool:
        """Make the request at hand one of another dialog; within the same one only the CSeq may differ.

        Gives whether anything was changed, which then must be undone in the response.
        """
        if dialog.call_id == sip_call_id():
            KSR.rr.loose_route()
            if str(cseq) == text("$cs"):
                return False
            KSR.hdr.remove("CSeq")
            KSR.hdr.append(f"CSeq: {cseq} {method}\r\n")
            return True
        for name in STITCHED:
            KSR.hdr.remove(name)
        leg = call.leg.number if call.leg and dialog is not call.caller and dialog.call_id == call.leg.call_id else 0
        fields = [
            f"From: {dialog.local};tag={dialog.local_tag}",
            f"To: {dialog.remote};tag={dialog.remote_tag}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: {self._context.outgoing.contact(call.id, leg)}",
            *(f"Route: {route}" for route in dialog.routes),
        ]
        KSR.hdr.append("".join(f"{field}\r\n" for field in fields))
        KSR.pv.sets("$ru", dialog.remote_target)
        if dialog.routes:
            KSR.pv.sets("$du", uri_of(dialog.routes[0]))
        else:
            KSR.pv.unset("$du")
        return True

    def _acknowledge(self, sender: Sender | None) -> None:
        """Pass an ACK on: the first one as it is, later ones with the CSeq that their INVITE got."""
        if KSR.tm.t_check_trans() == 0:
            return  # of a refusal: it goes no further (RFC 3261 section 17.1.1.3)
        sdp = body()
        from_caller = sender is None or sender.party is Party.CALLER
        if sender is None or (sender.mark and from_caller and not sdp and text("$cs") == str(sender.mark.cseq)):
            if done(KSR.rr.loose_route()):
                _send_on("ACK")
            return
        try:
            call = self._context.store.peek(sender.call_id)
        except (StoreError, BadRecordError):
            if done(KSR.rr.loose_route()):
                _send_on("ACK")
            return
        for peer in (Party.TARGET, Party.AGENT) if from_caller else (Party.CALLER,):
            dialog = call.dialog(peer)  # who was sent the INVITE may have been replaced meanwhile
            if dialog and dialog.invite_cseq and text("$cs") == str(dialog.invite_cseq[0]):
                if sdp:
                    self._late_answer(call, sender.party, peer, sdp)
                self._rewrite(dialog, dialog.invite_cseq[1], call, "ACK")
                _send_on("ACK")
                return

    def _late_answer(self, call: Call, party: Party, peer: Party, sdp: str) -> None:
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
        self._settle(call.id, ev.SessionChanged(offerer=peer, offer="", answer=sdp, caller_view=shown))

    # --- responses ---------------------------------------------------------------------------------------------------

    def replied(self) -> None:
        """Bring a response back into the dialog of its request, and take the answer in it."""
        original = text("$T_req($ci)")
        call_id = text("$avp(call)")
        offer, sdp = text("$T_req($rb)"), body()
        contact = uri_of(header("Contact"))
        cseq = text("$T_req($cs)")
        if sip_call_id() != original:
            for name in ("Call-ID", "From", "To", "CSeq", "Contact", "Record-Route"):
                KSR.hdr.remove(name)
            leg = original.rpartition("-")[2] if original.startswith(f"{call_id}-") else "0"
            fields = [
                f"From: {text('$T_req($hdr(From))')}",
                f"To: {text('$T_req($hdr(To))')}",
                f"Call-ID: {original}",
                f"CSeq: {cseq} {text('$rm')}",
                f"Contact: {self._context.outgoing.contact(call_id, int(leg))}",
            ]
            KSR.hdr.append("".join(f"{field}\r\n" for field in fields))
        elif text("$cs") != cseq:
            method = text("$rm")
            KSR.hdr.remove("CSeq")
            KSR.hdr.append(f"CSeq: {cseq} {method}\r\n")
        if text("$T_req($rm)") in OFFERS and 200 <= KSR.kx.get_status() < 300:
            self._take_answer(call_id, Party(text("$avp(party)")), offer, sdp, contact)

    def _take_answer(self, call_id: str, party: Party, offer: str, sdp: str, contact: str) -> None:
        """Anchor the answer in a 2xx, or the offer where the request had none, and keep both for the bridge."""
        if not sdp:
            self._settle(call_id, ev.OfferRejected(party))
            return
        node = text("$avp(node)")
        try:
            if node:
                set_sdp(self._context.media.answer_unrecorded(node, call_id, party, sdp))
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
        self._settle(call_id, event)

    def failed(self) -> None:
        """Put the media back as it was when an offer within the dialog was refused."""
        call_id, party = text("$avp(call)"), Party(text("$avp(party)"))
        self._settle(call_id, ev.OfferRejected(party))
        if body():
            try:
                self._context.media.restore(self._context.store.peek(call_id))
            except (StoreError, BadRecordError):
                return  # the next offer, or the bridge, sets it right

    def refresh_failed(self) -> None:
        """End a call whose caller no longer knows of it; any other refusal is left to the next refresh."""
        status = KSR.tm.t_get_status_code()
        if status in {408, 481}:
            self._settle(name_call(), ev.PartyLost(Party.CALLER, f"session refresh answered {status}"))

    def _settle(self, call_id: str, event: ev.Event) -> None:
        try:
            self._context.engine.handle(call_id, lambda _: event)
        except (StoreError, BadRecordError, IllegalEventError) as error:
            KSR.warn(f"call={call_id} {type(event).__name__}: {error.text}\n")


_HUNG_UP = {Party.CALLER: ev.CallerHungUp, Party.AGENT: ev.AgentHungUp, Party.TARGET: ev.TargetHungUp}


def _find(party: Party, method: str, cseq: int) -> Finding:
    if method == "BYE":
        event: ev.Event = _HUNG_UP[party](cseq)
    else:
        offer = method == "INVITE" or (method in OFFERS and bool(body()))
        contact = uri_of(header("Contact")) if method in OFFERS else None
        event = ev.RequestReceived(party, method, cseq, contact or None, offer)
    return lambda _: event


def _check_dialog(call: Call, sender: Sender) -> None:
    """Refuse who does not know the dialog's Call-ID and tags (RFC 3261 section 12.2.2)."""
    dialog = call.dialog(sender.party)
    known = dialog is not None and (
        dialog.call_id == sip_call_id() and dialog.remote_tag == text("$ft") and dialog.local_tag == text("$tt")
    )
    if not known:
        raise SipError(481, "Call/Transaction Does Not Exist")


def _send_on(method: str) -> None:
    if not done(KSR.tm.t_relay()) and method != "ACK":
        reply(500, "The other side cannot be reached")
