"""The rules for what changes nothing: what cannot happen, what is known, and those who are no longer in the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.rule import ELSEWHERE, TERMINATED, IllegalEventError, Step, dialog_of, leads_to

if TYPE_CHECKING:
    from routing.records import Call


@leads_to()
def illegal(call: Call, event: ev.Event, now: float) -> Step:
    """Refuse a pair that cannot happen."""
    raise IllegalEventError(call, event)


@leads_to()
def nothing(call: Call, event: ev.Event, now: float) -> Step:
    """Know this already, or need not know it."""
    return call, []


@leads_to()
def answer_again(call: Call, event: ev.LegAnswered, now: float) -> Step:
    """Ignore the same 2xx; ACK and BYE a second person behind a forking proxy (RFC 3261 section 13.2.2.4)."""
    assert call.target is not None, "it has answered"
    if event.remote_tag == call.target.remote_tag:
        return call, []
    return call, [do.SendAck(dialog_of(event), event.cseq), bye_stray(event)]


@leads_to()
def drop_answered(call: Call, event: ev.LegAnswered, now: float) -> Step:
    """BYE a person who answered after the CANCEL."""
    return call, [bye_stray(event)]


def bye_stray(event: ev.LegAnswered) -> do.SendBye:
    """BYE an endpoint that is not wanted; all that this needs is in its answer."""
    return do.SendBye(dialog_of(event), event.cseq + 1, ELSEWHERE)


@leads_to()
def drop_ringing(call: Call, event: ev.LegRang, now: float) -> Step:
    """CANCEL again: the first CANCEL may have been sent before the INVITE could be cancelled."""
    return call, [cancel_stray(call.id, event)]


def cancel_stray(call_id: str, event: ev.LegRang) -> do.CancelLeg:
    """CANCEL an endpoint that is not wanted; only its number is needed."""
    return do.CancelLeg(f"{call_id}-{event.leg}", event.cseq, TERMINATED)


@leads_to()
def hung_up_too(call: Call, event: ev.HungUp, now: float) -> Step:
    """Accept the BYE of a party that has left already: it crossed ours."""
    return call, [do.AcceptRequest(200, "OK")]


@leads_to()
def no_dialog(call: Call, event: ev.RequestReceived, now: float) -> Step:
    """Refuse what a party sends that is no longer, or not yet, in the call (RFC 3261 section 12.2.2)."""
    return call, [do.RefuseRequest(481, "Call/Transaction Does Not Exist")]
