"""What the endpoints of a target answer to our INVITE."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import KSR

from kemi.certificates import refusal
from kemi.credentials import CHALLENGES, answer_challenge
from kemi.message import body, done, header, headers, q850, reply_headers, sip_call_id, split_routes, text, uri_of
from kemi.web import from_page
from routing.actions import SendAck
from routing.events import Event, LegAnswered, LegChallenged, LegFailed, LegRang, LegRedirected
from routing.name_addr import without_tag
from routing.records import BadRecordError
from routing.rule import IllegalEventError, dialog_of
from routing.rules_strays import bye_stray, cancel_stray
from routing.store import CallUnknown, LeaseLost, StoreError
from routing.uris import host_of
from routing.values import BadValue, check_endpoint, parse_sip_uri
from rtpengine.sdp import media_address, voices

if TYPE_CHECKING:
    from kemi.context import Context
    from kemi.engine import Finding
    from routing.records import Call

LegEvent = LegAnswered | LegRang | LegFailed | LegChallenged | LegRedirected

MOVED = 302
"""The only redirection that is followed: the others are for good, or need a choice."""


TRYING = "$avp(trying)"
"""When the first response to an INVITE came; it lives as long as the transaction."""


class Legs:
    """Turns responses to our INVITEs into events."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context

    def replied(self) -> None:
        """Handle a provisional response or a 2xx; the rest comes to `failed`."""
        status = KSR.kx.get_status()
        call_id, number = self._leg()
        if not text(TRYING):
            KSR.pv.sets(TRYING, repr(time.time()))
        if 180 <= status < 190:
            self._handle(call_id, LegRang(number, int(text("$cs")), _trying_at()))
        elif 200 <= status < 300:
            answered = self._answered(number)
            if from_page():
                # tm's own ACK has the branch of the INVITE (Kamailio up to 5.6, against RFC 3261 section 13.2.2.4):
                # SIP.js drops it.
                self._context.outgoing.ack(SendAck(dialog_of(answered), answered.cseq))
            self._handle(call_id, answered)

    @staticmethod
    def _leg() -> tuple[str, int]:
        call_id, _, number = sip_call_id().partition("-")
        return call_id, int(number)

    @staticmethod
    def _answered(number: int) -> LegAnswered:
        return LegAnswered(
            leg=number,
            call_id=sip_call_id(),
            local=without_tag(header("From") or ""),
            local_tag=text("$ft"),
            cseq=int(text("$cs")),
            remote=without_tag(header("To") or ""),
            remote_tag=text("$tt"),
            remote_target=uri_of(header("Contact")),
            routes=tuple(reversed(split_routes(headers("Record-Route")))),
            sdp=body(),
            codecs=voices(body()),
            trying_at=_trying_at(),
            source=text("$si"),
            media=media_address(body()),
        )

    def failed(self) -> None:
        """Handle a final response of 300 or above, or none at all; what TCP did not bring over goes by UDP."""
        call_id, number = self._leg()
        status = KSR.tm.t_get_status_code()
        if text("$rm") == "MESSAGE":
            KSR.warn(f"call={call_id} leg={number} takes no MESSAGE: {status}\n")
            return
        silent = done(KSR.tm.t_branch_timeout()) and not done(KSR.tm.t_branch_replied())
        if silent and self._context.outgoing.retry_by_udp():
            KSR.info(f"call={call_id} leg={number} is not reached by TCP, trying UDP\n")
            return
        reason = "Request Timeout" if done(KSR.tm.t_branch_timeout()) else text("$T_reply_reason")
        if silent and (why := refusal(host_of(text("$ru")))):
            reason = f"TLS: {why}"
        if status in CHALLENGES:
            asked = LegChallenged(number, status, reason, ())
            self._handle(call_id, asked, lambda call: self._authorized(call, asked))
        elif elsewhere := self._redirection() if status == MOVED else "":
            self._handle(call_id, LegRedirected(number, elsewhere))
        else:
            cause = q850(reply_headers("Reason"))
            size = self._context.outgoing.size_by_udp() if silent else None
            failed = LegFailed(
                number, status, reason or "Failed", not silent, cause=cause, trying_at=_trying_at(), size=size
            )
            self._handle(call_id, failed)

    def _authorized(self, call: Call, asked: LegChallenged) -> LegChallenged:
        """Answer challenges, if we can."""
        leg = call.calling(asked.leg)
        if leg is None or call.transfer is None:
            return asked
        login = self._context.credentials.find(call.transfer.target, leg.uri, by_host=call.transfer.consultation != "")
        return replace(asked, authorization=answer_challenge("INVITE", login, f"call={call.id} leg={asked.leg}"))

    def _redirection(self) -> str:
        """Find where a 302 sends us: to the host that was called, or to one that the policy lets be dialled."""
        contact = uri_of(text("$T_rpl($hdr(Contact))"))
        try:
            host = parse_sip_uri(check_endpoint(contact)).host
        except BadValue as error:
            KSR.info(f"call={sip_call_id()} is redirected, but not to a place that can be called: {error.what}\n")
            return ""
        settings = self._context.settings
        if host == text("$rd") or (settings.may_dial(host) and not settings.users.has(host)):
            return contact
        KSR.info(f"call={sip_call_id()} is redirected to {host}, which policy.dial_uris does not list\n")
        return ""

    def _handle(self, call_id: str, event: LegEvent, find: Finding | None = None) -> None:
        """Apply an event, or what `find` makes of it when the call is known."""
        try:
            self._context.engine.handle(call_id, find or (lambda _: event))
        except CallUnknown:
            self._drop(call_id, event)
            for node in self._context.pool.nodes:  # an offer for the leg may have come after the call's end
                self._context.media.release(node, call_id)
        except (StoreError, BadRecordError, IllegalEventError) as error:
            KSR.err(f"call={call_id} leg={event.leg} {type(event).__name__} came to nothing: {error.text}\n")
            if isinstance(event, LegAnswered) and not isinstance(error, LeaseLost):
                self._drop(call_id, event)  # better a person who is hung up on than one who hears nothing

    def _drop(self, call_id: str, event: Event) -> None:
        """Let go of an endpoint whose call has ended, or cannot be read."""
        if isinstance(event, LegAnswered):
            self._context.outgoing.bye(bye_stray(event))
        elif isinstance(event, LegRang):
            self._context.outgoing.cancel(cancel_stray(call_id, event))


def _trying_at() -> float | None:
    at = text(TRYING)
    return float(at) if at else None
