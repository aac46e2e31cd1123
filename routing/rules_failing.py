"""The rules of a transfer that fails: the next endpoint, the fallback, the agent again, or an apology."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.outcomes import Outcome, outcome_of
from routing.records import Attempt, Call, Hold, Party, Standard, State
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
from routing.rules_transfer import PLAY_AFTER, call_next, start

if TYPE_CHECKING:
    from routing.actions import Action

_NO_LEG = {"leg": None, "target": None}


def let_leg_go(call: Call, reason: do.Reason) -> Step:
    """BYE the person who has answered, or CANCEL the endpoint that has not, if one was called."""
    if call.target is not None:
        return release(call, Party.TARGET, reason)
    return call, [do.CancelLeg(call.leg.call_id, reason)] if call.leg else []


def fail(call: Call, outcome: Outcome, status: int, reason: str, now: float) -> Step:
    """Give the transfer up, and go on with its fallback, with the agent, or without any of them."""
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    released: list[Action] = [do.ReleaseLegMedia(call.leg.number)] if call.leg else []
    media = call.media.model_copy(update={"target_sdp": ""})
    call = call.model_copy(update=_NO_LEG | {"media": media})
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


def fail_leg(call: Call, outcome: Outcome, status: int, reason: str, now: float, *, for_all: bool = False) -> Step:
    """Note how this endpoint failed, and try the next one unless there is none, or this one spoke `for_all`."""
    leg, transfer = call.leg, call.transfer
    assert leg is not None, "a leg is under way"
    assert transfer is not None, "a transfer is under way"
    attempt = Attempt(uri=leg.uri, status=status, reason=reason, started_at=leg.started_at, ended_at=now)
    attempts = (*transfer.attempts, attempt)
    call = update_transfer(call, attempts=attempts, outcome=None, status=None, reason=None)
    if for_all or len(attempts) == len(transfer.endpoints):
        return fail(call, outcome, status, reason, now)
    call, invited = call_next(call.model_copy(update=_NO_LEG), now)
    return call, [do.ReleaseLegMedia(leg.number), *invited]


@leads_to(State.CALLING, State.ANNOUNCING, State.TALKING, State.APOLOGISING)
def leg_failed(call: Call, event: ev.LegFailed, now: float) -> Step:
    """Go on to the next endpoint, or fail with what this one said (6xx: no other one is of use)."""
    outcome = outcome_of(event.status) if event.answered else Outcome.UNREACHABLE
    return fail_leg(call, outcome, event.status, event.reason, now, for_all=event.status >= 600)


@leads_to(State.CALLING, State.ANNOUNCING, State.TALKING, State.APOLOGISING)
def ring_timeout(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """CANCEL the endpoint that nobody answers, and go on to the next or fail."""
    call, cancelled = let_leg_go(call, TIMED_OUT)
    call, actions = fail_leg(call, Outcome.NO_ANSWER, TIMED_OUT.cause, TIMED_OUT.text, now)
    return call, [*cancelled, *actions]


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


@leads_to(State.CALLING, State.ANNOUNCING, State.TALKING, State.APOLOGISING)
def leg_media_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """Fail the endpoint that could not be offered media, or whose answer could not be taken."""
    call, byes = release(call, Party.TARGET, do.Reason(event.status, event.reason))
    call, actions = fail_leg(call, Outcome.MEDIA_FAILED, event.status, event.reason, now)
    return call, [*byes, *actions]


@leads_to(State.CALLING, State.ANNOUNCING, State.TALKING, State.APOLOGISING)
def bridge_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """BYE the person who answered but cannot be joined; caller and agent talk on."""
    call, byes = release(call, Party.TARGET, do.Reason(event.status, event.reason))
    call, actions = fail(call, Outcome.MEDIA_FAILED, event.status, event.reason, now)
    return call, [*byes, *actions]


@leads_to(State.CALLING, State.ANNOUNCING, State.TALKING, State.APOLOGISING)
def target_left(call: Call, event: ev.TargetHungUp, now: float) -> Step:
    """Fail: the person hung up before the caller came on; so quickly, perhaps, that the BYE overtook the 200."""
    accepted = do.AcceptRequest(200, "OK")
    call, actions = fail(call.model_copy(update={"target": None}), Outcome.REJECTED, 603, "Decline", now)
    return call, [accepted, *actions]


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
