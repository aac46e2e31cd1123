"""Following calls as they change: one transfer until its outcome, or all calls until somebody has seen enough."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cli.output import plain, time_of_day
from cli.views import MEANINGS
from routing.records import Call, State
from routing.store import CallUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from routing.outcomes import Outcome
    from routing.store import Store
    from routing.transfer_record import Transfer

EVERY = 0.2
"""Seconds between two looks at a transfer."""
SPARE = 30.0
"""Seconds beyond all its ring timeouts after which nobody seems to look after a transfer any more."""
HEARD = 420.0
"""Seconds that a party may hear something in one state: the longest sound that is taken, and the pauses around it."""
LATE = 3.0
"""Seconds that the outcome of a call that has ended may take to be in the call log."""
LOGGED_AT_ONCE = 1000


class OutcomeMissing(Exception):
    """The outcome of a transfer cannot be told; the text says why."""


def follow_transfer(store: Store, call_id: str, transfer_id: str, report: Callable[[Call], None]) -> Transfer:
    """Wait until a transfer, or the fallback that is tried in its place, has its outcome.

    `report` gets the call each time its state has changed. Raises OutcomeMissing when the call ended without an
    outcome, or when it takes longer than it can.
    """
    state: State | None = None
    until = time.monotonic() + LATE
    while time.monotonic() < until:
        call = _peek(store, call_id)
        under_way = call.transfer if call else None
        if call is None or under_way is None or under_way.id != transfer_id:
            if done := _finished(store, call, transfer_id):
                following = done.fallback
                if following is None or not _known(store, call, following.id):
                    return done
                transfer_id, state = following.id, None
                continue
        elif call.state is not state:
            until = time.monotonic() + _longest(under_way)
            state = call.state
            report(call)
        time.sleep(EVERY)  # a record tells nobody that it has changed
    raise OutcomeMissing(
        f"transfer {transfer_id} has no outcome: see `handoff calls show {call_id}` and the node's log"
    )


def _longest(transfer: Transfer) -> float:
    """Say for how many seconds it may stay in one state."""
    return sum(place.ring_timeout for place in transfer.endpoints) + (HEARD if transfer.mutes else 0.0) + SPARE


def _known(store: Store, call: Call | None, transfer_id: str) -> bool:
    under_way = call.transfer.id if call and call.transfer else None
    return under_way == transfer_id or _finished(store, call, transfer_id) is not None


def _peek(store: Store, call_id: str) -> Call | None:
    try:
        return store.peek(call_id)
    except CallUnknown:
        return None


def _finished(store: Store, call: Call | None, transfer_id: str) -> Transfer | None:
    known = call.history if call else tuple(logged.transfer for logged in store.finished(LOGGED_AT_ONCE))
    return next((transfer for transfer in known if transfer.id == transfer_id), None)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a call: `event` is "state", "outcome" or "ended"; `at` is when it was seen."""

    at: float
    call: str
    event: str
    state: State | None = None
    was: State | None = None
    target: str | None = None
    outcome: Outcome | None = None
    status: int | None = None

    def data(self) -> dict[str, Any]:
        """Give it for programs, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def line(self) -> str:
        """Write it for people."""
        return plain(f"{time_of_day(self.at)}  {self.call}  {self._words()}")

    def _words(self) -> str:
        if self.event == "outcome":
            status = f" ({self.status})" if self.status else ""
            return f"transfer to {self.target}: {self.outcome}{status}"
        if self.event == "ended":
            return "ended"
        target = f" (to {self.target})" if self.target else ""
        meaning = f": {MEANINGS[self.state]}" if self.state else ""
        return f"{self.was} -> {self.state}{target}{meaning}" if self.was else f"{self.state}{target}{meaning}"


class Watcher:
    """Tells what has changed between two looks at all calls; states shorter than that are not seen, outcomes are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._states: dict[str, State] = {}
        newest = store.finished(1)
        self._position = newest[0].position if newest else "0-0"

    def look(self, now: float) -> list[Change]:
        """Read all calls and say what is different; the first time that is each call."""
        # Outcomes are read last and told first: a call is then never seen to have ended before its transfer has.
        calls = [call for call in self._store.calls() if isinstance(call, Call)]
        logged = self._store.finished(LOGGED_AT_ONCE, after=self._position)
        if logged:
            self._position = logged[0].position
        outcomes = [self._outcome(now, row.call_id, row.transfer) for row in reversed(logged)]
        states = {call.id: call.state for call in calls}
        changed = [self._state(now, call) for call in calls if self._states.get(call.id) is not call.state]
        ended = [Change(now, call_id, "ended") for call_id in self._states if call_id not in states]
        self._states = states
        return [*outcomes, *changed, *ended]

    def _state(self, now: float, call: Call) -> Change:
        target = call.transfer.target if call.transfer else None
        return Change(now, call.id, "state", call.state, self._states.get(call.id), target)

    def _outcome(self, now: float, call_id: str, transfer: Transfer) -> Change:
        target, outcome, status = transfer.target, transfer.outcome, transfer.status
        return Change(transfer.ended_at or now, call_id, "outcome", target=target, outcome=outcome, status=status)
