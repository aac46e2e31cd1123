"""Who may consult whom: calls of agents through handoff, and those that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.rtp import RtpPeer
from tests.stack.system import System
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

TRUNK, MACHINE, STRANGER, ALLOWED, FOREIGN = (f"127.0.0.{last}" for last in range(2, 7))
DESK = "desk"


@pytest.fixture(scope="module")
def machine() -> Iterator[Ua]:
    """Give an agent that may not refer."""
    with Ua("machine", address=MACHINE) as machine:
        yield machine


@pytest.fixture(scope="module")
def agent_and_system(machine: Ua) -> Iterator[tuple[Ua, System]]:
    """Give an agent, and a stack whose one trunk is at another address."""
    with Ua("agent") as agent:
        pools = [
            {"name": "agents", "numbers": ["*"], "agents": [{"uri": agent.uri}]},
            {"name": "machines", "numbers": ["+4940"], "agents": [{"uri": machine.uri}], "may_refer": False},
        ]
        trunks = [{"name": "carrier", "addresses": [TRUNK]}]
        with System(pools=pools, trunks=trunks, policy={"dial_uris": [ALLOWED]}) as system:
            agent.proxy = machine.proxy = system.proxy
            yield agent, system


@pytest.fixture
def person() -> Iterator[Ua]:
    """Give the phone of the target, at an address that may be dialled, too."""
    with Ua("person", address=ALLOWED) as person:
        yield person


@pytest.fixture(autouse=True)
def nothing_left(system: System) -> Iterator[None]:
    """Check that nothing is left of a call."""
    yield
    system.wait_until(lambda: system.calls() == [] and system.media_calls() == 0)


def consult(system: System, agent: Ua, uri: str = "") -> Message:
    """Let an agent call."""
    with RtpPeer() as voice:
        return agent.invite(uri or f"sip:{DESK}@127.0.0.1:{system.port}", sdp=voice.sdp())


def refused(agent: Ua, invite: Message, status: int) -> Message:
    """Take a refusal."""
    answer = agent.expect(status, to=invite, timeout=6.0)
    agent.ack(answer)
    return answer


def talks(agent: Ua, person: Ua, invite: Message) -> None:
    """Let the person answer, and hang up."""
    incoming = person.expect("INVITE")
    with RtpPeer() as voice:
        person.reply(incoming, 200, sdp=voice.sdp())
    answer = agent.expect(200, to=invite)
    agent.ack(answer)
    person.expect("ACK")
    bye = person.request("BYE", person.dialog(incoming))
    agent.reply(agent.expect("BYE"), 200)
    person.expect(200, to=bye)


def test_an_agent_calls_the_first_endpoint_of_a_target(system: System, agent: Ua, person: Ua) -> None:
    """Its record is that of a call which nobody may transfer."""
    system.add_target(DESK, person.uri, "sip:second@127.0.0.1")
    invite = consult(system, agent)
    incoming = person.expect("INVITE")
    assert incoming.uri == person.uri
    with RtpPeer() as voice:
        person.reply(incoming, 200, sdp=voice.sdp(), headers={"Supported": "replaces"})
    agent.ack(agent.expect(200, to=invite))
    person.expect("ACK")
    (call,) = system.calls()
    assert (call.pool, call.may_refer, call.takes_replaces) == (DESK, False, True)
    headers = {"Refer-To": f"<sip:{DESK}@127.0.0.1:{system.port}>"}
    person.expect(403, to=person.request("REFER", person.dialog(incoming), headers=headers))
    bye = person.request("BYE", person.dialog(incoming))
    agent.reply(agent.expect("BYE"), 200)
    person.expect(200, to=bye)


def test_an_agent_calls_a_uri_that_the_policy_allows(system: System, agent: Ua, person: Ua) -> None:
    """As it is written."""
    talks(agent, person, consult(system, agent, f"{person.uri};x=1"))
    assert person.received[0].uri == f"{person.uri};x=1"


def test_an_agent_may_call_from_another_port(system: System, person: Ua) -> None:
    """As by TCP; at this address there is no trunk with which it could be confused."""
    system.add_target(DESK, person.uri)
    with Ua("elsewhere", proxy=system.proxy) as elsewhere:
        talks(elsewhere, person, consult(system, elsewhere))


@pytest.mark.parametrize(
    ("uri", "status"),
    [("sip:nobody@handoff", 404), ("sip:nobody@{ours}", 404), (f"sip:x@{FOREIGN}", 403), ("sip:closed@handoff", 480)],
)
def test_whom_an_agent_may_not_transfer_to_it_may_not_call(system: System, agent: Ua, uri: str, status: int) -> None:
    """With the answer that its REFER would get."""
    system.add_target("closed", "sip:x@127.0.0.1", hours=["mon 00:00-00:01"], holidays=[])
    refused(agent, consult(system, agent, uri.format(ours=f"127.0.0.1:{system.port}")), status)


def test_neither_strangers_nor_agents_that_may_not_refer_call_anybody(system: System, machine: Ua, person: Ua) -> None:
    """They are no trunk."""
    system.add_target(DESK, person.uri)
    refused(machine, consult(system, machine), 403)
    with Ua("stranger", address=STRANGER, proxy=system.proxy) as stranger:
        refused(stranger, consult(system, stranger), 403)
    person.expect_nothing(0.0)


@pytest.mark.parametrize("status", [407, 486, 603])
def test_the_agent_gets_the_answer_of_the_person(system: System, agent: Ua, person: Ua, status: int) -> None:
    """A challenge too, which only the agent can answer."""
    system.add_target(DESK, person.uri)
    invite = consult(system, agent)
    challenge = {"Proxy-Authenticate": 'Digest realm="pbx", nonce="n"'} if status == 407 else {}
    person.reply(person.expect("INVITE"), status, headers=challenge)
    person.expect("ACK")
    answer = refused(agent, invite, status)
    assert dict(answer.headers).items() >= challenge.items()


def test_an_agent_gives_up(system: System, agent: Ua, person: Ua) -> None:
    """Nothing is left, as the other tests check."""
    system.add_target(DESK, person.uri)
    invite = consult(system, agent)
    incoming = person.expect("INVITE")
    person.reply(incoming, 180)
    agent.expect(180, to=invite)
    agent.expect(200, to=agent.cancel(invite))
    person.reply(person.expect("CANCEL"), 200)
    person.reply(incoming, 487)
    person.expect("ACK")
    refused(agent, invite, 487)


def test_nobody_is_consulted_while_the_store_is_away(system: System, agent: Ua) -> None:
    """There is nobody who knows the targets."""
    system.redis.stop()
    try:
        answer = refused(agent, consult(system, agent), 503)
        assert int(answer["Retry-After"]) > 0
    finally:
        system.redis.start()


def test_an_agent_at_the_address_of_a_trunk_calls_pools_as_well(person: Ua) -> None:
    """Such as a PBX that is both; who is no target and no URI to dial belongs to a pool, as ever."""
    with Ua("pbx") as pbx, System(pbx.uri) as system:
        pbx.allow("OPTIONS")
        system.add_target(DESK, person.uri)
        talks(pbx, person, consult(system, pbx))
        invite = consult(system, pbx, f"sip:+4930@127.0.0.1:{system.port}")
        incoming = pbx.expect("INVITE")
        pbx.reply(incoming, 486)
        pbx.expect("ACK")
        refused(pbx, invite, 486)
        system.wait_until(lambda: system.calls() == [] and system.media_calls() == 0)
