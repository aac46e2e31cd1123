"""The timer: when deadlines are met, and what commands do."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kemi.tick import LOOK_EVERY, Timer
from kemi.transfers import Transfers
from routing import actions as do
from routing import events as ev
from routing.heard import Heard
from routing.outcomes import Mode
from routing.records import Deadline, Party, State
from routing.settings import make_settings
from routing.store import StoreUnavailable, Tick
from routing.targets import Target
from routing.transfer_record import Accept, Sound, Transfer
from tests.kemi.calls import CALL_ID, Bench, dialog, leg, transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kemi.context import Context
    from tests.fake_ksr import FakeKsr

PERSON = ["sip:person@127.0.0.1"]
POOL = {"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}
SETTINGS = make_settings({"pools": [POOL], "node": {"id": "node1"}, "policy": {"dial_uris": ["pbx.example.com"]}})
START = 1_000_000.0
STEP = 1 / 64
"""Of the clock, in seconds: about as often as Kamailio calls, and exact in binary."""


@dataclass
class Node:
    """A timer with one call, and a clock that is put forward by hand."""

    ksr: FakeKsr
    bench: Bench = field(default_factory=Bench)
    now: float = START
    reachable: bool = True

    def __post_init__(self) -> None:
        self.store = self.bench.store
        self.ksr.allow("htable.sht_iterator_start", "htable.sht_iterator_end")
        self.ksr.on("htable.sht_iterator_next", returns=-1)
        self.ksr.on("htable.sht_get", returns=None)
        self.store.put_target(
            "support", Target.make({"name": "support", "endpoints": PERSON}).model_dump_json().encode()
        )
        performer = SimpleNamespace(answering=None)
        self.bench.performer.perform = self._perform  # type: ignore[method-assign]
        self.performer = performer
        self.done: list[do.Action] = []
        context = SimpleNamespace(
            settings=SETTINGS,
            store=self.store,
            pool=SimpleNamespace(ping_all=dict),
            outgoing=SimpleNamespace(probe=lambda *_, **__: self.reachable),
            performer=performer,
            engine=self.bench.engine,
            transfers=Transfers(SETTINGS, self.store),
        )
        self.timer = Timer(cast("Context", context))
        self.looks = 0
        tick = self.store.tick

        def counted(*args: Any, **options: Any) -> Tick:
            self.looks += 1
            return tick(*args, **options)

        self.store.tick = counted  # type: ignore[method-assign]

    def _perform(self, action: do.Action, call: object) -> None:
        self.done.append(action)
        if isinstance(action, do.AcceptRequest | do.RefuseRequest):
            self.performer.answering(action, call)

    def run(self, seconds: float) -> None:
        """Let time pass, with a tick at each step."""
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            self.timer.tick()

    def save(self, **changes: Any) -> None:
        """Change the call's record."""
        with self.store.lease(CALL_ID) as lease:
            lease.save(lease.call.model_copy(update=changes))

    def ask(self, kind: str, **given: Any) -> dict[str, Any]:
        """Give a command; gives the answer."""
        self.store.send_command("node1", {"id": "c1", "kind": kind, "call": CALL_ID, **given})
        self.run(LOOK_EVERY)
        answer = self.store.await_answer("c1", 0.01)
        assert answer is not None
        return answer

    def press(self, key: str, tag: str = "leg1") -> None:
        """Tell of a key; nobody gets an answer."""
        self.store.send_command("node1", {"kind": "key", "call": CALL_ID, "tag": tag, "key": key})
        self.run(LOOK_EVERY)

    @property
    def transfer(self) -> Transfer:
        """The transfer under way."""
        wanted = self.store.peek(CALL_ID).transfer
        assert wanted is not None
        return wanted


