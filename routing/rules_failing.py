"""The rules of a transfer that fails: the next endpoint, the fallback, the agent again, or an apology."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.calling import call_next, hunt_until, invite, note_attempt, ring_on
from routing.outcomes import Outcome, outcome_of
from routing.records import Call, Party, State
from routing.rule import (
    TERMINATED,
    TIMED_OUT,
    Step,
    end,
    enter,
    finish,
    leads_to,
    release,
    tell_agent,
    update_transfer,
)
from routing.rules_transfer import PLAY_AFTER, note_rest, start, with_leg
from routing.transfer_record import Hold, Leg, Standard

if TYPE_CHECKING:
    from routing.actions import Action

AFTER_FAILURE = (State.REFERRING, State.CALLING, State.ANNOUNCING, State.TALKING, State.APOLOGISING)
"""Where a call goes on when an endpoint, or the whole transfer, has failed."""
MOST_ANSWERS = 4
"""How often we say who calls: to a proxy and to the endpoint, and to each once more that found it too old."""
MOVED = do.Reason(302, "Moved Temporarily")

_NO_LEG = {"leg": None, "legs": (), "target": None}


def let_leg_go(call: Call, reason: do.Reason) -> Step:
    """BYE the person who has answered, or CANCEL the endpoints that have not, if any were called."""
    if call.target is not None:
        return release(call, Party.TARGET, reason)
    return call, [do.CancelLeg(leg.call_id, leg.cseq, reason) for leg in call.legs]


def _release_legs(call: Call) -> Step:
    """Drop the media of all legs, and the legs with it."""
    legs = (*call.legs, call.leg) if call.leg else call.legs
    media = call.media.model_copy(update={"target_sdp": ""})
    return call.model_copy(update=_NO_LEG | {"media": media}), [do.ReleaseLegMedia(leg.number) for leg in legs]


def fail(call: Call, outcome: Outcome, status: int, reason: str, now: float) -> Step:
    """Give the transfer up, and go on with its fallback, with the agent, or without any of them."""
    call = note_rest(call, status, reason, now)
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    call, released = _release_legs(call)
    if transfer.fallback and outcome is not Outcome.CANCELLED:
        call, recorded = finish(call, outcome, status, reason, now)
        update = {"subscription": transfer.subscription, "requested_at": now}
        call = call.model_copy(update={"transfer": transfer.fallback.model_copy(update=update)})
        call, started = start(call, now)
        resumed = [do.ResumeAgent()] if call.agent and transfer.fallback.hold is Hold.AGENT else []
        return call, [*resumed, *released, *recorded, *started]
    call = update_transfer(call, outcome=outcome, status=status, reason=reason)
    if call.agent is not None and (transfer.apology is None or outcome is Outcome.CANCELLED):
        resumed = [do.ResumeAgent()] if transfer.mutes else []
        call, closed = close(enter(call, State.TALKING), now)
        return _look_at_media(call, now, outcome), [*resumed, *released, *closed]
    # An agent that is there is told when it is heard again: it would answer at once.
    call, closed = close(call, now) if call.agent is None else (call, [])
    call = enter(call, State.APOLOGISING, sound=now + PLAY_AFTER)
    apology = do.Play(Party.CALLER, transfer.apology or Standard.APOLOGY)
    return _look_at_media(call, now, outcome), [*released, *closed, do.HoldCaller(music=False), apology]


def _look_at_media(call: Call, now: float, outcome: Outcome) -> Call:
    """Look soon whether rtpengine still knows the call, where it was rtpengine that failed."""
    return call.with_deadlines(check=now) if outcome is Outcome.MEDIA_FAILED else call


def close(call: Call, now: float) -> Step:
    """Tell the agent how the transfer has failed, and finish it; nothing to do where that has been done."""
    transfer = call.transfer
    if transfer is None:
        return call, []
    assert transfer.outcome is not None, "it has failed"
    assert transfer.status is not None, "it has failed"
    call, told = tell_agent(call, transfer.status, transfer.reason or "", final=True)
    call, recorded = finish(call, transfer.outcome, transfer.status, transfer.reason or "", now)
    return call, [*told, *recorded]


def fail_leg(  # noqa: PLR0917 how it failed, in the order of `fail`
    call: Call,
    leg: Leg,
    outcome: Outcome,
    status: int,
    reason: str,
    now: float,
    *,
    for_all: bool = False,
    theirs: bool = False,
    cause: int | None = None,
) -> Step:
    """Note how this endpoint failed. When no other one rings try the next, unless this one spoke `for_all`."""
    call = note_attempt(call, leg, status, reason, now, theirs=theirs, cause=cause)
    call = update_transfer(call, outcome=None, status=None, reason=None)
    others = tuple(other for other in call.legs if other.number != leg.number)
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    released = do.ReleaseLegMedia(leg.number)
    if others:
        return ring_on(call.model_copy(update={"legs": others})), [released]
    if for_all or transfer.tried == len(transfer.endpoints) or now >= hunt_until(call, now):
        return fail(call, outcome, status, reason, now)
    call, invited = call_next(call.model_copy(update=_NO_LEG), now)
    return call, [released, *invited]


def fail_answered(
    call: Call, outcome: Outcome, status: int, reason: str, now: float, *, left: ev.TargetHungUp | None = None
) -> Step:
    """Fail the endpoint whose person has answered, but does not get the call; it may have `left` by itself."""
    assert call.leg is not None, "a leg has answered"
    cause = left.cause if left else None
    return fail_leg(call, call.leg, outcome, status, reason, now, theirs=left is not None, cause=cause)


@leads_to(*AFTER_FAILURE)
def leg_failed(call: Call, event: ev.LegFailed, now: float) -> Step:
    """Go on to the next endpoint, or fail with what this one said (6xx: no other one is of use)."""
    leg = call.calling(event.leg)
    assert leg is not None, "it was being called"
    outcome = outcome_of(event.status) if event.answered else Outcome.UNREACHABLE
    leg = leg.model_copy(update={"trying_at": leg.trying_at or event.trying_at, "size": event.size or 0})
    for_all, theirs = event.status >= 600, event.answered and event.called
    return fail_leg(
        call, leg, outcome, event.status, event.reason, now, for_all=for_all, theirs=theirs, cause=event.cause
    )


@leads_to(*AFTER_FAILURE)
def challenged(call: Call, event: ev.LegChallenged, now: float) -> Step:
    """Say who calls, if we can, to each that asks: proxies on the way and the endpoint (RFC 3261 section 22)."""
    leg, transfer = call.calling(event.leg), call.transfer
    assert leg is not None, "it was being called"
    assert transfer is not None, "a transfer is under way"
    if not event.authorization or leg.cseq > MOST_ANSWERS:
        return fail_leg(call, leg, Outcome.AUTH_FAILED, event.status, event.reason, now, theirs=True)
    again = leg.model_copy(update={"cseq": leg.cseq + 1})
    return with_leg(call, again), [do.InviteAgain(again, transfer, event.authorization)]


@leads_to(*AFTER_FAILURE)
def redirected(call: Call, event: ev.LegRedirected, now: float) -> Step:
    """Call where the endpoint sends us, for the time that it had itself; but a redirection leads to no other one."""
    leg = call.calling(event.leg)
    assert leg is not None, "it was being called"
    if leg.redirected:
        return fail_leg(call, leg, Outcome.REJECTED, MOVED.cause, MOVED.text, now, theirs=True)
    call = note_attempt(call, leg, MOVED.cause, MOVED.text, now, theirs=True)
    call = call.model_copy(update={"legs": tuple(other for other in call.legs if other is not leg)})
    call, invited = invite(call, event.uri, leg.ring_until, now, redirected=True)
    return call, [do.ReleaseLegMedia(leg.number), *invited]


@leads_to(*AFTER_FAILURE)
def ring_timeout(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """CANCEL the endpoints that nobody answers, and go on to the next or fail."""
    actions: list[Action] = []
    for leg in [leg for leg in call.legs if leg.ring_until <= now]:
        call, failed = fail_leg(call, leg, Outcome.NO_ANSWER, TIMED_OUT.cause, TIMED_OUT.text, now)
        actions += [do.CancelLeg(leg.call_id, leg.cseq, TIMED_OUT), *failed]
    return call, actions


@leads_to(State.TALKING, State.APOLOGISING)
def cancel(call: Call, event: ev.TransferCancelled, now: float) -> Step:
    """Give the transfer up as asked."""
    call, let_go = let_leg_go(call, TERMINATED)
    call, actions = fail(call, Outcome.CANCELLED, TERMINATED.cause, TERMINATED.text, now)
    return call, [*let_go, *actions]


@leads_to()
def no_transfer(call: Call, event: ev.TransferCancelled, now: float) -> Step:
    """Refuse to give up what is not under way, or is done but for a moment."""
    return call, [do.RefuseRequest(481, "No transfer of this call can be cancelled now")]


@leads_to(*AFTER_FAILURE)
def offer_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """Fail the endpoint that could not even be offered media."""
    leg = call.calling(event.leg)
    if leg is None:
        return call, []  # it has been let go meanwhile
    return fail_leg(call, leg, Outcome.MEDIA_FAILED, event.status, event.reason, now)


@leads_to(*AFTER_FAILURE)
def answer_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """BYE the person whose answer could not be taken, and go on to the next endpoint or fail."""
    call, byes = release(call, Party.TARGET, do.Reason(event.status, event.reason))
    call, actions = fail_answered(call, Outcome.MEDIA_FAILED, event.status, event.reason, now)
    return call, [*byes, *actions]


@leads_to(*AFTER_FAILURE)
def bridge_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """BYE the person who answered but cannot be joined; caller and agent talk on."""
    call, byes = release(call, Party.TARGET, do.Reason(event.status, event.reason))
    call, actions = fail(call, Outcome.MEDIA_FAILED, event.status, event.reason, now)
    return call, [*byes, *actions]


@leads_to(*AFTER_FAILURE)
def target_left(call: Call, event: ev.TargetHungUp, now: float) -> Step:
    """Fail: the person hung up before the caller came on."""
    assert call.leg is not None, "a leg has answered"
    call = note_attempt(call, call.leg, 603, "Decline", now, theirs=True, cause=event.cause)
    call, actions = fail(call.model_copy(update={"target": None}), Outcome.REJECTED, 603, "Decline", now)
    return call, [do.AcceptRequest(200, "OK"), *actions]


@leads_to(*AFTER_FAILURE)
def target_overtook(call: Call, event: ev.TargetHungUp, now: float) -> Step:
    """Fail the endpoint whose person hung up so quickly that its BYE overtook the 200."""
    leg = call.calling(event.leg)
    assert leg is not None, "it was being called"
    call, actions = fail_leg(
        call, leg, Outcome.REJECTED, 603, "Decline", now, for_all=True, theirs=True, cause=event.cause
    )
    return call, [do.AcceptRequest(200, "OK"), *actions]


# --- apologising -----------------------------------------------------------------------------------------------------


@leads_to(State.TALKING, State.ENDED)
def apologised(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Give the caller, who has heard why, back to the agent; BYE it where there is none any more."""
    call, closed = close(call, now)
    if call.agent is not None:
        return enter(call, State.TALKING), [do.ResumeAgent(), *closed]
    last = call.history[-1]
    call, actions = end(call, do.Reason(last.status or 480, last.reason or "Temporarily Unavailable"))
    return call, [*closed, *actions, do.ForgetCall()]
