"""The rules of a transfer: beginning, calling, failing, and bridged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.outcomes import Outcome, outcome_of
from routing.records import Attempt, Call, Deadline, Leg, Party, State
from routing.rule import (
    ELSEWHERE,
    TERMINATED,
    TIMED_OUT,
    Step,
    dialog_of,
    finish,
    leads_to,
    release,
    tell_agent,
    update_transfer,
)

if TYPE_CHECKING:
    from routing.actions import Action

AGENT_BYE_AFTER = 1.0
"""Seconds that the agent has for its own BYE after the final NOTIFY."""
BRIDGE_AFTER = 2.0
"""Seconds after which a bridge that was begun and not reported is done again, by whichever node sees it."""
EXCHANGE_LASTS = 5.0
"""Seconds after which an offer without answer no longer holds up a bridge."""
APOLOGY_AFTER = 0.5
"""Seconds of silence after the apology before the caller is released."""


# --- beginning and calling -------------------------------------------------------------------------------------------


@leads_to(State.CALLING)
def begin(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Accept the transfer, tell the agent 100, and call the first endpoint; accept a REFER that is over once more."""
    if _repeated(call, event):
        return call, [do.AcceptRequest(202, "Accepted")]
    call = call.model_copy(update={"transfer": event.transfer})
    actions: list[Action] = []
    if event.transfer.subscription:
        actions.append(do.AcceptRequest(202, "Accepted"))
    call, told = tell_agent(call, 100, "Trying")
    call, invited = _call_next(call, now)
    return call, [*actions, *told, *invited]


def _call_next(call: Call, now: float) -> Step:
    """INVITE the first endpoint that has not been tried."""
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    number = call.legs_made + 1
    leg = Leg(
        number=number,
        uri=transfer.endpoints[len(transfer.attempts)],
        call_id=f"{call.id}-{number}",
        tag=f"{number}-{call.id}",
        sender=transfer.sender,
        started_at=now,
    )
    call = update_transfer(call, invited_at=transfer.invited_at or now)
    call = call.model_copy(update={"state": State.CALLING, "leg": leg, "legs_made": number})
    call = call.with_deadlines(ring=now + transfer.ring_timeout)
    assert call.transfer is not None, "it was there above"
    return call, [do.InviteLeg(leg, call.transfer)]


