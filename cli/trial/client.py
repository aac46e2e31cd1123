"""A SIP client that makes the calls of a test (RFC 3261): one transaction at a time, and none that is left open."""

from __future__ import annotations

import re
import secrets
import threading
import time
from typing import TYPE_CHECKING

import sipmessage

from cli.trial.attempt import HUNG_UP, Attempt, NoReply
from cli.trial.calling import NO_REPLY, T1, Calling, Dialog, answers, hop_by_hop
from cli.trial.sound import Sound, codec_of
from routing.digest import Field, authorize
from routing.texts import BadValue
from routing.uris import host_of
from routing.values import parse_sip_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.trial.attempt import Identity
    from cli.trial.line import Line

T2 = 4.0
LOOK = 0.5
"""Seconds between two looks whether the test was broken off."""
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS"
_CHALLENGES = ("WWW-Authenticate", "Proxy-Authenticate")
_ROUTE = re.compile(r"(?:\"[^\"]*\"|[^<,\"])*<[^>]*>[^,]*")


class Client:
    """Sends requests to a URI over a line; raises NoReply, and NoLine where the line breaks."""

    def __init__(self, line: Line, uri: str, identity: Identity, stopped: threading.Event | None = None) -> None:
        """Take where and as whom to call; when `stopped` is set, what rings is cancelled."""
        self._stopped = stopped or threading.Event()
        self._line = line
        self._uri = uri
        self._identity = identity

    def options(self) -> Attempt:
        """Ask whether it is there (RFC 3261 section 11); a login that is asked for is not given: any reply is one."""
        dialog = self._dialog()
        request = self._request("OPTIONS", dialog, [("Accept", "application/sdp")])
        return self._finish(request, "OPTIONS", dialog, time.monotonic() + NO_REPLY)

    def invite(self, sound: Sound, codecs: Sequence[str], *, ring: float = 0.0, listen: bool = False) -> Attempt:
        """Call it, and end the call as soon as it rings, or with `ring` when it has rung for as many seconds.

        With `listen`, the sound of an answer is heard before it is hung up. A login is given where it is asked for.
        """
        dialog, given, asked = self._dialog(), tuple[Field, ...](), False
        offer = sound.offer(codecs)
        while True:
            attempt = self._call(dialog, offer, given, ring)
            attempt.asked = asked or attempt.status in {401, 407}
            if attempt.status not in {401, 407}:
                break
            asked = True
            try:
                given = self._login(attempt, "INVITE", self._uri, given)
            except BadValue as error:
                attempt.refused = str(error)
                break
            dialog.cseq += 1
        if attempt.answered:
            self._take(attempt, dialog, sound if listen else None)
        return attempt

    def _login(self, attempt: Attempt, method: str, uri: str, given: Sequence[Field] = ()) -> tuple[Field, ...]:
        asked = [(name, value) for name in _CHALLENGES for value in attempt.message.headers.getlist(name)]
        if self._identity.secret is None:
            mend = "give user and secret: handoff targets set NAME --user USER --secret-prompt"
            raise BadValue(self._identity.trouble or "it asks for a login, and there is none", mend=mend)
        return authorize(asked, method, uri, self._identity.user, self._identity.secret, given)

    def _call(self, dialog: Dialog, offer: str, given: Sequence[Field], ring: float) -> Attempt:
        """Make one INVITE transaction, to its end (RFC 3261 section 17.1.1)."""
        more = [*given, *self._identity.headers.items(), ("Content-Type", "application/sdp")]
        calling = Calling(self._request("INVITE", dialog, more, offer), ring)
        while True:
            if (now := time.monotonic()) >= calling.until or self._stopped.is_set():
                if calling.first is None:
                    raise NoReply
                if calling.cancelled:
                    attempt = calling.attempt(calling.rang or calling.first)
                    attempt.ended = "it gave no final reply after the CANCEL"
                    return attempt
                self._line.send(calling.cancel())
            elif calling.first is None and now >= calling.again:
                self._line.send(calling.invite.encode())
                calling.postpone(repeats=self._line.place.transport == "udp")
            reply = self._line.receive(min(calling.next_look, now + LOOK))
            if not isinstance(reply, sipmessage.Response) or not answers(reply, dialog, "INVITE"):
                self._serve(reply)
            elif reply.code >= 200:
                if reply.code >= 300:
                    self._line.send(hop_by_hop(calling.invite, "ACK", reply.headers.get("To") or ""))
                calling.take(reply)
                return calling.attempt(reply)
            elif calling.take(reply):
                self._line.send(calling.cancel())

    def _take(self, attempt: Attempt, dialog: Dialog, sound: Sound | None) -> None:
        """Acknowledge an answer, hear it, and hang up."""
        headers = attempt.message.headers
        dialog.remote = headers.get("To") or dialog.remote
        if contact := re.search(r"<([^>]*)>|(sips?:[^\s;,]+)", headers.get("Contact") or "", re.IGNORECASE):
            dialog.target = contact[1] or contact[2]
        dialog.routes = [route.strip() for route in _ROUTE.findall(",".join(headers.getlist("Record-Route")))][::-1]
        ack, hop, gone = self._request("ACK", dialog, ()).encode(), self._hop_of(dialog), False
        self._line.send(ack, hop)

        def goes_on() -> bool:
            nonlocal gone
            message = self._line.receive(0.0)
            if isinstance(message, sipmessage.Response) and answers(message, dialog, "INVITE"):
                self._line.send(ack, hop)
            gone = self._serve(message) == "BYE" or gone
            return not gone

        answer = attempt.message.body.decode(errors="replace")
        if sound is not None and codec_of(answer):
            attempt.heard = sound.talk(answer, goes_on)
        if gone:
            attempt.ended = HUNG_UP
            return
        dialog.cseq += 1
        try:
            self._bye(attempt, dialog)
        except NoReply:
            attempt.ended = "it gave no reply to the BYE"

    def _bye(self, attempt: Attempt, dialog: Dialog) -> None:
        bye = self._request("BYE", dialog, ())
        ended = self._finish(bye, "BYE", dialog, time.monotonic() + NO_REPLY, self._hop_of(dialog))
        if ended.status in {401, 407} and self._identity.secret is not None:
            dialog.cseq += 1
            given = self._login(ended, "BYE", dialog.target)
            bye = self._request("BYE", dialog, given)
            ended = self._finish(bye, "BYE", dialog, time.monotonic() + NO_REPLY, self._hop_of(dialog))
        if ended.status >= 300 and ended.status != 481:
            attempt.ended = f"it refused the BYE with {ended.status} {ended.reason}"

    def _finish(
        self, request: str, method: str, dialog: Dialog, until: float, hop: tuple[str, int] | None = None
    ) -> Attempt:
        """Send a request other than INVITE, over UDP again and again, until its final reply comes."""
        began = again = time.monotonic()
        pause = T1
        while (now := time.monotonic()) < until:
            if now >= again and (again == began or self._line.place.transport == "udp"):
                self._line.send(request.encode(), hop)
                again, pause = now + pause, min(pause * 2, T2)
            reply = self._line.receive(min(until, again) if self._line.place.transport == "udp" else until)
            if isinstance(reply, sipmessage.Response) and answers(reply, dialog, method) and reply.code >= 200:
                return Attempt(reply.code, reply.phrase, time.monotonic() - began, reply)
            self._serve(reply)
        raise NoReply

    def _serve(self, message: sipmessage.Message | None) -> str:
        """Answer a request of the far end: only BYE and OPTIONS are known here. Gives its method."""
        if not isinstance(message, sipmessage.Request) or message.method == "ACK":
            return ""
        line = "200 OK" if message.method in {"BYE", "OPTIONS", "NOTIFY"} else "488 Not Acceptable Here"
        kept = [
            (name, value)
            for name in ("Via", "From", "To", "Call-ID", "CSeq")
            for value in message.headers.getlist(name)
        ]
        fields = "".join(f"{name}: {value}\r\n" for name, value in kept)
        self._line.send(f"SIP/2.0 {line}\r\n{fields}Content-Length: 0\r\n\r\n".encode())
        return message.method

    def _dialog(self) -> Dialog:
        sender = self._identity.sender or f"sip:handoff-test@{self._line.here}"
        local = f"<{sender}>;tag={secrets.token_hex(6)}"
        return Dialog(f"test-{secrets.token_hex(8)}", local, f"<{self._uri}>", self._uri)

    def _request(self, method: str, dialog: Dialog, more: Sequence[Field], body: str = "") -> str:
        transport, here = self._line.place.transport, self._line.here
        scheme = "sips" if self._uri.lower().startswith("sips:") else "sip"
        fields = [
            ("Via", f"SIP/2.0/{transport.upper()} {here};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            *(("Route", route) for route in dialog.routes),
            ("Max-Forwards", "70"),
            ("From", dialog.local),
            ("To", dialog.remote),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{dialog.cseq} {method}"),
            ("Contact", f"<{scheme}:handoff-test@{here};transport={transport}>"),
            ("Allow", ALLOW),
            ("User-Agent", self._identity.agent),
            *more,
            ("Content-Length", str(len(body.encode()))),
        ]
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"{method} {dialog.target} SIP/2.0\r\n{lines}\r\n{body}"

    def _hop_of(self, dialog: Dialog) -> tuple[str, int] | None:
        """Tell where requests within the dialog go over UDP, where that is an address other than that of the line."""
        uri = re.sub(r".*<([^>]*)>.*", r"\1", dialog.routes[0]) if dialog.routes else dialog.target
        try:
            host, port = host_of(uri), parse_sip_uri(uri).port or 5060
        except BadValue:
            return None
        return (host, port) if re.fullmatch(r"[\d.]+", host) and (host, port) != self._place() else None

    def _place(self) -> tuple[str, int]:
        return self._line.place.address, self._line.place.port
