"""The rules of a transfer that goes well: begun, announced, called, answered and bridged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.calling import call_first, note_attempt
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
from routing.transfer_record import Delivery, Hold, Leg

if TYPE_CHECKING:
    from routing.actions import Action

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
    told = {"codecs": event.codecs, "source": event.source, "media": event.media}
    leg = leg.model_copy(update={"answered_at": now, "trying_at": trying_at, **told})
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
    call = update_transfer(call, changeover=event.changeover).model_copy(update={"may_refer": call.transfer.may_refer})
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
