"""What every store promises: the same tests for the one in memory and the one in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from routing.records import BadRecordError, Call
from routing.store import CallBusy, CallUnknown, LeaseLost, MemoryStore, RedisStore, Store
from routing.store.layout import RECORD_TTL, keys
from tests.routing.store_help import RedisServer, a_call, a_transfer, ringing

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "00000000000000aa"
TTL = 0.1


class Kept(Protocol):
    """A store under test, and a way to spoil what it keeps."""

    @property
    def store(self) -> Store: ...

    def spoil(self, call_id: str, data: bytes) -> None: ...

    def lose(self, call_id: str) -> None: ...


class KeptInMemory:
    def __init__(self) -> None:
        self.store = MemoryStore(lease_ttl=TTL)

    def spoil(self, call_id: str, data: bytes) -> None:
        self.store.records[call_id] = data

    def lose(self, call_id: str) -> None:
        del self.store.records[call_id]


class KeptInRedis:
    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.store = RedisStore(server.address, lease_ttl=TTL)

    def spoil(self, call_id: str, data: bytes) -> None:
        self.server.ask("SET", keys(call_id)[0], data, "EX", RECORD_TTL)

    def lose(self, call_id: str) -> None:
        self.server.ask("DEL", keys(call_id)[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["memory", "redis"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    if request.param == "memory":
        yield KeptInMemory()
        return
    server = request.getfixturevalue("server")
    server.ask("FLUSHALL")
    in_redis = KeptInRedis(server)
    yield in_redis
    in_redis.store.close()


@pytest.fixture
def store(kept: Kept) -> Iterator[Store]:
    yield kept.store
    kept.store.close()


def test_a_created_call_is_read_back_as_it_was(store: Store) -> None:
    store.create(a_call())
    assert store.peek(ID) == a_call()


def test_a_call_created_twice_stays_as_it_is(store: Store) -> None:
    store.create(a_call())
    store.create(a_call(pool="other"))
    assert store.peek(ID).pool == "sales"


def test_an_unknown_call_is_said_to_be_unknown(store: Store) -> None:
    for ask in (store.peek, store.lease):
        with pytest.raises(CallUnknown) as caught:
            ask(ID)
        assert ID in caught.value.text
        assert caught.value.call_id == ID


def test_a_saved_change_is_seen_and_the_lease_given_up(store: Store) -> None:
    store.create(a_call())
    lease = store.lease(ID)
    assert lease.call == a_call()
    lease.save(ringing(lease.call))
    assert store.peek(ID) == ringing(a_call())
    assert store.lease(ID).call == ringing(a_call())


def test_a_second_lease_waits_until_the_first_one_ends_by_itself(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    second = store.lease(ID)
    with pytest.raises(LeaseLost) as caught:
        first.save(ringing(first.call))
    assert ID in caught.value.text
    second.save(second.call.model_copy(update={"pool": "other"}))
    assert store.peek(ID).pool == "other"


def test_a_lease_that_is_renewed_all_the_time_makes_others_give_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(a_call())
    holder = store.lease(ID)
    real = store.acquire  # type: ignore[attr-defined]

    def renew_and_acquire(*args: object, **options: object) -> object:
        holder.save(holder.call, keep=True)
        return real(*args, **options)

    monkeypatch.setattr(store, "acquire", renew_and_acquire)
    with pytest.raises(CallBusy) as caught:
        store.lease(ID)
    assert ID in caught.value.text


def test_a_kept_lease_can_save_again(store: Store) -> None:
    store.create(a_call())
    lease = store.lease(ID)
    lease.save(ringing(lease.call), keep=True)
    lease.save(lease.call.model_copy(update={"pool": "other"}))
    assert store.peek(ID) == ringing(a_call(pool="other"))


def test_a_lease_that_was_given_up_saves_nothing_more(store: Store) -> None:
    store.create(a_call())
    lease = store.lease(ID)
    lease.release()
    lease.release()
    with pytest.raises(LeaseLost):
        lease.save(ringing(lease.call))
    with pytest.raises(LeaseLost):
        lease.forget()
    assert store.peek(ID) == a_call()


def test_leaving_the_context_releases_what_is_still_held(store: Store) -> None:
    store.create(a_call())
    with pytest.raises(ZeroDivisionError), store.lease(ID):
        raise ZeroDivisionError
    held = store.lease(ID)
    with held:
        held.save(ringing(held.call))
    assert store.lease(ID).call == ringing(a_call())


def test_releasing_a_lease_that_ended_leaves_the_new_holder_alone(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    second = store.lease(ID)
    first.release()
    second.save(ringing(second.call))
    assert store.peek(ID) == ringing(a_call())


def test_a_forgotten_call_leaves_nothing(store: Store) -> None:
    store.create(a_call())
    store.lease(ID).forget()
    with pytest.raises(CallUnknown):
        store.lease(ID)
    assert store.due(9e9, "node1") == []
    assert list(store.calls()) == []


def test_forgetting_without_the_lease_deletes_nothing(store: Store) -> None:
    store.create(a_call())
    first = store.lease(ID)
    store.lease(ID)
    with pytest.raises(LeaseLost):
        first.forget()
    assert store.peek(ID) == a_call()


def test_a_plain_call_is_forgotten_with_the_load(store: Store) -> None:
    store.create(a_call())
    with store.lease(ID, forget_if_plain=True) as lease:
        assert lease.forgotten
        assert lease.call == a_call()
    with pytest.raises(CallUnknown):
        store.peek(ID)
    assert store.due(9e9, "node1") == []


def test_a_call_in_transfer_is_not_forgotten_with_the_load(store: Store) -> None:
    store.create(ringing(a_call()))
    with store.lease(ID, forget_if_plain=True) as lease:
        assert not lease.forgotten
        lease.save(a_call(pool="other"))
    assert store.peek(ID).pool == "other"


@pytest.mark.parametrize("data", [b"", b"{}", b"Pnode1\n{}", b"Xnode1\n{}", b"Tnode1\n\xff\xfe", b"P"])
def test_a_record_that_cannot_be_read_is_named_and_its_lease_given_up(kept: Kept, data: bytes) -> None:
    kept.store.create(a_call())
    kept.spoil(ID, data)
    with pytest.raises(BadRecordError) as caught:
        kept.store.peek(ID)
    assert ID in caught.value.text
    with pytest.raises(BadRecordError, match=ID):
        kept.store.lease(ID)
    kept.spoil(ID, b"Pnode1\n" + a_call().model_dump_json().encode())
    assert kept.store.acquire(ID, "a token", forget_if_plain=False) is not None  # type: ignore[attr-defined]
    kept.spoil(ID, b"Pnonsense")
    kept.store.unlock("a token", ID)  # type: ignore[attr-defined]
    with pytest.raises(BadRecordError, match=ID):
        kept.store.lease(ID, forget_if_plain=True)


def test_all_calls_are_listed_and_the_unreadable_one_is_named(kept: Kept) -> None:
    ids = [f"{number:016x}" for number in range(40)]
    for call_id in ids:
        kept.store.create(a_call(call_id, deadlines={}))
    kept.spoil(ids[7], b"nonsense")
    kept.lose(ids[9])
    found = list(kept.store.calls())
    assert sorted(call.id for call in found if isinstance(call, Call)) == [*ids[:7], ids[8], *ids[10:]]
    assert [ids[7] in call.text for call in found if isinstance(call, BadRecordError)] == [True]


def test_a_call_is_due_when_its_deadline_has_come(store: Store) -> None:
    store.create(a_call())
    assert store.due(1059.9, "node1") == []
    assert store.due(1060.0, "node1") == [ID]


def test_a_due_call_is_named_again_a_second_later_unless_it_is_saved(store: Store) -> None:
    store.create(a_call())
    assert store.due(1060.0, "node1") == [ID]
    assert store.due(1060.9, "node1") == []
    assert store.due(1061.0, "node1") == [ID]
    lease = store.lease(ID)
    lease.save(ringing(lease.call))
    assert store.due(1061.1, "node1") == [ID]
    with store.lease(ID) as lease:
        lease.save(a_call(deadlines={}))
    assert store.due(9e8, "node1") == []


def test_calls_of_a_dead_node_are_taken_over_after_the_grace(store: Store) -> None:
    store.create(a_call())
    assert store.due(1061.9, "node2") == []
    assert store.due(1062.0, "node2") == [ID]
    with store.lease(ID) as lease:
        lease.save(lease.call.model_copy(update={"node": "node2"}))
    assert store.due(1060.0, "node1") == []
    assert store.due(1060.0, "node2", grace=0.5) == [ID]


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
    assert tick.due == [ID]
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


def test_nodes_that_beat_are_alive(store: Store) -> None:
    assert store.nodes() == {}
    store.beat("node2", {"workers": 2})
    store.beat("node1", {"workers": 4})
    assert store.nodes() == {"node1": {"workers": 4}, "node2": {"workers": 2}}


def test_ping_tells_how_long_a_request_takes(store: Store) -> None:
    assert 0 <= store.ping() < 0.1


def test_a_beat_in_memory_ends_after_ten_seconds() -> None:
    now = [0.0]
    store = MemoryStore(clock=lambda: now[0])
    store.beat("node1", {})
    now[0] = 10.0
    assert store.nodes() == {}
