"""The rules of a transfer that goes well: begun, announced, called, answered and bridged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.held import take_off_hold
from routing.outcomes import Outcome
from routing.records import Call, Party, State
from routing.rule import (
    ELSEWHERE,
    Step,
    advance,
    dialog_of,
    enter,
    finish,
    leads_to,
    release,
    tell_agent,
    update_transfer,
)
from routing.transfer_record import Attempt, Delivery, Hold, Leg, Method, Referral

if TYPE_CHECKING:
    from routing.actions import Action
    from routing.transfer_record import Destination, Transfer

AGENT_BYE_AFTER = 1.0
"""Seconds that the agent has for its own BYE after the final NOTIFY."""
BRIDGE_AFTER = 2.0
"""Seconds after which a bridge that was begun and not reported is done again, by whichever node sees it."""
PLAY_AFTER = 2.0
"""Seconds after which a sound that was begun and not reported is played again, by whichever node sees it."""
EXCHANGE_LASTS = 5.0
"""Seconds after which an offer without answer no longer holds up a bridge."""


# --- beginning and calling -------------------------------------------------------------------------------------------


@leads_to(State.ANNOUNCING, State.REFERRING, State.CALLING)
def begin(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Accept the transfer, tell the agent 100, and start it; accept a REFER that is over once more."""
    if _repeated(call, event):
        return call, [do.AcceptRequest(202, "Accepted")]
    call = call.model_copy(update={"transfer": event.transfer})
    actions: list[Action] = []
    if event.transfer.subscription:
        actions.append(do.AcceptRequest(202, "Accepted"))
    call, told = tell_agent(call, 100, "Trying")
    call, started = start(call, now)
    return call, [*actions, *told, *started]


