"""Endpoints that are out of order rest, none gets more calls than it may have, and who has waited longest is first."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

PATIENCE = 15.0
"""Seconds in which a probe, which comes each second, must have come on a busy machine."""


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack in which one failure is enough, and only a reply ends a rest."""
    hunting = {"failures": 1, "rest": 600, "probe_every": 1}
    with Ua("agent") as agent, System(agent.uri, hunting=hunting) as system:
        yield agent, system


@pytest.fixture(scope="module")
def second(agent_and_system: tuple[Ua, System]) -> Iterator[System]:
    """Give a second node with the same Redis and rtpengine."""
    agent, system = agent_and_system
    with System(agent.uri, beside=system, node={"id": "node2"}, hunting=system.settings.hunting.model_dump()) as other:
        yield other


@pytest.fixture
def desks() -> Iterator[list[Ua]]:
    """Give two phones, which may be asked whether they are there at any time."""
    with ExitStack() as stack:
        found = [stack.enter_context(Ua(f"desk{number}")) for number in range(2)]
        for desk in found:
            desk.allow("OPTIONS")
        yield found


@pytest.fixture
def talk_beside(second: System, agent: Ua) -> Iterator[Talk]:
    """Give a call by way of the second node."""
    with Talk(second, agent, add_target=False) as talk:
        yield talk


def ask(talk: Talk) -> None:
    """Let the agent ask for the target."""
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)


def busy(desk: Ua) -> None:
    """Let a phone be called, and refuse."""
    desk.reply(desk.expect("INVITE"), 486)
    desk.expect("ACK")


def refused(talk: Talk, *by: Ua) -> list[tuple[int, str]]:
    """Let the agent ask, and each of these phones be called and refuse; gives what the log has of the attempts."""
    ask(talk)
    for desk in by:
        busy(desk)
    talk.notified(486, final=True)
    return attempts(talk)


def attempts(talk: Talk) -> list[tuple[int, str]]:
    """Give how the endpoints of the last transfer did."""
    found = talk.last_transfer.attempts
    assert all(attempt.started_at <= attempt.ended_at for attempt in found)
    return [(attempt.status, attempt.reason) for attempt in found]


def out_of_order(talk: Talk, desk: Ua) -> None:
    """Let a phone say that it is out of order."""
    desk.reply(desk.expect("INVITE"), 503)
    desk.expect("ACK")


def probed(desk: Ua, status: int) -> Message:
    """Let a phone be asked whether it is there, and answer."""
    options = desk.expect("OPTIONS", timeout=PATIENCE)
    desk.reply(options, status)
    return options


def in_order_again(system: System, desk: Ua) -> None:
    """Let a phone answer OPTIONS until it is called again."""
    probed(desk, 404)
    system.wait_until(lambda: desk.uri not in system.store.failing(), PATIENCE)


def test_who_does_not_answer_is_left_out_until_it_answers_a_probe(talk: Talk, desks: list[Ua]) -> None:
    """The others are called without it, and the attempt that was not made says why."""
    dead, well = desks
    talk.system.add_target(TARGET, dead.uri, well.uri)
    ask(talk)
    dead.expect("INVITE")
    well.reply(well.expect("INVITE", timeout=PATIENCE), 486)
    talk.notified(486, final=True)
    well.expect("ACK")
    assert attempts(talk) == [(408, "Request Timeout"), (486, "Busy Here")]
    assert refused(talk, well) == [(503, "rested after 408 Request Timeout"), (486, "Busy Here")]
    in_order_again(talk.system, dead)
    talk.system.wait_until(lambda: f"endpoint={dead.uri} is back" in talk.system.kamailio.log.read_text(), PATIENCE)
    assert refused(talk, dead, well) == [(486, "Busy Here")] * 2
    talk.hang_up()
    talk.nothing_left()


def test_where_all_rest_all_are_called(talk: Talk, desks: list[Ua]) -> None:
    """A phone that is probably out of order is better than none; who answers an INVITE rests no more."""
    talk.system.add_target(TARGET, *(desk.uri for desk in desks))
    ask(talk)
    for desk in desks:
        out_of_order(talk, desk)
    talk.notified(503, final=True)
    assert attempts(talk) == [(503, "Service Unavailable")] * 2
    assert refused(talk, *desks) == [(486, "Busy Here")] * 2
    assert not set(talk.system.store.failing()) & {desk.uri for desk in desks}
    talk.hang_up()
    talk.nothing_left()


def test_another_node_knows_who_rests_and_a_probe_answered_with_503_is_no_reply(
    talk: Talk, talk_beside: Talk, desks: list[Ua]
) -> None:
    sick, well = desks
    talk.system.add_target(TARGET, sick.uri, well.uri)
    ask(talk)
    out_of_order(talk, sick)
    busy(well)
    talk.notified(486, final=True)
    line = f"endpoint={sick.uri} rests after 1 failures in a row: 503 Service Unavailable"
    talk.system.wait_until(lambda: line in talk_beside.system.kamailio.log.read_text(), PATIENCE)
    first = probed(sick, 503)
    assert probed(sick, 503).call_id != first.call_id
    assert refused(talk_beside, well) == [(503, "rested after 503 Service Unavailable"), (486, "Busy Here")]
    in_order_again(talk.system, sick)
    back = f"endpoint={sick.uri} is back"
    talk.system.wait_until(lambda: back in talk_beside.system.kamailio.log.read_text(), PATIENCE)
    assert refused(talk_beside, sick, well) == [(486, "Busy Here")] * 2
    talk.hang_up()
    talk_beside.hang_up()
    talk.nothing_left()


def test_an_endpoint_gets_no_more_calls_than_it_may_have_by_whichever_node(
    talk: Talk, talk_beside: Talk, desks: list[Ua]
) -> None:
    """The next one is called in its place; where there is none, the target is busy; then there is room again."""
    one, other = desks
    talk.target = one
    talk.system.add_target(TARGET, {"uri": one.uri, "max_calls": 1}, other.uri)
    talk.hand_over()
    full = (486, "limit of 1 call reached")
    assert refused(talk_beside, other) == [full, (486, "Busy Here")]
    talk.system.add_target(TARGET, {"uri": one.uri, "max_calls": 1})
    assert refused(talk_beside) == [full]
    assert talk_beside.last_transfer.outcome is Outcome.BUSY
    talk.hang_up_on_target()
    assert refused(talk_beside, one) == [(486, "Busy Here")]
    talk_beside.hang_up()
    talk.nothing_left()


def test_who_has_been_without_a_call_for_longest_is_called_first(
    talk: Talk, talk_beside: Talk, desks: list[Ua]
) -> None:
    talk.system.add_target(TARGET, *(desk.uri for desk in desks), strategy="longest_idle")
    for turn in (0, 1):
        talk.target = desks[turn]
        talk.hand_over()
        talk.hang_up_on_target()
        talk.connect()
    talk.target = desks[0]
    talk.hand_over()
    assert refused(talk_beside, desks[1], desks[0]) == [(486, "Busy Here")] * 2
    talk.hang_up_on_target()
    talk_beside.hang_up()
    talk.nothing_left()
