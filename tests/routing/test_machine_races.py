"""The races of a blind transfer, told as stories; the audit sees to it that nothing is done twice or left undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing import events as ev
from routing.records import Deadline, Party, State
from tests.routing.calls import NOW, RING_TIMEOUT, Story

if TYPE_CHECKING:
    from collections.abc import Callable

CALLER, AGENT, TARGET = Party
ENDED = ("release media", "record caller_hung_up", "forget")


def test_a_person_answers_and_the_agent_hangs_up_by_itself() -> None:
    story = Story()
    assert story.refer() == ["answer 202", "NOTIFY 100", "INVITE leg 1"]
    assert story.rings() == ["NOTIFY 180"]
    assert story.rings() == []
    assert story.answers() == ["bridge leg 1"]
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]
    assert story.hangs_up(AGENT) == ["answer 200"]
    assert story.state is State.CONNECTED
    assert story.hangs_up(TARGET) == ["relay to caller", "release media", "forget"]


def test_an_agent_that_stays_gets_bye_a_second_after_the_final_notify() -> None:
    story = Story().connect()
    told_at = story.now
    assert story.waits(Deadline.AGENT_BYE) == ["BYE agent"]
    assert story.now - told_at == pytest.approx(1.0, abs=0.02)
    assert story.state is State.CONNECTED


def test_the_bye_of_the_agent_crosses_ours() -> None:
    story = Story().connect()
    story.waits(Deadline.AGENT_BYE)
    assert story.hangs_up(AGENT) == ["answer 200"]
    assert story.hangs_up(CALLER) == ["relay to target", "release media", "forget"]


def test_an_agent_that_knows_of_nothing_gets_bye_at_the_bridge() -> None:
    story = Story()
    assert story.command() == ["INVITE leg 1"]
    assert story.rings() == []
    story.answers()
    assert story.bridged() == ["record connected", "BYE agent"]


def test_an_agent_that_wants_no_notify_gets_none() -> None:
    story = Story()
    assert story.refer(notify=False) == ["answer 202", "INVITE leg 1"]
    assert story.rings() == []
    story.answers()
    assert story.bridged() == ["record connected"]
    assert story.state is State.LEAVING


def test_the_caller_hangs_up_while_the_target_rings() -> None:
    story = Story()
    story.refer()
    story.rings()
    assert story.hangs_up(CALLER) == ["answer 200", "CANCEL leg 1", "NOTIFY 487 final", "BYE agent", *ENDED]
    assert story.fails(487) == []


def test_the_caller_hangs_up_in_the_same_instant_as_the_200_of_the_target() -> None:
    """The BYE comes first: the person is released, and was never joined."""
    story = Story()
    story.refer()
    story.hangs_up(CALLER)
    assert story.answers() == ["BYE person-1"]


def test_the_200_of_the_target_comes_in_the_same_instant_as_the_bye_of_the_caller() -> None:
    """The 200 comes first: there is nothing to cancel any more."""
    story = Story()
    story.refer()
    story.answers()
    assert story.hangs_up(CALLER) == ["answer 200", "NOTIFY 487 final", "BYE agent", "BYE person-1", *ENDED]


@pytest.mark.parametrize("cancelled_by", ["deadline", "command"])
def test_the_target_answers_after_the_cancel(cancelled_by: str) -> None:
    story = Story()
    story.refer()
    if cancelled_by == "deadline":
        assert story.waits(Deadline.RING) == ["CANCEL leg 1", "release leg 1", "NOTIFY 408 final", "record no_answer"]
    else:
        cancelled = story.event(ev.TransferCancelled())
        assert cancelled == ["CANCEL leg 1", "release leg 1", "NOTIFY 487 final", "record cancelled"]
    assert story.answers() == ["BYE person-1"]
    assert story.hangs_up(TARGET) == ["answer 200"]
    assert story.state is State.TALKING


def test_a_cancel_that_was_sent_too_early_is_sent_again_when_it_rings() -> None:
    story = Story()
    story.refer()
    story.event(ev.TransferCancelled())
    assert story.rings() == ["CANCEL leg 1"]


def test_the_200_of_the_target_comes_twice() -> None:
    story = Story()
    story.refer()
    story.answers()
    assert story.answers() == []
    story.bridged()
    assert story.answers() == []


def test_the_bye_of_the_target_overtakes_its_200() -> None:
    story = Story()
    story.refer()
    story.rings()
    failed = story.event(ev.TargetHungUp(2, leg=1))
    assert failed == ["answer 200", "release leg 1", "NOTIFY 603 final", "record rejected"]
    assert story.state is State.TALKING
    assert story.answers() == ["BYE person-1"]


def test_two_persons_behind_one_endpoint_answer_at_once() -> None:
    story = Story()
    story.refer()
    story.answers(remote_tag="first")
    assert story.answers(remote_tag="second") == ["ACK second-1", "BYE second-1"]
    assert story.call.target is not None
    assert story.call.target.remote_tag == "first-1"


def test_the_first_endpoint_answers_while_the_second_is_being_called() -> None:
    story = Story()
    story.refer("sip:first", "sip:second")
    assert story.waits(Deadline.RING) == ["CANCEL leg 1", "release leg 1", "INVITE leg 2"]
    assert story.answers(1) == ["BYE person-1"]
    assert story.rings(1) == ["CANCEL leg 1"]
    assert story.answers(2) == ["bridge leg 2"]


def test_the_agent_hangs_up_right_after_the_202_and_the_transfer_goes_on() -> None:
    """It is told all the same: its BYE ends the session, not the subscription."""
    story = Story()
    story.refer()
    assert story.hangs_up(AGENT) == ["answer 200", "hold with music"]
    assert story.rings() == ["NOTIFY 180"]
    story.answers()
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]
    assert story.state is State.CONNECTED


def test_the_agent_has_left_and_nobody_answers_so_the_caller_hears_why_and_is_released() -> None:
    story = Story()
    story.refer()
    story.hangs_up(AGENT)
    apologise = ["hold", "play APOLOGY to caller"]
    assert story.fails(486) == ["release leg 1", "NOTIFY 486 final", "record busy", *apologise]
    assert story.starts(3.0) == []
    assert story.state is State.APOLOGISING
    assert story.requests(CALLER, "UPDATE") == ["answer 491"]
    assert story.settles(CALLER) == []
    assert story.refer() == ["answer 481"]
    apology_at = story.now
    assert story.waits(Deadline.HEARD) == ["BYE caller", "release media", "forget"]
    assert story.now - apology_at == pytest.approx(3.3, abs=0.05)


def test_the_caller_hangs_up_during_the_apology() -> None:
    story = Story()
    story.refer()
    story.hangs_up(AGENT)
    story.fails(486)
    assert story.hangs_up(CALLER) == ["answer 200", "release media", "forget"]


@pytest.mark.parametrize("moment", ["calling", "ringing", "bridging", "leaving"])
def test_a_second_refer_while_one_is_under_way_is_refused_and_the_same_one_is_accepted_once_more(moment: str) -> None:
    story = Story()
    story.refer(cseq=55)
    for name, happens in (("ringing", story.rings), ("bridging", story.answers), ("leaving", story.bridged)):
        if story.state != moment:
            happens()
            assert story.state == name
    assert story.refer(cseq=56) == ["answer 491"]
    assert story.refer(cseq=55) == ["answer 202"]
    assert story.command() == ["answer 491"]


def test_the_same_refer_after_its_transfer_is_over_calls_nobody_again() -> None:
    story = Story()
    story.refer(cseq=55)
    story.fails(486)
    story.command()
    story.fails(404, leg=2)
    assert story.refer(cseq=55) == ["answer 202"]
    assert story.state is State.TALKING
    assert story.refer(cseq=57) == ["answer 202", "NOTIFY 100", "INVITE leg 3"]


@pytest.mark.parametrize("party", [CALLER, AGENT])
def test_a_re_invite_while_the_target_rings_is_relayed_and_its_answer_is_waited_for(party: Party) -> None:
    story = Story()
    story.refer()
    assert story.requests(party) == [f"relay to {AGENT if party is CALLER else CALLER}"]
    assert story.answers() == []
    assert story.settles(party) == ["bridge leg 1"]
    assert story.call.media.caller_sdp == ("new offer" if party is CALLER else "new answer")
    assert story.call.media.caller_view == "new view"


def test_a_re_invite_that_is_rejected_lets_the_bridge_go_on() -> None:
    story = Story()
    story.refer()
    story.requests(AGENT)
    story.answers()
    assert story.event(ev.OfferRejected(AGENT)) == ["bridge leg 1"]
    assert story.event(ev.OfferRejected(AGENT)) == []


def test_a_re_invite_that_nobody_answers_does_not_hold_up_the_bridge_for_long() -> None:
    story = Story()
    story.refer()
    story.requests(CALLER)
    story.answers()
    assert story.waits(Deadline.BRIDGE) == ["bridge leg 1"]
    story.bridged()
    assert story.settles(CALLER, "late") == []
    assert story.call.target is not None
    assert story.call.target.remote_target == "sip:desk@127.0.0.1:5090", "the agent's answer is not the target's"
    assert story.call.media.target_sdp == "target"


@pytest.mark.parametrize("leaves", [Story.hangs_up, Story.vanishes])
def test_an_agent_that_leaves_owing_an_answer_does_not_hold_up_the_bridge(
    leaves: Callable[[Story, Party], list[str]],
) -> None:
    story = Story()
    story.refer()
    story.requests(CALLER)
    story.answers()
    leaves(story, AGENT)
    waiting_since = story.now
    assert story.waits(Deadline.BRIDGE) == ["bridge leg 1"]
    assert story.now - waiting_since < 0.1


@pytest.mark.parametrize("party", [CALLER, AGENT, TARGET])
def test_a_re_invite_during_the_bridge_is_to_be_tried_again(party: Party) -> None:
    story = Story()
    story.refer()
    story.answers()
    assert story.requests(party) == ["answer 491"]


def test_a_bridge_that_was_begun_and_not_reported_is_done_again() -> None:
    story = Story()
    story.refer()
    begun_at = story.now
    story.answers()
    assert story.waits(Deadline.BRIDGE) == ["bridge leg 1"]
    assert story.now - begun_at == pytest.approx(2.0, abs=0.05)
    assert story.bridged()[-1] == "record connected"


def test_the_200_of_the_target_comes_just_before_the_ring_deadline() -> None:
    story = Story()
    story.refer()
    story.answers()
    story.now = NOW + RING_TIMEOUT + 1
    assert story.event(ev.DeadlinePassed(Deadline.RING)) == []
    assert story.state is State.BRIDGING


def test_the_target_hangs_up_before_the_caller_came_on() -> None:
    story = Story()
    story.refer()
    story.answers()
    assert story.hangs_up(TARGET) == ["answer 200", "release leg 1", "NOTIFY 603 final", "record rejected"]
    assert story.state is State.TALKING


def test_a_target_without_a_common_codec_gets_bye_and_caller_and_agent_talk_on() -> None:
    story = Story()
    story.refer()
    story.answers()
    failed = story.event(ev.MediaFailed(488, "No common codec"))
    assert failed == ["BYE person-1", "release leg 1", "NOTIFY 488 final", "record media_failed"]
    assert story.state is State.TALKING
    assert story.call.media.target_sdp == ""
    assert story.vanishes(TARGET) == [], "its BYE was answered 481"
    assert story.state is State.TALKING
