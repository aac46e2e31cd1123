"""The rules of the dialogs: hanging up, parties that vanish, and requests within them."""

from __future__ import annotations

from routing import actions as do
from routing import events as ev
from routing.outcomes import Outcome
from routing.records import Call, Exchange, Party, State
from routing.rule import (
    ELSEWHERE,
    TERMINATED,
    TIMED_OUT,
    Step,
    advance,
    end,
    enter,
    leads_to,
    let_agent_go,
    release,
    update_transfer,
)
from routing.rules_failing import AFTER_FAILURE, bridge_failed, close, let_leg_go
from routing.rules_strays import no_dialog
from routing.rules_transfer import AGENT_BYE_AFTER, bridge, note_rest
from routing.transfer_record import Hold

JOINED = {State.LEAVING, State.CONNECTED}
"""The states in which caller and target talk."""


# --- hanging up ------------------------------------------------------------------------------------------------------


@leads_to(State.ENDED)
def hang_up(call: Call, event: ev.HungUp, now: float) -> Step:
    """Pass the BYE on to whom this party talks with, and end the call."""
    peer = call.peer(event.party)
    if peer is None:
        call, actions = end(call, ELSEWHERE, event.party)
        return call, [do.AcceptRequest(200, "OK"), *actions, do.ForgetCall()]
    call, dialog, cseq = advance(call, peer, event.cseq)
    call, actions = end(call, ELSEWHERE, event.party, peer)
    return call, [do.RelayRequest(peer, dialog, cseq), *actions, do.ForgetCall()]


def _abandon(call: Call, outcome: Outcome, reason: do.Reason, now: float, *gone: Party) -> Step:
    """End a call whose caller, or whose media, is gone while its transfer was under way."""
    call, cancelled = let_leg_go(call, reason) if call.target is None else (call, [])
    told = TERMINATED if outcome is Outcome.CALLER_HUNG_UP else reason
    call = note_rest(call, told.cause, told.text, now)
    call = update_transfer(call, outcome=outcome, status=told.cause, reason=told.text)
    call, (*notified, recorded) = close(call, now)
    call, actions = end(call, reason, *gone)
    return call, [*cancelled, *notified, *actions, recorded, do.ForgetCall()]


@leads_to(State.ENDED)
def abandon(call: Call, event: ev.CallerHungUp, now: float) -> Step:
    """End everything: the caller hung up before a person was there."""
    call = update_transfer(call, cause=event.cause)
    call, actions = _abandon(call, Outcome.CALLER_HUNG_UP, TERMINATED, now, Party.CALLER)
    return call, [do.AcceptRequest(200, "OK"), *actions]


@leads_to()
def agent_left(call: Call, event: ev.AgentHungUp, now: float) -> Step:
    """Let the agent go; the transfer it asked for goes on."""
    call, actions = _go_on_alone(let_agent_go(call), now)
    return call, [do.AcceptRequest(200, "OK"), *actions]


def _go_on_alone(call: Call, now: float) -> Step:
    """Wait no longer for the answer to an offer that the agent made or got, and let the caller hear music.

    A bridge that had to wait for that answer is done at once.
    """
    waits = call.state in {State.REFERRING, State.CALLING, State.RINGING}
    heard = waits and call.transfer is not None and call.transfer.hold is Hold.AGENT
    if call.exchange:
        call = call.model_copy(update={"exchange": None})
        call = call.with_deadlines(bridge=now) if call.state is State.BRIDGING else call
    return call, [do.HoldCaller(music=True)] if heard else []


@leads_to(State.ENDED)
def hang_up_sorry(call: Call, event: ev.CallerHungUp, now: float) -> Step:
    """End a call whose caller does not hear the apology out."""
    call, closed = close(call, now)
    call, actions = hang_up.apply(call, event, now)
    return call, [*closed, *actions]


# --- consultations ---------------------------------------------------------------------------------------------------


@leads_to()
def linger(call: Call, event: ev.ConsultationOver, now: float) -> Step:
    """Give the phones time for their own BYE: one that understands Replaces sends it (RFC 3891 section 3)."""
    return call.with_deadlines(consulted=now + AGENT_BYE_AFTER), []


