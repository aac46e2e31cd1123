"""Callers on hold: a person who gets one must hear it."""

from __future__ import annotations

import pytest

from routing import actions as do
from routing import events as ev
from routing.held import is_held, take_off_hold, unheld
from routing.machine import step
from routing.records import Call, Deadline, Media, SessionTimer
from routing.rules_crossed import TRIES
from tests.routing.calls import Story, talking, transfer

SDP = "v=0\r\no=- 17 41 IN IP4 127.0.0.1\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\na={}\r\na=ptime:20\r\n"


def told(view: str, answer: str = "recvonly", timer: SessionTimer | None = None) -> Call:
    """Make a call whose caller was told this direction."""
    media = Media(caller_sdp=SDP.format(answer), caller_view=SDP.format(view), agent_sdp="a", target_sdp="t")
    return talking(session_timer=timer).model_copy(update={"media": media})


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_a_caller_on_hold_gets_a_newer_sdp_that_wants_it_to_send(direction: str) -> None:
    call = told(direction)
    assert is_held(call)
    after, (action,) = take_off_hold(call)
    assert isinstance(action, do.RefreshSession)
    assert (action.method, action.interval, action.cseq) == ("INVITE", 0, after.caller.local_cseq)
    assert action.sdp == after.media.caller_view == SDP.replace(" 41 ", " 42 ").format("sendrecv")
    assert after.media.caller_sdp == SDP.format("sendrecv")
    assert not is_held(after)


def test_its_session_timer_goes_on() -> None:
    _, (action,) = take_off_hold(told("sendonly", timer=SessionTimer(interval=90, method="UPDATE")))
    assert isinstance(action, do.RefreshSession)
    assert (action.method, action.interval) == ("INVITE", 90)


@pytest.mark.parametrize(("view", "answer"), [("sendrecv", "sendrecv"), ("recvonly", "sendonly")])
def test_no_other_caller_is_sent_anything(view: str, answer: str) -> None:
    """Nor one that has put the agent on hold by itself."""
    call = told(view, answer)
    assert take_off_hold(call) == (call, [])


def test_a_direction_is_all_that_changes() -> None:
    assert unheld(SDP.format("recvonly")) == SDP.format("sendrecv")
    assert unheld(SDP.format("sendrecv")) == SDP.format("sendrecv")


def test_the_re_invite_follows_the_bridge() -> None:
    story = Story(told("sendonly"))
    story.refer()
    story.event(ev.LegRang(1))
    story.answers()
    assert story.bridged() == ["NOTIFY 200 final", "refresh by INVITE", "record connected"]


def test_a_re_invite_that_crosses_one_of_the_caller_s_is_sent_again() -> None:
    """With the same SDP, after the time that was drawn, and as often as that happens, but not for ever."""
    story = Story(told("sendonly"))
    story.connect()
    view = story.call.media.caller_view
    for _ in range(TRIES):
        assert story.event(ev.OfferCrossed(1.5)) == []
        assert story.call.deadlines[Deadline.OFFER] == story.now + 1.5
        assert story.waits(Deadline.OFFER) == ["refresh by INVITE"]
        assert Deadline.OFFER not in story.call.deadlines
    assert story.event(ev.OfferCrossed(1.5)) == []
    assert Deadline.OFFER not in story.call.deadlines
    assert story.call.media.caller_view == view


def test_one_that_is_sent_again_has_the_session_timer_too() -> None:
    story = Story(told("sendonly", timer=SessionTimer(interval=90, method="UPDATE"))).connect()
    story.event(ev.OfferCrossed(0.5))
    _, (action,) = step(story.call, ev.DeadlinePassed(Deadline.OFFER), story.now + 1)
    assert isinstance(action, do.RefreshSession)
    assert (action.method, action.interval, action.sdp) == ("INVITE", 90, story.call.media.caller_view)


def test_it_is_sent_again_though_the_person_hands_the_call_on_meanwhile() -> None:
    story = Story(told("sendonly")).connect()
    story.event(ev.OfferCrossed(1.5))
    story.event(ev.TransferRequested(transfer("sip:other@127.0.0.1", cseq=500)))
    assert story.waits(Deadline.OFFER) == ["refresh by INVITE"]