@leads_to(State.ANNOUNCING, State.REFERRING, State.CALLING)
def hand_on(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Let the person take the agent's place, and begin: if it comes to nothing, caller and person talk on."""
    assert call.leg is not None, "a leg was bridged"
    if _repeated(call, event):
        return again.apply(call, event, now)
    changes = {
        "agent": call.target,
        "agent_leg": call.leg.number,
        "target": None,
        "leg": None,
        "media": call.media.model_copy(update={"agent_sdp": call.media.target_sdp, "target_sdp": ""}),
    }
    return begin.apply(call.model_copy(update=changes), event, now)


def start(call: Call, now: float) -> Step:
    """Announce the transfer to the caller, or call the first endpoint; have spoken what will be heard."""
    assert call.transfer is not None, "a transfer is under way"
    announce, sounds = call.transfer.announce, call.transfer.sounds
    prepared: list[Action] = [do.PrepareSpeech(sounds)] if sounds else []
    if announce is None:
        call, called = call_first(call, now)
        return call, [*prepared, *called]
    call = enter(call, State.ANNOUNCING, sound=now + PLAY_AFTER)
    return call, [*prepared, do.HoldCaller(music=False), do.Play(Party.CALLER, announce)]


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


def _next_group(transfer: Transfer) -> tuple[Destination, ...]:
    """Take as many endpoints as may ring at once; those that ring together count as one."""
    left = transfer.endpoints[transfer.tried :]
    firsts = [at for at, destination in enumerate(left) if at == 0 or not destination.together]
    return left[: firsts[transfer.at_once]] if len(firsts) > transfer.at_once else left


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


@leads_to()
def again(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Accept the same REFER again without doing it twice; refuse another one while it is under way (491)."""
    if _repeated(call, event):
        return call, [do.AcceptRequest(202, "Accepted")]
    return call, [do.RefuseRequest(491, "A transfer of this call is under way", retry_after=1)]


def _repeated(call: Call, event: ev.TransferRequested) -> bool:
    """Tell whether this REFER was accepted before: the agent numbers each of its requests anew."""
    transfers = (*call.history, call.transfer) if call.transfer else call.history
    known = {(transfer.subscription.leg, transfer.subscription.cseq) for transfer in transfers if transfer.subscription}
    asked = event.transfer.subscription
    return asked is not None and (asked.leg, asked.cseq) in known


@leads_to()
def too_late(call: Call, event: ev.TransferRequested, now: float) -> Step:
    """Refuse to transfer what the agent no longer has; it has it again after an apology that it waits for."""
    if call.agent is not None:
        return again.apply(call, event, now)
    return call, [do.RefuseRequest(481, "The agent has left this call")]


@leads_to(State.RINGING)
def ring(call: Call, event: ev.LegRang, now: float) -> Step:
    """Tell the agent once that it rings."""
    call, told = tell_agent(call, 180, "Ringing")
    call = update_transfer(call, ringing_at=now)
    return _note_ringing(call, event, now).model_copy(update={"state": State.RINGING}), told


@leads_to()
def ring_too(call: Call, event: ev.LegRang, now: float) -> Step:
    """Note when it has begun to ring at one more endpoint."""
    return _note_ringing(call, event, now), []


def _note_ringing(call: Call, event: ev.LegRang, now: float) -> Call:
    leg = call.calling(event.leg)
    if leg is None or leg.ringing_at is not None:
        return call
    return with_leg(call, leg.model_copy(update={"ringing_at": now, "trying_at": event.trying_at}))


def with_leg(call: Call, leg: Leg) -> Call:
    """Make the same call with something noted of a leg that is being called."""
    legs = tuple(leg if other.number == leg.number else other for other in call.legs)
    return call.model_copy(update={"legs": legs})


@leads_to(State.BRIEFING, State.BRIDGING)
def answer(call: Call, event: ev.LegAnswered, now: float) -> Step:
    """Take the person's dialog and CANCEL all others; brief the person, who is not heard yet, or bridge at once."""
    leg = call.calling(event.leg)
    assert leg is not None, "it was being called"
    call, cancelled = _answered_elsewhere(call, leg, now)
    trying_at = leg.trying_at or event.trying_at
    leg = leg.model_copy(update={"answered_at": now, "trying_at": trying_at, "codecs": event.codecs})
    call = update_transfer(call, answered_at=now)
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    media = call.media.model_copy(update={"target_sdp": event.sdp})
    target = dialog_of(event, transfer.ca_file)
    call = call.model_copy(update={"legs": (), "leg": leg, "target": target, "media": media})
    if not transfer.briefs:
        call, joined = join(call, now)
        return call, [*cancelled, *joined]
    call = enter(call, State.BRIEFING, sound=now + transfer.pause_before)
    actions: list[Action] = [do.OpenLeg(leg)]
    if transfer.hold is Hold.AGENT:
        actions.append(do.HoldCaller(music=True))
    if transfer.summary and Delivery.MESSAGE in transfer.deliver:
        call, dialog, cseq = advance(call, Party.TARGET)
        actions.append(do.SendMessage(dialog, cseq, transfer.summary))
    return call, [*cancelled, *actions]


def _answered_elsewhere(call: Call, winner: Leg, now: float) -> Step:
    """Let go of all endpoints but the one that has answered first."""
    actions: list[Action] = []
    for leg in call.legs:
        if leg.number != winner.number:
            call = note_attempt(call, leg, ELSEWHERE.cause, ELSEWHERE.text, now)
            actions += [do.CancelLeg(leg.call_id, leg.cseq, ELSEWHERE), do.ReleaseLegMedia(leg.number)]
    return call, actions


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
        trying_at=leg.trying_at,
        ringing_at=leg.ringing_at,
        answered_at=leg.answered_at,
        codecs=leg.codecs,
    )
    return update_transfer(call, attempts=(*call.transfer.attempts, attempt))


def note_rest(call: Call, status: int, reason: str, now: float, *, theirs: bool = False) -> Call:
    """Note how it ended with the endpoints of which nothing has been noted yet: all have one end."""
    assert call.transfer is not None, "a transfer is under way"
    noted = {attempt.leg for attempt in call.transfer.attempts}
    for leg in (*call.legs, call.leg) if call.leg else call.legs:
        if leg.number not in noted:
            call = note_attempt(call, leg, status, reason, now, theirs=theirs)
    return call


# --- bridging --------------------------------------------------------------------------------------------------------


def join(call: Call, now: float) -> Step:
    """Join the media, unless an offer between caller and agent is still unanswered: then wait for that."""
    call = enter(call, State.BRIDGING, bridge=now + BRIDGE_AFTER)
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


@leads_to(State.LEAVING, State.CONNECTED)
def bridged(call: Call, event: ev.MediaBridged, now: float) -> Step:
    """Tell the agent the truth and let it go: at once if it knew of nothing, else it has a second for its own BYE."""
    assert call.transfer is not None, "a transfer is under way"
    subscribed = call.transfer.subscription is not None
    consultation = call.transfer.consultation
    call = call.model_copy(update={"may_refer": call.transfer.may_refer})
    call, told = tell_agent(note_rest(call, 200, "OK", now, theirs=True), 200, "OK", final=True)
    call, resumed = take_off_hold(call)
    told += [*resumed, *([do.EndConsultation(consultation)] if consultation else [])]
    call, recorded = finish(call, Outcome.CONNECTED, 200, "OK", now)
    call = enter(call, State.CONNECTED)
    if call.session_timer:
        refreshed_at = max(call.session_timer.refreshed_at, call.created_at)
        call = call.with_deadlines(refresh=max(now, refreshed_at + call.session_timer.interval / 2))
    if call.agent is None:
        return call, [*told, *recorded]
    if subscribed:
        return enter(call, State.LEAVING, agent_bye=now + AGENT_BYE_AFTER), [*told, *recorded]
    call, byes = release(call, Party.AGENT, ELSEWHERE)
    return call, [*told, *recorded, *byes]


@leads_to()
def bridge_again(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Do the bridge, or do it again: whoever began it has not said how it went."""
    return bridge(call, now)


@leads_to(State.CONNECTED)
def release_agent(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """BYE the agent that has not hung up by itself."""
    return release(enter(call, State.CONNECTED), Party.AGENT, ELSEWHERE)


@leads_to(State.CONNECTED)
def agent_gone(call: Call, event: ev.AgentHungUp, now: float) -> Step:
    """Note that the agent has left, as it should."""
    return enter(call, State.CONNECTED).model_copy(update={"agent": None}), [do.AcceptRequest(200, "OK")]
