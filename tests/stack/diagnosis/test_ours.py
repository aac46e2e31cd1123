"""The causes of transfers that end by what somebody here wants, or by a limit, and not by what an endpoint says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.faults import Fault
from routing.outcomes import Outcome
from tests.stack.diagnosis.shown import (
    LISTED,
    asked,
    cancelled,
    ended,
    invited,
    refuse,
    shown,
    told,
    typed,
)
from tests.stack.sipp import free_port
from tests.stack.talk import TARGET, Talk

if TYPE_CHECKING:
    from tests.stack.diagnosis.shown import Stage


@pytest.mark.parametrize(LISTED, [(Fault.CALLER_HUNG_UP, Outcome.CALLER_HUNG_UP)])
def test_a_caller_who_does_not_wait(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    invite = invited(talk)
    talk.target.reply(invite, 180)
    headers = {"Reason": "Q.850;cause=16"}
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog, headers=headers))
    cancelled(talk, invite)
    told(talk)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.nothing_left()
    page = shown(talk, fault, outcome)
    assert "the caller hung up, or was lost, " in page
    assert "(Q.850 cause 16 in its BYE)" in page


@pytest.mark.parametrize(LISTED, [(Fault.CANCELLED, Outcome.CANCELLED)])
def test_a_transfer_that_is_cancelled_by_command(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    invite = invited(talk)
    talk.target.reply(invite, 180)
    typed(talk.system, "calls", "cancel", talk.record.id)
    cancelled(talk, invite)
    assert "cancelled as asked" in ended(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.LIMIT, Outcome.BUSY)])
def test_an_endpoint_that_has_all_the_calls_that_it_may_have(
    stage: Stage, talk: Talk, fault: Fault, outcome: Outcome
) -> None:
    place = {"uri": talk.target.uri, "max_calls": 1}
    talk.system.add_target(TARGET, place)
    talk.hand_over()
    with Talk(stage.system, stage.agent, add_target=False) as other:
        asked(other, place)
        told(other)
        assert "limit of 1" in shown(other, fault, outcome)
        other.hang_up()
        talk.hang_up_on_target()
        talk.nothing_left()


@pytest.mark.parametrize(LISTED, [(Fault.RESTED, Outcome.BUSY)])
def test_an_endpoint_that_rests_while_the_others_are_busy(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    dead = f"sip:dead@127.0.0.1:{free_port()}"
    refuse(talk, invited(talk, dead, talk.target.uri), 486)
    told(talk)
    shown(talk, Fault.BUSY, Outcome.BUSY)
    refuse(talk, invited(talk, dead, talk.target.uri), 486)
    assert f"{dead} was not called, since it rests" in ended(talk, fault, outcome)
