"""How well the parties of a call that was handed over were heard, as the call log keeps it when the call has ended."""

from __future__ import annotations

from routing.dialog import Record
from routing.records import Party


class PartyHeard(Record):
    """What came from one party, in its whole call."""

    codec: str = ""
    packets: int = 0
    mos: float | None = None
    """From 1 to 5, on average, as the RTCP reports of whoever heard it say; None where there were none."""
    jitter: int | None = None
    """Milliseconds, on average."""
    loss: int | None = None
    """Percent of the packets, on average."""
    lost: int | None = None
    """Packets."""
    last_at: int | None = None
    """When the last packet came, to the second; None where that is not known."""
    on_hold: bool = False
    """Whether it has said that it does not send."""


class Heard(Record):
    """How the call of a transfer ended, and what came from caller and person."""

    transfer: str
    """The id of the transfer that connected the two."""
    ended_at: float
    parties: dict[Party, PartyHeard]
