"""Requests that handoff originates: INVITE and CANCEL towards an endpoint, NOTIFY, BYE and refreshes within dialogs."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import KSR

from kemi.certificates import name_peer, trust
from kemi.message import addressed_call, done, header, text, uri_of
from kemi.names import Callback
from routing.delivery import beside_uui, header_value, multipart, uui_value
from routing.identity import identity_fields, other_headers
from routing.name_addr import without_name
from routing.outcomes import Mode
from routing.transfer_record import Delivery
from routing.uris import host_of, may_be_tls, transport_of

if TYPE_CHECKING:
    from kemi.places import Places
    from routing.actions import CancelLeg, Reason, RefreshSession, SendAck, SendBye, SendMessage, SendNotify, SendRefer
    from routing.dialog import Dialog
    from routing.records import Call
    from routing.transfer_record import Leg, Transfer

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY, MESSAGE, PRACK"
SUPPORTED = "Supported: replaces"
UDP_LIMIT = 1300
"""Bytes beyond which a request goes by TCP (RFC 3261 section 18.1.1)."""
_OWN_FIELDS = "Via: SIP/2.0/UDP ;branch=z9hG4bK0123.0123456789abcdef0123456789abcdef.0\r\nContent-Length: 999\r\n\r\n"
"""What Kamailio adds to a request of ours, our address aside."""
_READ_BY_TM = ("From:", "To:", "Call-ID:", "CSeq:")
"""Fields that t_uac_send reads. In all others it takes "!" for a sign of its own: it cuts them there, and at a second
one crashes (Kamailio up to 6.1). So those that have one are added by `hook`, when the request has been made."""
_NAMED = ("From", "To")
"""Fields of which it keeps the URI and the tag only; `hook` puts the display name back, and tm makes CANCEL and ACK of
what `hook` has left."""
_LEG_HOOKS = (Callback.LEG_REPLY, Callback.LEG_FAILURE)


class Outgoing:
    """Sends our own requests through tm, which retransmits, times out and acknowledges (RFC 3261 section 17.1)."""

    def __init__(self, places: Places, *, no_reply: float, user_agent: str) -> None:
        """Take where we are reached, and the seconds after which an INVITE without any reply is given up."""
        self._places = places
        self._no_reply = no_reply
        self._user_agent = f"User-Agent: {user_agent}"
        self._hooks: tuple[Callback, Callback] | None = None
        self._probes = False
        self._late: list[str] = []
        self._named: list[str] = []
        self._secure_contact = ""
        self._ring_timeout = 0.0

    def contact(self, call_id: str, leg: int = 0, uri: str = "") -> str:
        """Make the Contact by which a party, called at `uri`, reaches the call, or its leg, directly."""
        return self._places.contact(f"{call_id}{f'-{leg}' if leg else ''}", uri)

    def contact_in(self, call: Call, dialog: Dialog) -> str:
        """Make the Contact that the other party of a dialog reaches us by; an agent of the pool has the caller's own.

        It goes on talking to that if a transfer fails.
        """
        if dialog.call_id == call.caller.call_id:
            return f"<{call.caller.remote_target}>"
        _, leg = addressed_call(dialog.call_id) or ("", 0)
        return self.contact(call.id, leg, dialog.remote_target)

    def hook(self) -> None:
        """Hang the callbacks on the request that tm is making; tm calls this while `_send` runs."""
        for name in self._named:
            KSR.hdr.remove(name)
        if self._late:
            KSR.hdr.append("".join(self._late))
        if self._secure_contact and (header("Via") or "").startswith("SIP/2.0/TLS"):
            KSR.hdr.remove("Contact")
            KSR.hdr.append(f"Contact: {self._secure_contact}\r\n")
        if self._hooks is None:
            if KSR.kx.get_method() == "OPTIONS":  # the dispatcher, or we, ask whether somebody is there
                name_peer(text("$ru"))
                KSR.tm.t_set_fr(0, round(1000 * self._no_reply))
            if self._probes:
                KSR.tm.t_on_reply(Callback.PROBE_REPLY.value)
            return
        on_reply, on_failure = self._hooks
        KSR.tm.t_on_reply(on_reply)
        KSR.tm.t_on_failure(on_failure)
        if on_reply is Callback.LEG_REPLY:
            # The ring timeout is a deadline of the record; tm's own is for the case that nobody looks at that.
            KSR.tm.t_set_fr(round(1000 * (self._ring_timeout + 10)), round(1000 * self._no_reply))

    def _send(
        self,
        method: str,
        uri: str,
        next_hop: str,
        fields: list[str],
        body: str = "",
        *,
        grows: bool = False,
        called: str = "",
        ca_file: str = "",
    ) -> bool:
        """Send a request; one that `grows` with a text, beyond what UDP carries whole, goes by TCP if that can be.

        `called` is the URI that the party was called at, `ca_file` who certifies its host, see `name_peer`.
        """
        lines = [f"{field}\r\n" for field in (*fields, self._user_agent)]
        size = len("".join((f"{method} {uri} SIP/2.0\r\n", _OWN_FIELDS, self._places.address, *lines, body)).encode())
        hop = next_hop or uri
        name_peer(hop, called, ca_file)
        plain, self._late, self._named = _sort(lines)
        try:
            if grows and size > UDP_LIMIT and not _names_transport(hop):
                # It cannot be sent so when we do not listen on TCP.
                if done(KSR.tm.t_uac_send(method, uri, f"{hop};transport=tcp", "", plain, body)):
                    return True
                KSR.warn(f"{method} {uri} is longer than {UDP_LIMIT} bytes, but goes by UDP: sip.listen has no tcp\n")
            return done(KSR.tm.t_uac_send(method, uri, next_hop, "", plain, body))
        finally:
            self._late, self._named = [], []

    def _within(
        self,
        method: str,
        dialog: Dialog,
        cseq: int,
        fields: list[str],
        *,
        body: str = "",
        hooks: tuple[Callback, Callback] | None = None,
        grows: bool = False,
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
            at = {"called": called_at(dialog), "ca_file": dialog.ca_file}
            return self._send(method, dialog.remote_target, next_hop, head + fields, body, grows=grows, **at)
        finally:
            self._hooks = None

    def invite(
        self, call: Call, leg: Leg, transfer: Transfer, sdp: str, authorization: tuple[tuple[str, str], ...] = ()
    ) -> bool:
        """Send INVITE to an endpoint; False when it could not even be sent (no route, no memory)."""
        extra, body = _with_summary(transfer, sdp)
        fields = [
            f"From: {leg.sender};tag={leg.tag}",
            f"To: <{leg.registered.user if leg.registered else leg.uri}>",
            f"Call-ID: {leg.call_id}",
            f"CSeq: {leg.cseq} INVITE",
            f"Contact: {self.contact(call.id, leg.number, leg.uri)}",
            "Max-Forwards: 70",
            f"Allow: {ALLOW}",
            SUPPORTED,
            f"X-Handoff-Call: {call.id}",
            *identity_fields(call, transfer, leg),
            *(f"{name}: {value}" for name, value in extra.items()),
            *map(": ".join, authorization),
            *([f"Route: {leg.route}"] if leg.route else []),
        ]
        if may_be_tls(leg.uri):  # DNS chooses the transport after the Contact has been written
            self._secure_contact = self.contact(call.id, leg.number, f"{leg.uri};transport=tls")
            trust(host_of(leg.uri), transfer.ca_file)
        self._hooks = _LEG_HOOKS
        self._ring_timeout = leg.ring_until - leg.started_at
        try:
            hop = leg.registered.hop if leg.registered else uri_of(leg.route)
            return self._send("INVITE", leg.uri, hop, fields, body, grows=True)
        finally:
            self._hooks, self._secure_contact = None, ""

    def retry_by_udp(self) -> bool:
        """Send the INVITE that got no answer by TCP once more, by UDP; False when that is not for us to decide.

        A refused connection is seen only here, when nothing has come for `no_reply` seconds: Kamailio logs it and goes
        on waiting. RFC 3261 section 18.1.1 wants the other try only where it was the size that had chosen TCP.
        """
        uri = text("$ru")
        if "/TCP" not in (header("Via") or "") or _names_transport(uri) or text("$avp(by_udp)"):
            return False
        KSR.pv.sets("$avp(by_udp)", "1")
        KSR.hdr.remove("Via")  # of the first try; Kamailio adds the one of this
        KSR.pv.sets("$du", f"{uri};transport=udp")
        KSR.tm.t_on_reply(Callback.LEG_REPLY)
        KSR.tm.t_on_failure(Callback.LEG_FAILURE)
        return done(KSR.tm.t_relay())

    @staticmethod
    def size_by_udp() -> int | None:
        """Count the bytes of the INVITE that a failure route is about, if it went by UDP at last."""
        by_udp = "/UDP" in (header("Via") or "") or text("$avp(by_udp)")
        return int(text("$ml")) if by_udp else None

    def probe(self, uri: str, hop: str = "", call_id: str = "") -> bool:
        """Ask an endpoint, or a phone at its next hop, whether it is there (RFC 3261 section 11).

        The reply comes to PROBE_REPLY; False where it could not even be sent.
        """
        token = secrets.token_hex(8)
        fields = [
            f"From: <sip:{self._places.address}>;tag={token}",
            f"To: <{uri}>",
            f"Call-ID: {call_id or f'probe-{token}'}",
            "CSeq: 1 OPTIONS",
            f"Contact: {self._places.contact('probe', uri)}",
            "Max-Forwards: 70",
            "Accept: application/sdp",
        ]
        self._probes = True
        try:
            return self._send("OPTIONS", uri, hop, fields)
        finally:
            self._probes = False

    def cancel(self, action: CancelLeg) -> None:
        """Send CANCEL with a Reason; without effect when the INVITE has its final response (RFC 3261 section 9.1)."""
        KSR.tmx.t_cancel_callid_reason(action.call_id, str(action.cseq), 0, action.reason.cause)

    def bye(self, action: SendBye) -> None:
        """Send BYE, with the Reason where there is one."""
        self._within("BYE", action.dialog, action.cseq, [_reason(action.reason)] if action.reason else [])

    def message(self, action: SendMessage) -> None:
        """Send a text as MESSAGE within a dialog (RFC 3428 section 4); a refusal of it comes to `Legs`."""
        fields = ["Content-Type: text/plain;charset=UTF-8"]
        hooks = (Callback.REFRESH_REPLY, Callback.LEG_FAILURE)
        dialog = action.dialog
        if not self._within("MESSAGE", dialog, action.cseq, fields, body=action.text, hooks=hooks, grows=True):
            KSR.warn(f"call={dialog.call_id.partition('-')[0]} MESSAGE to {dialog.remote_target} cannot be sent\n")

    def ack(self, action: SendAck) -> None:
        """Send ACK for a 2xx (RFC 3261 section 13.2.2.4)."""
        self._within("ACK", action.dialog, action.cseq, [])

    def notify(self, call: Call, action: SendNotify) -> None:
        """Send NOTIFY with the status line as message/sipfrag (RFC 3515 section 2.4.5)."""
        event = f"refer;id={action.event_id}" if action.event_id else "refer"
        state = "terminated;reason=noresource" if action.final else "active;expires=300"
        fields = [
            f"Contact: {self.contact_in(call, action.dialog)}",
            f"Event: {event}",
            f"Subscription-State: {state}",
            "Content-Type: message/sipfrag;version=2.0",
        ]
        self._within("NOTIFY", action.dialog, action.cseq, fields, body=f"SIP/2.0 {action.status} {action.reason}\r\n")

    def refer(self, call: Call, action: SendRefer) -> bool:
        """Send the caller's side REFER to the target (RFC 3515); False when it could not even be sent.

        The Contact stays the agent's while both share a dialog: the caller goes on talking to it if this fails.
        """
        shared = call.agent is not None and call.agent.call_id == action.dialog.call_id
        contact = f"<{call.agent.remote_target}>" if call.agent and shared else self.contact(call.id)
        by = action.transfer.headers.get("Referred-By", action.dialog.local)
        fields = [
            f"Contact: {contact}",
            f"Refer-To: <{action.uri}>",
            f"Referred-By: {by}",
            *(": ".join(field) for field in action.authorization),
        ]
        hooks = (Callback.REFER_REPLY, Callback.REFER_FAILURE)
        return self._within("REFER", action.dialog, action.cseq, fields, hooks=hooks)

    def refresh(self, call: Call, action: RefreshSession) -> None:
        """Refresh the caller's session (RFC 4028 section 7.4): UPDATE without a body, or INVITE with the SDP it has."""
        fields = [f"Contact: {self.contact(call.id)}", "Supported: timer"]
        if action.interval:
            fields.append(f"Session-Expires: {action.interval};refresher=uac")
        sdp = action.sdp if action.method == "INVITE" else ""
        if sdp:
            fields.append("Content-Type: application/sdp")
        hooks = (Callback.REFRESH_REPLY, Callback.REFRESH_FAILURE)
        self._within(action.method, action.dialog, action.cseq, fields, body=sdp, hooks=hooks)


