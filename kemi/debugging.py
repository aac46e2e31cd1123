"""The debug lines of single calls: what happened to a call and what is done about it, each in one line.

They are logged for all calls at the log level debug, and at any level for a call that an operator wants to see. Bodies,
texts and what answers a challenge are left out.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import KSR

from kemi.message import plain
from routing.transfer_record import Leg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.actions import Action
    from routing.events import Event
    from routing.records import Call

WATCHED = "debugged"
"""Shared memory of this node: the calls that an operator wants to see."""
LASTS = 1800
"""Seconds for which a call is watched; kamailio.cfg says the same of the table."""
_SECRET = {"sdp", "offer", "answer", "caller_view", "text", "key"}


def watch(call_id: str) -> None:
    """Log the debug lines of a call from now on, for `LASTS` seconds."""
    KSR.htable.sht_sets(WATCHED, call_id, "on")


def unwatch(call_id: str) -> None:
    """Log them no more."""
    KSR.htable.sht_rm(WATCHED, call_id)


def tell_step(before: Call, event: Event, after: Call, actions: Sequence[Action], *, all_calls: bool) -> None:
    """Log what happened to a call and what is done about it, if anybody wants to see that."""
    watched = KSR.htable.sht_get(WATCHED, before.id) is not None
    if not (watched or all_calls):
        return
    log = KSR.info if watched else KSR.dbg
    waits = " ".join(f"{name}={at:.3f}" for name, at in sorted(after.deadlines.items()))
    log(f"call={before.id} debug=event {brief(event)} from={before.state} to={after.state} {waits}\n")
    for action in actions:
        log(f"call={before.id} debug=action {brief(action)}\n")


def brief(happening: Event | Action) -> str:
    """Name an event or action, with what is short in it; bodies and secrets are left out."""
    found = [f"{type(happening).__name__}"]
    for field in fields(happening):
        value = getattr(happening, field.name)
        if isinstance(value, Leg):
            found.append(f"{field.name}={value.number} uri={value.uri}")
        elif isinstance(value, str | int | float) and field.name not in _SECRET:
            found.append(
                f"{field.name}={value!r}" if isinstance(value, str) and " " in value else f"{field.name}={value}"
            )
    return plain(" ".join(found), 500)
