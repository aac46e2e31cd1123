"""A real Asterisk whose calls come to handoff, is asked by REFER, and is tried by `handoff targets test`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.phones import State
from routing.outcomes import Outcome
from tests.stack.office_talk import office_talk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.office_talk import OfficeTalk


@pytest.fixture(scope="module")
def stage() -> Iterator[OfficeTalk]:
    with office_talk() as talk:
        yield talk


@pytest.fixture
def talk(stage: OfficeTalk) -> Iterator[OfficeTalk]:
    yield stage
    stage.end()


def test_asterisk_sees_that_handoff_is_there(talk: OfficeTalk) -> None:
    """The example has it asked with OPTIONS."""
    talk.office.order("pjsip qualify handoff")
    talk.system.wait_until(lambda: f"handoff/sip:127.0.0.1:{talk.system.port}" in talk.office.available())


def test_a_trial_of_the_target_rings_for_a_moment_and_finds_all_well(talk: OfficeTalk) -> None:
    desk = talk.desk(answer_after=None)
    talk.add_extension("1001")
    checks = talk.tried()
    assert {part for part, (status, _) in checks.items() if status != "ok"} == set()
    assert checks["options"][1].startswith("200 OK")
    assert checks["call"][1].startswith("rings")
    for ringing in desk.calls:
        assert ringing.wait(State.DISCONNECTED).code in {200, 486, 487, 603}


@pytest.mark.parametrize(
    ("extension", "way", "part", "status"),
    [
        ("tone", "", "sound from it", "ok"),
        ("engaged", "", "call", "warning"),
        ("7777", "", "call", "failed"),
        ("tone", "login", "login", "failed"),
        ("tone", "srtp", "call", "failed"),
    ],
)
def test_a_trial_of_an_extension_tells_how_it_is(
    talk: OfficeTalk, extension: str, way: str, part: str, status: str
) -> None:
    talk.add_extension(extension, way)
    assert talk.tried()[part][0] == status


@pytest.mark.parametrize("method", ["refer", "auto"])
def test_a_call_that_came_from_asterisk_is_handed_over_by_refer(talk: OfficeTalk, method: str) -> None:
    """Asterisk calls the target itself, and is out of our way."""
    desk = talk.desk(answer_after=0.2)
    call, agent = talk.comes_from_office("1001", method)
    answered = desk.incoming()
    assert talk.told(agent) == 200
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    talk.nothing_left()
    transfer = talk.system.store.finished(1)[0].transfer
    assert (transfer.outcome, [each.method for each in transfer.attempts]) == (Outcome.CONNECTED, ["refer"])
    call.hangup()
    answered.wait(State.DISCONNECTED)


def test_a_call_that_came_from_asterisk_is_handed_over_by_invite(talk: OfficeTalk) -> None:
    desk = talk.desk(answer_after=0.2)
    call, agent = talk.comes_from_office("1001", "invite")
    answered = desk.incoming()
    assert talk.told(agent) == 200
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    answered.hangup()
    call.wait(State.DISCONNECTED)


@pytest.mark.parametrize("method", ["refer", "auto", "invite"])
def test_asterisk_does_not_know_the_extension_and_the_caller_stays(talk: OfficeTalk, method: str) -> None:
    call, agent = talk.comes_from_office("7777", method)
    assert talk.told(agent) == 404
    talk.hear_each_other(call, agent)
    call.hangup()
    agent.wait(State.DISCONNECTED)


def test_a_caller_whom_asterisk_has_sent_to_a_busy_phone_is_lost(talk: OfficeTalk) -> None:
    """So the manual advises against REFER there; the agent is told the truth."""
    call, agent = talk.comes_from_office("busy", "refer")
    assert talk.told(agent) == 486
    call.wait(State.DISCONNECTED)
    talk.end()  # unless the agent's call has ended with the caller's
    talk.nothing_left()
