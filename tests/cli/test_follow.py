"""Following and finding calls, with a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.follow import OutcomeMissing, Watcher, follow_transfer
from cli.lookup import seek_call, seek_ended
from cli.output import Failed
from cli.views import MEANINGS
from routing.outcomes import Outcome
from routing.records import State
from routing.store import MemoryStore
from routing.transfer_record import Hold
from tests.cli.handed_over import ID, OTHER, done, under_way
from tests.routing.store_help import a_call, a_transfer

if TYPE_CHECKING:
    from routing.records import Call


def test_each_state_on_the_way_is_reported_once() -> None:
    store = MemoryStore()
    store.create(under_way(State.CALLING))
    seen: list[State] = []

    def report(call: Call) -> None:
        seen.append(call.state)
        with store.lease(ID) as lease:
            if len(seen) == 1:
                lease.save(under_way(State.RINGING))
            else:
                lease.forget((done(Outcome.BUSY, 486, "Busy Here"),))

    transfer = follow_transfer(store, ID, f"{ID}-1", report)
    assert transfer.outcome is Outcome.BUSY
    assert seen == [State.CALLING, State.RINGING]


@pytest.mark.parametrize("kept", [True, False])
def test_a_transfer_that_has_failed_is_followed_to_its_fallback(kept: bool) -> None:
    store = MemoryStore()
    fallback = a_transfer(f"{ID}-1f", target="sales", outcome=None)
    store.create(under_way(fallback=fallback))
    busy = done(Outcome.BUSY, 486, "Busy Here").model_copy(update={"fallback": fallback})
    connected = fallback.model_copy(update={"outcome": Outcome.CONNECTED})
    seen: list[str] = []

    def report(call: Call) -> None:
        assert call.transfer
        seen.append(call.transfer.target)
        with store.lease(ID) as lease:
            if len(seen) == 1:
                lease.save(call.model_copy(update={"transfer": fallback, "history": (busy,)}), finished=(busy,))
            elif kept:
                lease.save(call.model_copy(update={"transfer": None, "history": (busy, connected)}))
            else:
                lease.forget((connected,))

    assert follow_transfer(store, ID, f"{ID}-1", report) == connected
    assert seen == ["support", "sales"]


def test_a_fallback_that_was_not_tried_is_not_waited_for() -> None:
    store = MemoryStore()
    store.create(under_way())
    fallback = a_transfer(f"{ID}-1f", outcome=None)
    cancelled = done(Outcome.CANCELLED, 487, "Request Terminated").model_copy(update={"fallback": fallback})
    with store.lease(ID) as lease:
        lease.save(lease.call.model_copy(update={"transfer": None, "history": (cancelled,)}))
    assert follow_transfer(store, ID, f"{ID}-1", lambda _: None) == cancelled


def test_a_person_may_be_briefed_for_longer_than_it_may_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.follow.SPARE", -30.0)  # then a plain transfer has no time at all
    monkeypatch.setattr("cli.follow.HEARD", 60.0)
    for hold, waits in ((Hold.AGENT, False), (Hold.MUSIC, True)):
        store = MemoryStore()
        store.create(under_way(State.BRIEFING, hold=hold))
        looks: list[Call] = []

        def report(call: Call, store: MemoryStore = store, looks: list[Call] = looks) -> None:
            looks.append(call)
            with store.lease(ID) as lease:
                lease.forget((done(Outcome.CONNECTED, 200, "OK"),))

        if waits:
            assert follow_transfer(store, ID, f"{ID}-1", report).outcome is Outcome.CONNECTED
        else:
            with pytest.raises(OutcomeMissing):
                follow_transfer(store, ID, f"{ID}-1", report)
        assert looks


def test_every_state_has_a_meaning_in_plain_words() -> None:
    assert set(MEANINGS) == set(State)


def test_a_call_that_vanished_without_an_outcome_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.follow.LATE", 0.3)
    with pytest.raises(OutcomeMissing, match=f"handoff calls show {ID}"):
        follow_transfer(MemoryStore(), ID, f"{ID}-1", lambda _: None)


def test_watching_tells_new_calls_changes_of_state_outcomes_and_ends() -> None:
    store = MemoryStore()
    watcher = Watcher(store)
    store.create(a_call(ID))
    assert [(change.event, change.was, change.state) for change in watcher.look(1.0)] == [("state", None, "talking")]
    assert watcher.look(2.0) == []
    with store.lease(ID) as lease:
        lease.save(under_way())
    line = watcher.look(3.0)[0].line()
    assert line.endswith(f"{ID}  talking -> ringing (to support): it rings at the target")
    with store.lease(ID) as lease:
        lease.forget((done(Outcome.BUSY, 486, "Busy Here"),))
    outcome, ended = watcher.look(4.0)
    assert outcome.data() == {
        "at": 1012.0, "call": ID, "event": "outcome", "target": "support", "outcome": "busy", "status": 486,
    }  # fmt: skip
    assert ended.line().endswith(f"{ID}  ended")
    assert watcher.look(5.0) == []


def test_a_whole_id_is_found_without_reading_all_calls() -> None:
    store = MemoryStore()
    store.create(a_call(ID))
    store.create(a_call(OTHER))
    found = seek_call(store, ID.upper())
    assert found
    assert found.id == ID


def test_a_prefix_of_several_ended_calls_is_refused() -> None:
    store = MemoryStore()
    for call_id in (ID, OTHER):
        store.create(a_call(call_id))
        with store.lease(call_id) as lease:
            lease.forget((a_transfer(f"{call_id}-1"), a_transfer(f"{call_id}-2")))
    with pytest.raises(Failed, match="2 calls begin with 01"):
        seek_ended(store, "01")
    found = seek_ended(store, "012")
    assert found
    assert [transfer.id for transfer in found[1]] == [f"{ID}-1", f"{ID}-2"]
