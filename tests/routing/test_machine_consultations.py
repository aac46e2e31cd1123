"""Attended transfers: the call in which the agent consulted the person ends when caller and person talk."""

from __future__ import annotations

import pytest

from routing import actions as do
from routing import events as ev
from routing.machine import step
from routing.records import Deadline, Party, State
from routing.transfer_record import Destination
from tests.routing.calls import NOW, Story, talking, transfer

CONSULTATION = "feedfacefeedface"
ROUTE = "<sip:proxy@127.0.0.1;lr>"


def attended(story: Story, cseq: int = 1) -> list[str]:
    """Let the agent ask for an attended transfer."""
    place = Destination(uri="sip:person@127.0.0.1", ring_timeout=20.0, route=ROUTE)
    wanted = transfer(cseq=cseq).model_copy(update={"endpoints": (place,), "consultation": CONSULTATION})
    return story.event(ev.TransferRequested(wanted))


def test_the_consultation_ends_once_caller_and_person_talk() -> None:
    story = Story()
    assert attended(story) == ["answer 202", "NOTIFY 100", "INVITE leg 1"]
    assert story.call.legs[0].route == ROUTE
    assert story.answers() == ["bridge leg 1"]
    assert story.bridged() == ["NOTIFY 200 final", f"end consultation {CONSULTATION}", "record connected"]


@pytest.mark.parametrize("status", [420, 481, 486])
def test_a_consultation_goes_on_when_the_phone_does_not_take_the_caller(status: int) -> None:
    story = Story()
    attended(story)
    released, told, _ = story.fails(status)
    assert (released, told) == ("release leg 1", f"NOTIFY {status} final")
    assert story.state is State.TALKING


def test_agent_and_person_have_a_second_for_their_own_bye() -> None:
    story = Story()
    assert story.event(ev.ConsultationOver()) == []
    assert story.call.plain
    assert story.call.deadlines[Deadline.CONSULTED] - story.now == pytest.approx(1.0, abs=0.02)
    assert story.hangs_up(Party.AGENT) == ["relay to caller", "release media", "forget"]


def test_phones_that_say_no_bye_get_one_with_the_reason() -> None:
    story = Story()
    story.event(ev.ConsultationOver())
    assert story.waits(Deadline.CONSULTED) == ["BYE caller", "BYE agent", "release media", "forget"]
    over, _ = step(talking(), ev.ConsultationOver(), NOW)
    _, actions = step(over, ev.DeadlinePassed(Deadline.CONSULTED), NOW + 2)
    reasons = {action.reason for action in actions if isinstance(action, do.SendBye)}
    assert reasons == {do.Reason(200, "Call completed elsewhere")}


def test_a_consultation_that_is_being_transferred_itself_goes_on() -> None:
    story = Story()
    story.refer()
    assert story.event(ev.ConsultationOver()) == []
    assert Deadline.CONSULTED not in story.call.deadlines
