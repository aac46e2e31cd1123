"""Several endpoints ring at once, or in turn: the first answer wins, and all others are let go."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message


@pytest.fixture
def desks() -> Iterator[list[Ua]]:
    """Give three phones."""
    with ExitStack() as stack:
        yield [stack.enter_context(Ua(f"desk{number}")) for number in range(3)]


def ring(talk: Talk, desks: list[Ua], **settings: object) -> list[Message]:
    """Let all phones ring; gives the INVITE of each."""
    talk.system.add_target(TARGET, *(desk.uri for desk in desks), strategy="all_at_once", **settings)
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)
    invites = [desk.expect("INVITE") for desk in desks]
    for desk, invite in zip(desks, invites, strict=True):
        desk.reply(invite, 180)
    talk.notified(180)
    return invites


def let_go(desk: Ua, invite: Message, cause: str) -> None:
    """Let a phone be cancelled."""
    cancel = desk.expect("CANCEL")
    assert cause in cancel["Reason"]
    desk.reply(cancel, 200)
    desk.reply(invite, 487)
    desk.expect("ACK")


def test_the_first_answer_wins_and_the_others_are_told_that_it_was_answered_elsewhere(
    talk: Talk, desks: list[Ua]
) -> None:
    invites = ring(talk, desks)
    desks[1].reply(invites[1], 200, sdp=talk.target_voice.sdp())
    desks[1].expect("ACK")
    talk.target_voice.talk_to(invites[1].body)
    for number in (0, 2):
        let_go(desks[number], invites[number], "Call completed elsewhere")
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    bye = talk.caller.request("BYE", talk.caller_dialog)
    desks[1].reply(desks[1].expect("BYE"), 200)
    talk.caller.expect(200, to=bye)
    talk.nothing_left()
    attempts = talk.last_transfer.attempts
    assert sorted((attempt.uri, attempt.status) for attempt in attempts) == sorted((desk.uri, 200) for desk in desks)
    assert (attempts[-1].uri, attempts[-1].reason) == (desks[1].uri, "OK")


def test_two_answer_in_the_same_instant_and_one_of_them_gets_bye(talk: Talk, desks: list[Ua]) -> None:
    """Both 2xx are acknowledged; the caller talks with whoever was first."""
    invites = ring(talk, desks)
    answers = [desks[n].reply(invites[n], 200, sdp=talk.target_voice.sdp(), send=False) for n in (0, 1)]
    for desk, answer in zip(desks, answers, strict=False):
        desk.send(answer)
    let_go(desks[2], invites[2], "Call completed elsewhere")
    for desk in desks[:2]:
        desk.allow("CANCEL")
        desk.expect("ACK")
    talk.notified(200, final=True)
    talk.agent_leaves()
    winner = talk.record.leg
    assert winner is not None
    for number in (0, 1):
        if desks[number].uri == winner.uri:
            talk.target_voice.talk_to(invites[number].body)
            happy = desks[number]
        else:
            desks[number].reply(desks[number].expect("BYE"), 200)
    talk.hear_target()
    bye = talk.caller.request("BYE", talk.caller_dialog)
    happy.reply(happy.expect("BYE"), 200)
    talk.caller.expect(200, to=bye)
    talk.nothing_left()


def test_the_group_rings_on_when_one_is_busy_and_fails_when_all_have_refused(talk: Talk, desks: list[Ua]) -> None:
    invites = ring(talk, desks)
    with talk.undisturbed():
        for left, desk, invite, status in zip((2, 1, 0), desks, invites, (603, 486, 480), strict=True):
            desk.reply(invite, status)
            desk.expect("ACK")
            talk.system.wait_until(lambda left=left: len(talk.record.legs) == left)  # type: ignore[misc]
        talk.notified(480, final=True)
    assert [attempt.status for attempt in talk.last_transfer.attempts] == [603, 486, 480]
    talk.hang_up()
    talk.nothing_left()


def test_nobody_answers_in_the_time_for_all(talk: Talk, desks: list[Ua]) -> None:
    invites = ring(talk, desks, hunt_timeout=1.0)
    for desk, invite in zip(desks, invites, strict=True):
        let_go(desk, invite, "408")
    talk.notified(408, final=True)
    assert talk.last_transfer.outcome is Outcome.NO_ANSWER
    talk.hang_up()
    talk.nothing_left()


def test_the_caller_hangs_up_while_all_ring(talk: Talk, desks: list[Ua]) -> None:
    invites = ring(talk, desks)
    bye = talk.caller.request("BYE", talk.caller_dialog)
    talk.caller.expect(200, to=bye)
    for desk, invite in zip(desks, invites, strict=True):
        let_go(desk, invite, "487")
    talk.notified(487, final=True)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.nothing_left()


def test_each_endpoint_may_ring_for_a_time_of_its_own(talk: Talk, desks: list[Ua]) -> None:
    """Busy, then no answer, then an answer."""
    places = [
        {"uri": desk.uri, "ring_timeout": seconds} for desk, seconds in zip(desks, (20.0, 1.0, 20.0), strict=True)
    ]
    talk.system.add_target(TARGET, *places)
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)
    desks[0].reply(desks[0].expect("INVITE"), 486)
    desks[0].expect("ACK")
    second = desks[1].expect("INVITE")
    desks[1].reply(second, 180)
    talk.notified(180)
    let_go(desks[1], second, "408")
    third = desks[2].expect("INVITE")
    desks[2].reply(third, 200, sdp=talk.target_voice.sdp())
    desks[2].expect("ACK")
    talk.target_voice.talk_to(third.body)
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    assert [attempt.status for attempt in talk.last_transfer.attempts] == [486, 408, 200]
    bye = talk.caller.request("BYE", talk.caller_dialog)
    desks[2].reply(desks[2].expect("BYE"), 200)
    talk.caller.expect(200, to=bye)
    talk.nothing_left()
