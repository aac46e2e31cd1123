"""Somebody hangs up at each moment of a warm transfer: nobody is left in silence, and nothing is left behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import Deadline, State
from tests.stack.warm_talk import WarmTalk, warm_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.message import Message
    from tests.stack.system import System
    from tests.stack.ua import Ua

LONG = "This takes much longer than anybody wants to wait, since it goes on and on and on."
ACCEPT = {"accept": "1", "accept_timeout": 20.0}


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that can speak."""
    with warm_system() as both:
        yield both


@pytest.fixture
def talk(system: System, agent: Ua) -> Iterator[WarmTalk]:
    """Give a call between a caller and the agent, who hear one another."""
    with WarmTalk(system, agent) as talk:
        yield talk


def announce(talk: WarmTalk, text: str) -> None:
    """Let the caller hear the announcement."""
    talk.refer_warm(announce=text)
    talk.reaches(State.ANNOUNCING, waits_for=Deadline.HEARD)


def music(talk: WarmTalk, text: str) -> Message:
    """Let the target ring."""
    talk.refer_warm(message=text)
    return talk.invited()


def pause(talk: WarmTalk, text: str) -> Message:
    """Let the person have answered, and hear nothing yet."""
    talk.refer_warm(message=text, pause_before=20.0 if text == LONG else 1.0)
    invite = talk.invited()
    talk.target_answers(invite)
    talk.reaches(State.BRIEFING, waits_for=Deadline.SOUND)
    return invite


def message(talk: WarmTalk, text: str) -> Message:
    """Let the person hear the message."""
    talk.refer_warm(message=text)
    invite = talk.invited()
    talk.target_answers(invite)
    talk.reaches(State.BRIEFING, waits_for=Deadline.HEARD)
    return invite


def accept(talk: WarmTalk, text: str) -> Message:
    """Let the person be asked for the key."""
    talk.refer_warm(**ACCEPT)
    invite = talk.invited()
    talk.target_answers(invite)
    talk.reaches(State.ACCEPTING, waits_for=Deadline.HEARD)
    return invite


MOMENTS = [announce, music, pause, message, accept]
ANSWERED = [pause, message, accept]
CANCELLED = 1
"""How many INVITEs are cancelled in this file: that of a target which rings when the caller hangs up."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_caller_hangs_up(talk: WarmTalk, moment: Callable[[WarmTalk, str], Message | None]) -> None:
    """Everybody is let go at once, but for a person who has answered: it hears why first."""
    moment(talk, LONG)
    bye = talk.caller.request("BYE", talk.caller_dialog)
    talk.caller.expect(200, to=bye)
    left = time.time()
    talk.told(487)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    if moment is music:
        cancel = talk.target.expect("CANCEL")
        talk.target.reply(cancel, 200)
        invite = talk.target.received[0]
        talk.target.reply(invite, 487)
        talk.target.expect("ACK")
    if moment in ANSWERED:
        talk.hears_somebody()
        talk.target_released()
    talk.nothing_left()
    assert talk.last_transfer.outcome is Outcome.CALLER_HUNG_UP
    assert talk.caller_voice.packets(since=left + 0.1) == [], "the music stops at once"


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_agent_hangs_up_and_the_transfer_goes_on(
    talk: WarmTalk, moment: Callable[[WarmTalk, str], Message | None]
) -> None:
    """The caller ends with the person, and the agent is told of it, as its REFER asked for."""
    invite = moment(talk, "Hi.")
    talk.agent_leaves()
    if invite is None:
        invite = talk.invited()
    if moment not in ANSWERED:
        talk.target_answers(invite)
    if moment is accept:
        talk.press("1", invite)
    talk.connected()
    assert talk.last_transfer.outcome is Outcome.CONNECTED
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("moment", ANSWERED)
def test_the_target_hangs_up_and_the_caller_is_the_agents_again(
    talk: WarmTalk, moment: Callable[[WarmTalk, str], Message]
) -> None:
    """The agent is told when it is heard again."""
    invite = moment(talk, LONG)
    bye = talk.target.request("BYE", talk.target.dialog(invite))
    talk.target.expect(200, to=bye)
    talk.told(603)
    talk.hear_each_other()
    assert talk.last_transfer.outcome is Outcome.REJECTED
    talk.hang_up()
    talk.nothing_left()


def test_the_target_rejects_the_call_while_the_caller_hears_music(talk: WarmTalk) -> None:
    invite = music(talk, LONG)
    talk.target.reply(invite, 603)
    talk.target.expect("ACK")
    talk.told(603)
    talk.hear_each_other()
    assert talk.last_transfer.outcome is Outcome.REJECTED
    talk.hang_up()
    talk.nothing_left()


def test_the_agent_has_left_and_the_target_hangs_up_so_the_caller_hears_the_apology_and_is_released(
    talk: WarmTalk,
) -> None:
    invite = message(talk, LONG)
    talk.agent_leaves()
    talk.target.expect(200, to=talk.target.request("BYE", talk.target.dialog(invite)))
    talk.told(603)
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.nothing_left()
    assert talk.last_transfer.outcome is Outcome.REJECTED


def test_nothing_is_left_in_kamailio(talk: WarmTalk) -> None:
    """When all is over its memory holds no transaction of any of the calls.

    But for that of the INVITE that was cancelled: Kamailio counts one holder too many, and drops it 90 s later.
    """
    talk.hang_up()
    talk.nothing_left()
    talk.system.wait_until(lambda: talk.system.transactions() <= CANCELLED, timeout=40.0)
