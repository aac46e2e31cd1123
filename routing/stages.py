"""The stages of a transfer that is under way: what webhooks can tell of it before it has finished."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from routing.records import Call
    from routing.transfer_record import Transfer


class Stage(StrEnum):
    """What a transfer can have come to, in this order."""

    REQUESTED = "requested"
    RINGING = "ringing"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage that a transfer has reached, and the transfer as it was then."""

    stage: Stage
    transfer: Transfer

    @property
    def at(self) -> float:
        """When that was."""
        transfer = self.transfer
        times = {Stage.RINGING: transfer.ringing_at, Stage.ANSWERED: transfer.answered_at}
        return times.get(self.stage) or transfer.requested_at


_HIDDEN = dict.fromkeys(("fallback", "referral", "subscription", "outcome", "status", "reason", "ended_at"))
"""What is ours alone, or not known yet."""


def reached(before: Call, after: Call, finished: Iterable[Transfer] = ()) -> Iterator[Reached]:
    """Give the stages that transfers have reached between two records of a call, the earliest first.

    `finished` are those that ended meanwhile, which `after` no longer has. An endpoint that rings, or answers, after
    another one did so in vain is news as well.
    """
    known = before.transfer
    for transfer in (*finished, *([after.transfer] if after.transfer else ())):
        told = transfer.model_copy(update=_HIDDEN | {"origin": before.origin})
        if known is None or known.id != transfer.id:
            known = None
            yield Reached(Stage.REQUESTED, told)
        if transfer.ringing_at not in {None, known and known.ringing_at}:
            yield Reached(Stage.RINGING, told)
        if transfer.answered_at not in {None, known and known.answered_at}:
            yield Reached(Stage.ANSWERED, told)
