"""Transfers that a person starts or cancels: the commands that `handoff calls transfer` and `cancel` leave in Redis."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from routing.outcomes import Outcome
from routing.records import State
from tests.stack.system import NODE, System
from tests.stack.talk import TARGET, Talk

if TYPE_CHECKING:
    from tests.stack.message import Message


def ask(system: System, kind: str, call_id: str, target: str | None = None) -> dict[str, Any]:
    """Give a command to the node and wait for its answer."""
    command = {"id": uuid.uuid4().hex, "kind": kind, "call": call_id}
    system.store.send_command(NODE, command | ({"target": target} if target else {}))
    answer = system.store.await_answer(command["id"], 5)
    assert answer is not None, "the node does not answer"
    return answer


def transfer(talk: Talk, target: str = TARGET) -> Message:
    """Have the call transferred, and check the answer; gives the INVITE that the target got."""
    answer = ask(talk.system, "transfer", talk.record.id, target)
    assert answer == {"ok": True, "transfer": f"{talk.record.id}-1", "target": TARGET}
    return talk.target.expect("INVITE")


def refusal(system: System, kind: str, call_id: str, target: str | None = None) -> str:
    """Give a command that is refused; gives the sentence why."""
    answer = ask(system, kind, call_id, target)
    assert answer["ok"] is False
    return str(answer["text"])


def test_the_agent_knows_of_nothing_until_its_bye(talk: Talk) -> None:
    """It gets no NOTIFY, and BYE with the reason at the bridge; the caller gets no message at all."""
    before = len(talk.wire.messages(to=talk.caller.port))
    invite = transfer(talk)
    talk.target.reply(invite, 180)
    talk.system.wait_until(lambda: talk.record.state is State.RINGING)
    talk.hear_each_other()
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    talk.target_voice.talk_to(invite.body)
    bye = talk.agent.expect("BYE")
    assert bye["Reason"] == 'SIP;cause=200;text="Call completed elsewhere"'
    talk.agent.reply(bye, 200)
    talk.hear_target()
    assert not talk.wire.messages(to=talk.agent.port, method="NOTIFY")
    assert len(talk.wire.messages(to=talk.caller.port)) == before
    (done,) = talk.record.history
    assert (done.source, done.outcome) == ("command", Outcome.CONNECTED)
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_transfer_by_command_that_fails_leaves_the_agent_alone(talk: Talk) -> None:
    """It gets no message, and goes on talking with the caller."""
    invite = transfer(talk)
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.system.wait_until(lambda: talk.record.state is State.TALKING)
    assert talk.record.history[0].outcome is Outcome.BUSY
    talk.hear_each_other()
    assert not talk.wire.messages(to=talk.agent.port, method="NOTIFY")
    talk.hang_up()
    talk.nothing_left()


def test_a_target_that_rings_is_cancelled_by_command(talk: Talk) -> None:
    """The target gets CANCEL with the reason, and caller and agent talk on."""
    invite = transfer(talk)
    talk.target.reply(invite, 180)
    talk.system.wait_until(lambda: talk.record.state is State.RINGING)
    assert ask(talk.system, "cancel", talk.record.id) == {"ok": True}
    cancel = talk.target.expect("CANCEL")
    assert "cause=487" in cancel["Reason"]
    talk.target.reply(cancel, 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    assert talk.record.state is State.TALKING
    assert talk.record.history[0].outcome is Outcome.CANCELLED
    talk.hear_each_other()
    talk.hang_up()
    talk.nothing_left()


def test_a_cancelled_transfer_of_the_agents_own_is_told_to_it(talk: Talk) -> None:
    """An agent that sent REFER gets its final NOTIFY, though a person has cancelled."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    assert ask(talk.system, "cancel", talk.record.id) == {"ok": True}
    talk.notified(487, final=True)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.hang_up()
    talk.nothing_left()


def test_a_uri_outside_of_the_policy_is_not_dialled(talk: Talk) -> None:
    """The answer says how to allow it."""
    text = refusal(talk.system, "transfer", talk.record.id, "sip:bob@elsewhere.example.com")
    assert "the policy does not let" in text
    assert "policy.dial_uris" in text
    assert talk.record.state is State.TALKING
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("kind", ["transfer", "cancel"])
def test_a_command_for_an_unknown_call_is_refused(system: System, kind: str) -> None:
    """The answer says that there is no such call."""
    assert "there is no call 0123456789abcdef" in refusal(system, kind, "0123456789abcdef", TARGET)


def test_a_command_with_an_unknown_target_is_refused(talk: Talk) -> None:
    """The answer names the target."""
    assert "there is no target nobody" in refusal(talk.system, "transfer", talk.record.id, "nobody")
    talk.hang_up()
    talk.nothing_left()


def test_a_call_with_a_transfer_under_way_takes_no_other(talk: Talk) -> None:
    """The answer says what is going on; the transfer goes on, too."""
    invite = talk.refer_accepted()
    text = refusal(talk.system, "transfer", talk.record.id, TARGET)
    assert "A transfer of this call is under way" in text
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    talk.hang_up()
    talk.nothing_left()


def test_nothing_is_cancelled_where_no_transfer_is_under_way(talk: Talk) -> None:
    """Neither before a transfer nor after the bridge."""
    assert "No transfer of this call can be cancelled now" in refusal(talk.system, "cancel", talk.record.id)
    talk.hand_over()
    assert "No transfer of this call can be cancelled now" in refusal(talk.system, "cancel", talk.record.id)
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_command_that_the_node_does_not_know_is_refused(talk: Talk) -> None:
    """As it happens when the commands are of a newer version than the node."""
    assert "the command 'hold' is not known" in refusal(talk.system, "hold", talk.record.id)
    talk.hang_up()
    talk.nothing_left()


def test_garbage_among_the_commands_is_passed_over(talk: Talk) -> None:
    """What is no JSON object, or has odd values, does not keep the next command from being done."""
    for garbage in ({}, {"id": None, "kind": ["transfer"], "call": 5}, {"kind": "transfer", "call": "\r\n"}):
        talk.system.store.send_command(NODE, garbage)
    invite = transfer(talk)
    talk.target.reply(invite, 603)
    talk.target.expect("ACK")
    talk.system.wait_until(lambda: talk.record.state is State.TALKING)
    talk.hang_up()
    talk.nothing_left()
    assert "Traceback" not in talk.system.kamailio.log.read_text()
