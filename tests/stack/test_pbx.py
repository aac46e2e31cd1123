"""Extensions of a PBX that nobody here wrote, which asks for a login: phones that are registered there take calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.phones import Line, Phones, State, TransferProgress
from cli.tones import AGENT, CALLER, TARGET
from routing.outcomes import Outcome
from tests.stack.baresip import Baresip
from tests.stack.pbx import PASSWORD, USER, Pbx
from tests.stack.phone_talk import PhoneTalk
from tests.stack.system import System
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

TONES = {"MD5": TARGET, "SHA-256": 1250}
"""The voice of the phone at the PBX with this algorithm."""
BARESIP = 1600


@pytest.fixture(scope="module")
def stage() -> Iterator[PhoneTalk]:
    with Phones() as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        with System(agent.uri) as system, Wire(system.port) as wire:
            yield PhoneTalk(phones, system, agent, wire)


@pytest.fixture(scope="module", params=TONES)
def pbx(request: pytest.FixtureRequest) -> Iterator[Pbx]:
    with Pbx(request.param) as pbx:
        yield pbx


@pytest.fixture
def talk(stage: PhoneTalk) -> Iterator[PhoneTalk]:
    yield stage
    stage.end()


def add_extension(talk: PhoneTalk, pbx: Pbx, number: str, password: str = PASSWORD) -> None:
    endpoint = {"uri": f"sip:{number}@{pbx.host}:5060", "user": USER, "secret": f"plain:{password}"}
    talk.system.add_target("extension", endpoint)


def test_an_extension_with_a_pjsip_phone_takes_the_call(talk: PhoneTalk, pbx: Pbx) -> None:
    name, tone, line = f"1002-{pbx.algorithm.lower()}", TONES[pbx.algorithm], Line(registrar=f"sip:{pbx.host}")
    phone = talk.phones.add(name, tone=tone, line=line, answer_after=0.2)
    pbx.wait_for(name)
    add_extension(talk, pbx, name)
    call, agent = talk.connect(talk.phone("caller"))
    assert agent.refer(f"sip:extension@127.0.0.1:{talk.system.port}").code == 202
    answered = phone.incoming()
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    assert answered.hold().code == 200
    answered.resume()
    talk.hear_each_other(call, answered)
    answered.hangup()
    call.wait(State.DISCONNECTED)
    assert set(talk.voices(answered)) == {"caller"}


def test_an_extension_with_a_baresip_phone_takes_the_call(talk: PhoneTalk, pbx: Pbx) -> None:
    talk.phones.tones["baresip"] = BARESIP
    with Baresip(tone=BARESIP, user="1001", registrar=pbx.host) as baresip:
        pbx.wait_for("1001")
        add_extension(talk, pbx, "1001")
        call, agent = talk.connect(talk.phone("caller"))
        assert agent.refer(f"sip:extension@127.0.0.1:{talk.system.port}").code == 202
        assert agent.wait_for(TransferProgress, final=True).code == 200
        call.wait_heard("baresip", seconds=1.2)  # of a call shorter than a second baresip says no end
        call.hangup()
        baresip.hung_up()
        assert "caller" in {sound.name for sound in baresip.heard({"caller": CALLER}) if sound.seconds >= 0.3}


def test_a_wrong_password_rings_nobody(talk: PhoneTalk, pbx: Pbx) -> None:
    add_extension(talk, pbx, "1003", password="another")
    call, agent = talk.connect(talk.phone("caller"))
    assert agent.refer(f"sip:extension@127.0.0.1:{talk.system.port}").code == 202
    assert agent.wait_for(TransferProgress, final=True).code == 407
    talk.hear_each_other(call, agent)
    call.hangup()
    assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.AUTH_FAILED
