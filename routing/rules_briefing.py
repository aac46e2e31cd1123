"""The rules of what the parties hear before the bridge: announcement, briefing, the key, goodbye and apology.

Each of these states hears in the same way: `Play` is done while nobody else can change the call, and tells at once
whether the sound has begun. Until then the deadline is `sound`, when it is tried again; from then on `heard`, when it
is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.calling import call_first
from routing.outcomes import Mode, Outcome
from routing.records import Call, Party, State
from routing.rule import TERMINATED, Step, end, enter, finish, leads_to, release, tell_agent, update_transfer
from routing.rules_failing import AFTER_FAILURE, fail_answered
from routing.rules_transfer import PLAY_AFTER, join, note_rest
from routing.transfer_record import Sound, Standard, Transfer

if TYPE_CHECKING:
    from routing.actions import Action

LOOK_AGAIN = 0.1
"""Seconds after which speech that was not there is looked for again."""
SILENCE_AFTER = 0.3
"""Seconds of silence after the last words that a party hears from us."""

_INSTEAD = {
    State.BRIEFING: Standard.MESSAGE,
    State.ACCEPTING: Standard.PROMPT,
    State.APOLOGISING: Standard.APOLOGY,
}
"""What is heard in the place of speech that is not there in time."""
_LAST_WORDS = {State.DECLINING: Standard.GOODBYE, State.PARTING: Standard.CALLER_GONE}


# --- sounds ----------------------------------------------------------------------------------------------------------


def _listener(call: Call) -> Party:
    return Party.CALLER if call.state in {State.ANNOUNCING, State.APOLOGISING} else Party.TARGET


def _sound(call: Call) -> Sound | Standard | None:
    """Find what is to be heard in this state; None for a person who is only asked for a key."""
    transfer = call.transfer
    chosen: Sound | None = None
    if transfer and call.state is State.ANNOUNCING:
        chosen = transfer.announce
    elif transfer and call.state is State.BRIEFING:
        if transfer.mode is Mode.BLIND:
            return None
        chosen = transfer.speech
    elif transfer and call.state is State.ACCEPTING:
        chosen = transfer.accept.prompt if transfer.accept else None
    elif transfer and call.state is State.APOLOGISING:
        chosen = transfer.apology
    return chosen or _INSTEAD.get(call.state) or _LAST_WORDS.get(call.state)


def _pause_after(call: Call) -> float:
    """Find for how long nothing happens when the sound is over."""
    transfer = call.transfer
    if transfer and call.state is State.BRIEFING:
        return transfer.pause_after
    if transfer and transfer.accept and call.state is State.ACCEPTING:
        return transfer.accept.seconds
    return 0.0 if call.state is State.ANNOUNCING else SILENCE_AFTER


def _hear(call: Call, now: float) -> Step:
    """Let the party of this state hear its sound."""
    sound = _sound(call)
    if sound is None:
        return enter(call, call.state, heard=now), []
    return enter(call, call.state, sound=now + PLAY_AFTER), [do.Play(_listener(call), sound)]


@leads_to()
def hear(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Play what is to be heard, or play it again."""
    return _hear(call, now)


@leads_to()
def started(call: Call, event: ev.SoundStarted, now: float) -> Step:
    """Wait until it has been heard."""
    return enter(call, call.state, heard=now + event.seconds + _pause_after(call)), []


@leads_to()
def missing(call: Call, event: ev.SoundMissing, now: float) -> Step:
    """Wait a little for speech that is not there yet, then do with what every node has, then without."""
    transfer, instead = call.transfer, _INSTEAD.get(call.state)
    spoken = isinstance(event.sound, Sound)
    if spoken and transfer and not event.hopeless and call.state is not State.APOLOGISING:
        since = transfer.requested_at if call.state is State.ANNOUNCING else transfer.answered_at
        if now + LOOK_AGAIN < (since or now) + transfer.patience:
            return enter(call, call.state, sound=now + LOOK_AGAIN), []
    if spoken and instead:
        if call.state is State.BRIEFING:
            call = update_transfer(call, fixed=True)
        return enter(call, call.state, sound=now + PLAY_AFTER), [do.Play(event.party, instead)]
    return enter(call, call.state, heard=now + _pause_after(call)), []


# --- when it has been heard ------------------------------------------------------------------------------------------


