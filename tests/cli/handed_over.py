"""Calls that are being handed over, and what became of that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from routing.records import Call, State
from routing.transfer_record import Attempt, Transfer
from tests.routing.store_help import a_call, a_transfer

if TYPE_CHECKING:
    from routing.outcomes import Outcome

ID, OTHER = "0123456789abcdef", "01ff000000000000"


def under_way(state: State = State.RINGING, **changes: Any) -> Call:
    transfer = a_transfer(f"{ID}-1", outcome=None, **changes)
    return a_call(ID, state=state, transfer=transfer, created_at=time.time())


def done(outcome: Outcome, status: int, reason: str) -> Transfer:
    told = {"status": status, "reason": reason, "leg": 1, "theirs": True}
    attempt = Attempt(uri="sip:bob@example.com", started_at=1010.1, ended_at=1012.0, **told)
    return a_transfer(f"{ID}-1", outcome=outcome, status=status, reason=reason, ended_at=1012.0, attempts=(attempt,))
