"""A plan has all that a transfer needs: who is called, what everybody hears, and what is done if it fails."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from kemi.message import SipError
from kemi.transfers import Transfers, _in_turn
from routing.hunting import Failing
from routing.outcomes import Mode
from routing.settings import make_settings
from routing.store import MemoryStore
from routing.targets import Target, TargetError
from routing.transfer_record import Accept, Delivery, Hold, Sound, Subscription, Transfer
from routing.values import ReferTo
from rtpengine import FakeRtpengine
from tests.kemi.calls import CALL_ID, anchored

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

POOL = {"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}
SETTINGS = make_settings(
    {
        "pools": [POOL],
        "policy": {"dial_uris": ["pbx.example.com"]},
        "speech": {"deadline": 3, "prompt": "Press {key}."},
    }
)


@dataclass
class Desk:
    """Plans transfers of one call, to targets that are kept in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.transfers = Transfers(SETTINGS, self.store)
        self.call = anchored(FakeRtpengine())

    def keep(self, name: str, **fields: Any) -> None:
        """Keep a target."""
        target = Target.make({"name": name, "endpoints": [f"sip:{name}@127.0.0.1"], **fields})
        self.store.put_target(name, target.model_dump_json().encode())

    def find(self, refer_to: str) -> Target:
        """Find the target that a Refer-To means."""
        return self.transfers.find(ReferTo.parse(refer_to), lambda _: False)

    def plan(self, refer_to: str, summary: str = "", **more: Any) -> Transfer:
        """Plan a transfer to where a Refer-To points."""
        target = self.find(refer_to)
        return self.transfers.plan(self.call, target, "command", requested_at=1000.0, summary=summary, **more)


@pytest.fixture
def desk(ksr: FakeKsr) -> Desk:
    """Plan transfers in the place of Kamailio."""
    del ksr
    return Desk()


def test_in_the_mode_blind_the_person_hears_nothing_but_the_caller(desk: Desk) -> None:
    desk.keep("support", message="A call.", pause_before=5, deliver=["header"])
    transfer = desk.plan("sip:support@handoff;handoff-message=Urgent", summary="It is about money.")
    assert (transfer.mode, transfer.hold) == (Mode.BLIND, Hold.AGENT)
    assert (transfer.message, transfer.summary, transfer.deliver) == (None, "", ())
    assert (transfer.pause_before, transfer.pause_after) == (0.0, 0.0)
    assert (transfer.id, transfer.endpoints[0].uri) == (f"{CALL_ID}-1", "sip:support@127.0.0.1")
    assert not transfer.briefs
    assert not transfer.sounds


def test_in_the_mode_message_the_person_hears_the_message_between_pauses_and_the_caller_music(desk: Desk) -> None:
    desk.keep("support", mode="message", message="A call.", language="en", voice="anna", pause_after=2)
    transfer = desk.plan("sip:support@handoff", summary="unused")
    assert transfer.speech == Sound(text="A call.", language="en", voice="anna")
    assert (transfer.hold, transfer.pause_before, transfer.pause_after) == (Hold.MUSIC, 0.5, 2.0)
    assert (transfer.summary, transfer.deliver, transfer.patience) == ("", (), 3.0)


def test_a_message_with_the_request_goes_over_the_file_of_the_target(desk: Desk) -> None:
    desk.keep("support", mode="message", message_file="/sounds/a.wav")
    assert desk.plan("sip:support@handoff").speech == Sound(file="/sounds/a.wav")
    assert desk.plan("sip:support@handoff;handoff-message=Urgent").speech == Sound(text="Urgent")


def test_without_a_message_of_its_own_the_fixed_one_is_left_to_the_node(desk: Desk) -> None:
    desk.keep("support", mode="message")
    assert desk.plan("sip:support@handoff").speech is None


def test_a_summary_is_spoken_and_delivered_as_the_target_wants_it(desk: Desk) -> None:
    desk.keep("support", message="A call.", language="de", deliver=["speech", "uui"], hold="agent")
    transfer = desk.plan("sip:support@handoff;handoff-mode=summary", summary="Zwei\r\nZeilen")
    assert transfer.speech == Sound(text="Zwei Zeilen", language="de")
    assert (transfer.deliver, transfer.hold) == ((Delivery.SPEECH, Delivery.UUI), Hold.AGENT)
    assert desk.plan("sip:support@handoff;handoff-mode=summary").speech == Sound(text="A call.", language="de")


