"""REFER from an agent: what it asks for, and whether it may (RFC 3515, RFC 4488, RFC 3892)."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import KSR

from kemi.bodies import summary_in_refer
from kemi.consultations import Attended, attend
from kemi.message import SipError, done, header, headers, uri_of
from routing.events import TransferRequested
from routing.records import Party
from routing.transfer_record import Subscription
from routing.values import BadValue, ReferTo

if TYPE_CHECKING:
    from kemi.context import Context
    from kemi.engine import Finding
    from kemi.sender import Sender
    from routing.records import Call

SETTINGS_HEADERS = ("X-Handoff-Mode", "X-Handoff-Message", "X-Handoff-Summary")


def read_refer(context: Context, sender: Sender, cseq: int) -> Finding:
    """Read the REFER at hand; gives what finds the event once the call is known.

    What is set in several places is taken from the first of: the body (the summary, as text/plain), the headers
    X-Handoff-Mode, -Message and -Summary, headers in the Refer-To URI, parameters of that URI, the target. In headers
    and URI a value is percent-encoded UTF-8 on one line; only the body may have lines, which are put on one.

    Raises SipError with the answer: 603 to the caller's side, 400 for what cannot be understood, 413 for a text that is
    too long, 415 for a body of another type, 404 and 403 for where it must not go.
    """
    if sender.party is Party.CALLER:
        raise SipError(603, "Only the agent may transfer this call")
    values = headers("Refer-To") or headers("r")
    if len(values) != 1:
        raise SipError(400, "One Refer-To header is needed")
    given = {name: value for name in SETTINGS_HEADERS if (value := header(name)) is not None}
    try:
        refer_to = ReferTo.parse(values[0]).with_headers(given)
    except BadValue as error:
        raise SipError.of(error) from error
    if words := summary_in_refer():
        refer_to = dataclasses.replace(refer_to, settings={**refer_to.settings, "summary": words})
    requested_at = time.time()
    subscription = Subscription(
        cseq=cseq, leg=sender.leg, notify=(header("Refer-Sub") or "true").strip().lower() != "false"
    )
    referred_by = header("Referred-By") or header("b") or f"<{uri_of(header('From'))}>"

    def find(call: Call) -> TransferRequested:
        if sender.within(call) is Party.TARGET and call.peer(Party.TARGET) is None:
            raise SipError(491, "The caller is not connected yet", retry_after=1)
        if not call.may_refer:
            raise SipError(403, "This peer may not transfer calls")
        if refer_to.replaces:
            attended = attend(context, call, sender.within(call), refer_to)
        else:
            attended = Attended(context.transfers.find(refer_to, lambda uri: done(KSR.is_myself(uri))))
        before = (done_before.subscription for done_before in call.history)
        again = any(one and one.leg == sender.leg for one in before) or call.transfer is not None
        transfer = context.transfers.plan(
            call,
            attended.target,
            "refer",
            requested_at=requested_at,
            subscription=subscription.model_copy(update={"event_id": str(cseq)}) if again else subscription,
            headers={"Referred-By": referred_by},
            summary=refer_to.settings.get("summary", ""),
        )
        return TransferRequested(attended.applied(transfer))

    return find
