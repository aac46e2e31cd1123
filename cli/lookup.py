"""Finding the call that is meant, by the beginning of its id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cli.output import Exit, Failed
from routing.records import Call
from routing.store import CallUnknown
from routing.texts import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.store import Store
    from routing.transfer_record import Transfer

ID_LENGTH = 16
LOG_SEARCHED = 10_000
"""How many of the newest finished transfers are searched for a call that has ended."""
NAMED = 5


def find_call(store: Store, prefix: str) -> Call:
    """Find the one active call whose id begins so; raises Failed, and BadRecordError for one that cannot be read."""
    call = seek_call(store, prefix)
    if call is None:
        ended = "or `handoff calls show` if it had a transfer and ended"
        raise Failed(f"there is no active call {prefix}: see `handoff calls list`, {ended}")
    return call


def seek_call(store: Store, prefix: str) -> Call | None:
    """Find the one active call whose id begins so, or None; raises as `find_call`."""
    prefix = check_prefix(prefix)
    if len(prefix) == ID_LENGTH:
        try:
            return store.peek(prefix)
        except CallUnknown:
            return None
    found = {call.id: call for call in store.calls() if isinstance(call, Call) and call.id.startswith(prefix)}
    chosen = choose(prefix, found)
    return found[chosen] if chosen else None


def seek_ended(store: Store, prefix: str) -> tuple[str, list[Transfer]] | None:
    """Find an ended call in the call log: its id and its transfers, oldest first; None when it is not there."""
    prefix = check_prefix(prefix)
    found: dict[str, list[Transfer]] = {}
    for logged in store.finished(LOG_SEARCHED):
        if logged.call_id.startswith(prefix):
            found.setdefault(logged.call_id, []).insert(0, logged.transfer)
    chosen = choose(prefix, found)
    return (chosen, found[chosen]) if chosen else None


def check_prefix(text: str) -> str:
    """Check the beginning of a call id; raises Failed."""
    if not re.fullmatch(r"[0-9a-f]{1,16}", text.lower()):
        mend = "give its 16 hex digits or the first few of them, see `handoff calls list`"
        raise Failed(f"{shown(text)} is no id of a call; {mend}")
    return text.lower()


def choose(prefix: str, ids: Iterable[str]) -> str | None:
    """Choose the one id, or none; raises Failed when there are several."""
    found = sorted(ids)
    if len(found) > 1:
        names = ", ".join(found[:NAMED]) + (", ..." if len(found) > NAMED else "")
        raise Failed(f"{len(found)} calls begin with {prefix}: {names}; give more digits", Exit.USAGE)
    return found[0] if found else None
