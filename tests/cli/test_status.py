"""`handoff status`: one screen of what goes on now."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from cli.status_facts import Reader, sum_up
from cli.status_screen import screen
from routing.outcomes import Outcome
from routing.settings import make_settings
from routing.store import open_store
from routing.targets import Target
from routing.users import Contact
from tests.cli.operator import POOL
from tests.routing.store_help import RedisServer, a_call, a_transfer, ringing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from routing.store import Logged, Store
    from tests.cli.operator import Operator

ID = "00000000000000aa"
LEG = f"{ID}-1@node1"
PATIENCE = 30.0


def log(store: Store, name: str, outcome: Outcome, took: float | None = None) -> None:
    store.create(a_call("00000000000000ff"))
    now = time.time()
    begun = now - (took or 0.0)
    with store.lease("00000000000000ff") as lease:
        lease.forget((a_transfer(name, outcome=outcome, requested_at=begun, ended_at=now),))


@pytest.fixture
def busy(operator: Operator) -> Operator:
    """Give an operator of a handoff where a lot goes on."""
    with operator.store() as store:
        for name, uris in {"support": ["sip:1@pbx", "sip:2@pbx"], "sales": ["sip:1@pbx"]}.items():
            store.put_target(name, Target.make({"name": name, "endpoints": uris}).to_json())
        transfer = a_transfer(f"{ID}-1", outcome=None, requested_at=time.time() - 5.0)
        for number in range(2):
            store.create(a_call(f"{number:016x}"))
        store.create(ringing(a_call(ID, transfer=transfer)))
        for number, (outcome, took) in enumerate(
            [(Outcome.CONNECTED, 10.0), (Outcome.CONNECTED, 30.0), (Outcome.BUSY, 1.0), (Outcome.CALLER_HUNG_UP, 1.0)]
        ):
            log(store, f"t{number}", outcome, took)
        media = {"media1": True, "media2": False}
        sales, night = {"sip:a@h": True, "sip:b@h": False}, {"sip:n@h": False}
        store.beat("node1", {"at": time.time(), "rtpengine": media, "agents": {"sales": sales, "night": night}})
        store.beat("node2", {"at": time.time(), "agents": {"sales": dict.fromkeys(sales, True), "odd": "?"}})
        store.beat("node3", {"at": time.time(), "agents": "?"})
        for _ in range(2):
            store.fail_endpoint("sip:2@pbx", "408 Request Timeout", time.time(), failures=2, rest=600.0)
        store.fail_endpoint("sip:guest@elsewhere", "503 Busy", time.time(), failures=2, rest=600.0)
        phone = Contact(uri="sip:p@h", expires_at=9e9).model_dump_json().encode()
        for name in ("alice@handoff.local", "bob@handoff.local"):
            store.put_user(name, b"{}")
        store.keep_contacts("alice@handoff.local", "node1", {"sip:p@h": phone}, 600)
    return operator


def test_it_tells_programs_everything(busy: Operator) -> None:
    data = busy.reads("status")
    assert data["calls"] == {"active": 3, "unreadable": 0, "by_state": {"talking": 2, "ringing": 1}}
    (transfer,) = data["transfers"]
    assert {"call": ID, "target": "support", "mode": "blind", "state": "ringing"}.items() <= transfer.items()
    hour = data["last_hour"]
    assert (hour["transfers"], hour["outcomes"]) == (4, {"connected": 2, "busy": 1, "caller_hung_up": 1})
    assert hour["success_rate"] == pytest.approx(2 / 3)
    assert hour["time_to_human"] == {"p50": pytest.approx(10.0), "p95": pytest.approx(30.0)}
    assert data["nodes"][0]["node"] == "node1"
    assert data["nodes"][0]["rtpengine"] == {"media1": True, "media2": False}
    silent = {pool["pool"]: [one["silent_at"] for one in pool["agents"]] for pool in data["pools"]}
    assert silent == {"night": [["node1"]], "sales": [[], ["node1"]]}
    assert [(pool["pool"], pool["deserted_at"]) for pool in data["pools"]] == [("night", ["node1"]), ("sales", [])]
    assert [one["up"] for one in data["pools"][1]["agents"]] == [True, False]
    healths = {one["uri"]: (one["health"], one["failures"], one["targets"]) for one in data["endpoints"]}
    assert healths == {
        "sip:2@pbx": ("resting", 2, ["support"]),
        "sip:guest@elsewhere": ("failing", 1, []),
        "sip:1@pbx": ("well", 0, ["sales", "support"]),
    }
    assert list(healths) == ["sip:2@pbx", "sip:guest@elsewhere", "sip:1@pbx"]
    assert data["users"] == {"all": 2, "registered": 1}
    assert data["webhooks"] == {"waiting": 0, "given_up": 0}


def test_without_a_terminal_people_get_it_once(busy: Operator) -> None:
    lines = [" ".join(line.split()) for line in busy.types("status").stdout.splitlines()]
    assert "nodes node1 alive (no answer from rtpengine media2), node2 alive, node3 alive" in lines
    assert "pools night: 0 of 1 agents answer OPTIONS; not sip:n@h (at node1)" in lines
    assert "sales: 1 of 2 agents answer OPTIONS; not sip:b@h (at node1)" in lines
    assert "calls 3 calls: 2 talking, 1 ringing" in lines
    assert "last hour 4 transfers, 67 % reached a person: 2 connected, 1 busy, 1 caller_hung_up" in lines
    assert "time to human 10.0 s (median), 30.0 s (95 of 100)" in lines
    assert "users 1 of 2 users registered" in lines
    assert any(line.startswith(f"{ID} support blind ringing 5.") for line in lines)
    assert "sip:2@pbx support 0 resting: 2 failures in a row, 408 Request Timeout" in lines
    assert "sip:1@pbx sales, support 0 well" in lines


def test_where_nothing_goes_on_it_says_so(operator: Operator) -> None:
    text = operator.types("status", "--once").stdout
    for words in (
        "none alive: see `handoff doctor`",
        "no node has told of their agents",
        "0 calls",
        "0 transfers",
        "nobody was reached",
        "no endpoints",
    ):
        assert words in text


def test_while_redis_is_away_it_fails_with_3(operator: Operator, redis: RedisServer) -> None:
    redis.stop()
    assert "Redis" in operator.fails(3, "status")


def test_lists_that_do_not_fit_are_cut_and_say_so(operator: Operator) -> None:
    with operator.store() as store:
        for number in range(40):
            target = Target.make({"name": f"t{number}", "endpoints": [f"sip:{number}@pbx"]})
            store.put_target(target.name, target.to_json())
        facts = Reader(store, make_settings({"pools": [POOL]})).read()
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(screen(facts, 30))
    text = console.export_text()
    assert len(text.splitlines()) <= 30
    assert "and 37 more: see --json" in text


def test_of_the_log_only_what_is_new_is_read_and_what_is_older_than_an_hour_forgotten(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with operator.store() as store:
        reader = Reader(store, make_settings({"pools": [POOL]}))
        log(store, "t1", Outcome.BUSY)
        assert reader.read().hour.outcomes == Counter({Outcome.BUSY: 1})
        log(store, "t2", Outcome.CONNECTED, 1.0)
        asked: list[list[Logged]] = []
        finished = store.finished

        def watched(count: int, *, after: str) -> list[Logged]:
            asked.append(finished(count, after=after))
            return asked[-1]

        monkeypatch.setattr(store, "finished", watched)
        assert reader.read().hour.outcomes == Counter({Outcome.BUSY: 1, Outcome.CONNECTED: 1})
        assert [logged.transfer.id for logged in asked[0]] == ["t2"]
        later = time.time() + 3601.0
        monkeypatch.setattr(time, "time", lambda: later)
        assert reader.read().hour == sum_up([])


@contextmanager
def at_a_terminal(*words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Type the command at a terminal; gives the process and our end."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    command = [sys.executable, "-m", "cli.main", "status", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, words: str) -> None:
    until, text = time.monotonic() + PATIENCE, b""
    while words.encode() not in text:
        assert time.monotonic() < until, text
        if select.select([terminal], [], [], 1.0)[0]:
            text += os.read(terminal, 65536)


def test_at_a_terminal_it_is_renewed_until_ctrl_c(busy: Operator, redis: RedisServer) -> None:
    with at_a_terminal() as (process, terminal):
        read_until(terminal, "3 calls")
        with open_store(busy.url, deadline=5.0) as store:
            store.create(a_call("00000000000000dd"))
        read_until(terminal, "4 calls")
        redis.freeze()
        read_until(terminal, "trying again")
        redis.thaw()
        read_until(terminal, "4 calls")
        process.send_signal(signal.SIGINT)
        read_until(terminal, "\x1b[?1049l")  # the screen is given back
        assert process.wait(PATIENCE) == 0


def test_with_json_and_watch_each_line_is_an_object(busy: Operator, redis: RedisServer) -> None:
    command = [sys.executable, "-m", "cli.main", "status", "--json", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["calls"]["active"] == 3
        assert json.loads(process.stdout.readline())["calls"]["active"] == 3
        redis.stop()
        assert process.stderr.readline().endswith("; trying again\n")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def test_the_time_to_human_counts_only_whom_somebody_reached() -> None:
    took = [a_transfer(str(n), outcome=Outcome.CONNECTED, requested_at=0.0, ended_at=float(n)) for n in range(1, 101)]
    hour = sum_up([*took, a_transfer("x", outcome=Outcome.BUSY, requested_at=0.0, ended_at=900.0)])
    assert (hour.median, hour.slowest) == (50.0, 95.0)
    assert hour.success_rate == pytest.approx(100 / 101)
    nobody = sum_up([a_transfer("x", outcome=Outcome.CANCELLED)])
    assert (nobody.median, nobody.slowest, nobody.success_rate) == (None, None, None)
