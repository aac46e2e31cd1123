"""What is still to be logged of calls that have ended: workers leave it, and the timer process takes it along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from kemi.message import done, text
from routing.heard import Heard

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDED = "ended"
"""Shared memory of this node: how those calls were heard that have ended, until the timer process logs it."""
_ROW = "row"


def leave(call_id: str, found: Heard) -> None:
    """Leave it to the timer process to log how a call was heard: with its next look, which costs no request more."""
    KSR.htable.sht_sets(ENDED, call_id, found.model_dump_json())


def left() -> dict[str, Heard]:
    """Read what was left, by call id."""
    found: dict[str, Heard] = {}
    KSR.htable.sht_iterator_start(_ROW, ENDED)
    while done(KSR.htable.sht_iterator_next(_ROW)):
        found[text(f"$shtitkey({_ROW})")] = Heard.model_validate_json(text(f"$shtitval({_ROW})"))
    KSR.htable.sht_iterator_end(_ROW)
    return found


def forget(call_ids: Iterable[str]) -> None:
    """Forget what has been logged."""
    for call_id in call_ids:
        KSR.htable.sht_rm(ENDED, call_id)