@leads_to(State.REFERRING, State.CALLING)
def announced(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Call the target, now that the caller knows of it."""
    return call_first(call, now)


@leads_to(State.ACCEPTING, State.BRIDGING)
def briefed(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Ask the person for the key, or let the caller come on."""
    assert call.transfer is not None, "a transfer is under way"
    if call.transfer.accept is None:
        return join(call, now)
    call = update_transfer(call, rounds_left=call.transfer.accept.rounds)
    return _ask(call, now)


def _ask(call: Call, now: float) -> Step:
    assert call.transfer is not None, "a transfer is under way"
    call = update_transfer(call, rounds_left=call.transfer.rounds_left - 1)
    return _hear(enter(call, State.ACCEPTING), now)


@leads_to(State.DECLINING)
def unanswered(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Ask again, or take it that nobody is there: a voicemail box, perhaps."""
    return _ask_again(call, Outcome.NO_ANSWER, 480, "Temporarily Unavailable", now)


def _ask_again(call: Call, outcome: Outcome, status: int, reason: str, now: float) -> Step:
    assert call.transfer is not None, "a transfer is under way"
    if call.transfer.rounds_left:
        return _ask(call, now)
    call = update_transfer(call, outcome=outcome, status=status, reason=reason)
    return _hear(enter(call, State.DECLINING), now)


@leads_to(*AFTER_FAILURE)
def declined(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """BYE the person, who has heard goodbye, and go on to the next endpoint or fail."""
    outcome, status, reason = _refusal(call)
    call, byes = release(call, Party.TARGET, do.Reason(status, reason))
    call, actions = fail_answered(call, outcome, status, reason, now)
    return call, [*byes, *actions]


def _refusal(call: Call) -> tuple[Outcome, int, str]:
    """Find why this person does not take the call: noted when it declined, or it has simply hung up."""
    transfer: Transfer | None = call.transfer
    if transfer and transfer.outcome and transfer.status:
        return transfer.outcome, transfer.status, transfer.reason or ""
    return Outcome.REJECTED, 603, "Decline"


@leads_to(*AFTER_FAILURE)
def hung_up(call: Call, event: ev.TargetHungUp, now: float) -> Step:
    """Go on to the next endpoint or fail: this person does not want the call."""
    outcome, status, reason = _refusal(call)
    call = call.model_copy(update={"target": None})
    call, actions = fail_answered(call, outcome, status, reason, now, left=event)
    return call, [do.AcceptRequest(200, "OK"), *actions]


# --- keys and summaries ----------------------------------------------------------------------------------------------


def _accepted(event: ev.KeyPressed) -> list[Action]:
    return [do.AcceptRequest(200, "OK")] if event.request else []


@leads_to()
def ignore_key(call: Call, event: ev.KeyPressed, now: float) -> Step:
    """Do nothing for a key that nobody waits for."""
    return call, _accepted(event)


@leads_to(State.BRIDGING)
def key_early(call: Call, event: ev.KeyPressed, now: float) -> Step:
    """Let the caller come on at once for a person who takes the call before having been asked."""
    accept = call.transfer.accept if call.transfer else None
    if accept is None or event.key != accept.key:
        return call, _accepted(event)
    call, joined = join(call, now)
    return call, [*_accepted(event), *joined]


@leads_to(State.BRIDGING, State.DECLINING)
def key(call: Call, event: ev.KeyPressed, now: float) -> Step:
    """Let the caller come on for the right key; for another one ask again, or take it that the person declines."""
    assert call.transfer is not None, "a transfer is under way"
    assert call.transfer.accept is not None, "a key is asked for"
    right = event.key == call.transfer.accept.key
    call, actions = join(call, now) if right else _ask_again(call, Outcome.REJECTED, 603, "Decline", now)
    return call, [*_accepted(event), *actions]


@leads_to()
def take_summary(call: Call, event: ev.SummaryGiven, now: float) -> Step:
    """Use this summary, and have it spoken."""
    assert call.transfer is not None, "a transfer is under way"
    if call.transfer.mode is not Mode.SUMMARY:
        return call, [do.RefuseRequest(403, "This transfer is not in the mode summary")]
    transfer = _with_summary(call.transfer, event.text)
    accepted: list[Action] = [do.AcceptRequest(200, "OK")] if event.request else []
    spoken: list[Action] = [do.PrepareSpeech((transfer.speech,))] if transfer.speech else []
    return call.model_copy(update={"transfer": transfer}), [*accepted, *spoken]


def _with_summary(transfer: Transfer, summary: str) -> Transfer:
    fallback = transfer.fallback and _with_summary(transfer.fallback, summary)
    return transfer.model_copy(update={"summary": summary, "fallback": fallback})


@leads_to()
def summary_too_late(call: Call, event: ev.SummaryGiven, now: float) -> Step:
    """Refuse a summary that the person can no longer hear."""
    return call, [do.RefuseRequest(403, "It is too late for a summary: the target has answered")]


@leads_to()
def no_summary(call: Call, event: ev.SummaryGiven, now: float) -> Step:
    """Refuse a summary of a call that nobody is transferring."""
    return call, [do.RefuseRequest(481, "No transfer of this call is under way")]


# --- the caller leaves -----------------------------------------------------------------------------------------------


@leads_to(State.PARTING)
def part(call: Call, event: ev.CallerHungUp, now: float) -> Step:
    """End it for everyone but the person, who first hears that the caller has gone."""
    call = note_rest(update_transfer(call, cause=event.cause), TERMINATED.cause, TERMINATED.text, now)
    call, told = tell_agent(call, TERMINATED.cause, TERMINATED.text, final=True)
    call, recorded = finish(call, Outcome.CALLER_HUNG_UP, TERMINATED.cause, TERMINATED.text, now)
    call, byes = release(call, Party.AGENT, TERMINATED)
    call = call.model_copy(update={"exchange": None, "deadlines": {}})
    call, heard = _hear(enter(call, State.PARTING), now)
    return call, [do.AcceptRequest(200, "OK"), *told, *byes, *recorded, do.Silence(Party.CALLER), *heard]


@leads_to(State.ENDED)
def parted(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """BYE the person, who has heard it."""
    call, actions = end(call, TERMINATED, Party.CALLER)
    return call, [*actions, do.ForgetCall()]


@leads_to(State.ENDED)
def left_alone(call: Call, event: ev.TargetHungUp, now: float) -> Step:
    """End it: the person has hung up, too."""
    call, actions = end(call, TERMINATED, Party.CALLER, Party.TARGET)
    return call, [do.AcceptRequest(200, "OK"), *actions, do.ForgetCall()]
