"""The rules of a re-INVITE of ours that crosses an offer of the caller's own: it is sent again a little later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.held import offer_anew
from routing.rule import Step, leads_to

if TYPE_CHECKING:
    from routing import events as ev
    from routing.records import Call

TRIES = 10
"""How often it is put off in one call; a side that always answers 491 is not asked for ever."""


@leads_to()
def put_off(call: Call, event: ev.OfferCrossed, now: float) -> Step:
    """Send it again when both sides have waited for different times (RFC 3261 section 14.1)."""
    if call.crossed >= TRIES:
        return call, []
    return call.model_copy(update={"crossed": call.crossed + 1}).with_deadlines(offer=now + event.wait), []


@leads_to()
def offer_again(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Offer the caller once more what it should have by now."""
    return offer_anew(call.with_deadlines(event.name))