def _sort(lines: list[str]) -> tuple[str, list[str], list[str]]:
    """Tell what t_uac_send is given, which lines `hook` adds, and in the place of which fields."""
    plain, late, named = list[str](), list[str](), list[str]()
    for line in lines:
        name, _, value = line.partition(": ")
        if name in _NAMED and (bare := without_name(value)) != value:
            plain.append(f"{name}: {bare}")
            late.append(line)
            named.append(name)
        else:
            (late if "!" in line and not line.startswith(_READ_BY_TM) else plain).append(line)
    return "".join(plain), late, named


def called_at(dialog: Dialog) -> str:
    """Give the URI that the other party was called at by us; empty where it was not we who called."""
    return uri_of(dialog.remote) if addressed_call(dialog.call_id) else ""


def _names_transport(uri: str) -> bool:
    return transport_of(uri) != ""


def _with_summary(transfer: Transfer, sdp: str) -> tuple[dict[str, str], str]:
    """Give the header fields of the target and of the summary, and the body, in the forms that the target wants."""
    fields, kind, body = other_headers(transfer), "application/sdp", sdp
    summary, deliver = transfer.summary, transfer.deliver
    if transfer.mode is Mode.SUMMARY and summary:
        if Delivery.HEADER in deliver:
            fields["X-Handoff-Summary"] = header_value(summary)
        if Delivery.UUI in deliver:
            name = next((name for name in fields if name.lower() == "user-to-user"), "User-to-User")
            others = beside_uui(fields.get(name, ""))
            fields[name] = f"{others}, {uui_value(summary)}" if others else uui_value(summary)
        if Delivery.BODY in deliver:
            kind, body = multipart(sdp, summary)
    return fields | {"Content-Type": kind}, body


def _reason(reason: Reason) -> str:
    quoted = reason.text.replace("\\", "").replace('"', "'")
    return f'Reason: SIP;cause={reason.cause};text="{quoted}"'
