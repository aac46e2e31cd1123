"""What every store promises of targets that are probed: one claims each, and what was found goes with the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.store import MemoryStore, RedisStore
from routing.store.layout import TARGET_PROBES, target_probe_key
from routing.store.target_probes import KEPT
from tests.routing.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from routing.store import Store
    from tests.routing.store_help import RedisServer

LONG = 600.0


def test_a_target_is_claimed_by_one_at_a_time(store: Store) -> None:
    assert store.claim_target_probes({}) == []
    assert store.claim_target_probes({"support": LONG, "sales": LONG}) == ["support", "sales"]
    assert store.claim_target_probes({"support": LONG, "desk": LONG}) == ["desk"]
    store.drop_target_probes(["support"])
    assert store.claim_target_probes({"support": LONG, "sales": LONG}) == ["support"]


def test_what_was_found_last_is_kept_by_target(store: Store) -> None:
    assert store.target_probes() == {}
    store.keep_target_probe("support", b"1")
    store.keep_target_probe("support", b"2")
    store.keep_target_probe("sales", b"3")
    assert store.target_probes() == {"support": b"2", "sales": b"3"}
    store.drop_target_probes([])
    store.drop_target_probes(["support", "unknown"])
    assert store.target_probes() == {"sales": b"3"}


def test_it_is_forgotten_when_the_target_changes_or_goes(store: Store) -> None:
    changes: dict[str, Callable[[], object]] = {
        "changed": lambda: store.put_target("t", b"{}"),
        "gone": lambda: store.remove_target("t"),
    }
    for name, change in changes.items():
        store.claim_target_probes({"t": LONG})
        store.keep_target_probe("t", b"1")
        change()
        assert store.target_probes() == {}, name
        assert store.claim_target_probes({"t": LONG}) == ["t"], name


def test_a_claim_ends_by_itself_and_so_does_the_rest(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    with RedisStore(redis_server.url, deadline=PATIENCE) as store:
        store.claim_target_probes({"t": 20.0})
        store.keep_target_probe("t", b"1")
    assert 0 < redis_server.ask("PTTL", target_probe_key("t")) <= 20_000
    assert 0 < redis_server.ask("TTL", TARGET_PROBES) <= KEPT


def test_in_memory_a_claim_ends_as_well() -> None:
    now = [1000.0]
    store = MemoryStore(clock=lambda: now[0])
    assert store.claim_target_probes({"t": 20.0}) == ["t"]
    now[0] += 19.0
    assert store.claim_target_probes({"t": 20.0}) == []
    now[0] += 1.0
    assert store.claim_target_probes({"t": 20.0}) == ["t"]
