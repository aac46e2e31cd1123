"""The person to whom a call was handed over hands it on: it takes the agent's place."""

from __future__ import annotations

import pytest

from routing import events as ev
from routing.records import Deadline, Party, SessionTimer, State
from tests.routing.calls import Story, talking, transfer

CALLER, AGENT, TARGET = Party
HANDED_ON = ["answer 202", "NOTIFY 100", "INVITE leg 2"]


def handed_on(*endpoints: str) -> Story:
    """Tell of a person that asks to hand the call on."""
    story = Story().connect(by_command=True)
    assert story.refer(*endpoints) == HANDED_ON
    return story


def test_the_next_person_gets_the_caller_and_the_first_is_told_and_let_go() -> None:
    story = handed_on()
    assert story.answers(leg=2)[-1] == "bridge leg 2"
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]
    assert (story.state, story.call.agent_leg) == (State.LEAVING, 1)
    assert story.waits(Deadline.AGENT_BYE) == ["BYE person-1"]
    assert story.hangs_up(CALLER)[0] == "relay to target"


def test_when_nobody_answers_caller_and_person_talk_on_and_may_try_again() -> None:
    story = handed_on()
    story.fails(486, leg=2)
    assert (story.state, story.call.agent_leg) == (State.TALKING, 1)
    assert story.requests(CALLER) == ["relay to agent"]
    assert story.refer(cseq=77)[-1] == "INVITE leg 3"


def test_the_person_may_be_handed_the_call_and_hand_it_on_without_end() -> None:
    story = handed_on()
    story.answers(leg=2)
    story.bridged()
    story.hangs_up(AGENT)
    assert story.refer(cseq=3)[-1] == "INVITE leg 3"
    assert story.call.agent_leg == 2


def test_what_the_agent_of_the_pool_numbered_alike_is_not_the_same_request() -> None:
    story = Story()
    story.refer(cseq=5)
    story.answers()
    story.bridged()
    story.hangs_up(AGENT)
    plan = transfer("sip:next@127.0.0.1", cseq=5)
    asked = plan.subscription
    assert asked is not None
    of_leg = plan.model_copy(update={"subscription": asked.model_copy(update={"leg": 1})})
    assert story.event(ev.TransferRequested(of_leg))[-1] == "INVITE leg 2"
    assert story.event(ev.TransferRequested(of_leg)) == ["answer 202"]


def test_while_the_agent_has_not_left_yet_the_person_must_wait() -> None:
    story = Story().connect()
    assert story.state is State.LEAVING
    assert story.refer(cseq=99) == ["answer 491"]


def test_whether_the_person_may_hand_the_call_on_is_the_target_s() -> None:
    story = Story()
    story.event(ev.TransferRequested(transfer("sip:a@127.0.0.1", may_refer=False)))
    story.answers()
    story.bridged()
    assert not story.call.may_refer


@pytest.mark.parametrize("ends", ["in vain", "well"])
def test_the_caller_s_session_is_refreshed_all_the_while(ends: str) -> None:
    story = Story(talking(session_timer=SessionTimer(interval=90, method="UPDATE"))).connect(by_command=True)
    story.refer()
    assert story.waits(Deadline.REFRESH) == ["refresh by UPDATE"]
    if ends == "in vain":
        story.fails(404, leg=2)
    else:
        story.answers(leg=2)
        story.bridged()
    assert story.waits(Deadline.REFRESH) == ["refresh by UPDATE"]
