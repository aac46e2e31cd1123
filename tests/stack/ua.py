"""A scripted SIP user agent over UDP, for flows in which every step matters.

    with Ua("caller") as caller, Ua("agent") as agent:
        invite = caller.invite(agent.uri, sdp=SDP)
        incoming = agent.expect("INVITE")
        agent.reply(incoming, 180)
        agent.reply(incoming, 200, sdp=SDP)
        answer = caller.expect(200, to=invite)
        caller.ack(answer)
        agent.expect("ACK")
        bye = agent.request("BYE", agent.dialog(incoming))
        caller.reply(caller.expect("BYE"), 200)
        agent.expect(200, to=bye)

Nothing happens by itself: no reply, no ACK, no retransmission. Retransmissions and 100 Trying that come in are set
aside. A message that nobody expected is an error when the agent is left, unless `allow` names it. Each sending method
takes extra headers (a Contact or Content-Type among them replaces its own), and `send=False` to build only; `send` then
sends several in one instant, or one a second time.
"""

from __future__ import annotations

import secrets
import select
import socket
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from tests.stack.capture import kernel_time, want_kernel_time
from tests.stack.dialog import Dialog, uri_address
from tests.stack.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.stack.message import Endpoint, Headers

NONE: Mapping[str, str] = MappingProxyType({})
PATIENCE = 6.0
"""Seconds in which anything happens on a busy machine."""

_REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    403: "Forbidden",
    404: "Not Found",
    481: "Call Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}


