"""What the caller's side makes of a REFER of ours: its answer, and what it reports by NOTIFY (RFC 3515)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import KSR

from kemi.message import SipError, body, done, header, headers, name_call, reply_headers, text
from routing.digest import ANSWERED_BY, authorize
from routing.events import ReferAnswered, ReferralReported
from routing.records import BadRecordError
from routing.rule import IllegalEventError
from routing.store import CallUnknown, StoreError
from routing.values import BadValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kemi.context import Context
    from kemi.engine import Finding
    from routing.digest import Field
    from routing.records import Call

CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
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
            challenges = [(name, value) for name in CHALLENGES.values() for value in reply_headers(name)]
            given = [(name, value) for name in ANSWERED_BY.values() for value in headers(name)]
            uri = text("$ru")
            self._handle(answered, lambda call: self._authorized(call, answered, uri, challenges, given))
        else:
            self._handle(answered)

    def _authorized(
        self, call: Call, answered: ReferAnswered, uri: str, challenges: Sequence[Field], given: Sequence[Field]
    ) -> ReferAnswered:
        """Answer challenges, if the trunk has a login and they were not `given` in vain with the refused REFER."""
        login = self._context.credentials.for_trunk(call.trunk)
        if login is None:
            return answered
        try:
            fields = authorize(challenges, "REFER", uri, login.user, login.secret, given)
        except BadValue as error:
            KSR.warn(f"call={call.id} the challenge to its REFER cannot be answered: {error}\n")
            return answered
        return replace(answered, authorization=fields)

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
