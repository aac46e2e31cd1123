"""Which entries of the call log an operator wants to see."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from routing.store import Damaged
from routing.texts import BadValue, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from routing.store import Logged
    from routing.transfer_record import Transfer

SKEW = 60.0
"""Seconds by which the clocks of two nodes may differ: by so much the log need not be in the order of its times."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,6})([smhdw])")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def moment(text: str, what: str) -> float:
    """Read a time: so long ago (`2h`), a time of today (`14:05`), or a date with or without one; raises BadValue.

    Gives seconds since the epoch. What names no time zone is local.
    """
    if found := _AGO.fullmatch(text):
        return time.time() - int(found[1]) * _UNITS[found[2]]
    written = f"{time.strftime('%Y-%m-%d')} {text.zfill(5)}" if _TIME_OF_DAY.fullmatch(text) else text
    try:
        return datetime.fromisoformat(written).timestamp()
    except (ValueError, OverflowError):
        mend = "write 30m, 2h or 7d for so long ago, 14:05 for a time of today, or 2026-11-22 or 2026-11-22T14:05"
        raise BadValue(f"{what} is {shown(text)}, which is no time", mend=mend) from None


def when(transfer: Transfer) -> float:
    """Say when a transfer finished, which is what the log goes by."""
    return transfer.requested_at if transfer.ended_at is None else transfer.ended_at


@dataclass(frozen=True, slots=True)
class Choice:
    """What an entry must be like; what is empty or None does not matter."""

    since: float | None = None
    until: float | None = None
    targets: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    caller: str = ""

    def fits(self, transfer: Transfer) -> bool:
        """Tell whether a transfer is wanted."""
        origin = transfer.origin
        caller = f"{origin.caller} {origin.asserted}" if origin else transfer.sender
        return (
            (self.since is None or when(transfer) >= self.since)
            and (self.until is None or when(transfer) < self.until)
            and (not self.targets or transfer.target in self.targets)
            and (not self.outcomes or transfer.outcome in self.outcomes)
            and self.caller.lower() in caller.lower()
        )

    def of(self, entries: Iterable[Logged | Damaged], damaged: list[Damaged]) -> Iterator[Logged]:
        """Choose from entries, newest first, and stop where nothing wanted can follow; notes the `damaged` ones."""
        for entry in entries:
            if isinstance(entry, Damaged):
                damaged.append(entry)
            elif self.since is not None and when(entry.transfer) < self.since - SKEW:
                return
            elif self.fits(entry.transfer):
                yield entry
