"""The steps by which endpoints are called: one after the other, several at once, or by the caller's own side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from routing import actions as do
from routing.records import Call, Party, State
from routing.rule import Step, advance, enter, update_transfer
from routing.transfer_record import Attempt, Hold, Leg, Method, Referral

if TYPE_CHECKING:
    from routing.actions import Action
    from routing.transfer_record import Destination, Transfer


def call_first(call: Call, now: float) -> Step:
    """Call the first endpoint; the caller hears music meanwhile, or goes on with the agent."""
    assert call.transfer is not None, "a transfer is under way"
    heard: list[Action] = []
    if call.transfer.hold is Hold.MUSIC or call.agent is None:
        heard = [do.HoldCaller(music=True)]
    elif call.state is State.ANNOUNCING:
        heard = [do.ResumeAgent()]
    call, invited = call_next(call, now)
    return call, [*heard, *invited]


def call_next(call: Call, now: float) -> Step:
    """INVITE the endpoints that come next: one, or as many as may ring at once; or have the caller's side call one."""
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    if transfer.method is not Method.INVITE:
        return _refer_next(call, now)
    until = hunt_until(call, now)
    actions: list[Action] = []
    for destination in _next_group(transfer):
        ends = min(until, now + destination.ring_timeout)
        call, invited = invite(call, destination.uri, ends, now, destination=destination)
        actions += invited
    call = update_transfer(call, invited_at=transfer.invited_at or now, tried=transfer.tried + len(actions))
    call = enter(call, State.CALLING)
    return ring_on(call), actions


def _next_group(transfer: Transfer) -> tuple[Destination, ...]:
    """Take as many endpoints as may ring at once; those that ring together count as one."""
    left = transfer.endpoints[transfer.tried :]
    firsts = [at for at, destination in enumerate(left) if at == 0 or not destination.together]
    return left[: firsts[transfer.at_once]] if len(firsts) > transfer.at_once else left


def _refer_next(call: Call, now: float) -> Step:
    """Ask the caller's side to call the endpoint that comes next."""
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    call, dialog, cseq = advance(call, Party.CALLER)
    uri = transfer.endpoints[transfer.tried].uri
    referral = Referral(uri=uri, cseq=cseq, started_at=now)
    invited_at = transfer.invited_at or now
    call = update_transfer(call, invited_at=invited_at, tried=transfer.tried + 1, referral=referral)
    call = enter(call, State.REFERRING, referral=now + transfer.refer_timeout)
    return call, [do.SendRefer(dialog, cseq, uri, transfer)]


def hunt_until(call: Call, now: float) -> float:
    """Find until when somebody must have answered."""
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    return (transfer.invited_at or now) + transfer.hunt_timeout if transfer.hunt_timeout else math.inf


def invite(
    call: Call, uri: str, until: float, now: float, *, destination: Destination | None = None, redirected: bool = False
) -> Step:
    """INVITE one endpoint, which may ring until then."""
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    number = call.legs_made + 1
    leg = Leg(
        number=number,
        uri=uri,
        call_id=f"{call.id}-{number}",
        tag=f"{number}-{call.id}",
        sender=transfer.sender,
        started_at=now,
        ring_until=until,
        max_calls=destination.max_calls if destination else None,
        route=destination.route if destination else "",
        redirected=redirected,
        registered=destination.registered if destination else None,
        refusal=destination.refusal if destination else None,
    )
    call = call.model_copy(update={"legs": (*call.legs, leg), "legs_made": number})
    return call, [do.InviteLeg(leg, transfer)]


def ring_on(call: Call) -> Call:
    """Be looked at when the first of the endpoints has rung for long enough."""
    return call.with_deadlines(ring=min(leg.ring_until for leg in call.legs))


def note_attempt(
    call: Call, leg: Leg, status: int, reason: str, now: float, *, theirs: bool = False, cause: int | None = None
) -> Call:
    """Note how an endpoint answered; `theirs` is whether it said so itself."""
    assert call.transfer is not None, "a transfer is under way"
    attempt = Attempt(
        uri=leg.uri,
        status=status,
        reason=reason,
        started_at=leg.started_at,
        ended_at=now,
        leg=leg.number,
        theirs=theirs,
        cause=cause,
        challenged=leg.cseq - 1,
        trying_at=leg.trying_at,
        ringing_at=leg.ringing_at,
        answered_at=leg.answered_at,
        codecs=leg.codecs,
        source=leg.source,
        media=leg.media,
        size=leg.size,
    )
    return update_transfer(call, attempts=(*call.transfer.attempts, attempt))
