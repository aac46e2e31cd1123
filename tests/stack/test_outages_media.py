"""rtpengine stops, freezes and comes back: signalling goes on, and everyone is told the truth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import State
from tests.stack.system import System
from tests.stack.talk import NUMBER, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 1.0
"""Seconds that a call may wait for an rtpengine that does not answer: 0.3, and the rest for a busy machine."""

SDP = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 9 RTP/AVP 0
a=rtpmap:0 PCMU/8000
""".replace("\n", "\r\n")


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that looks at each call every second, and ends what sends no media for five."""
    media = {"check_every": 1, "timeout": 5}
    with Ua("agent") as agent, System(agent.uri, node={"workers": 1}, media=media) as system:
        yield agent, system


@pytest.fixture
def agent_and_two_nodes() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack with two rtpengines that are both well."""
    with Ua("agent") as agent, System(agent.uri, node={"workers": 2}, media_nodes=2) as system:
        yield agent, system


@pytest.fixture(autouse=True)
def settled(system: System, agent: Ua) -> None:
    """Begin each test when the worker uses rtpengine again."""
    find_rtpengine(system, agent)


def find_rtpengine(system: System, agent: Ua) -> None:
    """Wait until calls reach the agent, who does not take them."""

    def arrives() -> bool:
        with Ua("caller", proxy=system.proxy) as caller:
            invite = caller.invite(f"sip:{NUMBER}@127.0.0.1:{system.port}")
            try:
                incoming = agent.expect("INVITE", timeout=0.2)
            except AssertionError:
                caller.ack(caller.expect(503, to=invite))
                return False
            agent.reply(incoming, 486)
            agent.expect("ACK")
            caller.ack(caller.expect(486, to=invite))
            return True

    system.wait_until(arrives)


def refused(system: System) -> None:
    """Try to call, and check that it is refused with a reason, soon."""
    with Ua("caller", proxy=system.proxy) as caller:
        began = time.time()
        invite = caller.invite(f"sip:{NUMBER}@127.0.0.1:{system.port}", sdp=SDP)
        answer = caller.expect(503, to=invite)
        caller.ack(answer)
        assert answer.reason == "No media server is available"
        assert int(answer["Retry-After"]) > 0
        assert answer.at - began < PATIENCE


def test_new_calls_are_refused_while_rtpengine_is_stopped(system: System, agent: Ua) -> None:
    """They get 503 with a reason and a time to come back, and the log says why; then calls are taken again."""
    with system.rtpengine.away():
        for _ in range(4):
            refused(system)
    find_rtpengine(system, agent)
    with Talk(system, agent) as talk:
        talk.hand_over()
        talk.hang_up_on_target()
        talk.nothing_left()
    log = system.kamailio.log.read_text()
    assert "media1" in log
    assert "Traceback" not in log


def test_new_calls_are_refused_while_rtpengine_is_frozen(system: System) -> None:
    """They wait for a part of a second; what rtpengine does belatedly for one of them ends by its own time-out."""
    with system.rtpengine.frozen():
        for _ in range(4):
            refused(system)
    system.wait_until(lambda: system.media_calls() == 1)
    system.wait_until(lambda: system.media_calls() == 0, timeout=10)


def test_a_transfer_without_rtpengine_fails_and_the_signalling_goes_on(talk: Talk) -> None:
    """The agent gets a final NOTIFY; requests pass and the call hangs up."""
    with talk.system.rtpengine.away():
        talk.agent.expect(202, to=talk.refer())
        talk.notified(100)
        talk.notified(503, final=True)
        (transfer,) = talk.record.history
        assert transfer.outcome is Outcome.MEDIA_FAILED
        info = talk.caller.request("INFO", talk.caller_dialog)
        talk.agent.reply(talk.agent.expect("INFO"), 200)
        talk.caller.expect(200, to=info)
        talk.hang_up()
        assert talk.system.calls() == []
    talk.nothing_left()


def test_a_bridge_that_rtpengine_does_not_make_leaves_caller_and_agent(talk: Talk) -> None:
    """rtpengine freezes as the target answers: the target is let go, the agent told, and caller and agent talk on."""
    invite = talk.refer_accepted()
    with talk.system.rtpengine.frozen():
        talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
        talk.target.expect("ACK")
        talk.target.reply(talk.target.expect("BYE"), 200)
        talk.notified(500, final=True)
    talk.hear_each_other()
    assert talk.record.state is State.TALKING
    assert talk.record.history[0].outcome is Outcome.MEDIA_FAILED
    talk.hang_up()
    talk.nothing_left()


def test_a_call_whose_media_went_with_rtpengine_is_ended(talk: Talk) -> None:
    """An rtpengine that was started anew does not know the call: both sides get BYE with the reason."""
    with talk.system.rtpengine.away():
        pass
    for ua in (talk.caller, talk.agent):
        bye = ua.expect("BYE")
        assert "no media" in bye["Reason"]
        ua.reply(bye, 200)
    talk.nothing_left()


@pytest.mark.parametrize("dead", ["media1", "media2"])
def test_new_calls_use_the_other_node_when_one_is_dead(agent_and_two_nodes: tuple[Ua, System], dead: str) -> None:
    """Not one call is refused, whichever node it would have gone to; transfers work at the other one."""
    agent, system = agent_and_two_nodes
    (alive,) = {"media1", "media2"} - {dead}
    with system.rtpengines[dead].away():
        for _ in range(6):
            with Talk(system, agent) as talk:
                assert talk.record.media_node == alive
                talk.hang_up()
                system.wait_until(lambda: system.media_calls(alive) == 0)
        with Talk(system, agent) as talk:
            talk.hand_over()
            talk.hang_up_on_target()
            system.wait_until(lambda: system.media_calls(alive) == 0)


def test_both_nodes_get_their_share_of_the_calls(agent_and_two_nodes: tuple[Ua, System]) -> None:
    """And each call stays at its node."""
    agent, system = agent_and_two_nodes
    seen = set()

    def another_call() -> bool:
        with Talk(system, agent) as talk:
            seen.add(talk.record.media_node)
            talk.hang_up()
        return seen == {"media1", "media2"}

    system.wait_until(another_call, timeout=10)
