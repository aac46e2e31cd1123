"""An INVITE that is too long for UDP leaves by TCP, and all that follows it finds its way (RFC 3261 section 18.1.1)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import State
from tests.stack.sipp import free_port
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.tcp_ua import TcpUa
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = {"X-Ticket": "x" * 900}


@pytest.fixture
def target() -> Iterator[TcpUa]:
    """Give a target that is reached over UDP and TCP."""
    with TcpUa("target") as target:
        yield target


@pytest.fixture
def udp_only() -> Iterator[TcpUa]:
    """Give a target that refuses TCP connections."""
    with TcpUa("target", listening=False) as target:
        yield target


def test_a_long_invite_and_its_dialog_go_by_tcp(system: System, agent: Ua, target: TcpUa) -> None:
    """INVITE, ACK, a request in each direction and BYE; the Request-URI stays as the target has it."""
    with Talk(system, agent, target=target, headers=LONG) as talk:
        invite = talk.refer_accepted()
        assert target.over_tcp == [invite]
        assert len(bytes(invite)) > 1300
        assert invite.uri == target.uri
        assert invite["Via"].startswith("SIP/2.0/TCP ")
        target.reply(invite, 180)
        talk.notified(180)
        target.reply(invite, 200, sdp=talk.target_voice.sdp(), headers={"Contact": f"<{target.uri};transport=tcp>"})
        target.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        request = talk.caller.request("INFO", talk.caller_dialog)
        target.reply(target.expect("INFO"), 200)
        talk.caller.expect(200, to=request)
        request = target.request("INFO", target.dialog(invite))
        talk.caller.reply(talk.caller.expect("INFO"), 200)
        target.expect(200, to=request)
        talk.hang_up_on_target()
        assert [message.method for message in target.over_tcp] == ["INVITE", "ACK", "INFO", "INFO", "BYE"]
        talk.nothing_left()


def test_the_target_of_a_long_invite_can_hang_up_by_udp(system: System, agent: Ua, target: TcpUa) -> None:
    """Its Contact names no transport: ACK and what follows go by UDP, whatever the INVITE came by."""
    with Talk(system, agent, target=target, headers=LONG) as talk:
        invite = talk.refer_accepted()
        talk.target_answers(invite)
        talk.notified(200, final=True)
        talk.agent_leaves()
        assert target.over_tcp == [invite]
        talk.hang_up_on_target()
        talk.nothing_left()


def test_a_long_invite_is_cancelled_on_its_connection(system: System, agent: Ua, target: TcpUa) -> None:
    """The CANCEL goes where the INVITE went."""
    with Talk(system, agent, target=target, headers=LONG) as talk:
        invite = talk.refer_accepted()
        target.reply(invite, 180)
        talk.notified(180)
        talk.hang_up()
        talk.notified(487, final=True)
        cancel = target.expect("CANCEL")
        target.reply(cancel, 200)
        target.reply(invite, 487)
        target.expect("ACK")
        assert [message.method for message in target.over_tcp] == ["INVITE", "CANCEL", "ACK"]
        talk.nothing_left()


def test_a_short_invite_goes_by_udp(system: System, agent: Ua, target: TcpUa) -> None:
    """Nobody opens a connection for what fits into a packet."""
    with Talk(system, agent, target=target) as talk:
        invite = talk.refer_accepted()
        assert target.over_tcp == []
        target.reply(invite, 486)
        target.expect("ACK")
        talk.notified(486, final=True)
        talk.hang_up()
        talk.nothing_left()


def test_a_refused_connection_is_followed_by_udp(system: System, agent: Ua, udp_only: TcpUa) -> None:
    """Once no reply has come in time; the INVITE is the same but for its Via."""
    with Talk(system, agent, target=udp_only, headers=LONG) as talk:
        began = time.monotonic()
        invite = talk.refer_accepted()
        assert time.monotonic() - began < system.settings.sip.no_reply_timeout + 1
        assert [via.split()[0] for via in invite.all("Via")] == ["SIP/2.0/UDP"]
        assert (invite.cseq, invite["X-Ticket"]) == (1, LONG["X-Ticket"])
        udp_only.reply(invite, 180)
        talk.notified(180)
        talk.target_answers(invite)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        bye = udp_only.request("BYE", udp_only.dialog(invite))
        talk.caller.reply(talk.caller.expect("BYE"), 200)
        udp_only.expect(200, to=bye)
        talk.nothing_left()


def test_the_second_try_is_cancelled_too(system: System, agent: Ua, udp_only: TcpUa) -> None:
    """The caller hangs up while the target rings over UDP."""
    with Talk(system, agent, target=udp_only, headers=LONG) as talk:
        invite = talk.refer_accepted()
        udp_only.reply(invite, 180)
        talk.notified(180)
        talk.hang_up()
        talk.notified(487, final=True)
        udp_only.reply(udp_only.expect("CANCEL"), 200)
        udp_only.reply(invite, 487)
        udp_only.expect("ACK")
        talk.nothing_left()


def test_a_refusal_of_the_second_try_is_the_outcome(system: System, agent: Ua, udp_only: TcpUa) -> None:
    """What the target says by UDP is what the agent is told."""
    with Talk(system, agent, target=udp_only, headers=LONG) as talk:
        udp_only.reply(talk.refer_accepted(), 486)
        udp_only.expect("ACK")
        talk.notified(486, final=True)
        assert talk.last_transfer.outcome is Outcome.BUSY
        talk.hang_up()
        talk.nothing_left()


def test_a_target_that_neither_hears_is_unreachable(system: System, agent: Ua, udp_only: TcpUa) -> None:
    """It is tried once by each."""
    with Talk(system, agent, target=udp_only, headers=LONG) as talk:
        talk.refer_accepted()
        talk.notified(408, final=True)
        assert talk.last_transfer.outcome is Outcome.UNREACHABLE
        assert talk.record.state is State.TALKING
        talk.hang_up()
        talk.nothing_left()


def test_a_uri_that_names_udp_is_obeyed(system: System, agent: Ua, target: TcpUa) -> None:
    """People know better than a rule of thumb."""
    with Talk(system, agent, target=target) as talk:
        system.add_target("support", f"{target.uri};transport=udp", headers=LONG)
        target.reply(talk.refer_accepted(), 486)
        target.expect("ACK")
        talk.notified(486, final=True)
        assert target.over_tcp == []
        talk.hang_up()
        talk.nothing_left()


def test_a_node_that_does_not_listen_on_tcp_connects_by_it_all_the_same(target: TcpUa) -> None:
    """Answers come back on that connection."""
    port = free_port()
    with Ua("agent") as agent:
        system = System(agent.uri, sip={"listen": [f"udp:127.0.0.1:{port}"]})
        system.port, system.proxy, system.uri = port, ("127.0.0.1", port), f"sip:127.0.0.1:{port}"
        with system, Talk(system, agent, target=target, headers=LONG) as talk:
            invite = talk.refer_accepted()
            assert target.over_tcp == [invite]
            target.reply(invite, 486)
            target.expect("ACK")
            talk.notified(486, final=True)
            talk.hang_up()
            talk.nothing_left()
