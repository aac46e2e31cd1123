"""The causes of transfers that a person answered, but did not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.faults import Fault
from routing.outcomes import Outcome
from routing.records import Deadline, State
from tests.stack.diagnosis.shown import LISTED, shown
from tests.stack.warm_talk import WarmTalk, warm_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message
    from tests.stack.system import System
    from tests.stack.ua import Ua

KEY = {"accept": "1", "accept_rounds": 1}


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    with warm_system() as agent_and_system:
        yield agent_and_system


@pytest.fixture
def talk(system: System, agent: Ua) -> Iterator[WarmTalk]:
    with WarmTalk(system, agent) as talk:
        yield talk


def answered(talk: WarmTalk, **settings: object) -> Message:
    """Let the person answer; gives the INVITE."""
    talk.refer_warm(**settings)
    invite = talk.invited()
    talk.target_answers(invite)
    return invite


def failed(talk: WarmTalk, status: int, fault: Fault, outcome: Outcome) -> str:
    """Let the agent be told, and the caller hang up on it; gives the page."""
    talk.told(status)
    page = shown(talk, fault, outcome)
    talk.hang_up()
    talk.nothing_left()
    return page


@pytest.mark.parametrize(LISTED, [(Fault.NO_KEY, Outcome.NO_ANSWER)])
def test_somebody_answers_who_presses_no_key(talk: WarmTalk, fault: Fault, outcome: Outcome) -> None:
    answered(talk, **KEY, accept_timeout=1.0)
    talk.target_released()
    assert "nobody pressed the key that takes the call" in failed(talk, 480, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.DECLINED, Outcome.REJECTED)])
def test_a_person_who_presses_another_key(talk: WarmTalk, fault: Fault, outcome: Outcome) -> None:
    invite = answered(talk, **KEY, accept_timeout=20.0)
    talk.reaches(State.ACCEPTING, waits_for=Deadline.HEARD)
    talk.press("5", invite)
    talk.target_released()
    assert "answered, but did not press the key" in failed(talk, 603, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.DECLINED, Outcome.REJECTED)])
def test_a_person_who_hangs_up_during_the_briefing(talk: WarmTalk, fault: Fault, outcome: Outcome) -> None:
    invite = answered(talk, pause_before=20.0)
    talk.reaches(State.BRIEFING)
    talk.target.expect(200, to=talk.target.request("BYE", talk.target.dialog(invite)))
    assert "hung up before the caller came on" in failed(talk, 603, fault, outcome)
