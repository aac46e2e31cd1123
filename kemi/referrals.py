"""What the caller's side makes of a REFER of ours: its answer, and what it reports by NOTIFY (RFC 3515)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import KSR

from kemi.credentials import CHALLENGES, answer_challenge
from kemi.message import SipError, body, done, header, name_call, text
from routing.events import ReferAnswered, ReferralReported
from routing.records import BadRecordError
from routing.rule import IllegalEventError
from routing.store import CallUnknown, StoreError

if TYPE_CHECKING:
    from kemi.context import Context
    from kemi.engine import Finding
    from routing.records import Call

_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: ([^\r\n]*))?")
_EVENT = re.compile(r"\s*refer\s*(?:;(?:.*;)?\s*id\s*=\s*(\d+))?", re.IGNORECASE)
_UNTOLD = (408, "Request Timeout")
"""What is taken of a side that ends its reports without having said how it went."""


class Referrals:
    """Turns responses to our REFERs into events."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context

    def replied(self) -> None:
        """Handle a 2xx; provisional responses mean nothing here, and the rest comes to `failed`."""
        status = KSR.kx.get_status()
        if 200 <= status < 300:
            self._handle(ReferAnswered(int(text("$cs")), status, text("$rr")))

    def failed(self) -> None:
        """Handle a refusal, a challenge, or silence."""
        status = KSR.tm.t_get_status_code()
        reason = "Request Timeout" if done(KSR.tm.t_branch_timeout()) else text("$T_reply_reason")
        answered = ReferAnswered(int(text("$cs")), status, reason or "Failed")
        if status in CHALLENGES:
            self._handle(answered, lambda call: self._authorized(call, answered))
        else:
            self._handle(answered)

    def _authorized(self, call: Call, answered: ReferAnswered) -> ReferAnswered:
        """Answer challenges, if we can."""
        login = self._context.credentials.for_trunk(call.trunk)
        return replace(answered, authorization=answer_challenge("REFER", login, f"call={call.id} REFER"))

    def _handle(self, event: ReferAnswered, find: Finding | None = None) -> None:
        call_id = name_call()
        try:
            self._context.engine.handle(call_id, find or (lambda _: event))
        except CallUnknown:
            return  # it has ended meanwhile
        except (StoreError, BadRecordError, IllegalEventError) as error:
            KSR.warn(f"call={call_id} answer {event.status} to REFER came to nothing: {error.text}\n")


def read_report() -> ReferralReported | None:
    """Read the NOTIFY at hand; None where it is not about a REFER. Raises SipError for one that says nothing."""
    about = _EVENT.match(header("Event") or header("o") or "")
    if about is None:
        return None
    status_line = _STATUS_LINE.match(body().lstrip())
    ended = (header("Subscription-State") or "").strip().lower().startswith("terminated")
    if status_line is None and not ended:
        raise SipError(400, "A NOTIFY of refer needs a status line as message/sipfrag")
    status, reason = (int(status_line[1]), status_line[2] or "") if status_line else _UNTOLD
    if ended and status < 200:
        status, reason = _UNTOLD
    return ReferralReported(int(about[1] or 0), status, reason, final=ended or status >= 200)
