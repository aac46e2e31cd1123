"""What passes between two parties: to whom, with which number, and what is kept of it."""

from __future__ import annotations

import pytest

from routing import actions as do
from routing import events as ev
from routing.actions import Reason
from routing.machine import step
from routing.records import Call, Deadline, Media, Party, SessionTimer, State
from tests.routing.calls import NOW, Story, talking

CALLER, AGENT, TARGET = Party


@pytest.mark.parametrize(("party", "peer"), [(CALLER, AGENT), (AGENT, CALLER)])
def test_before_a_transfer_caller_and_agent_talk_with_one_another(party: Party, peer: Party) -> None:
    story = Story()
    assert story.requests(party, "INFO") == [f"relay to {peer}"]
    assert story.requests(TARGET, "INFO") == ["answer 481"]
    assert story.hangs_up(party) == [f"relay to {peer}", "release media", "forget"]


@pytest.mark.parametrize(("party", "peer"), [(CALLER, TARGET), (TARGET, CALLER)])
def test_after_the_bridge_caller_and_target_talk_with_one_another(party: Party, peer: Party) -> None:
    story = Story().connect()
    assert story.requests(party, "UPDATE") == [f"relay to {peer}"]
    assert story.requests(AGENT, "INVITE") == ["answer 481"]
    assert story.hangs_up(party) == [f"relay to {peer}", "BYE agent", "release media", "forget"]


def test_requests_of_ours_and_relayed_ones_share_one_row_of_numbers() -> None:
    """The agent's dialog stood at 7: NOTIFY 100 is 8, and the caller's own 101 and 8 are made to rise above it."""
    call = Story()
    call.refer()
    numbers = []
    for cseq in (8, 101, 102):
        after, actions = step(call.call, ev.RequestReceived(CALLER, "INFO", cseq), NOW)
        assert isinstance(actions[0], do.RelayRequest)
        numbers.append(actions[0].cseq)
        call.call = after
    assert numbers == [9, 101, 102]


def test_the_highest_number_that_a_party_used_is_kept() -> None:
    story = Story()
    for cseq in (50, 49):
        story.event(ev.RequestReceived(CALLER, "INFO", cseq))
    assert story.call.caller.remote_cseq == 50


def test_an_invite_is_remembered_with_both_numbers_for_its_ack() -> None:
    story = Story().connect()
    story.event(ev.RequestReceived(CALLER, "INVITE", 1, offer=True))
    assert story.call.target is not None
    assert story.call.target.invite_cseq == (1, 2)


def test_a_new_contact_of_the_sender_is_where_later_requests_go() -> None:
    story = Story()
    story.requests(CALLER, contact="sip:moved@127.0.0.1")
    assert story.call.caller.remote_target == "sip:moved@127.0.0.1"


def test_a_new_contact_of_the_answerer_is_where_later_requests_go() -> None:
    story = Story()
    story.requests(CALLER)
    assert story.settles(CALLER) == []
    assert story.call.agent is not None
    assert story.call.agent.remote_target == "sip:new@127.0.0.1"
    assert story.call.exchange is None


def test_an_offer_in_a_2xx_is_settled_by_the_answer_in_the_ack() -> None:
    """RFC 3261 section 13.2.1: an INVITE without a body asks for an offer; a bridge waits for the answer to it."""
    story = Story()
    story.refer()
    story.requests(CALLER)
    story.answers()
    assert story.event(ev.SessionChanged(AGENT, "offer", "", "view 2")) == []
    assert story.call.media.caller_sdp == "caller"
    assert story.event(ev.SessionChanged(AGENT, "", "answer", "")) == ["bridge leg 1"]
    assert story.call.media == Media(caller_sdp="answer", caller_view="view 2", agent_sdp="offer", target_sdp="target")


def test_an_answer_without_a_contact_keeps_the_one_there_was() -> None:
    story = Story()
    story.event(ev.SessionChanged(CALLER, "offer", "answer", "view"))
    assert story.call.agent == talking().agent


def test_after_the_bridge_the_bodies_of_caller_and_target_are_kept() -> None:
    story = Story().connect()
    story.requests(TARGET)
    story.settles(TARGET)
    assert story.call.media.target_sdp == "new offer"
    assert story.call.media.caller_sdp == "new answer"


def test_an_offer_that_is_rejected_leaves_the_session_as_it_was() -> None:
    story = Story()
    story.requests(CALLER)
    assert story.call.exchange is not None
    assert story.event(ev.OfferRejected(CALLER)) == []
    kept = story.call
    assert kept.exchange is None
    assert kept.media == talking().media
    story.event(ev.OfferRejected(CALLER))
    assert story.call is kept


def test_the_media_are_looked_at_again_and_again() -> None:
    story = Story()
    assert story.waits(Deadline.CHECK) == ["check media"]
    assert story.call.deadlines[Deadline.CHECK] == story.now + story.call.check_every


def test_where_the_agent_was_the_refresher_we_refresh_in_time_after_the_bridge() -> None:
    """Half the interval after the agent's last refresh, not after the bridge: the caller gives up at two thirds."""
    timer = SessionTimer(interval=100, method="UPDATE")
    story = Story(talking(session_timer=timer))
    story.now = NOW + 40
    story.requests(CALLER, "UPDATE")
    assert story.call.session_timer == timer, "only the agent's own refresh counts"
    story.requests(AGENT, "INFO")
    assert story.call.session_timer == timer
    story.requests(AGENT, "UPDATE")
    refreshed_at = story.now
    story.now = NOW + 60
    story.connect()
    assert story.call.deadlines[Deadline.REFRESH] == refreshed_at + 50
    assert story.waits(Deadline.REFRESH) == ["refresh by UPDATE"]
    assert story.call.deadlines[Deadline.REFRESH] == story.now + 50


def test_a_session_that_should_have_been_refreshed_already_is_refreshed_at_once() -> None:
    story = Story(talking(session_timer=SessionTimer(interval=100, method="INVITE")))
    story.now = NOW + 55
    story.connect()
    assert story.call.deadlines[Deadline.REFRESH] == pytest.approx(NOW + 55, abs=0.1)
    assert story.waits(Deadline.REFRESH) == ["refresh by INVITE"]


def reasons(call: Call, event: ev.Event) -> set[Reason | None]:
    """Collect the Reason of each CANCEL and BYE that an event leads to."""
    _, actions = step(call, event, NOW + 1000)
    return {action.reason for action in actions if isinstance(action, do.CancelLeg | do.SendBye)}


def test_cancel_and_bye_say_why() -> None:
    story = Story()
    story.refer()
    assert reasons(story.call, ev.DeadlinePassed(Deadline.RING)) == {Reason(408, "Request Timeout")}
    assert reasons(story.call, ev.CallerHungUp(1)) == {Reason(487, "Request Terminated")}
    assert reasons(story.call, ev.PartyLost(CALLER, "no media")) == {Reason(408, "no media")}
    story.answers()
    assert reasons(story.call, ev.MediaFailed(488, "No codec")) == {Reason(488, "No codec")}
    story.bridged()
    assert story.state is State.LEAVING
    assert reasons(story.call, ev.DeadlinePassed(Deadline.AGENT_BYE)) == {Reason(200, "Call completed elsewhere")}


def test_the_caller_is_released_with_what_the_endpoint_said() -> None:
    story = Story()
    story.refer()
    story.hangs_up(AGENT)
    story.fails(486, "Busy Here")
    story.starts()
    assert reasons(story.call, ev.DeadlinePassed(Deadline.HEARD)) == {Reason(486, "Busy Here")}
