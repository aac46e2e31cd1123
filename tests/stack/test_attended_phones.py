"""Attended transfers with real phones: a PJSIP agent consults a PJSIP person; the caller is a baresip."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cli.phones import PhoneError, Phones, State, TransferProgress
from cli.tones import AGENT, CALLER, TARGET
from routing.outcomes import Mode, Outcome
from tests.stack.baresip import Baresip
from tests.stack.system import System
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone


@pytest.fixture(scope="module")
def phones() -> Iterator[Phones]:
    with Phones(sounds={"caller": CALLER}) as phones:
        yield phones


@pytest.fixture(scope="module")
def agent(phones: Phones) -> Phone:
    return phones.add("agent", tone=AGENT, answer_after=0)


@pytest.fixture(scope="module")
def person(phones: Phones) -> Phone:
    return phones.add("person", tone=TARGET, answer_after=0.2)


@pytest.fixture(scope="module")
def system(agent: Phone) -> Iterator[System]:
    with System(agent.uri) as system:
        yield system


@pytest.mark.parametrize("held", [False, True], ids=["talking", "on hold"])
def test_the_agent_puts_the_caller_in_its_own_place(system: System, agent: Phone, person: Phone, *, held: bool) -> None:
    """Whom each hears, what the agent is told, that the caller is sent nothing, and that nothing is left.

    But one that the agent has put on hold is taken off hold, or it would stay mute.
    """
    system.add_target("desk", person.uri, mode="message")
    with Wire(system.port) as wire, Baresip(CALLER, codec="PCMU/8000/1") as caller:
        caller.dial(f"sip:agent@127.0.0.1:{system.port}")
        first = agent.incoming()
        first.wait_heard("caller")
        if held:
            assert first.hold().code == 200
        consultation = agent.call(f"sip:desk@127.0.0.1:{system.port}")
        answered = person.incoming()
        consultation.wait(State.CONFIRMED)
        consultation.wait_heard("person")
        answered.wait_heard("agent")
        assert "caller" not in {sound.name for sound in answered.heard()}
        referred = time.time()
        assert first.refer_replacing(consultation).code == 202
        moved = person.incoming()
        moved.wait_heard("caller", time.time())
        assert first.wait_for(TransferProgress, final=True).code == 200
        for gone in (answered, consultation, first):
            gone.wait(State.DISCONNECTED)
        told = wire.messages(to=caller.port, since=referred, requests=True)
        assert [message.method for message in told] == (["INVITE", "ACK"] if held else [])
        moved.hangup()
        caller.hung_up()
        names = [sound.name for sound in caller.heard({"agent": AGENT, "person": TARGET}) if sound.seconds >= 0.3]
    assert names == (["agent"] if held else ["agent", "person"])  # baresip records no further after a re-INVITE
    system.wait_until(lambda: system.calls() == [] and system.media_calls() == 0)
    (logged,) = system.store.finished(1)
    transfer = logged.transfer
    assert (transfer.target, transfer.mode, transfer.outcome) == ("desk", Mode.BLIND, Outcome.CONNECTED)
    with pytest.raises(PhoneError):
        person.incoming(timeout=0)
