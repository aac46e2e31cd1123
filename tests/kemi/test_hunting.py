"""Endpoints that rest or are full, as a node sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from kemi.hunting import COPY, Hunting, Rests, resting, share
from routing import events as ev
from routing.settings_model import Hunting as Settings
from routing.store import MemoryStore, StoreUnavailable
from rtpengine import FakeRtpengine
from tests.kemi.calls import anchored, leg

if TYPE_CHECKING:
    from kemi.outgoing import Outgoing
    from routing.hunting import Failing
    from tests.fake_ksr import FakeKsr

DESK = "sip:person@127.0.0.1"
SILENT = ev.LegFailed(1, 408, "Request Timeout", answered=False)
NOW = 1_000_000.0


@dataclass
class Node:
    """A node with a store in memory, and its shared memory as a dict."""

    ksr: FakeKsr
    store: MemoryStore = field(default_factory=MemoryStore)
    settings: Settings = field(default_factory=Settings)
    copies: dict[str, str] = field(default_factory=dict)
    probed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ksr.on("htable.sht_get", does=lambda table, key: self.copies.get(key))
        self.ksr.on("htable.sht_sets", does=self._share)
        self.ksr.on("htable.sht_rm", does=lambda table, key: 1 if self.copies.pop(key, "") else -1)
        self.hunting = Hunting(self.settings, self.store)
        self.rests = Rests(self.settings, self.store, cast("Outgoing", self))
        self.call = anchored(FakeRtpengine()).model_copy(update={"legs": (leg(),)})

    def _share(self, table: str, key: str, value: str) -> int:
        assert table == COPY
        self.copies[key] = value
        return 1

    def probe(self, uri: str) -> None:
        """Stand in for what sends OPTIONS."""
        self.probed.append(uri)

    def see(self, event: ev.Event) -> None:
        """Let an event change nothing but what is known of the endpoint."""
        self.hunting.observe(self.call, event, self.call)

    def fail(self, at: float, times: int = 2) -> None:
        """Let the desk have failed by another node."""
        for _ in range(times):
            self.store.fail_endpoint(DESK, "408 Request Timeout", at, failures=2, rest=30.0)

    @property
    def lines(self) -> list[str]:
        """What was logged."""
        return [line for _, line in self.ksr.log]


@pytest.fixture
def node(ksr: FakeKsr) -> Node:
    """Give a node."""
    return Node(ksr)


def away(*_: object, **__: object) -> bool:
    """Stand in for a Redis that is away."""
    raise StoreUnavailable("redis", "it is away")


def test_a_worker_lets_its_node_know_at_once_who_rests_and_a_reply_ends_that(node: Node) -> None:
    node.see(SILENT)
    assert resting([DESK], node.store.failing()[DESK].at) == {}
    node.see(SILENT)
    found = node.store.failing()[DESK]
    assert resting([DESK], found.at) == {DESK: found}
    assert resting([DESK], found.at + 30.0) == {}
    node.see(ev.LegRang(1))
    assert (node.store.failing(), node.copies) == ({}, {})


def test_who_has_not_failed_costs_no_request(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.store, "forgive_endpoint", away)
    node.see(ev.LegRang(1))
    assert node.lines == []


def test_nobody_rests_where_that_is_switched_off(ksr: FakeKsr) -> None:
    node = Node(ksr, settings=Settings(rest=0.0))
    node.see(SILENT)
    node.see(SILENT)
    node.rests.look(NOW)
    assert (node.store.failing(), node.copies) == ({}, {})


def test_a_copy_that_cannot_be_read_is_none(node: Node) -> None:
    node.copies[DESK] = "nonsense"
    assert resting([DESK], NOW) == {}


def test_a_full_endpoint_is_not_called(node: Node) -> None:
    limited = leg().model_copy(update={"max_calls": 1})
    other = limited.model_copy(update={"number": 2, "call_id": f"{'f' * 16}-2"})
    node.store.create(node.call.model_copy(update={"legs": (limited,)}))
    assert node.hunting.admit(leg()) is None
    assert node.hunting.admit(limited) is None
    assert node.hunting.admit(other) == ev.LegFailed(2, 486, "limit of 1 call reached", called=False)
    before, after = (node.call.model_copy(update={"legs": legs}) for legs in ((limited,), ()))
    node.hunting.observe(before, ev.TransferCancelled(), after)
    assert node.hunting.admit(other) is None


def test_without_redis_calls_go_on_uncounted(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.store, "occupy", away)
    monkeypatch.setattr(node.store, "fail_endpoint", away)
    assert node.hunting.admit(leg().model_copy(update={"max_calls": 1})) is None
    node.see(SILENT)
    assert len(node.lines) == 2
    assert all("Redis at redis is not available" in line for line in node.lines)


def test_what_other_nodes_find_is_copied_and_logged_once(node: Node) -> None:
    node.fail(NOW)
    for second in range(3):
        node.rests.look(NOW + second)
    assert resting([DESK], NOW + 3) == node.store.failing()
    assert node.lines == [f"endpoint={DESK} rests after 2 failures in a row: 408 Request Timeout\n"]
    node.store.forgive_endpoint(DESK)
    node.rests.look(NOW + 3)
    node.rests.look(NOW + 4)
    assert node.copies == {}
    assert node.lines[1:] == [f"endpoint={DESK} is back\n"]


def test_a_rest_ends_by_itself_and_old_failures_are_forgotten(node: Node) -> None:
    node.fail(NOW)
    node.rests.look(NOW)
    node.rests.look(NOW + 30)
    assert node.lines[1:] == [f"endpoint={DESK} has rested and is tried again\n"]
    assert DESK in node.copies, "one more failure, and it rests again"
    node.rests.look(NOW + 3601)
    assert node.store.failing() == {}


def test_who_rests_is_probed_every_few_seconds_by_one_node(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    node.store._clock = lambda: clock[0]
    node.fail(NOW)
    beside = Node(node.ksr, node.store)
    for second in range(7):
        clock[0] = float(second)
        node.rests.look(NOW + second)
        beside.rests.look(NOW + second + 0.1)
    assert (node.probed, beside.probed) == ([DESK] * 3, [])


def test_the_store_is_asked_once_a_second(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def failing() -> dict[str, Failing]:
        looks.append(0.0)
        return {}

    monkeypatch.setattr(node.store, "failing", failing)
    for tenth in range(21):
        node.rests.look(NOW + tenth / 10)
    assert len(looks) == 3


@pytest.mark.parametrize(("status", "back"), [(200, True), (404, True), (480, True), (503, False), (100, False)])
def test_a_probe_that_is_answered_ends_the_rest(node: Node, ksr: FakeKsr, status: int, back: bool) -> None:
    node.fail(NOW)
    share(DESK, node.store.failing()[DESK])
    ksr.receive(f"SIP/2.0 {status} Whatever\r\nTo: <{DESK}>;tag=a\r\nCSeq: 1 OPTIONS\r\n\r\n")
    node.hunting.probed()
    assert (node.store.failing() == {}) is back


def test_a_probe_that_is_answered_while_redis_is_away_is_logged(
    node: Node, ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.fail(NOW)
    share(DESK, node.store.failing()[DESK])
    monkeypatch.setattr(node.store, "forgive_endpoint", away)
    ksr.receive(f"SIP/2.0 200 OK\r\nTo: <{DESK}>;tag=a\r\nCSeq: 1 OPTIONS\r\n\r\n")
    node.hunting.probed()
    assert node.lines[0].startswith(f"endpoint={DESK} replies, but is left alone: Redis")
