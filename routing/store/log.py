"""The call log: a stream of finished transfers, the oldest dropped beyond a hundred thousand or so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from routing.records import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Logged:
    """A finished transfer in the call log; `position` orders the log and is what `finished(after=)` takes."""

    position: str
    call_id: str
    transfer: Transfer


def to_row(transfer: Transfer) -> bytes:
    """Write a transfer as the log keeps it."""
    return transfer.model_dump_json(exclude_defaults=True).encode()


def read_rows(rows: Iterable[tuple[str, str, bytes]]) -> list[Logged]:
    """Read rows (position, call id, JSON), newest first.

    A transfer that was logged twice (a holder too slow to save had logged it already) is shown once, as it was logged
    last; a row that another version wrote is left out, and people do not see that transfer.
    """
    found: dict[str, Logged] = {}
    for position, call_id, data in rows:
        try:
            transfer = Transfer.model_validate_json(data)
        except ValidationError:
            continue
        found.setdefault(transfer.id, Logged(position, call_id, transfer))
    return list(found.values())
