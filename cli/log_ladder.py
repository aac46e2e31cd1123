"""What happened in a transfer, in its order, and as a ladder of four lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.output import time_of_day
from routing.outcomes import Outcome
from routing.transfer_record import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from routing.store import Logged
    from routing.transfer_record import Attempt, Transfer

CALLER, AGENT, HANDOFF, TARGET = LANES = range(4)
WIDTH = 8
"""Columns between two lanes."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that went from one lane to another, or happened in one: then the two are the same."""

    at: float
    sender: int
    receiver: int
    what: str


def happenings(entry: Logged) -> list[Happening]:
    """Tell what happened in a transfer, the earliest first."""
    transfer = entry.transfer
    found = [_request(transfer)]
    for attempt in transfer.attempts:
        found += _attempted(attempt)
    found += _ended(transfer)
    if entry.heard:
        found.append(Happening(entry.heard.ended_at, HANDOFF, HANDOFF, "the call ends"))
    return sorted(found, key=lambda happening: happening.at)


def _request(transfer: Transfer) -> Happening:
    asked = "REFER" if transfer.source == "refer" else "command:"
    sender = AGENT if transfer.source == "refer" else HANDOFF
    return Happening(transfer.requested_at, sender, HANDOFF, f"{asked} transfer to {transfer.target}")


def _attempted(attempt: Attempt) -> Iterator[Happening]:
    them = CALLER if attempt.method is Method.REFER else TARGET
    if attempt.method is Method.INVITE and not attempt.leg:
        yield Happening(attempt.started_at, HANDOFF, HANDOFF, f"{attempt.uri} is not called: {attempt.reason}")
        return
    yield Happening(attempt.started_at, HANDOFF, them, f"{attempt.method.upper()} {attempt.uri}")
    stages = {"first response": attempt.trying_at, "ringing": attempt.ringing_at, "answer": attempt.answered_at}
    for what, at in stages.items():
        if at is not None:
            yield Happening(at, them, HANDOFF, what)
    if attempt.theirs and (attempt.answered_at is None or attempt.status >= 300):
        cause = "" if attempt.cause is None else f" (Q.850 cause {attempt.cause})"
        yield Happening(attempt.ended_at, them, HANDOFF, f"{attempt.status} {attempt.reason}{cause}")
    elif not attempt.theirs:
        yield Happening(attempt.ended_at, HANDOFF, them, f"given up: {attempt.status} {attempt.reason}")


def _ended(transfer: Transfer) -> Iterator[Happening]:
    if transfer.ended_at is None:
        return
    at, subscription = transfer.ended_at, transfer.subscription
    if transfer.outcome is Outcome.CONNECTED:
        yield Happening(at, TARGET, CALLER, "caller and person talk")
    elif transfer.outcome is Outcome.CALLER_HUNG_UP:
        yield Happening(at, CALLER, HANDOFF, "the caller hangs up")
    if subscription and subscription.notify:
        yield Happening(at, HANDOFF, AGENT, f"NOTIFY {transfer.status} {transfer.reason}")
    elif transfer.outcome is not Outcome.CONNECTED:
        yield Happening(at, HANDOFF, HANDOFF, f"{transfer.outcome}: {transfer.status} {transfer.reason}")


def ladder(found: list[Happening]) -> list[list[str]]:
    """Draw what happened: time of day, seconds since the first of it, the lanes, and the words."""
    first = found[0].at
    return [[time_of_day(each.at), f"{each.at - first:.3f}", draw(each), each.what] for each in found]


def draw(happening: Happening) -> str:
    """Draw the lanes, with an arrow from one to another, or a star in one."""
    line = list(((" " * 2 + "|").ljust(WIDTH)) * len(LANES))
    begin, end = sorted((_column(happening.sender), _column(happening.receiver)))
    for column in range(begin + 1, end):
        line[column] = "-"
    if begin == end:
        line[begin] = "*"
    elif happening.receiver > happening.sender:
        line[end - 1] = ">"
    else:
        line[begin + 1] = "<"
    return "".join(line).rstrip()


def _column(lane: int) -> int:
    return lane * WIDTH + 2
