"""Requests within a call: who sent them, what the machine says of them, and sending them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from kemi.answers import OFFERS
from kemi.bodies import DTMF, DTMF_RELAY, TEXT, media_type, read_key, read_summary
from kemi.certificates import name_peer
from kemi.message import (
    SipError,
    body,
    done,
    header,
    headers,
    q850,
    reply,
    set_sdp,
    text,
)
from kemi.names import Callback
from kemi.outgoing import called_at
from kemi.performer import LEFT
from kemi.reaching import contact_of
from kemi.refer import read_refer
from kemi.referrals import read_report
from kemi.sender import Sender
from kemi.stitch import rewrite_request
from routing import actions as do
from routing import events as ev
from routing.outcomes import Mode
from routing.records import BadRecordError, Call, Party, State, decode
from routing.rule import IllegalEventError
from routing.store import CallBusy, CallUnknown, StoreError
from rtpengine import RtpengineError

if TYPE_CHECKING:
    from kemi.answers import Answers
    from kemi.context import Context
    from kemi.engine import Finding
    from kemi.performer import Answering
    from routing.dialog import Dialog

LISTENING = {State.BRIEFING, State.ACCEPTING, State.DECLINING, State.PARTING, State.BRIDGING}
"""The states in which the person has answered but does not yet talk with the caller: its keys are for us."""
BRIDGED = "bridged"
"""Shared memory of this node for calls handed over: what Redis holds, for when it is away."""


class Dialogs:
    """Handles requests within dialogs."""

    def __init__(self, context: Context, answers: Answers) -> None:
        """Take the parts that it works with."""
        self._context = context
        self._answers = answers

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
        find = read_refer(self._context, sender, cseq) if method == "REFER" else self._find(sender, method, cseq)

        def checked(call: Call) -> ev.Event | None:
            if method != "BYE" or call.dialog(sender.within(call)) is not None:  # it may have crossed ours
                sender.check(call)
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

    def _find(self, sender: Sender, method: str, cseq: int) -> Finding:
        remote = header("From") if sender.party is Party.TARGET else None
        contact = contact_of(self._context.settings, remote) if method in OFFERS else None
        return _find(sender, method, cseq, contact or None)

    def _apply(self, sender: Sender, method: str, find: Finding) -> None:
        performer = self._context.performer
        performer.answering = lambda action, call: self._answer(action, call, sender.within(call), method)
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
        if method == "BYE":
            KSR.htable.sht_sets(LEFT, sender.call_id, sender.party)
        copy = KSR.htable.sht_get(BRIDGED, sender.call_id)
        if copy is None:
            self._pass_on(sender, method)
            return
        call = decode(sender.call_id, str(copy).encode())
        sender.check(call)
        if method != "BYE":
            raise SipError(503, "Not possible right now", retry_after=2)
        party = sender.within(call)
        peer = call.peer(party)
        other = call.dialog(peer) if peer else None
        if peer is None or other is None:
            reply(200, "OK")  # the agent leaves, as it was told to
            return
        self._relay(do.RelayRequest(peer, other, other.next_cseq() + 1000), call, party, method)
        self._context.media.release(call.media_node, call.id)

    def _pass_on(self, sender: Sender | None, method: str) -> None:
        """Relay by the route set alone what no record is needed, or known, for."""
        if not done(KSR.rr.loose_route()):
            raise SipError(481, "Call/Transaction Does Not Exist")
        if sender and sender.mark:
            node, sdp = sender.mark.media_node, body() if method in OFFERS else ""
            if method == "BYE":
                KSR.info(f"call={sender.call_id} event={sender.party.capitalize()}HungUp to=ended\n")
                self._context.media.release(node, sender.call_id)
            elif sdp:
                try:
                    set_sdp(self._context.media.offer_unrecorded(node, sender.call_id, sender.party, sdp))
                except RtpengineError as error:
                    raise SipError(500, "The media server did not take the offer") from error
                self._answers.expect(sender.call_id, sender.party)
                KSR.pv.sets("$avp(node)", node)
        _send_on(method)

    def _answer(self, action: Answering, call: Call, party: Party, method: str) -> None:
        if isinstance(action, do.RelayRequest):
            self._relay(action, call, party, method)
            return
        if isinstance(action, do.AcceptRequest) and method == "REFER":
            referrer = call.agent or call.caller
            KSR.hdr.append_to_reply(f"Contact: {self._context.outgoing.contact_in(call, referrer)}\r\n")
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
                self._answers.settle(call.id, ev.OfferRejected(party))
                raise SipError(500, "The media server did not take the offer") from error
        rewritten = rewrite_request(action.dialog, action.cseq, method, self._contact(call, action.party))
        if rewritten or method in OFFERS:
            self._answers.expect(call.id, party, self._contact(call, party))
        if method in OFFERS:
            KSR.tm.t_on_failure(Callback.DIALOG_FAILURE)
        _send_on(method, action.dialog)

    def _contact(self, call: Call, party: Party) -> str:
        """Make the Contact by which a party reaches the call."""
        if party is Party.TARGET and call.leg:
            uri = call.target.remote_target if call.target else call.leg.uri  # DNS may have chosen the transport
            return self._context.outgoing.contact(call.id, call.leg.number, uri)
        if party is Party.AGENT and call.agent and call.agent_leg:
            return self._context.outgoing.contact_in(call, call.agent)
        return self._context.outgoing.contact(call.id)

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
                    self._answers.take_late(call, sender.party, peer, sdp)
                rewrite_request(dialog, dialog.invite_cseq[1], "ACK", self._contact(call, peer))
                _send_on("ACK", dialog)
                return


def _find(sender: Sender, method: str, cseq: int, contact: str | None = None) -> Finding:
    def find(call: Call) -> ev.Event:
        party = sender.within(call)
        if method == "BYE":
            cause = q850(headers("Reason"))
            if party is Party.TARGET:
                return ev.TargetHungUp(cseq, sender.leg, cause=cause)
            return (ev.CallerHungUp if party is Party.CALLER else ev.AgentHungUp)(cseq, cause=cause)
        if event := _for_us(call, party, method):
            return event
        offer = method == "INVITE" or (method in OFFERS and bool(body()))
        return ev.RequestReceived(party, method, cseq, contact, offer)

    return find


def _for_us(call: Call, party: Party, method: str) -> ev.Event | None:
    """Find whether a request is for handoff itself.

    That is the agent's summary, a key that the person has pressed, and what the caller's side reports of a REFER.
    """
    if party is Party.CALLER and method == "NOTIFY":
        return read_report()
    if party is Party.AGENT and method in {"INFO", "MESSAGE"}:
        summary = call.transfer is not None and call.transfer.mode is Mode.SUMMARY
        return ev.SummaryGiven(read_summary()) if summary and media_type() == TEXT else None
    if party is Party.TARGET and method == "INFO" and call.state in LISTENING and media_type() in {DTMF, DTMF_RELAY}:
        return ev.KeyPressed(read_key(), request=True)
    return None


def _send_on(method: str, dialog: Dialog | None = None) -> None:
    """Relay the request at hand, which now belongs to this dialog."""
    name_peer(text("$du") or text("$ru"), *((called_at(dialog), dialog.ca_file) if dialog else ()))
    if not done(KSR.tm.t_relay()) and method != "ACK":
        reply(500, "The other side cannot be reached")
