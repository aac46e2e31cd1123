"""Agents that come and go: who is called when one is out of order, and what the operator is told."""

from __future__ import annotations

from routing.pools import agents_seen
from tests.stack.rtp import RtpPeer
from tests.stack.sipp import free_port
from tests.stack.system import System
from tests.stack.ua import Ua


def test_an_agent_that_refuses_the_connection_is_passed_over() -> None:
    """Every call reaches the other agent of the pool, whichever was chosen first."""
    nobody = f"sip:127.0.0.1:{free_port()};transport=tcp"
    with Ua("agent") as agent, RtpPeer() as voice, System(nobody, agent.uri) as system:
        agent.allow("OPTIONS")
        for _ in range(4):
            with Ua("caller", proxy=system.proxy) as caller:
                invite = caller.invite(f"sip:1@127.0.0.1:{system.port}", sdp=voice.sdp())
                agent.reply(agent.expect("INVITE"), 200, sdp=voice.sdp())
                answer = caller.expect(200, to=invite)
                caller.ack(answer)
                agent.expect("ACK")
                bye = caller.request("BYE", caller.dialog(answer))
                agent.reply(agent.expect("BYE"), 200)
                caller.expect(200, to=bye)
        system.wait_until(lambda: system.media_calls() == 0)


def test_a_pool_without_any_agent_answers_503() -> None:
    """So that the trunk tries another route; nothing is left of the call."""
    nobody = f"sip:127.0.0.1:{free_port()};transport=tcp"
    with System(nobody) as system, Ua("caller", proxy=system.proxy) as caller, RtpPeer() as voice:
        for _ in range(2):
            invite = caller.invite(f"sip:1@127.0.0.1:{system.port}", sdp=voice.sdp())
            refusal = caller.expect(503, to=invite)
            assert refusal["Retry-After"]
            caller.ack(refusal)
        system.wait_until(lambda: system.media_calls() == 0)


def test_an_agent_that_does_not_answer_options_is_named_in_the_log() -> None:
    """It gets no calls while it is down, and is named again when it is back; the node's signs of life tell the same."""

    def logged(words: str) -> bool:
        return f"agent={agent.uri} {words}" in system.kamailio.log.read_text()

    def seen() -> dict[str, bool]:
        return {found.agent: found.up for found in agents_seen(system.store.nodes())}

    with Ua("agent") as agent, System(agent.uri, ping_interval=1) as system:
        agent.allow("OPTIONS")
        system.wait_until(lambda: logged("is down"), timeout=10)
        system.wait_until(lambda: seen() == {agent.uri: False})
        with Ua("caller", proxy=system.proxy) as caller:
            invite = caller.invite(f"sip:1@127.0.0.1:{system.port}", sdp="")
            caller.ack(caller.expect(503, to=invite))
        for _ in range(20):
            agent.reply(agent.expect("OPTIONS", timeout=5), 200)
            if seen() == {agent.uri: True}:
                break
        assert logged("is up")
        assert seen() == {agent.uri: True}
