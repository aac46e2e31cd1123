"""The rules of a REFER that is sent on: the caller's side calls the target itself, and tells how that goes (RFC 5589).

With the method `auto` whatever goes wrong with it leads to an INVITE of ours to the same target, as if it had not been
tried. What is learned of the trunk decides whether it is tried the next time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.calling import call_next
from routing.outcomes import Outcome, outcome_of
from routing.records import Call, Party, State
from routing.rule import ELSEWHERE, TIMED_OUT, Step, advance, end, finish, leads_to, tell_agent, update_transfer
from routing.rules_failing import AFTER_FAILURE, MOST_ANSWERS, fail
from routing.transfer_record import Attempt, Method, Referral, Transfer
from routing.trunks import Verdict

if TYPE_CHECKING:
    from routing.actions import Action

ACCEPTED = do.AcceptRequest(200, "OK")


def _under_way(call: Call) -> tuple[Transfer, Referral]:
    assert call.transfer is not None, "a transfer is under way"
    assert call.transfer.referral is not None, "the caller's side was asked"
    return call.transfer, call.transfer.referral


def _longest(transfer: Transfer) -> float:
    """Find for how many seconds the caller's side may take to reach the endpoint."""
    return transfer.endpoints[transfer.tried - 1].ring_timeout + transfer.refer_timeout


@leads_to(*AFTER_FAILURE)
def refer_answered(call: Call, event: ev.ReferAnswered, now: float) -> Step:
    """Wait for the report of a side that has accepted; say who we are to one that asks; else it has refused."""
    transfer, referral = _under_way(call)
    if event.cseq != referral.cseq:
        return call, []
    if event.status < 300:
        return (call, []) if referral.reported else (call.with_deadlines(referral=now + transfer.refer_timeout), [])
    if event.authorization and referral.challenged < MOST_ANSWERS:
        call, dialog, cseq = advance(call, Party.CALLER)
        again = referral.model_copy(update={"cseq": cseq, "challenged": referral.challenged + 1})
        call = update_transfer(call, referral=again)
        return call, [do.SendRefer(dialog, cseq, referral.uri, transfer, event.authorization)]
    silent = event.status == TIMED_OUT.cause
    outcome = Outcome.UNREACHABLE if silent else outcome_of(event.status)
    call, failed = _fail(call, outcome, event.status, event.reason, now, theirs=not silent)
    return call, [do.LearnTrunk(call.trunk, Verdict.SILENT if silent else Verdict.REFUSES, event.status), *failed]


@leads_to(State.ENDED, *AFTER_FAILURE)
def referral_reported(call: Call, event: ev.ReferralReported, now: float) -> Step:
    """Pass on to the agent what the caller's side reports; when the caller has the person, let both of ours go."""
    transfer, referral = _under_way(call)
    if event.refer not in {0, referral.cseq}:
        return referral_over.apply(call, event, now)
    if not event.final:
        call = update_transfer(call, referral=referral.model_copy(update={"reported": True}))
        call = call.with_deadlines(referral=referral.started_at + _longest(transfer))
        if event.status < 180 or transfer.ringing_at is not None:
            return call, [ACCEPTED]
        call, told = tell_agent(update_transfer(call, ringing_at=now), 180, "Ringing")
        return call, [ACCEPTED, *told]
    learned = do.LearnTrunk(call.trunk, Verdict.WORKS, event.status)
    if 200 <= event.status < 300:
        call, told = tell_agent(
            _note(call, event.status, event.reason, now, theirs=True, reported=True), 200, "OK", final=True
        )
        call, recorded = finish(update_transfer(call, answered_at=now), Outcome.CONNECTED, 200, "OK", now)
        call, released = end(call, ELSEWHERE)
        return call, [ACCEPTED, learned, *told, *recorded, *released, do.ForgetCall()]
    outcome = outcome_of(event.status)
    call, failed = _fail(call, outcome, event.status, event.reason, now, theirs=True, reported=True)
    return call, [ACCEPTED, learned, *failed]


@leads_to(*AFTER_FAILURE)
def unreported(call: Call, event: ev.DeadlinePassed, now: float) -> Step:
    """Give up a side that does not answer, or has accepted and does not say how it goes."""
    _, referral = _under_way(call)
    outcome = Outcome.NO_ANSWER if referral.reported else Outcome.UNREACHABLE
    learned: list[Action] = []
    if not referral.reported:
        learned = [do.LearnTrunk(call.trunk, Verdict.SILENT, TIMED_OUT.cause)]
    call, failed = _fail(call, outcome, TIMED_OUT.cause, TIMED_OUT.text, now, theirs=False, reported=referral.reported)
    return call, [*learned, *failed]


@leads_to()
def referral_over(call: Call, event: ev.ReferralReported, now: float) -> Step:
    """Tell a side that reports too late that nobody wants to know any more (RFC 6665 section 4.1.3).

    But not of what its final report may have overtaken: Asterisk sends both at once, and ends the call for a 481.
    """
    if not event.final:
        return call, [ACCEPTED]
    return call, [do.RefuseRequest(481, "Subscription Does Not Exist")]


def _note(call: Call, status: int, reason: str, now: float, *, theirs: bool, reported: bool) -> Call:
    transfer, referral = _under_way(call)
    attempt = Attempt(
        uri=referral.uri,
        status=status,
        reason=reason,
        started_at=referral.started_at,
        ended_at=now,
        method=Method.REFER,
        theirs=theirs,
        reported=reported,
    )
    return update_transfer(call, attempts=(*transfer.attempts, attempt), referral=None)


def _fail(
    call: Call, outcome: Outcome, status: int, reason: str, now: float, *, theirs: bool, reported: bool = False
) -> Step:
    """Have the next endpoint called; with the method `auto` by ourselves, from the first one on."""
    call = _note(call, status, reason, now, theirs=theirs, reported=reported)
    transfer = call.transfer
    assert transfer is not None, "a transfer is under way"
    if transfer.method is Method.AUTO:
        return call_next(update_transfer(call, method=Method.INVITE, tried=0), now)
    if transfer.tried < len(transfer.endpoints):
        return call_next(call, now)
    return fail(call, outcome, status, reason, now)
