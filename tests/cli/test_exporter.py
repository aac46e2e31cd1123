"""`handoff exporter`: what Prometheus reads, whatever state the rest is in."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from cli.exporter import WorkerMetrics, serve
from cli.gauges import StoredGauges
from cli.main import handoff
from cli.ports import free_port
from routing.records import State
from routing.store import MemoryStore, StoreUnavailable
from routing.trunks import Learned, Verdict
from routing.users import Contact
from tests.routing.store_help import RedisServer, a_call, a_transfer, ringing
from tests.routing.test_store_webhooks import a_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.operator import Operator

# What a worker does; kemi/metrics.py by itself needs no Kamailio.
WORKER = """
from kemi.metrics import Metrics
from routing.transfer_record import Transfer
transfer = Transfer(
    id="a-1", target="support", mode="blind", source="refer", endpoints=(),
    sender="<sip:a@b.example>", requested_at=1.0, invited_at=1.001, answered_at=3.0, ended_at=3.002, changeover=0.0015,
    outcome="connected", status=200, reason="OK",
)
metrics = Metrics()
metrics.transfer(transfer)
metrics.invited(transfer, 1.002)
metrics.call("agents")
metrics.request("INVITE")
metrics.reply(200)
metrics.answer(404)
metrics.redis("lease", 0.0002, "ok")
metrics.rtpengine("media1", "offer", 0.001, "ok")
"""
ROOT = Path(__file__).parent.parent.parent
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def run_worker(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", WORKER], env=environ, cwd=ROOT, check=True)


def scrape(port: int, timeout: float = 5.0) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        assert reply.status == 200
        return reply.read().decode()
    finally:
        connection.close()


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((name, tuple(sorted(labels.items()))))


@contextmanager
def served(*collectors: Any) -> Iterator[int]:
    registry, port = CollectorRegistry(), free_port("tcp")
    for collector in collectors:
        registry.register(collector)
    with serve(registry, "127.0.0.1", port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield port
        server.shutdown()
        thread.join()


class Exporter:
    """The command in a process of its own; a context manager, within which it listens."""

    def __init__(self, *options: str) -> None:
        self.port = free_port("tcp")
        self._command = [sys.executable, "-m", "cli.main", "exporter", "--listen", f"127.0.0.1:{self.port}", *options]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.said = self.process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def test_promtool_accepts_names_and_help_texts_of_everything_that_is_served(operator: Operator) -> None:
    run_worker(operator.folder / "metrics")
    with operator.store() as store:
        store.create(a_call("00000000000000aa"))
        store.beat("node1", {"at": time.time(), "rtpengine": {"media1": True}})
    with Exporter() as exporter:
        text = scrape(exporter.port)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {"handoff_transfers", "handoff_redis_seconds", "handoff_calls_active", "handoff_build_info"} <= set(families)
    assert all(family.documentation.endswith(".") for family in families.values())


def test_it_tells_which_agents_of_the_pools_answer_which_nodes(operator: Operator) -> None:
    with operator.store() as store:
        store.beat("node1", {"at": time.time(), "agents": {"sales": {"sip:a@h": True, "sip:b@h": False}}})
        store.beat("node2", {"at": time.time()})
    with Exporter() as exporter:
        text = scrape(exporter.port)
    labels = {"node": "node1", "pool": "sales"}
    assert [sample(text, "handoff_agent_up", **labels, agent=f"sip:{name}@h") for name in "ab"] == [1.0, 0.0]
    assert text.count("handoff_agent_up{") == 2


def test_the_counts_of_all_workers_are_added_up_also_of_those_that_have_ended(operator: Operator) -> None:
    for _ in range(2):
        run_worker(operator.folder / "metrics")
    with Exporter() as exporter:
        text = scrape(exporter.port)
        assert sample(text, "handoff_transfers_total", mode="blind", outcome="connected") == 2.0
        assert sample(text, "handoff_ring_seconds_count") == 2.0
        run_worker(operator.folder / "metrics")
        assert sample(scrape(exporter.port), "handoff_ring_seconds_count") == 3.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_with_0_when_asked_to(operator: Operator, number: signal.Signals) -> None:
    with Exporter() as exporter:
        assert exporter.said == f"metrics at http://127.0.0.1:{exporter.port}/metrics\n"
        exporter.process.send_signal(number)
        assert exporter.process.communicate(timeout=10) == ("", "")
        assert exporter.process.returncode == 0


def test_when_one_part_of_it_fails_it_ends_as_a_whole(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever started it sees that, and starts it anew."""
    error = RuntimeError("unforeseen")

    def fail(*_: object) -> None:
        raise error

    stop = threading.Event()
    monkeypatch.setattr("cli.exporter._stop_asked", lambda: stop)
    monkeypatch.setattr("cli.exporter._send_webhooks", fail)
    result = CliRunner().invoke(handoff, ("exporter", "--listen", f"127.0.0.1:{free_port('tcp')}"))
    left = [thread for thread in threading.enumerate() if thread.name == "probes"]
    stop.set()
    assert result.exception is error
    assert left == []


