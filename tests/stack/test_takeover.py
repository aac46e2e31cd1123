"""Kamailio dies: another node does what it had to do, and a Kamailio started anew goes on with its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import State
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.tls_peer import Authority, TlsPeer
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OVERDUE = 8.0
"""Seconds within which another node acts: 2 for a deadline, 2 of grace, the rest for a busy machine."""


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that looks at each call every two seconds."""
    with Ua("agent") as agent, System(agent.uri, media={"check_every": 2}) as system:
        yield agent, system


@pytest.fixture
def running(system: System) -> Iterator[System]:
    """Give the stack with its Kamailio running, now and afterwards."""
    yield system
    if system.kamailio.process is None:
        system.kamailio.start()


@pytest.fixture(scope="module")
def second(agent_and_system: tuple[Ua, System]) -> Iterator[System]:
    """Give a second node with the same Redis and rtpengine."""
    agent, system = agent_and_system
    with System(agent.uri, beside=system, node={"id": "node2"}) as second:
        yield second


def start_again(talk: Talk) -> None:
    """Kill Kamailio and start it again; the audio does not go through it."""
    talk.system.kamailio.kill()
    talk.hear_each_other()
    talk.system.kamailio.start()


# --- the same node, started anew -------------------------------------------------------------------------------------


def test_a_call_of_before_hangs_up_after_a_restart(talk: Talk, running: System) -> None:
    """All that is needed is in the route set and in Redis."""
    start_again(talk)
    talk.hang_up()
    talk.nothing_left()


def test_a_call_of_before_is_transferred_after_a_restart(talk: Talk, running: System) -> None:
    """A REFER for a call that this Kamailio has never seen is done like any other."""
    start_again(talk)
    talk.hand_over()
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("side", ["caller", "target"])
def test_a_call_handed_over_before_hangs_up_after_a_restart(talk: Talk, running: System, side: str) -> None:
    """Requests are translated between the two dialogs from the record alone."""
    invite = talk.hand_over()
    talk.system.kamailio.kill()
    talk.hear_target()
    talk.system.kamailio.start()
    info = talk.caller.request("INFO", talk.caller_dialog)
    talk.target.reply(talk.target.expect("INFO"), 200)
    talk.caller.expect(200, to=info)
    if side == "caller":
        talk.hang_up_on_target()
    else:
        bye = talk.target.request("BYE", talk.target.dialog(invite))
        talk.caller.reply(talk.caller.expect("BYE"), 200)
        talk.target.expect(200, to=bye)
    talk.nothing_left()


def test_a_transfer_that_rang_is_ended_after_a_restart(system: System, agent: Ua, running: System) -> None:
    """The INVITE is lost with Kamailio; the agent is told at the ring timeout, and may try again."""
    with Talk(system, agent, ring_timeout=1) as talk:
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        start_again(talk)
        talk.notified(408, final=True)
        assert talk.record.history[0].outcome is Outcome.NO_ANSWER
        talk.hand_over()
        talk.hang_up_on_target()
        talk.nothing_left()


# --- another node ----------------------------------------------------------------------------------------------------


def test_another_node_ends_a_transfer_that_rings_too_long(
    system: System, agent: Ua, second: System, running: System
) -> None:
    """The agent gets its final NOTIFY from there, and talks on with the caller."""
    with Talk(system, agent, ring_timeout=1) as talk:
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        system.kamailio.kill()
        notify = agent.expect("NOTIFY", timeout=OVERDUE)
        assert notify.source == second.proxy
        assert notify.body.startswith("SIP/2.0 408 ")
        assert notify["Subscription-State"].startswith("terminated")
        agent.reply(notify, 200)
        talk.hear_each_other()
        assert talk.record.state is State.TALKING
        system.kamailio.start()
        talk.hang_up()
        talk.nothing_left()


def test_another_node_checks_a_certificate_with_the_ca_of_the_target(
    system: System, agent: Ua, second: System, running: System, tmp_path: Path
) -> None:
    """Who certifies the next endpoint is in the record."""
    authority = Authority(tmp_path)
    with TlsPeer(*authority.certify("phone", "127.0.0.1")) as peer, Talk(system, agent, add_target=False) as talk:
        endpoints = [talk.target.uri, f"sips:bob@127.0.0.1:{peer.port}"]
        system.add_target(TARGET, *endpoints, ring_timeout=1, ca_file=str(authority.ca_file))
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        system.kamailio.kill()
        system.wait_until(lambda: peer.received != [], timeout=OVERDUE)
        assert peer.received[0].startswith(b"INVITE sips:bob@")
        notify = agent.expect("NOTIFY", timeout=OVERDUE)
        assert notify.source == second.proxy
        agent.reply(notify, 200)
        system.kamailio.start()
        talk.hang_up()
        talk.nothing_left()


def test_another_node_releases_an_agent_that_does_not_hang_up(talk: Talk, second: System, running: System) -> None:
    """The agent gets its BYE from there; caller and target talk on."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    talk.target_voice.talk_to(invite.body)
    talk.notified(200, final=True)
    talk.system.kamailio.kill()
    bye = talk.agent.expect("BYE", timeout=OVERDUE)
    assert bye.source == second.proxy
    assert "elsewhere" in bye["Reason"]
    talk.agent.reply(bye, 200)
    talk.hear_target()
    assert talk.record.state is State.CONNECTED
    talk.system.kamailio.start()
    talk.hang_up_on_target()
    talk.nothing_left()


def test_another_node_finishes_a_bridge(talk: Talk, second: System, running: System) -> None:
    """A node that dies between the target's answer and the bridge leaves enough for another one to join the two."""
    invite = talk.refer_accepted()
    with talk.system.rtpengine.frozen():  # so that the bridge takes long enough to die in it
        talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
        talk.target.expect("ACK")
        talk.system.wait_until(lambda: talk.record.state is State.BRIDGING)
        talk.system.kamailio.kill()
    talk.target_voice.talk_to(invite.body)
    notify = talk.agent.expect("NOTIFY", timeout=OVERDUE)
    assert notify.source == second.proxy
    assert notify.body.startswith("SIP/2.0 200 ")
    talk.agent.reply(notify, 200)
    talk.hear_target()
    bye = talk.agent.expect("BYE", timeout=OVERDUE)
    talk.agent.reply(bye, 200)
    talk.system.kamailio.start()
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_node_leaves_the_deadlines_of_a_living_one_alone(
    system: System, agent: Ua, second: System, running: System
) -> None:
    """Each deadline is done once, by the node that owns the call."""
    with Talk(system, agent, ring_timeout=1) as talk:
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        assert talk.notified(408, final=True).source == system.proxy
        talk.target.reply(talk.target.expect("CANCEL"), 200)
        talk.target.reply(invite, 487)
        talk.target.expect("ACK")
        agent.expect_nothing(0.2)
        talk.hang_up()
        talk.nothing_left()
