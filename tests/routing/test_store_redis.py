"""What only a real Redis can show: requests counted, keys, processes that compete, logins and TLS."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import subprocess
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from routing.store import RedisStore, StoreUnavailable, open_store
from routing.store.layout import keys
from routing.store.server import Server
from tests.routing.conftest import PATIENCE
from tests.routing.store_help import RedisServer, a_call, a_transfer, ids, ringing, until_it_works

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ID = "00000000000000aa"
TTL = 0.3
ROUNDS = 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    with RedisStore(server.url, deadline=PATIENCE, lease_ttl=TTL) as opened:
        yield opened


class CountingSocket:
    """Counts what is sent: each sending is one round trip."""

    def __init__(self, real: Any) -> None:
        self.sent = 0
        self.sendall = self._sendall
        self._real = real

    def _sendall(self, data: bytes) -> None:
        self.sent += 1
        self._real.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_each_step_of_a_call_is_one_round_trip(store: RedisStore) -> None:
    for call in (a_call("00000000000000bb"), ringing(a_call("00000000000000bc"))):  # so that Redis knows the scripts
        store.create(call)
        with store.lease(call.id) as lease:
            lease.save(call, keep=True)
            lease.forget()
    store.tick(1.0, "node1")
    connection = store._link._server._connection
    counting = connection._sock = CountingSocket(connection._sock)
    took = {}

    def count(step: str, action: Callable[[], Any]) -> Any:
        before = counting.sent
        result = action()
        took[step] = counting.sent - before
        return result

    count("create", lambda: store.create(a_call()))
    lease = count("lease", lambda: store.lease(ID))
    count("save", lambda: lease.save(a_call(), finished=(a_transfer("t1"), a_transfer("t2"))))
    assert count("BYE of a plain call", lambda: store.lease(ID, forget_if_plain=True)).forgotten
    count("tick", lambda: store.tick(1.0, "node1"))
    assert took == {"create": 1, "lease": 1, "save": 1, "BYE of a plain call": 1, "tick": 1}


def test_everything_but_targets_and_the_log_ends_by_itself(server: RedisServer, store: RedisStore) -> None:
    for number in range(40):
        store.create(a_call(f"{number:016x}"))
    lease = store.lease(f"{1:016x}")
    lease.save(ringing(lease.call), keep=True, finished=(a_transfer("t1"),))
    store.lease(f"{2:016x}")
    store.send_command("node1", {})
    store.answer_command("c1", {})
    store.ask_speech("node1", [{}])
    store.beat("node1", {})
    store.put_target("support", b"{}")
    found = server.ask("KEYS", "*")
    assert len(found) == 40 + 2 + 16 + 3 + 2 + 2
    assert {key for key in found if server.ask("TTL", key) < 0} == {b"handoff:log", b"handoff:targets"}


def test_the_keys_of_one_call_share_a_slot_and_the_scripts_run_on_a_cluster(
    tmp_path: Path, free_ports: tuple[int, int]
) -> None:
    ports = ["--port", str(free_ports[0]), "--cluster-port", str(free_ports[1]), "--bind", "127.0.0.1"]
    with (
        RedisServer(tmp_path, *ports, "--cluster-enabled", "yes") as server,
        open_store(server.url, deadline=PATIENCE) as store,
    ):
        for number in range(100):
            assert len({server.ask("CLUSTER", "KEYSLOT", key) for key in keys(f"{number:016x}")}) == 1
        assert len({server.ask("CLUSTER", "KEYSLOT", keys(f"{number:016x}")[2]) for number in range(100)}) == 16
        server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until_it_works(lambda: store.create(a_call()))
        assert ids(store.due(1060.0, "node1")) == [ID]
        with store.lease(ID) as lease:
            lease.save(ringing(lease.call), keep=True, finished=(a_transfer("t1"),))
            lease.forget()
        assert list(store.calls()) == []


def compete(store: RedisStore, rounds: int) -> None:
    for _ in range(rounds):
        with store.lease(ID) as lease:
            lease.save(lease.call.model_copy(update={"legs_made": lease.call.legs_made + 1}))


def hold_for_ever(store: RedisStore, holding: Any) -> None:
    store.lease(ID)
    holding.set()
    signal.pause()


def test_two_processes_that_change_one_call_lose_nothing(store: RedisStore) -> None:
    store.create(a_call())
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=compete, args=(store, ROUNDS)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert store.peek(ID).legs_made == 2 * ROUNDS


def test_the_lease_of_a_killed_holder_is_had_after_its_end(store: RedisStore) -> None:
    store.create(a_call())
    fork = multiprocessing.get_context("fork")
    holding = fork.Event()
    holder = fork.Process(target=hold_for_ever, args=(store, holding))
    holder.start()
    assert holding.wait(5)
    began = time.monotonic()
    holder.kill()
    holder.join(5)
    with store.lease(ID) as lease:
        lease.save(ringing(lease.call))
    assert time.monotonic() - began > TTL / 2
    assert store.peek(ID) == ringing(a_call())


def test_a_command_is_answered_from_another_process(store: RedisStore) -> None:
    fork = multiprocessing.get_context("fork")
    helper = fork.Process(target=store.answer_command, args=("c1", {"ok": True}))
    helper.start()
    assert store.await_answer("c1", 5.0) == {"ok": True}
    helper.join(5)


def test_a_text_to_be_spoken_wakes_the_one_who_waits_for_it(store: RedisStore) -> None:
    fork = multiprocessing.get_context("fork")
    helper = fork.Process(target=store.ask_speech, args=("node1", [{"text": "hello"}]))
    helper.start()
    assert store.take_speech("node1", 5.0) == {"text": "hello"}
    helper.join(5)


def connection_of(store: RedisStore) -> object:
    return store._run("test", ("CLIENT", "ID"))[0]


def test_a_forked_process_makes_its_own_connection_and_leaves_the_old_one_alone(store: RedisStore) -> None:
    fork = multiprocessing.get_context("fork")
    own = connection_of(store)
    told = fork.SimpleQueue()
    child = fork.Process(target=lambda: told.put(connection_of(store)))
    child.start()
    assert told.get() != own
    child.join(5)
    told.close()
    assert connection_of(store) == own
    store._link._server._connection.pid = child.pid
    assert connection_of(store) != own, "the same here, where it is seen which lines are run"


def test_what_is_no_command_and_no_transfer_is_left_out(server: RedisServer, store: RedisStore) -> None:
    server.ask("RPUSH", "handoff:commands:node1", "{", "[]", '{"id": 1}')
    server.ask("RPUSH", "handoff:answer:c1", "no answer")
    server.ask("XADD", "handoff:log", "*", "call", ID, "transfer", "{}")
    assert store.take_commands("node1") == [{"id": 1}]
    assert store.await_answer("c1", 0.01) is None
    assert store.finished() == []


def test_a_request_done_twice_after_a_broken_connection_does_no_harm(store: RedisStore) -> None:
    store.create(a_call())
    assert store.acquire(ID, "token", forget_if_plain=False) == store.acquire(ID, "token", forget_if_plain=False)
    for _ in range(2):
        assert store.write("token", "node1", ringing(a_call()), keep=False, news=())
    assert store.acquire(ID, "token", forget_if_plain=False)
    for _ in range(2):
        assert store.erase("token", "node1", ID, ())


def test_no_more_than_a_hundred_due_calls_of_a_shard_come_at_once(server: RedisServer, store: RedisStore) -> None:
    names = [call_id for call_id in (f"{number:016x}" for number in range(3000)) if keys(call_id)[2] == keys(ID)[2]]
    for call_id in names[:101]:
        store.create(a_call(call_id))
    first = ids(store.due(1060.0, "node1"))
    assert len(first) == 100
    assert set(ids(store.due(1060.0, "node1"))) == set(names[:101]) - set(first)
    assert len(list(store.calls())) == 101


def test_a_deadline_that_is_none_of_ours_is_dropped(server: RedisServer, store: RedisStore) -> None:
    store.create(a_call())
    server.ask("ZADD", keys(ID)[2], "1", "garbage")
    assert ids(store.due(1060.0, "node1")) == [ID]
    assert server.ask("ZSCORE", keys(ID)[2], "garbage") is None


def test_the_database_and_the_password_of_the_url_are_used(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "s3cret") as server:
        with open_store(f"unix://:s3cret@{server.path}?db=3", deadline=PATIENCE) as store:
            store.put_target("support", b"{}")
            assert store._run("test", ("DBSIZE",), ("SELECT", 0), ("DBSIZE",)) == [1, b"OK", 0]
        with open_store(f"unix://:wrong@{server.path}", deadline=PATIENCE) as store:
            with pytest.raises(StoreUnavailable, match="invalid username-password pair") as caught:
                store.ping()
            assert "wrong@" not in caught.value.text


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@localhost",
        "redis://localhost?ssl_ca_certs=x",
        "redis://me:sec/ret@localhost",
        "redis://:secret@localhost?db=secret",
        "rediss://localhost?ssl_cert_reqs=never",
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="no address of a Redis server: write unix:///path") as caught:
        open_store(url)
    assert "sec" not in "".join(traceback.format_exception(caught.value)).partition("ValueError: ")[2]


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://me:secret@redis.example.com", "redis.example.com:6379"),
        ("rediss://h:1/2", "h:1"),
        ("unix:///run/a%20b.sock?db=1", "/run/a b.sock"),
    ],
)
def test_an_address_shows_where_but_not_who(url: str, where: str) -> None:
    assert str(Server(url)) == where


def make_certificate(folder: Path) -> tuple[str, str]:
    key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*make, "-days", "1", *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    return key, certificate


def test_tcp_and_tls_work_and_a_stranger_is_refused(tmp_path: Path, free_ports: tuple[int, int]) -> None:
    port, tls_port = free_ports
    key, certificate = make_certificate(tmp_path)
    tls = ["--tls-port", str(tls_port), "--tls-key-file", key, "--tls-cert-file", certificate]
    options = ["--port", str(port), "--bind", "127.0.0.1", *tls, "--tls-ca-cert-file", certificate]
    files = f"ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={key}"
    with RedisServer(tmp_path, *options) as server:
        for url in (f"redis://127.0.0.1:{port}/1", f"rediss://127.0.0.1:{tls_port}/1?{files}"):
            with open_store(url, deadline=PATIENCE) as store:
                store.create(a_call())
                assert store.peek(ID) == a_call()
                store.lease(ID).forget()
        with (
            open_store(f"rediss://127.0.0.1:{tls_port}", deadline=PATIENCE) as store,
            pytest.raises(StoreUnavailable, match="certificate verify failed"),
        ):
            store.ping()
        with RedisStore(f"rediss://127.0.0.1:{tls_port}/1?{files}", deadline=1.0, rest=0.0) as store:
            store.ping()
            server.freeze()
            for _ in ("with the connection", "without"):
                began = time.monotonic()
                with pytest.raises(StoreUnavailable, match="no answer in time"):
                    store.ping()
                assert time.monotonic() - began < 1.0


@pytest.fixture
def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