@pytest.mark.parametrize(("summary", "status"), [("x" * 1001, 413), ("a\x00b", 400)])
def test_a_summary_that_cannot_be_spoken_is_refused(desk: Desk, summary: str, status: int) -> None:
    desk.keep("support", mode="summary")
    with pytest.raises(SipError) as refused:
        desk.plan("sip:support@handoff", summary=summary)
    assert refused.value.status == status


def test_a_setting_that_is_wrong_is_refused_with_its_status(desk: Desk) -> None:
    desk.keep("support", mode="message")
    for settings, status in (("handoff-mode=sumary", 400), (f"handoff-message={'x' * 1001}", 413)):
        with pytest.raises(SipError) as refused:
            desk.find(f"sip:support@handoff;{settings}")
        assert refused.value.status == status


def test_a_key_may_be_asked_for_in_every_mode(desk: Desk) -> None:
    desk.keep("support", accept="1", accept_rounds=3, accept_timeout=4)
    desk.keep("sales", accept="*", accept_prompt="Drück {key}", mode="message", language="de")
    transfer = desk.plan("sip:support@handoff")
    assert transfer.accept == Accept(key="1", prompt=Sound(text="Press 1."), rounds=3, seconds=4.0)
    assert (transfer.rounds_left, transfer.briefs, transfer.mode) == (0, True, Mode.BLIND)
    accept = desk.plan("sip:sales@handoff").accept
    assert accept
    assert accept.prompt == Sound(text="Drück *", language="de")


def test_announcement_and_apology_are_heard_in_every_mode(desk: Desk) -> None:
    desk.keep("support", announce="One moment.", apology_file="/sounds/sorry.wav")
    transfer = desk.plan("sip:support@handoff")
    assert (transfer.announce, transfer.apology) == (Sound(text="One moment."), Sound(file="/sounds/sorry.wav"))


def test_a_uri_that_the_policy_allows_takes_a_mode_as_well(desk: Desk, ksr: FakeKsr) -> None:
    ksr.allow("htable.sht_rm")
    transfer = desk.plan("sip:bob@pbx.example.com;handoff-mode=message;handoff-message=Hello")
    assert (transfer.target, transfer.mode, transfer.speech) == ("bob", Mode.MESSAGE, Sound(text="Hello"))


def test_an_unknown_target_is_404_and_one_that_cannot_be_read_500(desk: Desk, ksr: FakeKsr) -> None:
    desk.store.put_target("broken", b"{}")
    for name, status in (("nobody", 404), ("broken", 500)):
        with pytest.raises(SipError) as refused:
            desk.find(f"sip:{name}@handoff")
        assert refused.value.status == status
    assert "target=broken" in ksr.log[0][1]


# --- fallbacks -------------------------------------------------------------------------------------------------------


def chain(transfer: Transfer) -> list[tuple[str, str]]:
    """Name the targets and ids of a transfer and its fallbacks."""
    rest = chain(transfer.fallback) if transfer.fallback else []
    return [(transfer.target, transfer.id.removeprefix(f"{CALL_ID}-")), *rest]


def test_a_fallback_is_a_whole_transfer_with_its_own_fallback_and_ids(desk: Desk, ksr: FakeKsr) -> None:
    desk.keep("support", fallback="sales", headers={"X-A": "1"})
    desk.keep("sales", fallback="desk", mode="summary")
    desk.keep("desk", mode="message", message="A call.", headers={"X-B": "2"})
    transfer = desk.plan(
        "sip:support@handoff", "Money", subscription=Subscription(cseq=1), headers={"Referred-By": "<sip:a@b>"}
    )
    assert chain(transfer) == [("support", "1"), ("sales", "1f"), ("desk", "1ff")]
    sales = transfer.fallback
    assert sales
    assert sales.fallback
    assert (transfer.summary, sales.summary, sales.fallback.summary) == ("", "Money", "")
    assert (transfer.subscription, sales.subscription) == (Subscription(cseq=1), None)
    assert sales.fallback.headers == {"X-B": "2", "Referred-By": "<sip:a@b>"}
    assert ksr.log == []


def test_what_the_request_asked_for_is_for_the_target_and_not_for_its_fallback(desk: Desk) -> None:
    desk.keep("support", fallback="sales")
    desk.keep("sales", message="A call.")
    transfer = desk.plan("sip:support@handoff;handoff-mode=message;handoff-message=Urgent")
    assert transfer.fallback
    assert (transfer.mode, transfer.fallback.mode) == (Mode.MESSAGE, Mode.BLIND)


