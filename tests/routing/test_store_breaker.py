"""What happens when Redis stops, freezes, restarts or talks nonsense: nobody waits long, and it mends itself."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from routing.store import RedisStore, StoreUnavailable
from routing.store.breaker import Breaker
from routing.store.server import Server
from tests.routing.store_help import RedisServer, a_call, a_transfer, ids, ringing, until_it_works

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ID = "00000000000000aa"
DEADLINE = 0.1


class Shop:
    """Opens stores, and closes them at the end of the test."""

    def __init__(self) -> None:
        self.closing = contextlib.ExitStack()

    def __call__(self, where: RedisServer | str, **options: Any) -> RedisStore:
        url = where.url if isinstance(where, RedisServer) else where
        return self.closing.enter_context(RedisStore(url, **options))


@pytest.fixture
def shop() -> Iterator[Shop]:
    opened = Shop()
    with opened.closing:
        yield opened


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


def every_operation(store: RedisStore) -> dict[str, Callable[[], object]]:
    return {
        "create": lambda: store.create(a_call()),
        "lease": lambda: store.lease(ID),
        "forget plain": lambda: store.lease(ID, forget_if_plain=True),
        "save": lambda: store.write("token", "node1", a_call(), keep=False, news=(a_transfer("t"),)),
        "forget": lambda: store.erase("token", "node1", ID, ()),
        "release": lambda: store.unlock("token", ID),
        "peek": lambda: store.peek(ID),
        "calls": lambda: list(store.calls()),
        "due": lambda: store.due(1.0, "node1"),
        "tick": lambda: store.tick(1.0, "node1"),
        "send_command": lambda: store.send_command("node1", {}),
        "take_commands": lambda: store.take_commands("node1"),
        "answer_command": lambda: store.answer_command("c1", {}),
        "finished": store.finished,
        "targets": store.targets,
        "target": lambda: store.target("support"),
        "put_target": lambda: store.put_target("support", b"{}"),
        "remove_target": lambda: store.remove_target("support"),
        "claim_target_probes": lambda: store.claim_target_probes({"support": 10.0}),
        "keep_target_probe": lambda: store.keep_target_probe("support", b"{}"),
        "target_probes": store.target_probes,
        "drop_target_probes": lambda: store.drop_target_probes(["support"]),
        "trunk": lambda: store.trunk("carrier"),
        "trunks": store.trunks,
        "learn_trunk": lambda: store.learn_trunk("carrier", b"{}"),
        "forget_trunk": lambda: store.forget_trunk("carrier"),
        "beat": lambda: store.beat("node1", {}),
        "nodes": store.nodes,
        "ping": store.ping,
    }


def seconds_to_fail(operation: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        operation()
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["stop", "freeze"])
@pytest.mark.parametrize("connected", [True, False])
def test_every_request_fails_in_time_when_redis_is(shop: Shop, server: RedisServer, how: str, connected: bool) -> None:
    store = shop(server, deadline=DEADLINE, rest=0.0)
    if connected:
        store.ping()
    getattr(server, how)()
    late = [name for name, operation in every_operation(store).items() if seconds_to_fail(operation) >= DEADLINE]
    # A busy machine may leave us waiting for the processor; what is late by our own doing is late again.
    assert [name for name in late if seconds_to_fail(every_operation(store)[name]) >= DEADLINE] == []


@pytest.mark.parametrize(("how", "back"), [("stop", "start"), ("freeze", "thaw")])
def test_after_a_failure_the_store_fails_at_once_and_works_when_redis_is_back(
    shop: Shop, server: RedisServer, how: str, back: str
) -> None:
    seen: list[tuple[str, str]] = []
    store = shop(server, rest=0.3, observer=lambda name, _, outcome: seen.append((name, outcome)))
    store.create(a_call())
    getattr(server, how)()
    assert seconds_to_fail(store.ping) < DEADLINE
    assert sum(seconds_to_fail(operation) for operation in every_operation(store).values()) < 0.05
    assert seen[:3] == [("create", "ok"), ("ping", "unavailable"), ("create", "skipped")]
    getattr(server, back)()
    until_it_works(store.ping)
    assert store.peek(ID) == a_call()


def test_records_and_deadlines_outlive_a_restart_and_the_same_client_goes_on(shop: Shop, server: RedisServer) -> None:
    store = shop(server)
    store.create(a_call())
    with store.lease(ID) as lease:
        lease.save(ringing(lease.call), finished=(a_transfer("t1"),))
    server.stop()
    server.start()
    until_it_works(lambda: server.ask("PING"))
    assert ids(store.due(1030.0, "node1")) == [ID], "the first request after the restart must not fail"
    with store.lease(ID) as lease:
        assert lease.call == ringing(a_call())
        lease.save(a_call())
    assert [row.transfer.id for row in store.finished()] == ["t1"]


def test_a_lease_that_redis_could_not_take_back_ends_by_itself(shop: Shop, server: RedisServer) -> None:
    store = shop(server, lease_ttl=0.3, rest=0.0)
    store.create(a_call())
    with store.lease(ID) as lease:
        server.freeze()
        with pytest.raises(StoreUnavailable):
            lease.save(lease.call)
    server.thaw()
    until_it_works(lambda: store.lease(ID))


def test_an_error_reply_is_told_and_does_not_rest(shop: Shop, server: RedisServer) -> None:
    seen: list[str] = []
    store = shop(server, observer=lambda _, __, outcome: seen.append(outcome))
    server.ask("SET", "handoff:targets", "no hash")
    with pytest.raises(StoreUnavailable, match=r"redis\.sock.*WRONGTYPE.*redis\.url"):
        store.targets()
    store.ping()
    assert seen == ["refused", "ok"]


def test_an_unavailable_redis_is_named_with_the_reason(shop: Shop, tmp_path: Path) -> None:
    store = shop(f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(StoreUnavailable, match=r"nothing\.sock.*No such file") as caught:
        store.ping()
    assert caught.value.where.endswith("nothing.sock")
    with pytest.raises(StoreUnavailable, match=r"No such file.*not tried again yet") as caught:
        store.ping()
    assert "not tried again" in caught.value.why


def test_a_host_name_that_cannot_be_is_unavailable(shop: Shop) -> None:
    with pytest.raises(StoreUnavailable, match=r"Redis at redis\.\.example\.com:6379 .*label empty"):
        shop("redis://redis..example.com").ping()


def test_a_login_without_an_answer_ends_in_time(shop: Shop, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "s3cret") as server:
        store = shop(f"unix://:s3cret@{server.path}?db=1", rest=0.0)
        server.freeze()
        assert min(seconds_to_fail(store.ping) for _ in range(3)) < DEADLINE
        server.thaw()
        until_it_works(store.ping)


class TestBreaker:
    def test_it_lets_everything_through_at_first(self) -> None:
        assert not Breaker(1.0).resting(0.0)

    def test_it_rests_after_a_failure_and_then_lets_one_try(self) -> None:
        breaker = Breaker(1.0)
        breaker.fail(10.0, "gone")
        assert breaker.why == "gone"
        assert [breaker.resting(now) for now in (10.0, 10.9, 11.0)] == [True, True, False]
        breaker.fail(11.0, "still gone")
        assert breaker.resting(11.9)

    def test_a_success_ends_the_rest(self) -> None:
        breaker = Breaker(1.0)
        breaker.fail(10.0, "gone")
        breaker.succeed()
        assert not breaker.resting(10.0)


class TestServer:
    """The connection against a peer of which each byte is given."""

    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[socket.socket]:
        path = str(tmp_path / "peer.sock")
        self.server = Server(f"unix://{path}")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            self.server._connection.connect()
            peer, _ = listener.accept()
        with peer, contextlib.closing(self.server):
            yield peer

    def exchange(self, seconds: float = DEADLINE) -> list[object]:
        return self.server.exchange([("PING",), ("PING",)], time.monotonic() + seconds)

    def test_replies_may_come_in_pieces_and_together(self, peer: socket.socket) -> None:
        peer.send(b"+a\r\n$-1\r\n")
        assert self.exchange() == [b"a", None]

    @pytest.mark.parametrize("sent", [b"", b"+a\r\n", b"+a\r\n$9\r\nhalf"])
    def test_half_an_answer_ends_at_the_deadline(self, peer: socket.socket, sent: bytes) -> None:
        peer.send(sent)
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            self.exchange(0.05)
        assert 0.04 < time.monotonic() - began < 50 * DEADLINE, "the socket itself would have waited for ever"

    def test_no_time_left_is_no_answer(self, peer: socket.socket) -> None:
        with pytest.raises(redis.TimeoutError):
            self.exchange(0.0)

    def test_garbage_is_not_understood(self, peer: socket.socket) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n")
        with pytest.raises(redis.RedisError, match="Protocol error"):
            self.exchange()

    def test_a_connection_that_breaks_within_the_answer_is_not_tried_again(self, peer: socket.socket) -> None:
        peer.send(b"+a\r\n")
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(redis.ConnectionError, match="closed by server"):
            self.exchange()

    def test_a_connection_found_closed_is_opened_again(self, peer: socket.socket) -> None:
        peer.close()
        with pytest.raises(redis.ConnectionError, match="refused"):
            self.exchange()

    def test_an_interrupted_request_leaves_no_reply_for_the_next(self, peer: socket.socket) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                self.exchange(5.0)
        finally:
            signal.signal(signal.SIGALRM, before)
        peer.setblocking(False)
        assert peer.recv(100)
        assert peer.recv(100) == b"", "the connection is closed"
