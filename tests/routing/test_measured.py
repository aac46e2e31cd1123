"""What is measured of a finished transfer: only what it had, and what handoff saw itself."""

from __future__ import annotations

from typing import Any

import pytest

from routing.measured import CHANGEOVER, RING, TO_BRIDGE, answer_to_bridge, measure
from routing.outcomes import Mode, Outcome
from routing.transfer_record import Method
from tests.routing.store_help import a_transfer

TALKED: dict[str, Any] = {
    "outcome": Outcome.CONNECTED,
    "invited_at": 1011.0,
    "answered_at": 1015.0,
    "ended_at": 1015.5,
    "changeover": 0.25,
}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {RING: 4.0, TO_BRIDGE: 0.5, CHANGEOVER: 0.25}),
        ({"mode": Mode.MESSAGE}, {RING: 4.0, CHANGEOVER: 0.25}),
        ({"outcome": Outcome.MEDIA_FAILED, "changeover": None}, {RING: 4.0}),
        ({"method": Method.REFER, "changeover": None}, {RING: 4.0}),
        ({"outcome": Outcome.BUSY, "answered_at": None, "changeover": None}, {}),
        ({"outcome": Outcome.BUSY, "answered_at": None, "changeover": None, "invited_at": None}, {}),
        ({"outcome": Outcome.INTERNAL, "invited_at": None, "changeover": None}, {}),
    ],
)
def test_what_a_transfer_did_not_come_to_is_not_measured(changes: dict[str, Any], found: dict[str, float]) -> None:
    """A bridge that failed, or that the caller's side made, has taken no time of ours."""
    assert measure(a_transfer("t1", **(TALKED | changes))) == found


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    """Nodes have clocks of their own, and one may go on with the call of another."""
    assert answer_to_bridge(a_transfer("t1", **(TALKED | {"ended_at": 1014.0}))) == 0.0


def test_a_transfer_under_way_has_not_been_bridged() -> None:
    assert answer_to_bridge(a_transfer("t1", **(TALKED | {"ended_at": None}))) is None
    assert answer_to_bridge(a_transfer("t1", **(TALKED | {"answered_at": None}))) is None