@pytest.mark.parametrize(
    ("targets", "names", "why"),
    [
        ({"a": "gone"}, ["a"], "target=a: the fallback gone is left out: there is none of this name"),
        ({"a": "broken"}, ["a"], "target=a: the fallback broken is left out: Target broken cannot be read"),
        ({"a": "b", "b": "a"}, ["a", "b"], "target=a: the fallback a is left out: it is being tried already"),
        ({"a": "b", "b": "c", "c": "b"}, ["a", "b", "c"], "the fallback b is left out: it is being tried already"),
        ({"a": "b", "b": "c", "c": "d", "d": "e", "e": ""}, ["a", "b", "c", "d"], "3 in a row are enough"),
    ],
)
def test_a_fallback_that_cannot_be_is_left_out_and_logged_and_the_transfer_is_made(
    desk: Desk, ksr: FakeKsr, targets: dict[str, str], names: list[str], why: str
) -> None:
    desk.store.put_target("broken", b"{}")
    for name, fallback in targets.items():
        desk.keep(name, fallback=fallback or None)
    assert [target for target, _ in chain(desk.plan("sip:a@handoff"))] == names
    level, line = ksr.log[-1]
    assert level == "warn"
    assert why in line


def test_weights_say_how_often_an_endpoint_comes_first() -> None:
    """Three times as much weight, three times as often, within what chance allows."""
    random.seed(7)
    heavy, light = ({"uri": f"sip:{name}@127.0.0.1", "weight": weight} for name, weight in (("a", 75), ("b", 25)))
    target = Target.make({"name": "support", "endpoints": [heavy, light], "strategy": "weighted"})
    first = sum(_in_turn(target)[0].uri == "sip:a@127.0.0.1" for _ in range(2000))
    assert 1400 < first < 1600


DESKS = [{"uri": f"sip:{name}@127.0.0.1"} for name in "abc"]


def uris(transfer: Transfer) -> list[str]:
    """Name who is called, in order."""
    return [place.uri[4] for place in transfer.endpoints]


def test_who_rests_is_not_called_and_the_log_has_why(desk: Desk, ksr: FakeKsr) -> None:
    down = Failing(failures=2, at=990.0, why="408 Request Timeout", since=990.0, ends=1020.0)
    ksr.on("htable.sht_get", returns=None)
    ksr.on("htable.sht_get", "failing", "sip:b@127.0.0.1", returns=down.model_dump_json())
    desk.keep("support", endpoints=DESKS, strategy="all_at_once")
    transfer = desk.plan("sip:support@handoff")
    assert (uris(transfer), transfer.at_once) == (["a", "c"], 2)
    (attempt,) = transfer.attempts
    assert (attempt.uri, attempt.status, attempt.reason) == ("sip:b@127.0.0.1", 503, "rested after 408 Request Timeout")
    assert (attempt.started_at, attempt.ended_at) == (1000.0, 1000.0)


def test_the_only_endpoint_is_called_whether_it_rests_or_not(desk: Desk, ksr: FakeKsr) -> None:
    desk.keep("support")
    assert uris(desk.plan("sip:support@handoff")) == ["s"]
    assert ksr.called("htable.sht_get") == []


def test_who_was_called_last_comes_last_where_the_longest_idle_is_wanted(desk: Desk, ksr: FakeKsr) -> None:
    """Their calls are counted for that, with a limit or without."""
    ksr.on("htable.sht_get", returns=None)
    desk.store.vacate("sip:a@127.0.0.1", ["x-1"], 900.0)
    desk.store.vacate("sip:b@127.0.0.1", ["y-1"], 800.0)
    desk.keep("support", endpoints=[DESKS[0] | {"max_calls": 2}, *DESKS[1:]], strategy="longest_idle")
    transfer = desk.plan("sip:support@handoff")
    assert uris(transfer) == ["c", "b", "a"]
    assert [place.max_calls for place in transfer.endpoints] == [0, 0, 2]


def test_calls_are_counted_only_where_that_is_wanted(desk: Desk, ksr: FakeKsr) -> None:
    ksr.on("htable.sht_get", returns=None)
    desk.keep("support", endpoints=[DESKS[0], DESKS[1] | {"max_calls": 3}])
    assert [place.max_calls for place in desk.plan("sip:support@handoff").endpoints] == [None, 3]


def test_only_so_many_endpoints_may_ring_at_once() -> None:
    uris = [f"sip:{number}@127.0.0.1" for number in range(11)]
    with pytest.raises(TargetError, match="11 endpoints would ring at once; give 10 at most"):
        Target.make({"name": "support", "endpoints": uris, "strategy": "all_at_once"})
