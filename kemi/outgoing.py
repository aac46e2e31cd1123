"""Requests that handoff originates: INVITE and CANCEL towards an endpoint, NOTIFY, BYE and refreshes within dialogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from kemi.message import done, uri_of
from kemi.names import Callback

if TYPE_CHECKING:
    from routing.actions import CancelLeg, Reason, RefreshSession, SendAck, SendBye, SendNotify
    from routing.records import Call, Dialog, Leg, Transfer

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY, MESSAGE, PRACK"
INVITE_CSEQ = 1


class Outgoing:
    """Sends our own requests through tm, which retransmits, times out and acknowledges (RFC 3261 section 17.1)."""

    def __init__(self, address: str, *, no_reply: float, user_agent: str) -> None:
        """Take our `host:port` for Contact, and the seconds after which an INVITE without any reply is given up."""
        self.address = address
        self._no_reply = no_reply
        self._user_agent = f"User-Agent: {user_agent}"
        self._hooks: tuple[Callback, Callback] | None = None
        self._ring_timeout = 0.0

    def contact(self, call_id: str, leg: int = 0) -> str:
        """Make the Contact URI by which a party reaches the call, or its leg, directly."""
        return f"<sip:{call_id}{f'-{leg}' if leg else ''}@{self.address}>"

    def hook(self) -> None:
        """Hang the callbacks on the request that tm is making; tm calls this while `_send` runs."""
        if self._hooks is None:
            if KSR.kx.get_method() == "OPTIONS":  # the dispatcher asks whether an agent is there
                KSR.tm.t_set_fr(0, round(1000 * self._no_reply))
            return
        on_reply, on_failure = self._hooks
        KSR.tm.t_on_reply(on_reply)
        KSR.tm.t_on_failure(on_failure)
        if on_reply is Callback.LEG_REPLY:
            # The ring timeout is a deadline of the record; tm's own is for the case that nobody looks at that.
            KSR.tm.t_set_fr(round(1000 * (self._ring_timeout + 10)), round(1000 * self._no_reply))

    def _send(self, method: str, uri: str, next_hop: str, fields: list[str], body: str = "") -> bool:
        lines = "".join(f"{field}\r\n" for field in (*fields, self._user_agent))
        return done(KSR.tm.t_uac_send(method, uri, next_hop, "", lines, body))

    def _within(
        self,
        method: str,
        dialog: Dialog,
        cseq: int,
        fields: list[str],
        *,
        body: str = "",
        hooks: tuple[Callback, Callback] | None = None,
    ) -> bool:
        """Send a request within a dialog (RFC 3261 section 12.2.1.1; all routers are loose ones)."""
        head = [
            f"From: {dialog.local};tag={dialog.local_tag}",
            f"To: {dialog.remote};tag={dialog.remote_tag}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ]
        if dialog.routes:
            head.append(f"Route: {', '.join(dialog.routes)}")
        next_hop = uri_of(dialog.routes[0]) if dialog.routes else ""
        self._hooks = hooks
        try:
            return self._send(method, dialog.remote_target, next_hop, head + fields, body)
        finally:
            self._hooks = None

    def invite(self, call: Call, leg: Leg, transfer: Transfer, sdp: str) -> bool:
        """Send INVITE to an endpoint; False when it could not even be sent (no route, no memory)."""
        fields = [
            f"From: {leg.sender};tag={leg.tag}",
            f"To: <{leg.uri}>",
            f"Call-ID: {leg.call_id}",
            f"CSeq: {INVITE_CSEQ} INVITE",
            f"Contact: {self.contact(call.id, leg.number)}",
            "Max-Forwards: 70",
            f"Allow: {ALLOW}",
            f"X-Handoff-Call: {call.id}",
            *(f"{name}: {value}" for name, value in call.identity.items()),
            *(f"{name}: {value}" for name, value in transfer.headers.items()),
            "Content-Type: application/sdp",
        ]
        self._hooks = (Callback.LEG_REPLY, Callback.LEG_FAILURE)
        self._ring_timeout = transfer.ring_timeout
        try:
            return self._send("INVITE", leg.uri, "", fields, sdp)
        finally:
            self._hooks = None

    def cancel(self, action: CancelLeg) -> None:
        """Send CANCEL with a Reason; without effect when the INVITE has its final response (RFC 3261 section 9.1)."""
        KSR.tmx.t_cancel_callid_reason(action.call_id, str(INVITE_CSEQ), 0, action.reason.cause)

    def bye(self, action: SendBye) -> None:
        """Send BYE, with the Reason where there is one."""
        self._within("BYE", action.dialog, action.cseq, [_reason(action.reason)] if action.reason else [])

    def ack(self, action: SendAck) -> None:
        """Send ACK for a 2xx (RFC 3261 section 13.2.2.4)."""
        self._within("ACK", action.dialog, action.cseq, [])

    def notify(self, call: Call, action: SendNotify) -> None:
        """Send NOTIFY with the status line as message/sipfrag (RFC 3515 section 2.4.5).

        The Contact stays the caller's: the agent goes on talking to it if the transfer fails.
        """
        event = f"refer;id={action.event_id}" if action.event_id else "refer"
        state = "terminated;reason=noresource" if action.final else "active;expires=300"
        fields = [
            f"Contact: <{call.caller.remote_target}>",
            f"Event: {event}",
            f"Subscription-State: {state}",
            "Content-Type: message/sipfrag;version=2.0",
        ]
        self._within("NOTIFY", action.dialog, action.cseq, fields, body=f"SIP/2.0 {action.status} {action.reason}\r\n")

    def refresh(self, call: Call, action: RefreshSession) -> None:
        """Refresh the caller's session (RFC 4028 section 7.4): UPDATE without a body, or INVITE with the SDP it has."""
        fields = [
            f"Contact: {self.contact(call.id)}",
            "Supported: timer",
            f"Session-Expires: {action.interval};refresher=uac",
        ]
        sdp = action.sdp if action.method == "INVITE" else ""
        if sdp:
            fields.append("Content-Type: application/sdp")
        hooks = (Callback.REFRESH_REPLY, Callback.REFRESH_FAILURE)
        self._within(action.method, action.dialog, action.cseq, fields, body=sdp, hooks=hooks)


def _reason(reason: Reason) -> str:
    quoted = reason.text.replace("\\", "").replace('"', "'")
    return f'Reason: SIP;cause={reason.cause};text="{quoted}"'
