"""Whether targets may be called now, for those who look at them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.settings import Settings
    from routing.targets import Target

Table = tuple[tuple[str, ...], list[list[str]]]


def opening_data(target: Target, settings: Settings) -> dict[str, Any]:
    """Tell whether a target is open now, and from when on (in UTC; null: never), for programs."""
    now = time.time()
    opens = target.opening(settings.node.time_zone).next_opening(now)
    at = None if opens is None else datetime.fromtimestamp(opens, UTC).isoformat(timespec="seconds")
    return {"open": opens == now, "opens_at": at}


def opening_fields(target: Target, settings: Settings) -> list[tuple[str, str]]:
    """Tell the same to people; nothing of a target that is always open."""
    return [] if target.always_open else [("now", _words(target, settings))]


def with_opening(table: Table, targets: Sequence[Target], settings: Settings) -> Table:
    """Give the list of targets one more column, where one of them is not always open."""
    if all(target.always_open for target in targets):
        return table
    columns, rows = table
    return (*columns, "NOW"), [[*row, _words(target, settings)] for row, target in zip(rows, targets, strict=True)]


def _words(target: Target, settings: Settings) -> str:
    now, hours = time.time(), target.opening(settings.node.time_zone)
    opens = hours.next_opening(now)
    if opens is None:
        return "closed for good"
    return "open" if opens == now else f"closed until {hours.name(opens)}"