class Ua:
    """One user agent with a UDP port of its own; a context manager.

    `proxy` is where requests outside of a dialog are sent (else to the host and port of their URI). `identity` is what
    they have in From, tag aside.
    """

    def __init__(
        self, name: str, *, address: str = "127.0.0.1", proxy: Endpoint | None = None, identity: str = ""
    ) -> None:
        self.name = name
        self.proxy = proxy
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        want_kernel_time(self._socket)
        self.address: Endpoint = self._socket.getsockname()[:2]
        self.port = self.address[1]
        self._host = f"[{address}]" if ":" in address else address
        self.uri = f"sip:{name}@{self._host}:{self.port}"
        self.identity = identity or f"<{self.uri}>"
        self.received: list[Message] = []
        self.repeats: list[Message] = []
        self._inbox: list[Message] = []
        self._allowed: set[str | int] = {100}
        self._tags: dict[str, str] = {}
        self._invites: dict[str, Message] = {}
        self._dialogs: dict[tuple[str, str], Dialog] = {}
        self._seen: set[object] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._read(0.0):
                pass
        finally:
            self._socket.close()
        left = [str(m) for m in self._inbox if not self._is_allowed(m)]
        if left and kind is None:  # another failure says more than what it left behind
            raise AssertionError(f"{self.name} got what nobody expected: " + "; ".join(left))

    # -- receiving

    def allow(self, *what: str | int) -> None:
        """Do not mind messages with these methods (requests) or statuses that nobody takes."""
        self._allowed.update(what)

    def expect(self, what: str | int, *, to: Message | None = None, timeout: float = PATIENCE) -> Message:
        """Take the oldest message that is a request `what` or a reply with status `what` (to the request `to`)."""
        return self._take(lambda m: _is(m, what) and (to is None or _answers(m, to)), str(what), timeout)

    def final_reply(self, request: Message, *, timeout: float = PATIENCE) -> Message:
        """Take the final reply to a request of ours, whatever its status."""
        return self._take(lambda m: _answers(m, request) and (m.status or 0) >= 200, "a final reply", timeout)

    def _take(self, fits: Callable[[Message], bool], what: str, timeout: float) -> Message:
        deadline = time.monotonic() + timeout
        while True:
            for message in self._inbox:
                if fits(message):
                    self._inbox.remove(message)
                    return message
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                seen = "; ".join(map(str, self._inbox)) or "nothing"
                raise AssertionError(f"{self.name} expected {what} within {timeout:g} s and got {seen}")

    def expect_nothing(self, seconds: float) -> None:
        """Check that nothing comes for `seconds`, retransmissions and what is allowed aside."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)
        unwanted = [str(m) for m in self._inbox if not self._is_allowed(m)]
        if unwanted:
            raise AssertionError(f"{self.name} expected nothing for {seconds:g} s and got " + "; ".join(unwanted))

    def forget(self) -> None:
        """Drop what has come and was not taken."""
        while self._read(0.0):
            pass
        self._inbox.clear()

    # -- sending

    def invite(
        self, uri: str, *, sdp: str | None = None, headers: Mapping[str, str] = NONE, send: bool = True
    ) -> Message:
        """Send an INVITE outside of any dialog."""
        call_id = f"{secrets.token_hex(8)}@{self.address[0]}"
        own = f"{self.identity};tag={self._tag(call_id)}"
        base: Headers = (("From", own), ("To", f"<{uri}>"), ("Call-ID", call_id), ("CSeq", "1 INVITE"))
        hop = self.proxy or uri_address(uri)
        return self._sent(self._request(("INVITE", uri), base, body=sdp or "", headers=headers, hop=hop), send)

    def request(
        self,
        method: str,
        dialog: Dialog,
        *,
        sdp: str | None = None,
        body: str | None = None,
        headers: Mapping[str, str] = NONE,
        cseq: int | None = None,
        send: bool = True,
    ) -> Message:
        """Send a request within a dialog, along its route set; `cseq` overrides the next number."""
        number = dialog.next_cseq() if cseq is None else cseq
        base = (*dialog.headers(), ("CSeq", f"{number} {method}"))
        line, content = (method, dialog.remote_target), sdp or body or ""
        return self._sent(self._request(line, base, body=content, headers=headers, hop=dialog.next_hop), send)

    def ack(
        self, answer: Message, *, sdp: str | None = None, headers: Mapping[str, str] = NONE, send: bool = True
    ) -> Message:
        """Acknowledge a final reply to an INVITE of ours: a 2xx as a request of the dialog, another hop by hop."""
        if (answer.status or 0) < 300:
            return self.request("ACK", self.dialog(answer), sdp=sdp, headers=headers, cseq=answer.cseq, send=send)
        invite = self._invites[answer.branch]
        kept = [(n, v) for n, v in invite.headers if n in {"From", "Call-ID", "Route", "Max-Forwards"}]
        via = ("Via", invite["Via"])
        base = (via, *kept, ("To", answer["To"]), ("CSeq", f"{answer.cseq} ACK"), *headers.items())
        return self._sent(Message(f"ACK {invite.uri} SIP/2.0", base, destination=invite.destination), send)

    def cancel(self, invite: Message, *, headers: Mapping[str, str] = NONE, send: bool = True) -> Message:
        """Cancel an INVITE of ours (RFC 3261 section 9.1)."""
        kept = [(n, v) for n, v in invite.headers if n in {"Via", "From", "To", "Call-ID", "Route", "Max-Forwards"}]
        base = (*kept, ("CSeq", f"{invite.cseq} CANCEL"), *headers.items())
        return self._sent(Message(f"CANCEL {invite.uri} SIP/2.0", base, destination=invite.destination), send)

    def reply(
        self,
        request: Message,
        status: int,
        reason: str | None = None,
        *,
        sdp: str | None = None,
        headers: Mapping[str, str] = NONE,
        send: bool = True,
    ) -> Message:
        """Reply to a request. Every reply within a call bears the same tag, so a second 200 is the same answer."""
        copied: list[tuple[str, str]] = []
        for name, value in request.headers:
            if name == "To" and not request.to_tag and status > 100:
                copied.append((name, f"{value};tag={self._tag(request.call_id)}"))
            elif name in {"Via", "From", "To", "Call-ID", "CSeq", "Record-Route"}:
                copied.append((name, value))
        line = f"SIP/2.0 {status} {_REASONS.get(status, 'Whatever') if reason is None else reason}"
        message = Message(line, (*copied, *self._extra(sdp or "", headers)), sdp or "", destination=request.source)
        return self._sent(message, send)

    def send(self, *messages: Message) -> None:
        """Send messages that were built before, in one instant, each as often as it is given."""
        packets = [(bytes(message), message.destination) for message in messages]
        for packet, destination in packets:
            self._socket.sendto(packet, destination)

    def dialog(self, message: Message) -> Dialog:
        """Return the dialog that a request from the peer, or a reply to ours, belongs to or makes.

        A re-INVITE or UPDATE, or a 2xx to one, brings the peer's new Contact (RFC 3261 section 12.2).
        """
        remote_tag = message.from_tag if message.is_request else message.to_tag
        key = (message.call_id, remote_tag)
        if key not in self._dialogs:
            self._dialogs[key] = Dialog.of(message, self._tag(message.call_id))
        elif message.method in {"INVITE", "UPDATE"} and message.get("Contact"):
            self._dialogs[key].remote_target = message.contact
        return self._dialogs[key]

    # -- how

    def _request(
        self, line: tuple[str, str], base: Headers, *, body: str, headers: Mapping[str, str], hop: Endpoint
    ) -> Message:
        method, uri = line
        via = ("Via", f"SIP/2.0/UDP {self._host}:{self.port};rport;branch=z9hG4bK{secrets.token_hex(8)}")
        message = Message(
            f"{method} {uri} SIP/2.0",
            (via, *base, ("Max-Forwards", "70"), *self._extra(body, headers)),
            body,
            destination=hop,
        )
        if method == "INVITE":
            self._invites[message.branch] = message
        return message

    def _extra(self, body: str, headers: Mapping[str, str]) -> Headers:
        """Return the caller's headers, and before them Contact and Content-Type unless they are among them."""
        named = {name.lower() for name in headers}
        contact = () if "contact" in named else (("Contact", f"<{self.uri}>"),)
        kind = () if not body or "content-type" in named else (("Content-Type", "application/sdp"),)
        return (*contact, *kind, *headers.items())

    def _sent(self, message: Message, send: bool) -> Message:
        if send:
            self.send(message)
        return message

    def _tag(self, call_id: str) -> str:
        return self._tags.setdefault(call_id, f"{self.name}-{secrets.token_hex(4)}")

    def _is_allowed(self, message: Message) -> bool:
        return (message.method if message.is_request else message.status) in self._allowed

    def _read(self, timeout: float) -> bool:
        """Read one datagram into the inbox; False when none comes. What is no SIP raises ValueError."""
        if not select.select([self._socket], [], [], timeout)[0]:
            return False
        data, ancillary, _, source = self._socket.recvmsg(1 << 16, 64)
        if not data.strip(b"\r\n\0"):
            return True  # a keep-alive
        message = Message.parse(data, at=kernel_time(ancillary), source=source[:2], destination=self.address)
        key = (message.method, message.branch, message.cseq) if message.is_request else data
        if key in self._seen:
            self.repeats.append(message)
        else:
            self._seen.add(key)
            self.received.append(message)
            self._inbox.append(message)
        return True


def _is(message: Message, what: str | int) -> bool:
    return message.status == what if isinstance(what, int) else message.is_request and message.method == what


def _answers(reply: Message, request: Message) -> bool:
    return not reply.is_request and reply.branch == request.branch and reply.method == request.method
