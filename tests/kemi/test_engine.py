"""The engine: what is saved when, and what happens when something goes wrong in the middle."""

from __future__ import annotations

import pytest

from routing import actions as do
from routing import events as ev
from routing.records import Deadline, State
from routing.rule import IllegalEventError
from routing.stages import Stage
from routing.store import CallUnknown
from tests.kemi.calls import CALL_ID, Bench, answered, sdp, transfer


@pytest.fixture
def bench() -> Bench:
    """Give an engine with one call in which caller and agent talk."""
    return Bench()


def test_what_is_to_be_done_is_saved_first(bench: Bench) -> None:
    """When the INVITE is sent, the store knows of it already."""
    seen: list[State] = []
    perform = bench.performer.perform

    def look(action: do.Action, call: object) -> ev.Event | None:
        seen.append(bench.store.peek(CALL_ID).state)
        return perform(action, call)  # type: ignore[arg-type]

    bench.performer.perform = look  # type: ignore[method-assign]
    bench.handle(ev.TransferRequested(transfer()))
    assert seen == [State.CALLING]


def test_an_answer_bridges_and_connects_in_one_go(bench: Bench) -> None:
    """The bridge is done with the lease held, and its result applied at once."""
    call = bench.handle(ev.TransferRequested(transfer()))
    bench.media.offer_leg(call, call.legs[0], ("PCMU",))
    assert bench.handle(ev.LegRang(1)).state is State.RINGING
    call = bench.handle(answered(sdp(6000)))
    assert call.state is State.CONNECTED
    assert bench.store.peek(CALL_ID) == call
    assert [logged.transfer.outcome for logged in bench.store.finished()] == ["connected"]


def test_an_event_that_follows_an_action_is_applied_too(bench: Bench) -> None:
    """The first endpoint cannot be offered media, so the second is called."""
    bench.performer.follow = ev.MediaFailed(503, "no ports left", 1)
    call = bench.handle(ev.TransferRequested(transfer("sip:a@127.0.0.1", "sip:b@127.0.0.1")))
    assert call.legs[0].uri == "sip:b@127.0.0.1"


def test_the_bye_of_a_fresh_call_is_only_relayed(bench: Bench) -> None:
    """Its record is gone, and nobody has read it."""
    assert bench.hang_up(ev.CallerHungUp(2))
    assert bench.performer.done == []
    with pytest.raises(CallUnknown):
        bench.store.peek(CALL_ID)


def test_a_bye_ends_a_plain_call(bench: Bench) -> None:
    """Its record is gone when the BYE is relayed, with the CSeq that our own requests leave for it."""
    bench.try_in_vain()
    assert not bench.hang_up(ev.CallerHungUp(2))
    assert [type(action) for action in bench.performer.done] == [do.RelayRequest, do.ReleaseMedia, do.ForgetCall]
    with pytest.raises(CallUnknown):
        bench.store.peek(CALL_ID)


def test_a_bye_that_ends_nothing_leaves_the_record(bench: Bench) -> None:
    """The target of a transfer that was given up sends BYE: caller and agent talk on."""
    bench.try_in_vain()
    bench.hang_up(ev.TargetHungUp(2))
    assert bench.store.peek(CALL_ID) == bench.call


def test_a_bye_with_foreign_tags_leaves_the_record(bench: Bench) -> None:
    """Whatever finding the event raises, nothing has changed."""
    bench.try_in_vain()

    def refuse(_: object) -> ev.Event:
        raise PermissionError

    with pytest.raises(PermissionError):
        bench.engine.hang_up(CALL_ID, refuse, bench.performer.done.clear)
    assert bench.store.peek(CALL_ID) == bench.call


def test_an_illegal_event_changes_nothing_and_gives_the_lease_up(bench: Bench) -> None:
    """The next event finds the call as it was, without waiting."""
    with pytest.raises(IllegalEventError, match=r"MediaBridged cannot happen while call .* is talking"):
        bench.handle(ev.MediaBridged(0.002))
    assert bench.store.peek(CALL_ID) == bench.call
    assert bench.handle(ev.TransferRequested(transfer())).state is State.CALLING


def test_no_event_is_nothing_to_do(bench: Bench) -> None:
    """A deadline that has moved meanwhile, for example."""
    assert bench.engine.handle(CALL_ID, lambda _: None) == bench.call
    assert bench.performer.done == []


def test_a_call_whose_node_missed_a_deadline_is_taken_over(bench: Bench) -> None:
    """Its later deadlines and the commands for it come to this node."""
    bench.store.lease(CALL_ID).save(bench.call.model_copy(update={"node": "node2"}).with_deadlines(check=1.0))
    assert bench.handle(ev.DeadlinePassed(Deadline.CHECK)).node == "node1"
    assert bench.store.peek(CALL_ID).node == "node1"


def test_the_stages_that_webhooks_tell_of_are_kept_with_the_record() -> None:
    """Only those; of a transfer that ends with the call, too."""
    bench = Bench(stages=frozenset({Stage.REQUESTED, Stage.RINGING}))
    after = bench.store.webhook_position()
    bench.handle(ev.TransferRequested(transfer()))
    bench.handle(ev.LegRang(1))
    bench.handle(ev.CallerHungUp(2))
    found = bench.store.news_after(after, 10).news
    assert [news.event for news in found] == ["requested", "ringing", "failed"]
    assert {news.call_id for news in found} == {CALL_ID}


def test_where_nobody_wants_to_know_no_stages_are_kept(bench: Bench) -> None:
    after = bench.store.webhook_position()
    bench.handle(ev.TransferRequested(transfer()))
    assert bench.store.news_after(after, 10).news == []
