"""What is measured of a finished transfer, by the names of the metrics: workers count it, the exporter says of whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routing.transfer_record import Transfer

TRANSFERS = "handoff_transfers"
RING = "handoff_ring_seconds"
TO_BRIDGE = "handoff_answer_to_bridge_seconds"
CHANGEOVER = "handoff_changeover_seconds"


def measure(transfer: Transfer) -> dict[str, float]:
    """Give the seconds that the stages of a transfer took: those that it had, and that handoff saw itself."""
    found = {}
    if transfer.answered_at is not None and transfer.invited_at is not None:
        found[RING] = transfer.answered_at - transfer.invited_at
    bridged = answer_to_bridge(transfer)
    if bridged is not None and not transfer.briefs:
        found[TO_BRIDGE] = bridged
    if transfer.changeover is not None:
        found[CHANGEOVER] = transfer.changeover
    return found


def answer_to_bridge(transfer: Transfer) -> float | None:
    """Give the seconds from a person's answer until it was joined with the caller; None where handoff did not do it."""
    if transfer.changeover is None or transfer.answered_at is None or transfer.ended_at is None:
        return None
    return max(0.0, transfer.ended_at - transfer.answered_at)