@pytest.fixture
def node(ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Give a node whose call is talked on."""
    node = Node(ksr)
    clock = SimpleNamespace(time=lambda: node.now)
    for module in ("kemi.tick", "kemi.engine"):
        monkeypatch.setattr(f"{module}.time", clock)
    return node


def met(node: Node, monkeypatch: pytest.MonkeyPatch, *deadlines: float) -> list[float]:
    """Give the call deadlines, one after the other; gives when each was met."""
    left, times = list(deadlines), []

    def handle(call_id: str, find: Any) -> None:
        with node.store.lease(call_id) as lease:
            if find(lease.call) == ev.DeadlinePassed(Deadline.CHECK):
                times.append(node.now)
                following = {Deadline.CHECK: left.pop(0)} if left else {}
                lease.save(lease.call.model_copy(update={"deadlines": following}))

    monkeypatch.setattr(node.bench.engine, "handle", handle)
    node.save(deadlines={Deadline.CHECK: left.pop(0)})
    node.run(max(deadlines) - START + 1)
    return times


def test_each_deadline_is_met_within_one_tick(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it lies to the times at which the store is asked."""
    wanted = [START + 0.5 + number * 0.51 for number in range(20)]
    times = met(node, monkeypatch, *wanted)
    assert len(times) == len(wanted)
    assert all(0 <= at - due <= STEP for at, due in zip(times, wanted, strict=True))


def test_a_deadline_that_is_made_late_is_met_at_the_next_look(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than that late."""
    first, second = met(node, monkeypatch, START + 0.5, START + 0.53)
    assert first <= START + 0.5 + STEP
    assert START + 0.53 <= second <= START + 0.53 + LOOK_EVERY + STEP


def test_the_store_is_asked_ten_times_a_second(node: Node) -> None:
    """A tick between costs no request."""
    node.run(10)
    assert 80 <= node.looks <= 101


def test_a_deadline_that_has_moved_meanwhile_is_not_met_early(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is what counts, not what was found in it a moment ago."""
    node.save(deadlines={Deadline.CHECK: START + 0.5})
    node.run(0.45)
    assert met(node, monkeypatch, START + 0.7) == [pytest.approx(START + 0.7, abs=STEP)]


def test_while_the_store_is_away_nothing_is_done_and_it_is_said_once(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was waiting is named again when it is back."""
    node.save(deadlines={Deadline.CHECK: START + 0.5})
    node.run(0.45)

    def fail(*args: object, **options: object) -> None:
        raise StoreUnavailable("127.0.0.1", "refused")

    with monkeypatch.context() as away:
        away.setattr(node.store, "tick", fail)
        node.run(1)
    assert [level for level, _ in node.ksr.log] == ["err"]
    assert met(node, monkeypatch, START + 0.5)
    assert ("warn", "Redis is back\n") in node.ksr.log


def test_a_command_lays_mode_message_and_summary_over_the_target(node: Node) -> None:
    """As a REFER would."""
    assert node.ask("transfer", target="support", mode="summary", message="A call.", summary="Wants\na refund.")["ok"]
    wanted = node.transfer
    assert (wanted.mode, wanted.summary, wanted.message) == (Mode.SUMMARY, "Wants a refund.", Sound(text="A call."))


def test_a_command_without_settings_takes_the_targets_own(node: Node) -> None:
    """Blind, here."""
    assert node.ask("transfer", target="support", mode=None, summary="") == {
        "ok": True,
        "transfer": f"{CALL_ID}-1",
        "target": "support",
    }
    assert (node.transfer.mode, node.transfer.summary) == (Mode.BLIND, "")


def test_settings_in_the_uri_of_a_command_are_used_unless_it_has_its_own(node: Node) -> None:
    """The command is nearer to the person who gives it."""
    uri = "sip:bob@pbx.example.com;handoff-mode=summary;handoff-summary=uri"
    node.ksr.on("is_myself", returns=False)
    node.ksr.allow("htable.sht_rm", "pvx.xavp_rm", "pv.sets")
    node.ask("transfer", target=uri)
    assert node.transfer.summary == "uri"
    node.ask("cancel")
    node.ask("transfer", target=uri, summary="own")
    assert node.transfer.summary == "own"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mode": "sumary"}, "is not a mode; did you mean summary?"),
        ({"mode": "summary", "summary": "a\0b"}, "control character U+0000"),
        ({"mode": "summary", "summary": "x" * 1001}, "1001 characters; use 1000 at most"),
        ({"mode": "message", "message": "a\r\nb"}, "control character"),
        ({"target": "nobody"}, "there is no target nobody"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_and_how_to_mend_it(
    node: Node, given: dict[str, str], words: str
) -> None:
    """And nothing has happened."""
    answer = node.ask("transfer", **({"target": "support"} | given))
    assert not answer["ok"]
    assert words in answer["text"]
    assert node.store.peek(CALL_ID).state is State.TALKING


def test_a_summary_by_command_is_used(node: Node) -> None:
    """As long as the target has not answered."""
    node.ask("transfer", target="support", mode="summary")
    assert node.ask("summary", text="Wants\r\na refund.") == {"ok": True}
    assert node.transfer.summary == "Wants a refund."


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), (None, "is empty"), ("x" * 1001, "1001 characters")])
def test_a_summary_by_command_is_checked(node: Node, text: str | None, words: str) -> None:
    """Like any other."""
    node.ask("transfer", target="support", mode="summary")
    assert words in node.ask("summary", text=text)["text"]


def test_a_summary_without_a_transfer_is_refused(node: Node) -> None:
    """In words for whoever gave it."""
    assert "No transfer of this call is under way" in node.ask("summary", text="x")["text"]


def asked(node: Node, state: State = State.ACCEPTING) -> None:
    """Bring the call to where its person is asked for the key 1."""
    accept = Accept(key="1", prompt=Sound(text="Press 1"), rounds=2, seconds=8.0)
    wanted = transfer().model_copy(update={"mode": Mode.MESSAGE, "accept": accept, "rounds_left": 1})
    node.save(state=state, transfer=wanted, leg=leg(), target=dialog(Party.CALLER), deadlines={})


@pytest.mark.parametrize("state", [State.BRIEFING, State.ACCEPTING])
def test_the_key_takes_the_call(node: Node, state: State) -> None:
    """Also before the person is asked for it."""
    asked(node, state)
    node.press("1")
    assert node.store.peek(CALL_ID).state is not state
    assert node.ksr.log == []


def test_another_key_is_told_to_the_call(node: Node) -> None:
    """Which asks again."""
    asked(node)
    node.press("5")
    assert node.transfer.rounds_left == 0


def test_keys_that_nobody_waits_for_are_ignored(node: Node) -> None:
    """Of another leg, in another state, of a call that has ended: no answer, no complaint."""
    asked(node)
    node.press("1", "leg2")
    node.press("1", "caller")
    assert node.store.peek(CALL_ID).state is State.ACCEPTING
    node.save(state=State.CONNECTED, transfer=None)
    node.press("1")
    assert node.store.peek(CALL_ID).state is State.CONNECTED
    node.store.lease(CALL_ID).forget()
    node.press("1")
    assert node.ksr.log == []
    assert node.store.await_answer("None", 0.01) is None


def test_the_debug_lines_of_a_call_are_switched_on_and_off(node: Node) -> None:
    """For a call that there is; a command that does not say is one to switch them on."""
    node.ksr.allow("htable.sht_sets", "htable.sht_rm")
    assert node.ask("debug", on=True) == {"ok": True, "seconds": 1800}
    assert node.ask("debug") == {"ok": True, "seconds": 1800}
    assert node.ask("debug", on=False) == {"ok": True, "seconds": 0}
    assert node.ksr.called("htable.sht_sets") == [("debugged", CALL_ID, "on")] * 2
    assert node.ksr.called("htable.sht_rm") == [("debugged", CALL_ID)]
    with node.store.lease(CALL_ID) as lease:
        lease.forget()
    assert node.ask("debug")["ok"] is False


def test_a_phone_is_asked_whether_it_is_there(node: Node) -> None:
    """Its reply is told later, by whoever gets it."""
    assert node.ask("ask", uri="sip:alice@127.0.0.1", hop="") == {"ok": True}
    node.reachable = False
    assert "its connection has closed" in node.ask("ask", uri="sip:alice@127.0.0.1", hop="")["text"]


def test_how_calls_were_heard_is_logged_with_the_next_look(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be logged while Redis is away is kept for a later one."""
    left = [Heard(transfer=f"{CALL_ID}-1", ended_at=START, parties={})]
    looks: Iterator[Heard] = iter(())

    def begin(*_: object) -> int:
        nonlocal looks
        looks = iter(left.copy())
        return 1

    def log(*_: object) -> int:
        left.clear()
        return 1

    node.ksr.on("htable.sht_iterator_start", does=begin)
    node.ksr.on("htable.sht_iterator_next", does=lambda _: -1 if next(looks, None) is None else 1)
    node.ksr.on("htable.sht_rm", "ended", CALL_ID, does=log)
    node.ksr.on("pv.get", "$shtitkey(row)", returns=CALL_ID)
    node.ksr.on("pv.get", "$shtitval(row)", returns=left[0].model_dump_json())

    def fail(*_: object, **__: object) -> Tick:
        raise StoreUnavailable("127.0.0.1", "refused")

    with monkeypatch.context() as away:
        away.setattr(node.store, "tick", fail)
        node.run(LOOK_EVERY)
    assert (node.store.rows, len(left)) == ([], 1)
    node.run(3 * LOOK_EVERY)
    assert [(row.call_id, row.kind) for row in node.store.rows] == [(CALL_ID, "heard")]
    assert left == []
