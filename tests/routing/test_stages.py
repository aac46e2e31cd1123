"""Stages of transfers: what is told of one between being asked for and having finished."""

from __future__ import annotations

from routing import events as ev
from routing.actions import RecordTransfer
from routing.machine import step
from routing.stages import Stage, reached
from tests.routing.calls import NOW, answered, talking, transfer


class Told:
    """A call, and what is told of it."""

    def __init__(self) -> None:
        self.call = talking()
        self.now = NOW

    def __call__(self, event: ev.Event) -> list[str]:
        self.now += 1
        before = self.call
        self.call, actions = step(before, event, self.now)
        finished = [action.transfer for action in actions if isinstance(action, RecordTransfer)]
        self.told = list(reached(before, self.call, finished))
        return [found.stage for found in self.told]


def test_each_stage_is_told_once_with_its_time_and_whose_call_it_is() -> None:
    tell = Told()
    asked = transfer("sip:a@127.0.0.1", cseq=1)
    assert tell(ev.TransferRequested(asked)) == [Stage.REQUESTED]
    (found,) = tell.told
    assert (found.at, found.transfer.id, found.transfer.subscription) == (asked.requested_at, asked.id, None)
    assert found.transfer.origin == tell.call.origin
    assert tell(ev.LegRang(1)) == [Stage.RINGING]
    assert tell.told[0].at == tell.now
    assert tell(ev.LegRang(1)) == []
    assert tell(answered(1)) == [Stage.ANSWERED]
    assert tell.told[0].at == tell.now
    assert tell(ev.MediaBridged(0.01)) == []


def test_an_endpoint_that_rings_after_another_one_is_told_too() -> None:
    tell = Told()
    tell(ev.TransferRequested(transfer("sip:a@127.0.0.1", "sip:b@127.0.0.1")))
    assert tell(ev.LegRang(1)) == [Stage.RINGING]
    assert tell(ev.LegFailed(1, 486, "Busy Here")) == []
    assert tell(ev.LegRang(2)) == [Stage.RINGING]


def test_a_fallback_is_a_transfer_of_its_own() -> None:
    tell = Told()
    fallback = transfer("sip:b@127.0.0.1").model_copy(update={"id": "other"})
    tell(ev.TransferRequested(transfer("sip:a@127.0.0.1").model_copy(update={"fallback": fallback})))
    assert tell.told[0].transfer.fallback is None
    assert tell(ev.LegFailed(1, 486, "Busy Here")) == [Stage.REQUESTED]
    assert tell.told[0].transfer.id == "other"


def test_a_transfer_that_ends_in_the_same_step_was_requested_and_has_no_outcome_then() -> None:
    before = talking()
    done = transfer("sip:a@127.0.0.1").model_copy(update={"outcome": "busy", "ended_at": NOW})
    (found,) = reached(before, before, [done])
    assert (found.stage, found.transfer.outcome, found.transfer.ended_at) == (Stage.REQUESTED, None, None)