@pytest.mark.parametrize("way", ["stopped", "frozen"])
def test_while_redis_is_away_it_says_so_in_time_and_serves_the_rest(
    operator: Operator, redis: RedisServer, way: str
) -> None:
    run_worker(operator.folder / "metrics")
    redis.stop() if way == "stopped" else redis.freeze()
    with Exporter() as exporter:
        text = scrape(exporter.port)
        assert sample(text, "handoff_redis_up") == 0.0
        assert sample(text, "handoff_ring_seconds_count") == 1.0
        assert "handoff_calls_active" not in text
        redis.start() if way == "stopped" else redis.thaw()
        until = time.monotonic() + 10
        while sample(text, "handoff_redis_up") != 1.0:
            assert time.monotonic() < until
            time.sleep(0.1)  # metrics are asked for, and tell nothing by themselves
            text = scrape(exporter.port)
    assert sample(text, "handoff_calls_active", state="talking") == 0.0


def test_a_place_that_is_taken_or_wrong_is_told(operator: Operator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        error = operator.fails(1, "exporter", "--listen", place)
    assert error.startswith(f"Error: cannot listen at {place} (Address already in use)")
    assert "is not host:port" in operator.fails(2, "exporter", "--listen", "9464")


def test_calls_are_counted_by_state_and_transfers_by_mode() -> None:
    store = MemoryStore()
    store.create(a_call("00000000000000aa"))
    store.create(a_call("00000000000000ab"))
    store.create(ringing(a_call("00000000000000ac", transfer=a_transfer("1", outcome=None))))
    store.create(a_call("00000000000000ad"))
    store.records["00000000000000ad"] = b"rubbish"
    with served(StoredGauges(store, "node1")) as port:
        text = scrape(port)
    states = {state: sample(text, "handoff_calls_active", state=state) for state in State if state is not State.ENDED}
    assert states == {**dict.fromkeys(states, 0.0), State.TALKING: 2.0, State.RINGING: 1.0}
    assert sample(text, "handoff_transfers_active", mode="blind") == 1.0
    assert sample(text, "handoff_transfers_active", mode="summary") == 0.0
    assert sample(text, "handoff_calls_unreadable") == 1.0


def test_users_trunks_and_webhook_posts_are_counted() -> None:
    store = MemoryStore()
    for number in range(3):
        store.put_user(f"user{number}@handoff.local", b"{}")
    phones = {f"sip:p{number}@h": Contact(uri=f"sip:p{number}@h", expires_at=9e9) for number in range(2)}
    stored = {uri: phone.model_dump_json().encode() for uri, phone in phones.items()}
    store.keep_contacts("user1@handoff.local", "node1", stored, 600)
    store.learn_trunk("carrier", Learned(verdict=Verdict.REFUSES, status=405, at=1.0).model_dump_json().encode())
    store.learn_trunk("strange", b"{}")
    posts = [a_post(f"p{number}") for number in range(3)]
    store.queue_posts(store.webhook_position(), "1-0 0-0", posts)
    store.bury_post(posts[0], 1.0)
    with served(StoredGauges(store, "node1")) as port:
        text = scrape(port)
    names = ("users", "users_registered", "phones_registered", "webhooks_waiting", "webhooks_dead")
    assert [sample(text, f"handoff_{name}") for name in names] == [3.0, 1.0, 2.0, 2.0, 1.0]
    verdicts = {verdict: sample(text, "handoff_trunk_refer", trunk="carrier", verdict=verdict) for verdict in Verdict}
    assert verdicts == {Verdict.WORKS: 0.0, Verdict.REFUSES: 1.0, Verdict.SILENT: 0.0}
    assert "strange" not in text


def test_a_node_that_dies_stays_to_be_seen_as_down() -> None:
    now = [1000.0]
    store = MemoryStore(clock=lambda: now[0])
    with served(StoredGauges(store, "node1", clock=lambda: now[0])) as port:
        assert sample(scrape(port), "handoff_node_up", node="node1") == 0.0
        store.beat("node1", {"rtpengine": {"media1": True, "media2": True}})
        store.beat("node2", {"rtpengine": {"media1": False}})
        now[0] += 5.0
        text = scrape(port)
        assert [sample(text, "handoff_node_up", node=node) for node in ("node1", "node2")] == [1.0, 1.0]
        assert [sample(text, "handoff_rtpengine_up", node=node) for node in ("media1", "media2")] == [0.0, 1.0]
        now[0] += 20.0
        text = scrape(port)
        assert [sample(text, "handoff_node_up", node=node) for node in ("node1", "node2")] == [0.0, 0.0]


def test_scrapes_in_quick_succession_read_the_store_once() -> None:
    class Counting(MemoryStore):
        read = 0

        def nodes(self) -> dict[str, dict[str, Any]]:
            self.read += 1
            return super().nodes()

    now, store = [1000.0], Counting()
    with served(StoredGauges(store, "node1", clock=lambda: now[0])) as port:
        scrape(port)
        scrape(port)
        assert store.read == 1
        now[0] += 1.5
        scrape(port)
        assert store.read == 2


def test_a_store_that_takes_too_long_counts_as_away() -> None:
    now = [1000.0]

    class Slow(MemoryStore):
        def calls(self) -> Iterator[Any]:
            for call in super().calls():
                now[0] += 1.5
                yield call

    store = Slow()
    for number in range(10):
        store.create(a_call(f"{number:016x}"))
    with served(StoredGauges(store, "node1", clock=lambda: now[0])) as port:
        assert sample(scrape(port), "handoff_redis_up") == 0.0
    assert now[0] < 1005.0


def test_a_store_that_fails_is_not_asked_again_at_each_scrape() -> None:
    class Away(MemoryStore):
        asked = 0

        def nodes(self) -> dict[str, dict[str, Any]]:
            self.asked += 1
            raise StoreUnavailable("nowhere", "it is away")

    store = Away()
    with served(StoredGauges(store, "node1")) as port:
        assert [sample(scrape(port), "handoff_redis_up") for _ in range(3)] == [0.0] * 3
    assert store.asked == 1


def test_damaged_and_empty_files_of_workers_are_left_out_and_the_others_served(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    run_worker(folder)
    (folder / "counter_1.db").write_bytes(b"")
    (folder / "histogram_2.db").write_bytes(b"\xff\x00\x00\x00rubbish")
    (folder / "counter_3.db").write_bytes(b"\x20\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00nope" + bytes(16))
    with served(WorkerMetrics(folder)) as port:
        assert sample(scrape(port), "handoff_ring_seconds_count") == 1.0


def test_without_the_folder_of_the_workers_it_serves_the_gauges(tmp_path: Path) -> None:
    with served(WorkerMetrics(tmp_path / "none"), StoredGauges(MemoryStore(), "node1")) as port:
        assert sample(scrape(port), "handoff_redis_up") == 1.0


def test_a_client_that_says_nothing_holds_up_nobody() -> None:
    with (
        served(StoredGauges(MemoryStore(), "node1")) as port,
        socket.create_connection(("127.0.0.1", port)),
        socket.create_connection(("127.0.0.1", port)) as half,
    ):
        half.sendall(b"GET /metr")
        assert sample(scrape(port), "handoff_redis_up") == 1.0