@leads_to()
def again(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Accept the same REFER again without doing it twice; refuse another one while it is under way (491)."""
    if _repeated(call, event):
        return call, [do.AcceptRequest(202, "Accepted")]
    return call, [do.RefuseRequest(491, "A transfer of this call is under way", retry_after=1)]


def _repeated(call: Call, event: ev.TransferRequested) -> bool:
    """Tell whether this REFER was accepted before: the agent numbers each of its requests anew."""
    transfers = (*call.history, call.transfer) if call.transfer else call.history
    known = {transfer.subscription.cseq for transfer in transfers if transfer.subscription}
    return event.transfer.subscription is not None and event.transfer.subscription.cseq in known


@leads_to()
def too_late(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Refuse to transfer what the agent no longer has."""
    return call, [do.RefuseRequest(481, "The agent has left this call")]


@leads_to(State.RINGING)
def ring(call: Call, event: ev.LegRang, now: float) -> Step:
    """Tell the agent once that it rings."""
    call, told = tell_agent(call, 180, "Ringing")
    call = update_transfer(call, ringing_at=now)
    return call.model_copy(update={"state": State.RINGING}), told


@leads_to(State.BRIDGING)
def answer(call: Call, event: ev.LegAnswered, now: float) -> Step:
    """Take the person's dialog and join the media, unless an offer is still unanswered: then wait for that."""
    call = update_transfer(call, answered_at=now)
    call = call.model_copy(
        update={
            "state": State.BRIDGING,
            "target": dialog_of(event),
            "media": call.media.model_copy(update={"target_sdp": event.sdp}),
        }
    ).with_deadlines(Deadline.RING, bridge=now + BRIDGE_AFTER)
    if call.exchange and now - call.exchange.since < EXCHANGE_LASTS:
        return call, []
    return bridge(call, now)


def bridge(call: Call, now: float) -> Step:
    """Begin to join the media, and be looked at again if nobody says how it went.

    What caller and agent have not settled by now no longer counts.
    """
    assert call.leg is not None, "a leg has answered"
    action = do.BridgeMedia(call.leg)
    return call.model_copy(update={"exchange": None}).with_deadlines(bridge=now + BRIDGE_AFTER), [action]


# --- failing ---------------------------------------------------------------------------------------------------------


def _fail(call: Call, outcome: Outcome, status: int, reason: str, now: float) -> Step:
    """Give the transfer up: the truth to the agent, or an apology to the caller whose agent has left."""
    assert call.leg is not None, "a leg was made"
    number = call.leg.number
    call, told = tell_agent(call, status, reason, final=True)
    call, recorded = finish(call, outcome, status, reason, now)
    media = call.media.model_copy(update={"target_sdp": ""})
    call = call.model_copy(update={"state": State.TALKING, "leg": None, "target": None, "media": media})
    actions = [*told, do.ReleaseLegMedia(number), *recorded]
    if call.agent is not None:
        return call, actions
    call = call.model_copy(update={"state": State.APOLOGISING})
    return call.with_deadlines(apology=now + call.apology + APOLOGY_AFTER), [*actions, do.PlayApology()]


def _fail_leg(call: Call, outcome: Outcome, status: int, reason: str, now: float) -> Step:
    """Note how this endpoint failed, and try the next one unless there is none or it is no use (6xx)."""
    leg, transfer = call.leg, call.transfer
    assert leg is not None, "a leg is under way"
    assert transfer is not None, "a transfer is under way"
    attempt = Attempt(uri=leg.uri, status=status, reason=reason, started_at=leg.started_at, ended_at=now)
    attempts = (*transfer.attempts, attempt)
    call = update_transfer(call, attempts=attempts)
    if len(attempts) == len(transfer.endpoints) or status >= 600:
        return _fail(call, outcome, status, reason, now)
    call, invited = _call_next(call, now)
    return call, [do.ReleaseLegMedia(leg.number), *invited]


@leads_to(State.CALLING, State.TALKING, State.APOLOGISING)
def leg_failed(call: Call, event: ev.LegFailed, now: float) -> Step:
    """Go on to the next endpoint, or fail with what this one said."""
    outcome = outcome_of(event.status) if event.answered else Outcome.UNREACHABLE
    return _fail_leg(call, outcome, event.status, event.reason, now)


@leads_to(State.CALLING, State.TALKING, State.APOLOGISING)
def ring_timeout(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """CANCEL the endpoint that nobody answers, and go on to the next or fail."""
    assert call.leg is not None, "a leg is under way"
    cancelled = do.CancelLeg(call.leg.call_id, TIMED_OUT)
    call, actions = _fail_leg(call, Outcome.NO_ANSWER, TIMED_OUT.cause, TIMED_OUT.text, now)
    return call, [cancelled, *actions]


@leads_to(State.TALKING, State.APOLOGISING)
def cancel(call: Call, event: ev.TransferCancelled, now: float) -> Step:
    """Give the transfer up as asked."""
    assert call.leg is not None, "a leg is under way"
    cancelled = do.CancelLeg(call.leg.call_id, TERMINATED)
    call, actions = _fail(call, Outcome.CANCELLED, TERMINATED.cause, TERMINATED.text, now)
    return call, [cancelled, *actions]


@leads_to()
def no_transfer(call: Call, event: ev.TransferCancelled, now: float) -> Step:
    """Refuse to give up what is not under way, or is done but for a moment."""
    return call, [do.RefuseRequest(481, "No transfer of this call can be cancelled now")]


@leads_to(State.CALLING, State.TALKING, State.APOLOGISING)
def offer_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """Fail the endpoint that could not even be offered media."""
    return _fail_leg(call, Outcome.MEDIA_FAILED, event.status, event.reason, now)


@leads_to(State.TALKING, State.APOLOGISING)
def bridge_failed(call: Call, event: ev.MediaFailed, now: float) -> Step:
    """BYE the person who answered but cannot be joined; caller and agent talk on."""
    call, byes = release(call, Party.TARGET, do.Reason(event.status, event.reason))
    call, actions = _fail(call, Outcome.MEDIA_FAILED, event.status, event.reason, now)
    return call, [*byes, *actions]


@leads_to(State.TALKING, State.APOLOGISING)
def target_left(call: Call, event: ev.TargetHungUp, now: float) -> Step:
    """Fail: the person hung up before the caller came on; so quickly, perhaps, that the BYE overtook the 200."""
    accepted = do.AcceptRequest(200, "OK")
    call, actions = _fail(call, Outcome.REJECTED, 603, "Decline", now)
    return call, [accepted, *actions]


# --- bridged ---------------------------------------------------------------------------------------------------------


@leads_to(State.LEAVING, State.CONNECTED)
def bridged(call: Call, event: ev.MediaBridged, now: float) -> Step:
    """Tell the agent the truth and let it go: at once if it knew of nothing, else it has a second for its own BYE."""
    assert call.transfer is not None, "a transfer is under way"
    subscribed = call.transfer.subscription is not None
    call, told = tell_agent(call, 200, "OK", final=True)
    call, recorded = finish(call, Outcome.CONNECTED, 200, "OK", now)
    call = call.model_copy(update={"state": State.CONNECTED})
    if call.session_timer:
        refreshed_at = max(call.session_timer.refreshed_at, call.created_at)
        call = call.with_deadlines(refresh=max(now, refreshed_at + call.session_timer.interval / 2))
    if call.agent is None:
        return call, [*told, *recorded]
    if subscribed:
        call = call.model_copy(update={"state": State.LEAVING})
        return call.with_deadlines(agent_bye=now + AGENT_BYE_AFTER), [*told, *recorded]
    call, byes = release(call, Party.AGENT, ELSEWHERE)
    return call, [*told, *recorded, *byes]


@leads_to()
def bridge_again(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Do the bridge, or do it again: whoever began it has not said how it went."""
    return bridge(call, now)


@leads_to(State.CONNECTED)
def release_agent(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """BYE the agent that has not hung up by itself."""
    call, byes = release(call.with_deadlines(Deadline.AGENT_BYE), Party.AGENT, ELSEWHERE)
    return call.model_copy(update={"state": State.CONNECTED}), byes


@leads_to(State.CONNECTED)
def agent_gone(call: Call, event: ev.AgentHungUp, now: float) -> Step:
    """Note that the agent has left, as it should."""
    call = call.with_deadlines(Deadline.AGENT_BYE).model_copy(update={"state": State.CONNECTED, "agent": None})
    return call, [do.AcceptRequest(200, "OK")]
