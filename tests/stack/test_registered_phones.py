"""Phones that nobody here wrote register with handoff, and are handed calls; they hear and are heard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import handoff
from cli.phones import Line, Login, Phones, Registered, State
from cli.tones import AGENT, CALLER, TARGET
from routing.users import User, read_contacts
from tests.stack.baresip import Baresip
from tests.stack.registering import DOMAIN, PASSWORD, register
from tests.stack.system import System
from tests.stack.ua import Ua
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone, PhoneCall

ALICE = f"sip:alice@{DOMAIN}"
TONES = {"caller": CALLER, "agent": AGENT, "alice": TARGET}
PATIENCE = 15.0


@pytest.fixture
def phones() -> Iterator[Phones]:
    with Phones() as phones:
        yield phones


@pytest.fixture
def agent(phones: Phones) -> Phone:
    """The first one: PJSIP gives it the calls whose Request-URI is no phone."""
    return phones.add("agent", tone=AGENT, answer_after=0)


@pytest.fixture
def system(agent: Phone, algorithms: list[str]) -> Iterator[System]:
    with System(agent.uri, users={"domains": [DOMAIN], "algorithms": algorithms}, redis={"deadline": 2.0}) as system:
        user = f"alice@{DOMAIN}"
        system.store.put_user(user, User.of(user, PASSWORD).to_json())
        system.add_target("support", ALICE)
        yield system


@pytest.fixture
def algorithms() -> list[str]:
    return ["SHA-256", "MD5"]


def login(system: System, password: str = PASSWORD) -> Login:
    return Login(uri=ALICE, password=password, registrar=f"127.0.0.1:{system.port}")


def handed_over(phones: Phones, system: System, agent: Phone) -> PhoneCall:
    """Let a caller talk with the agent, who hands the call over; gives the caller's call."""
    call = phones.add("caller", tone=CALLER).call(f"sip:agent@127.0.0.1:{system.port}")
    call.wait(State.CONFIRMED, timeout=PATIENCE)
    talking = agent.incoming()
    call.wait_heard("agent", time.time(), timeout=PATIENCE)
    assert talking.refer(f"sip:support@127.0.0.1:{system.port}").code == 202
    talking.wait(State.DISCONNECTED, timeout=PATIENCE)
    return call


def transports(system: System) -> list[str]:
    user = ALICE.partition(":")[2]
    return [contact.transport for contact in read_contacts(system.store.contacts([user])[user], time.time())]


def test_pjsip_registers_with_sha_256_and_takes_the_call(phones: Phones, system: System, agent: Phone) -> None:
    """It takes the challenge on top."""
    with Wire(system.port) as wire:
        alice = phones.add("alice", tone=TARGET, line=Line(login=login(system)), answer_after=0.1)
        assert alice.wait_for(Registered, timeout=PATIENCE).code == 200
        sent = [message for message in wire.messages() if message.method == "REGISTER" and message.is_request]
    assert "algorithm=SHA-256" in sent[-1]["Authorization"].replace('"', "")
    call = handed_over(phones, system, agent)
    answered = alice.incoming()
    since = time.time()
    call.wait_heard("alice", since, timeout=PATIENCE)
    answered.wait_heard("caller", since, timeout=PATIENCE)
    answered.hangup()
    call.wait(State.DISCONNECTED, timeout=PATIENCE)


def test_pjsip_with_a_wrong_password_is_told_so(phones: Phones, system: System) -> None:
    """And is registered nowhere."""
    alice = phones.add("alice", tone=TARGET, line=Line(login=login(system, "another")))
    assert alice.wait_for(Registered, timeout=PATIENCE).code == 403
    assert transports(system) == []


@pytest.mark.parametrize("algorithms", [["MD5"]])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_baresip_registers_and_takes_the_call(phones: Phones, system: System, agent: Phone, transport: str) -> None:
    """With MD5, since it gives up where it sees another one (libre 1.1); over TCP it is called on its connection."""
    with Baresip(TARGET, user="alice", login=login(system), transport=transport) as alice:
        assert transports(system) == [transport]
        phones.tones["alice"] = TARGET
        call = handed_over(phones, system, agent)
        call.wait_heard("alice", time.time(), timeout=PATIENCE)
        call.hangup()
        call.wait(State.DISCONNECTED, timeout=PATIENCE)
        alice.hung_up()
        assert "caller" in {sound.name for sound in alice.heard(TONES)}


def verdict(system: System, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Test the target as an operator does; gives the exit code and what is written."""
    monkeypatch.setenv("HANDOFF_SETTINGS", str(system.folder / "settings.json"))
    result = CliRunner().invoke(handoff, ["targets", "test", "support"])
    return result.exit_code, result.stdout


@pytest.mark.parametrize("algorithms", [["MD5"]])
def test_a_test_of_the_target_asks_each_phone_over_its_own_connection(
    phones: Phones, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And tells which of them does not reply; none of them rings."""
    assert "no phone of alice@handoff.local is registered" in verdict(system, monkeypatch)[1]
    alice = phones.add("alice", tone=TARGET, line=Line(login=login(system)))
    assert alice.wait_for(Registered, timeout=PATIENCE).code == 200
    with Baresip(TARGET, user="alice", login=login(system), transport="tcp"), Ua("silent") as silent:
        code, text = verdict(system, monkeypatch)
        assert (code, text.count("replies 200 to OPTIONS")) == (0, 2), text
        assert "2 phones, registered until" in text
        assert register(system, silent, algorithm="MD5").status == 200
        code, text = verdict(system, monkeypatch)
        silent.expect("OPTIONS")
    assert (code, text.count("replies 200 to OPTIONS"), text.count(": no reply to OPTIONS")) == (0, 2, 1), text
    assert alice.calls == []
