"""An INVITE under way, and the texts that belong to it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.trial.attempt import Attempt
from cli.trial.sound import codec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sipmessage

T1 = 0.5
NO_REPLY = 4.0
"""Seconds without any reply, and that a far end has for the final reply to a CANCEL or BYE."""
RING_WAIT = 5.0
"""Seconds after the first provisional reply in which it should ring, or answer."""


@dataclass(slots=True)
class Dialog:
    """Where requests go, and what they bear (RFC 3261 section 12)."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: Sequence[str] = ()
    cseq: int = 1


class Calling:
    """An INVITE under way: what came back, and what is due when (seconds of time.monotonic())."""

    def __init__(self, invite: str, ring: float) -> None:
        self.invite = invite
        self.cancelled = False
        self.first: sipmessage.Response | None = None
        self.rang: sipmessage.Response | None = None
        self.again = self._began = time.monotonic()
        self.until = self._began + NO_REPLY
        self._ring = ring
        self._pause = T1
        self._seconds = 0.0
        self._codec = ""

    @property
    def next_look(self) -> float:
        """When something is due that does not depend on a reply."""
        return min(self.until, self.again) if self.first is None else self.until

    def postpone(self, *, repeats: bool) -> None:
        """Wait for the next time that it is sent; over what is no UDP there is none."""
        self.again = self.again + self._pause if repeats else self.until
        self._pause *= 2

    def cancel(self) -> bytes:
        """Give the CANCEL; the final reply then has some seconds."""
        self.cancelled, self.until = True, time.monotonic() + NO_REPLY
        return hop_by_hop(self.invite, "CANCEL")

    def take(self, reply: sipmessage.Response) -> bool:
        """Note a reply, and say whether it is to be cancelled at once: it rings, and is not to do so."""
        now = time.monotonic()
        if self.first is None:
            self.first, self._seconds = reply, now - self._began
            self.until = now + RING_WAIT
        self._codec = codec_of(reply.body.decode(errors="replace")) or self._codec
        if not 100 < reply.code < 200 or self.rang is not None:
            return False
        self.rang, self.until = reply, self._began + self._ring
        return not self._ring and not self.cancelled

    def attempt(self, reply: sipmessage.Response) -> Attempt:
        """Say what became of it; what it can do it tells when it rings, not when it is cancelled."""
        told = self.rang if self.rang is not None and reply.code >= 300 else reply
        rang = self.rang is not None
        return Attempt(reply.code, reply.phrase, self._seconds, told, rang=rang, codec=self._codec)


def answers(reply: sipmessage.Response, dialog: Dialog, method: str) -> bool:
    """Say whether a reply is one to the last request of a dialog, which was a `method`."""
    cseq = (reply.headers.get("CSeq") or "").split()
    return reply.headers.get("Call-ID") == dialog.call_id and cseq == [str(dialog.cseq), method]


def hop_by_hop(invite: str, method: str, to: str = "") -> bytes:
    """Make the CANCEL of an INVITE, or the ACK of its refusal (RFC 3261 sections 9.1 and 17.1.1.3)."""
    head = invite.partition("\r\n\r\n")[0].split("\r\n")
    kept = [
        line for line in head[1:] if line.startswith(("Via:", "Route:", "Max-Forwards:", "From:", "To:", "Call-ID:"))
    ]
    if to:
        kept = [f"To: {to}" if line.startswith("To:") else line for line in kept]
    number = re.search(r"^CSeq: (\d+)", invite, re.MULTILINE)
    assert number is not None
    first = head[0].replace("INVITE", method, 1)
    return "\r\n".join([first, *kept, f"CSeq: {number[1]} {method}", "Content-Length: 0", "", ""]).encode()
