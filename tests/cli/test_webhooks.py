"""Webhooks: each finished transfer is posted once to each receiver, whatever becomes of receivers and exporters."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cli.ports import free_port
from cli.webhook_posts import delay_after
from cli.webhook_sender import Sender
from routing.outcomes import Outcome
from routing.settings_model import Webhooks
from routing.store import MemoryStore
from tests.cli.receiver import HANG, Receiver, until
from tests.cli.test_exporter import Exporter
from tests.routing.store_help import RedisServer, a_call, a_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from routing.store import Store
    from tests.cli.operator import Operator

ID = "00000000000000aa"
SECRET = "correct horse battery staple"


def configure(operator: Operator, *receivers: Receiver, **settings: Any) -> None:
    """Write settings with these receivers, and mark where the call log is now, as an exporter did before."""
    urls = [receiver.url for receiver in receivers]
    operator.writes_settings(webhooks={"urls": urls, "retry_after": 0.05, "timeout": 5.0, **settings})
    with operator.store() as store:
        store.webhook_position()


def log(operator: Operator, *names: str, **changes: Any) -> None:
    with operator.store() as store:
        store.create(a_call(ID))
        with store.lease(ID) as lease:
            lease.save(lease.call, finished=tuple(a_transfer(name, **changes) for name in names))


def ids(receiver: Receiver, count: int) -> list[str]:
    """Wait for so many requests that were answered well; gives their event ids."""

    def well(received: list[Any]) -> list[Any]:
        return [each for each in received if each.status == 200]

    return [
        each.headers["X-Handoff-Event-Id"] for each in well(receiver.wait_for(lambda all_: len(well(all_)) >= count))
    ]


def nothing_waits(operator: Operator) -> bool:
    with operator.store() as store:
        return store.count_posts().waiting == 0


def test_a_finished_transfer_is_posted_as_json_and_signed(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with Receiver() as receiver:
        configure(operator, receiver, secret=f"file:{tmp_path}/secret")
        with Exporter():
            log(operator, "t1", status=486, reason="Busy Here")
            request = receiver.wait_for(len)[0]
    body = json.loads(request.body)
    assert (body["id"], body["event"], body["call"]) == ("t1", "transfer.failed", ID)
    assert {"target": "support", "outcome": "busy", "status": 486}.items() <= body["transfer"].items()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Handoff-Event"] == "transfer.failed"
    assert request.headers["X-Handoff-Event-Id"] == "t1"
    signed = f"{request.headers['X-Handoff-Timestamp']}.{request.body}"
    expected = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    assert request.headers["X-Handoff-Signature"] == f"sha256={expected}"


def test_without_a_secret_nothing_is_signed(operator: Operator) -> None:
    with Receiver() as receiver:
        configure(operator, receiver)
        with Exporter():
            log(operator, "t1", outcome=Outcome.CONNECTED)
            request = receiver.wait_for(len)[0]
    assert "X-Handoff-Signature" not in request.headers
    assert json.loads(request.body)["event"] == "transfer.connected"


def test_a_secret_that_is_missing_is_told_at_once(operator: Operator) -> None:
    with Receiver() as receiver:
        configure(operator, receiver, secret="env:NO_SUCH_SECRET")
        error = operator.fails(2, "exporter", "--listen", f"127.0.0.1:{free_port('tcp')}")
    assert "webhooks.secret: the environment variable NO_SUCH_SECRET is not set" in error


def test_only_the_events_that_are_wanted_are_posted(operator: Operator) -> None:
    with Receiver() as receiver:
        configure(operator, receiver, events=["failed"])
        with Exporter():
            log(operator, "t1", outcome=Outcome.CONNECTED)
            log(operator, "t2")
            assert ids(receiver, 1) == ["t2"]


@pytest.mark.parametrize("first", [[500], [302], [404, 503], [500] * 5])
def test_what_is_refused_is_posted_again_with_the_same_id(operator: Operator, first: list[int]) -> None:
    with Receiver(*first) as receiver:
        configure(operator, receiver)
        with Exporter():
            log(operator, "t1")
            assert ids(receiver, 1) == ["t1"]
            until(lambda: nothing_waits(operator))
        statuses = [(each.headers["X-Handoff-Event-Id"], each.status) for each in receiver.received]
    assert statuses == [("t1", status) for status in (*first, 200)]


def test_a_receiver_that_hangs_is_left_after_the_timeout_and_holds_up_no_other(operator: Operator) -> None:
    with Receiver(HANG, HANG) as hanging, Receiver() as other:
        configure(operator, hanging, other, timeout=3.0)
        with Exporter() as exporter:
            log(operator, "t1")
            assert ids(other, 1) == ["t1"]
            assert ids(hanging, 1) == ["t1"]
            exporter.process.send_signal(signal.SIGTERM)
            said = exporter.process.communicate(timeout=30)[1]
    assert said.splitlines() == [
        f"webhooks to http://127.0.0.1:{hanging.port}/hooks?... fail: no answer within 3 s",
        f"webhooks to http://127.0.0.1:{hanging.port}/hooks?... succeed again",
    ]


def test_over_tls_the_receiver_must_have_a_certificate_that_the_system_trusts(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "receiver.pem"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=receiver"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run([*new, *files], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "certificate.pem").read_bytes())
    with Receiver(certificate=pem) as receiver:
        configure(operator, receiver, attempts=100)
        with Exporter():
            log(operator, "t1")
            until(lambda: operator.reads("webhooks")["tried"])
        assert "certificate verify failed" in operator.reads("webhooks")["tried"][0]["error"]
        assert receiver.received == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with Exporter():
            assert ids(receiver, 1) == ["t1"]


def test_a_receiver_that_comes_late_gets_everything(operator: Operator) -> None:
    receiver = Receiver()
    configure(operator, receiver, attempts=100)
    with Exporter():
        log(operator, "t1", "t2")
        until(lambda: len(operator.reads("webhooks")["tried"]) == 2)
        tried = operator.reads("webhooks")["tried"]
        assert {post["error"] for post in tried} == {"no answer (Connection refused)"}
        with receiver:
            assert sorted(ids(receiver, 2)) == ["t1", "t2"]


def test_what_is_given_up_is_shown_and_can_be_sent_again(operator: Operator) -> None:
    with Receiver(500, 500, 503) as receiver:
        configure(operator, receiver, attempts=3)
        with Exporter() as exporter:
            log(operator, "t1")
            until(lambda: operator.reads("webhooks")["dead"])
            shown = operator.reads("webhooks")
            dead = shown["dead"][0]
            assert (shown["waiting"], dead["event_id"], dead["attempts"]) == (0, "t1", 3)
            assert dead["error"] == "it answered 503"
            text = operator.types("webhooks").stdout
            assert dead["id"] in text
            assert "hidden" not in text + json.dumps(shown)
            assert "no post 123 was given up" in operator.fails(1, "webhooks", "--retry", "123")
            assert operator.types("webhooks", "--retry", dead["id"]).stdout == "1 post queued again\n"
            assert ids(receiver, 1) == ["t1"]
            assert operator.reads("webhooks", "--retry", "all") == {"queued": []}
            exporter.process.send_signal(signal.SIGTERM)
            said = exporter.process.communicate(timeout=30)[1]
    assert f"event=t1 is given up for http://127.0.0.1:{receiver.port}/hooks?...: it answered 503" in said


def test_what_is_given_up_can_be_dropped(operator: Operator) -> None:
    with Receiver(500, 500) as receiver:
        configure(operator, receiver, attempts=1)
        with Exporter():
            log(operator, "t1", "t2")
            until(lambda: len(operator.reads("webhooks")["dead"]) == 2)
            assert "no post 123 was given up" in operator.fails(1, "webhooks", "--drop", "123")
            assert len(operator.reads("webhooks", "--drop", "all")["dropped"]) == 2
            assert operator.reads("webhooks")["dead"] == []


def test_no_event_is_lost_while_no_exporter_runs(operator: Operator) -> None:
    with Receiver() as receiver:
        configure(operator, receiver)
        with Exporter():
            log(operator, "t1")
            ids(receiver, 1)
            until(lambda: nothing_waits(operator))
        log(operator, "t2", "t3")
        with Exporter():
            assert sorted(ids(receiver, 3)) == ["t1", "t2", "t3"]


def test_what_a_killed_exporter_had_in_hand_is_sent_by_the_next(operator: Operator) -> None:
    with Receiver(500) as receiver:
        configure(operator, receiver, retry_after=2.0)
        with Exporter():
            log(operator, "t1")
            receiver.wait_for(len)
            until(lambda: operator.reads("webhooks")["tried"])
        with Exporter():  # leaving the first one has killed it
            assert ids(receiver, 1) == ["t1"]


def test_two_exporters_send_each_event_once(operator: Operator) -> None:
    names = [f"t{number}" for number in range(60)]
    with Receiver(500, 500) as receiver:
        configure(operator, receiver)
        with Exporter(), Exporter():
            for name in names:
                log(operator, name)
            ids(receiver, len(names))
            until(lambda: nothing_waits(operator))
        sent = Counter(each.headers["X-Handoff-Event-Id"] for each in receiver.received if each.status == 200)
    assert sent == Counter(names)


def test_a_post_for_a_url_that_is_configured_no_more_is_given_up(operator: Operator) -> None:
    with Receiver(*[500] * 50) as receiver, Receiver() as other:
        configure(operator, receiver, attempts=100)
        with Exporter():
            log(operator, "t1")
            until(lambda: operator.reads("webhooks")["tried"])
        configure(operator, other)
        with Exporter():
            until(lambda: operator.reads("webhooks")["dead"])
    assert operator.reads("webhooks")["dead"][0]["error"] == "this URL is not configured any more"


def test_while_redis_is_away_nothing_is_lost(operator: Operator, redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "save", "3600 100000")  # so that it keeps its data while it is stopped
    with Receiver() as receiver:
        configure(operator, receiver)
        with Exporter() as exporter:
            log(operator, "t1")
            ids(receiver, 1)
            until(lambda: nothing_waits(operator))
            redis.stop()
            assert exporter.process.stderr
            assert exporter.process.stderr.readline().startswith("no webhooks are sent: Redis")
            redis.start()
            assert exporter.process.stderr.readline() == "webhooks are sent again\n"
            log(operator, "t2")
            assert ids(receiver, 2) == ["t1", "t2"]


def test_the_pause_doubles_with_each_attempt_up_to_ten_minutes() -> None:
    settings = Webhooks(retry_after=2.0)
    assert [delay_after(attempts, settings) for attempts in (1, 2, 3, 9, 10, 99)] == [2, 4, 8, 512, 600, 600]


@contextmanager
def sending(store: Store, settings: Webhooks) -> Iterator[list[str]]:
    """Run a sender in a thread; gives what it says."""
    said: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(target=Sender(store, settings, None, said.append).run, args=(stop,))
    thread.start()
    yield said
    stop.set()
    thread.join()


def test_with_too_many_posts_waiting_the_log_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(MemoryStore):
        asked = threading.Event()

        def count_posts(self) -> Any:
            self.asked.set()
            return super().count_posts()._replace(waiting=10_001)

    store = Watched()
    position = store.webhook_position()
    store.create(a_call(ID))
    with store.lease(ID) as lease:
        lease.save(lease.call, finished=(a_transfer("t1"),))
    with Receiver() as receiver, sending(store, Webhooks(urls=(receiver.url,))):
        assert Watched.asked.wait(30)
    assert store.webhook_position() == position
    assert receiver.received == []
