"""rtpengine dies while the person is briefed: nobody is left in silence, and the agent learns the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import Deadline, State
from tests.stack.warm_talk import WarmTalk, warm_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.system import System
    from tests.stack.ua import Ua


PATIENCE = 12.0
"""Seconds after which a media server that stays away is no longer waited for: 5, and the rest for a busy machine."""


@pytest.fixture
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that can speak, anew for each test."""
    with warm_system(media={"check_every": 1, "timeout": 5}) as both:
        yield both


@pytest.fixture
def talk(system: System, agent: Ua) -> Iterator[WarmTalk]:
    """Give a call between a caller and the agent, who hear one another."""
    with WarmTalk(system, agent) as talk:
        yield talk


@pytest.mark.parametrize("comes_back", [False, True], ids=["stays away", "is started anew"])
@pytest.mark.parametrize("agent_leaves", [False, True], ids=["the agent is there", "the agent has left"])
def test_rtpengine_is_killed_during_the_briefing(talk: WarmTalk, *, comes_back: bool, agent_leaves: bool) -> None:
    """The person is let go, the agent told, and caller and agent, whose media has gone too, are released."""
    begin_briefing(talk)
    if agent_leaves:
        talk.agent_leaves()
    talk.system.rtpengine.kill()
    if comes_back:
        talk.system.rtpengine.start()
    everybody_is_released(talk, *([] if agent_leaves else [talk.agent]))
    if not comes_back:
        talk.system.rtpengine.start()
    talk.nothing_left()


def begin_briefing(talk: WarmTalk) -> None:
    """Let the person hear a message."""
    talk.refer_warm(message="Somebody wants to talk with you.")
    talk.target_answers(talk.invited())
    talk.reaches(State.BRIEFING, waits_for=Deadline.HEARD)


def everybody_is_released(talk: WarmTalk, *others: Ua) -> None:
    """Let the person and the caller be sent BYE, and the agent the truth."""
    talk.target_released()
    talk.told(500)
    assert talk.last_transfer.outcome is Outcome.MEDIA_FAILED
    for ua in (talk.caller, *others):
        ua.reply(ua.expect("BYE", timeout=PATIENCE), 200)
    talk.system.wait_until(lambda: talk.system.calls() == [])


def test_a_person_is_not_briefed_where_rtpengine_has_gone_before_the_answer(talk: WarmTalk) -> None:
    talk.refer_warm()
    invite = talk.invited()
    talk.system.rtpengine.kill()
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    everybody_is_released(talk, talk.agent)
    talk.system.rtpengine.start()