@leads_to(State.ENDED)
def end_consultation(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """End the call of agent and person, since the person now talks with the caller."""
    call, actions = end(call, ELSEWHERE)
    return call, [*actions, do.ForgetCall()]


# --- parties that vanish ---------------------------------------------------------------------------------------------


@leads_to(State.ENDED)
def lost(call: Call, event: ev.PartyLost, now: float) -> Step:
    """End a call that has lost one of the two who talk; BYE the lost one all the same: it may be there."""
    call, actions = end(call, _why(event))
    return call, [*actions, do.ForgetCall()]


def _why(event: ev.PartyLost) -> do.Reason:
    return do.Reason(TIMED_OUT.cause, event.reason)


@leads_to(State.ENDED)
def media_lost(call: Call, event: ev.MediaLost, now: float) -> Step:
    """End a call in which nobody hears anybody any more."""
    reason = do.Reason(500, event.reason)
    if call.transfer and call.transfer.outcome is None:
        return _abandon(call, Outcome.MEDIA_FAILED, reason, now)
    call, closed = close(call, now)
    gone = (Party.CALLER,) if call.state is State.PARTING else ()
    call, actions = end(call, reason, *gone)
    return call, [*closed, *actions, do.ForgetCall()]


@leads_to(State.ENDED)
def lost_sorry(call: Call, event: ev.PartyLost, now: float) -> Step:
    """Go on without the agent that waits for the end of an apology; without the caller there is nobody left."""
    if event.party is Party.AGENT:
        return release(call, Party.AGENT, _why(event))
    call, closed = close(call, now)
    call, actions = lost.apply(call, event, now)
    return call, [*closed, *actions]


@leads_to(State.ENDED, State.CONNECTED)
def lost_leaving(call: Call, event: ev.PartyLost, now: float) -> Step:
    """Let an agent be gone that was to leave anyway; else end the call."""
    if event.party is not Party.AGENT:
        return lost.apply(call, event, now)
    return release(enter(call, State.CONNECTED), Party.AGENT, _why(event))


@leads_to(State.ENDED)
def lost_waiting(call: Call, event: ev.PartyLost, now: float) -> Step:
    """Do as if the lost party had hung up: without the agent the transfer goes on, without the caller it does not."""
    if event.party is Party.CALLER:
        return _abandon(call, Outcome.CALLER_HUNG_UP, _why(event), now)
    call, byes = release(call, Party.AGENT, _why(event))
    call, actions = _go_on_alone(call, now)
    return call, [*byes, *actions]


@leads_to(State.ENDED, *AFTER_FAILURE)
def lost_bridging(call: Call, event: ev.PartyLost, now: float) -> Step:
    """Fail when it is the person who is lost before the caller came on."""
    if event.party is Party.TARGET:
        return bridge_failed.apply(call, ev.MediaFailed(TIMED_OUT.cause, event.reason), now)
    return lost_waiting.apply(call, event, now)


@leads_to()
def check_media(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Look whether everyone still sends."""
    return call.with_deadlines(check=now + call.check_every), [do.CheckMedia()]


@leads_to()
def refresh(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Refresh the caller's session in the agent's place (RFC 4028 section 10)."""
    timer = call.session_timer
    assert timer is not None, "the deadline was made from it"
    call, dialog, cseq = advance(call, Party.CALLER)
    send = do.RefreshSession(dialog, cseq, timer.method, round(timer.interval), call.media.caller_view)
    return call.with_deadlines(refresh=now + timer.interval / 2), [send]


# --- requests within the dialogs -------------------------------------------------------------------------------------


@leads_to()
def relay(call: Call, event: ev.RequestReceived, now: float) -> Step:
    """Pass a request on to whom its sender talks with, numbered for that dialog."""
    peer = call.peer(event.party)
    if peer is None:
        return (no_dialog if event.party is Party.AGENT else retry_later).apply(call, event, now)
    sender = call.dialog(event.party)
    assert sender is not None, "what a party without a dialog sends is a row of its own"
    changes: dict[str, object] = {"remote_cseq": max(event.cseq, sender.remote_cseq)}
    if event.contact:
        changes["remote_target"] = event.contact
    call = call.with_dialog(event.party, sender.model_copy(update=changes))
    if call.session_timer and event.party is Party.AGENT and event.method in {"INVITE", "UPDATE"}:
        timer = call.session_timer.model_copy(update={"refreshed_at": now})
        call = call.model_copy(update={"session_timer": timer})
    call, dialog, cseq = advance(call, peer, event.cseq)
    if event.method == "INVITE":
        dialog = dialog.model_copy(update={"invite_cseq": (event.cseq, cseq)})
        call = call.with_dialog(peer, dialog)
    if event.offer:
        exchange = Exchange(offerer=event.party, cseq=event.cseq, since=now)
        call = call.model_copy(update={"exchange": exchange})
    return call, [do.RelayRequest(peer, dialog, cseq)]


@leads_to()
def retry_later(call: Call, event: ev.RequestReceived, now: float) -> Step:
    """Refuse for the moment it takes to join the media (RFC 3261 section 14.2), or until somebody is there."""
    return call, [do.RefuseRequest(491, "Request Pending", retry_after=1)]


def _change_session(call: Call, event: ev.SessionChanged) -> Call:
    """Keep the new SDP bodies and the answerer's contact; it is settled when the answer is known.

    An offer that was begun before the bridge and answered after it is about the agent, whom nobody asks any more.
    """
    peer = call.peer(event.offerer)
    if peer is None or (call.state in JOINED and call.exchange is None):
        return call
    bodies = {
        f"{event.offerer}_sdp": event.offer,
        f"{peer}_sdp": event.answer,
        "caller_view": event.caller_view,
    }
    media = call.media.model_copy(update={name: body for name, body in bodies.items() if body})
    call = call.model_copy(update={"media": media, "exchange": None if event.answer else call.exchange})
    answerer = call.dialog(peer)
    if event.contact and answerer:
        call = call.with_dialog(peer, answerer.model_copy(update={"remote_target": event.contact}))
    return call


@leads_to()
def change_session(call: Call, event: ev.SessionChanged, now: float) -> Step:
    """Keep what was agreed, for the bridge to come."""
    return _change_session(call, event), []


@leads_to()
def keep_session(call: Call, event: ev.OfferRejected, now: float) -> Step:
    """Forget an offer that came to nothing."""
    return call if call.exchange is None else call.model_copy(update={"exchange": None}), []


@leads_to()
def resume_bridge(call: Call, event: ev.SessionChanged | ev.OfferRejected, now: float) -> Step:
    """Bridge now that the offer which held it up is settled."""
    waiting = call.exchange is not None
    call = _change_session(call, event) if isinstance(event, ev.SessionChanged) else call
    settled = isinstance(event, ev.OfferRejected) or call.exchange is None
    return bridge(call, now) if waiting and settled else (call, [])
