"""What every store promises of the rest: deadlines, commands, the call log, targets and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.records import Deadline
from routing.store import Due, LeaseLost, MemoryStore, Store
from tests.routing.store_help import a_call, a_transfer, ids, ringing

if TYPE_CHECKING:
    from tests.routing.conftest import Kept

ID = "00000000000000aa"


def test_a_call_is_due_when_its_deadline_has_come(store: Store) -> None:
    store.create(a_call())
    assert store.due(1059.9, "node1") == []
    assert ids(store.due(1060.0, "node1")) == [ID]


def test_a_call_of_the_node_can_be_had_a_little_before_its_time_and_tells_when_that_is(store: Store) -> None:
    store.create(a_call(deadlines={Deadline.CHECK: 1060.125}))
    assert store.due(1060.0, "node1", ahead=0.1) == []
    assert store.due(1060.0, "node1", ahead=0.25) == [Due(1060.125, ID)]
    assert store.tick(1060.5, "node1", ahead=0.25).due == []
    assert store.tick(1060.75, "node1", ahead=0.25).due == [Due(1061.0, ID)]


def test_a_call_of_another_node_is_never_had_before_its_time(store: Store) -> None:
    store.create(a_call(node="node2"))
    assert store.due(1061.9, "node1", ahead=0.2) == []


def test_a_due_call_is_named_again_a_second_later_unless_it_is_saved(store: Store) -> None:
    store.create(a_call())
    assert ids(store.due(1060.0, "node1")) == [ID]
    assert store.due(1060.9, "node1") == []
    assert ids(store.due(1061.0, "node1")) == [ID]
    lease = store.lease(ID)
    lease.save(ringing(lease.call))
    assert ids(store.due(1061.1, "node1")) == [ID]
    with store.lease(ID) as lease:
        lease.save(a_call(deadlines={}))
    assert store.due(9e8, "node1") == []


def test_calls_of_a_dead_node_are_taken_over_after_the_grace(store: Store) -> None:
    store.create(a_call())
    assert store.due(1061.9, "node2") == []
    assert ids(store.due(1062.0, "node2")) == [ID]
    with store.lease(ID) as lease:
        lease.save(lease.call.model_copy(update={"node": "node2"}))
    assert store.due(1060.0, "node1") == []
    assert ids(store.due(1060.0, "node2", grace=0.5)) == [ID]


def test_a_deadline_without_a_record_is_dropped(kept: Kept) -> None:
    kept.store.create(a_call())
    kept.lose(ID)
    assert kept.store.due(1060.0, "node1") == []
    kept.spoil(ID, b"Pnode1\n{}")
    assert kept.store.due(1061.0, "node1") == []


def test_a_tick_brings_what_is_due_and_the_commands(store: Store) -> None:
    assert store.tick(1060.0, "node1").commands == []
    store.create(a_call())
    store.send_command("node1", {"id": "c1", "do": "cancel"})
    tick = store.tick(1060.0, "node1")
    assert tick.due == [Due(1060.0, ID)]
    assert tick.commands == [{"id": "c1", "do": "cancel"}]


def test_commands_are_taken_once_in_order_by_their_node(store: Store) -> None:
    assert store.take_commands("node1") == []
    for number in range(3):
        store.send_command("node1", {"number": number})
    assert store.take_commands("node2") == []
    assert store.take_commands("node1", limit=2) == [{"number": 0}, {"number": 1}]
    assert store.take_commands("node1") == [{"number": 2}]


def test_an_answer_is_given_to_whoever_awaits_it(store: Store) -> None:
    assert store.await_answer("c1", 0.01) is None
    store.answer_command("c1", {"ok": True})
    assert store.await_answer("c1", 0.01) == {"ok": True}
    assert store.await_answer("c1", 0) is None


def test_texts_to_be_spoken_are_taken_once_in_order_by_their_node(store: Store) -> None:
    store.ask_speech("node1", [])
    assert store.take_speech("node1", 0) is None
    asked = [{"text": text, "language": "", "voice": "de"} for text in ("Grüße", 'one"two')]
    store.ask_speech("node1", asked)
    assert store.take_speech("node2", 0.01) is None
    assert [store.take_speech("node1", 0.01) for _ in range(3)] == [*asked, None]


def test_of_too_many_texts_to_be_spoken_the_oldest_are_dropped(store: Store) -> None:
    for first in (0, 600):
        store.ask_speech("node1", [{"text": str(number)} for number in range(first, first + 600)])
    assert store.take_speech("node1", 0.01) == {"text": "200"}
    rest = [store.take_speech("node1", 0.01) for _ in range(999)]
    assert rest[-1] == {"text": "1199"}
    assert store.take_speech("node1", 0.01) is None


def test_finished_transfers_are_logged_newest_first(store: Store) -> None:
    store.create(a_call())
    with store.lease(ID) as lease:
        lease.save(lease.call, keep=True, finished=(a_transfer("t1"), a_transfer("t2")))
        lease.forget((a_transfer("t3"),))
    rows = store.finished()
    assert [(row.call_id, row.transfer) for row in rows] == [(ID, a_transfer(name)) for name in ("t3", "t2", "t1")]
    assert [row.transfer.id for row in store.finished(2)] == ["t3", "t2"]
    assert store.finished(after=rows[1].position) == rows[:1]


def test_a_transfer_logged_twice_is_shown_once_as_logged_last(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    second = store.lease(ID)
    with pytest.raises(LeaseLost):
        first.save(first.call, finished=(a_transfer("t1", reason="first"),))
    second.save(second.call, finished=(a_transfer("t1", reason="second"),))
    assert [row.transfer.reason for row in store.finished()] == ["second"]


def test_targets_are_kept_by_name(store: Store) -> None:
    store.put_target("support", b"{}")
    store.put_target("support", b'{"a":1}')
    store.put_target("sales", b"{}")
    assert store.targets() == {"support": b'{"a":1}', "sales": b"{}"}
    assert store.target("support") == b'{"a":1}'
    assert store.target("nobody") is None
    assert store.remove_target("support")
    assert not store.remove_target("support")
    assert list(store.targets()) == ["sales"]


def test_what_was_learned_of_trunks_is_kept_by_name(store: Store) -> None:
    store.learn_trunk("carrier", b"{}")
    store.learn_trunk("carrier", b'{"a":1}')
    assert (store.trunk("carrier"), store.trunk("another")) == (b'{"a":1}', None)
    assert store.trunks() == {"carrier": b'{"a":1}'}
    assert store.forget_trunk("carrier")
    assert not store.forget_trunk("carrier")


def test_nodes_that_beat_are_alive(store: Store) -> None:
    assert store.nodes() == {}
    store.beat("node2", {"workers": 2})
    store.beat("node1", {"workers": 4})
    assert store.nodes() == {"node1": {"workers": 4}, "node2": {"workers": 2}}


def test_sidecars_that_beat_are_alive_whatever_their_nodes_are(store: Store) -> None:
    store.beat_sidecar("node1", {"pid": 7})
    assert (store.sidecars(), store.nodes()) == ({"node1": {"pid": 7}}, {})


def test_ping_tells_how_long_a_request_takes(store: Store) -> None:
    assert 0 <= store.ping() < 0.1


def test_a_beat_in_memory_ends_after_ten_seconds() -> None:
    now = [0.0]
    store = MemoryStore(clock=lambda: now[0])
    store.beat("node1", {})
    now[0] = 10.0
    assert store.nodes() == {}
