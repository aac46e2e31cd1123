"""What every store knows of endpoints: who fails and rests, and who has how many calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from routing.hunting import Failing, Usage, fail_again
from routing.store import RedisStore, Store
from routing.store.layout import FAILING
from routing.transfer_record import Leg
from tests.routing.conftest import PATIENCE
from tests.routing.store_help import a_call, ringing

if TYPE_CHECKING:
    from tests.routing.conftest import Kept
    from tests.routing.store_help import RedisServer

DESK, OTHER = "sip:desk@192.0.2.1", "sip:other@192.0.2.1"
FIRST, SECOND = "00000000000000aa", "00000000000000bb"


def a_leg(call_id: str, **changes: Any) -> Leg:
    values: dict[str, Any] = {
        "number": 1,
        "uri": DESK,
        "call_id": f"{call_id}-1",
        "tag": f"1-{call_id}",
        "sender": "<sip:alice@example.com>",
        "started_at": 1000.0,
        "ring_until": 1030.0,
        "max_calls": 1,
    }
    return Leg(**(values | changes))


def call_desk(store: Store, call_id: str) -> str:
    """Keep a call that calls the desk; gives the Call-ID of its leg."""
    leg = a_leg(call_id)
    store.create(ringing(a_call(call_id)).model_copy(update={"legs": (leg,)}))
    return leg.call_id


def test_an_endpoint_has_so_many_calls_and_no_more_until_one_is_over(store: Store) -> None:
    assert store.usage([DESK]) == {DESK: Usage()}
    first, second = call_desk(store, FIRST), call_desk(store, SECOND)
    assert store.occupy(DESK, first, 1)
    assert store.occupy(DESK, first, 1), "the same leg again"
    assert not store.occupy(DESK, second, 1)
    assert store.occupy(DESK, second, 2)
    assert store.occupy(OTHER, second, 1)
    assert store.usage([DESK, OTHER]) == {DESK: Usage(2), OTHER: Usage(1)}
    store.vacate(DESK, [first], 1005.5)
    assert store.usage([DESK]) == {DESK: Usage(1, 1005.5)}
    assert not store.occupy(DESK, first, 1)


def test_two_legs_of_one_call_are_one_call(store: Store) -> None:
    first, second = call_desk(store, FIRST), call_desk(store, SECOND)
    assert store.occupy(DESK, first, 1)
    assert store.occupy(DESK, f"{FIRST}-2", 1)
    assert not store.occupy(DESK, second, 1)


def test_without_a_limit_calls_are_only_counted(store: Store) -> None:
    for call_id in (FIRST, SECOND):
        assert store.occupy(DESK, call_desk(store, call_id), 0)
    assert store.usage([DESK])[DESK].calls == 2


def test_what_a_dead_node_has_left_does_not_count(store: Store, kept: Kept) -> None:
    """Neither a leg whose call is gone, nor one that its call has no more; one of a broken record does."""
    first, second = call_desk(store, FIRST), call_desk(store, SECOND)
    assert store.occupy(DESK, first, 1)
    kept.lose(FIRST)
    assert store.occupy(DESK, second, 1)
    with store.lease(SECOND) as lease:
        answered = {"legs": (), "leg": a_leg(SECOND)}
        lease.save(lease.call.model_copy(update=answered))
    assert store.usage([DESK])[DESK].calls == 1
    kept.spoil(SECOND, b"nonsense")
    assert store.usage([DESK])[DESK].calls == 1
    kept.lose(SECOND)
    store.create(a_call(SECOND))
    assert store.usage([DESK])[DESK].calls == 0


def test_failures_in_a_row_make_an_endpoint_rest_and_a_reply_forgives_them(store: Store) -> None:
    first = store.fail_endpoint(DESK, "408 Request Timeout", 1000.125, failures=2, rest=30.0)
    assert first == Failing(failures=1, at=1000.125, why="408 Request Timeout")
    assert not first.rests(1000.125)
    second = store.fail_endpoint(DESK, '503 "Out"', 1001.0, failures=2, rest=30.0)
    assert second == Failing(failures=2, at=1001.0, why='503 "Out"', since=1001.0, ends=1031.0)
    assert (second.rests(1030.9), second.rests(1031.0)) == (True, False)
    third = store.fail_endpoint(DESK, "503 Out", 1011.0, failures=2, rest=30.0)
    assert (third.since, third.ends) == (1001.0, 1041.0)
    assert store.failing() == {DESK: third}
    fourth = store.fail_endpoint(DESK, "503 Out", 1050.0, failures=2, rest=30.0)
    assert (fourth.since, fourth.ends) == (1050.0, 1080.0)
    store.forgive_endpoint(DESK)
    assert store.failing() == {}


def test_both_stores_count_failures_alike(kept: Kept) -> None:
    expected = None
    for at in (5.0, 1_700_000_000.25, 1_700_000_040.5, 1_700_000_041.75):
        expected = fail_again(expected, "503 ü", at, failures=2, rest=30.0)
        assert kept.store.fail_endpoint(DESK, "503 ü", at, failures=2, rest=30.0) == expected


def test_what_cannot_be_read_of_a_failing_endpoint_is_left_out(redis_server: RedisServer) -> None:
    with RedisStore(redis_server.url, deadline=PATIENCE) as store:
        redis_server.ask("HSET", FAILING, DESK, "{}")
        assert store.failing() == {}
        store.forgive_endpoint(DESK)


def test_of_all_nodes_one_probes_an_endpoint_at_a_time(store: Store) -> None:
    assert store.claim_probes([DESK], 0.05) == [DESK]
    assert store.claim_probes([DESK, OTHER], 0.05) == [OTHER]
    until = time.monotonic() + 5
    while store.claim_probes([DESK], 0.05) == []:
        assert time.monotonic() < until
