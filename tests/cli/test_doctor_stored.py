"""`handoff doctor`: Redis, and what is in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cli.diagnosis.stored import check_stored
from cli.ports import free_port
from routing.store import Store, open_store
from tests.cli.findings import only, settings, statuses
from tests.routing.store_help import RedisServer
from tests.stack.tls_peer import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.operator import Operator


def server_store(server: RedisServer) -> Store:
    return open_store(server.url, deadline=5.0)


def test_redis_that_is_set_up_well_is_ok(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--appendonly", "yes") as server:
        given = settings(redis={"url": server.url})
        with server_store(server) as store:
            store.beat("node1", {"at": time.time(), "pid": 1, "rtpengine": {"media1": True}})
            store.put_target("support", b'{"name": "support", "endpoints": ["sip:a@127.0.0.1"]}')
        found = check_stored(given)
    expected = ("redis", "redis server", "clock", "node node1", "targets", "file descriptors")
    assert tuple(statuses(found)) == expected
    assert {part: status for part, status in statuses(found).items() if part != "file descriptors"} == dict.fromkeys(
        expected[:-1], "ok"
    )


def test_redis_that_may_forget_calls_is_told_with_the_mend(redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    given = settings(redis={"url": redis.url})
    found = check_stored(given)
    assert only(found, "redis persistence").mend == "set `appendonly yes` in redis.conf"
    assert only(found, "redis memory").status == "warning"
    redis.ask("CONFIG", "SET", "maxmemory", "100mb")
    assert only(check_stored(given), "redis memory").status == "failed"


def test_redis_that_hides_how_it_is_set_up_is_a_warning(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "default", "-info")
    given = settings(redis={"url": redis.url})
    assert only(check_stored(given), "redis server").status == "warning"


def test_a_replica_is_failed(redis: RedisServer) -> None:
    redis.ask("REPLICAOF", "127.0.0.1", str(free_port("tcp")))
    given = settings(redis={"url": redis.url})
    assert "it is a replica" in only(check_stored(given), "redis server").what


@pytest.mark.parametrize("way", ["stopped", "frozen"])
def test_redis_away_is_failed_in_time(redis: RedisServer, way: str) -> None:
    given = settings(redis={"url": redis.url})
    redis.stop() if way == "stopped" else redis.freeze()
    began = time.monotonic()
    found = check_stored(given)
    assert time.monotonic() - began < 5.0
    assert only(found, "redis").status == "failed"
    assert redis.path in only(found, "redis").mend


def test_a_node_without_a_sign_of_life_is_failed_and_one_in_trouble_is_a_warning(redis: RedisServer) -> None:
    given = settings(redis={"url": redis.url})
    with server_store(redis) as store:
        store.beat("node2", {"at": time.time() - 8.0, "rtpengine": {"media1": True, "media2": False}})
        store.beat("node3", {"at": time.time() + 60.0})
        store.beat("node4", {"at": "soon"})
    found = check_stored(given)
    assert only(found, "node node1").status == "failed"
    assert only(found, "node node4").status == "failed"
    texts = [finding.what for finding in found if finding.part == "node node2"]
    assert texts == ["its last sign of life is 8.0 s old", "it gets no answer from rtpengine media2"]
    assert any("clock of node node3 is 60.0 s ahead" in finding.what for finding in found)


def test_a_target_that_cannot_be_read_is_failed(redis: RedisServer) -> None:
    given = settings(redis={"url": redis.url})
    with server_store(redis) as store:
        store.put_target("broken", b"{}")
    targets = only(check_stored(given), "targets")
    assert (targets.status, targets.mend) == ("failed", "handoff targets remove broken, and add it")


def test_a_ca_file_of_a_target_that_cannot_be_used_is_told_when_it_is_given_and_later(operator: Operator) -> None:
    """A node may have it all the same, so it is a warning."""
    (operator.folder / "junk.pem").write_text("junk")
    said = operator.types("targets", "add", "support", "sips:a@b.test", "--ca-file", "junk.pem")
    assert (said.exit_code, said.stdout) == (0, "target support added\n")
    assert f"Warning: {operator.folder}/junk.pem cannot be used here" in said.stderr
    given = settings(redis={"url": operator.url})
    found = only(check_stored(given), "certificates")
    assert (found.status, found.mend) == ("warning", "put a file of certificates as PEM there on each node")
    assert f"target support: {operator.folder}/junk.pem" in found.what
    Authority(operator.folder)
    assert operator.types("targets", "set", "support", "--ca-file", "ca.pem").stderr == ""
    assert "certificates" not in statuses(check_stored(given))
