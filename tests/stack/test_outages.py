"""Redis stops, freezes and comes back: calls go on, transfers wait, and nothing is left behind.

There is one worker, so that a request which waits for Redis holds up every other, and a call is looked at each second.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal

import pytest

from routing.records import State
from tests.stack.dialog import Dialog
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

How = Literal["stopped", "frozen"]

PATIENCE = 0.4
"""Seconds that nothing may take while Redis is away: 0.1 for one wait, the rest for a busy machine."""


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack with one worker that looks at each call every second."""
    with Ua("agent") as agent, System(agent.uri, node={"workers": 1}, media={"check_every": 1}) as system:
        yield agent, system


@pytest.fixture(autouse=True)
def settled(system: System) -> None:
    """Begin each test when the worker has found Redis again."""
    find_redis(system)


def find_redis(system: System) -> None:
    """Wait until the worker asks Redis again: then it knows that there is no call for this REFER."""
    someone = f"<sip:someone@127.0.0.1:{system.port}>"
    nowhere = f"sip:{'0' * 16}-1@127.0.0.1:{system.port}"
    with Ua("prober") as prober:
        dialog = Dialog("unknown", f"{someone};tag=1", f"{someone};tag=2", nowhere, (), 1)

        def found() -> bool:
            refer = prober.request("REFER", dialog, headers={"Refer-To": someone})
            return prober.final_reply(refer).status == 481

        system.wait_until(found)


@contextmanager
def redis_away(system: System, how: How) -> Iterator[None]:
    """Stop or freeze Redis for a while."""
    with system.redis.away() if how == "stopped" else system.redis.frozen():
        yield


def refer_until_accepted(talk: Talk) -> Message:
    """Send REFER as often as it takes the worker to try Redis again; gives the INVITE that the target got."""

    def accepted() -> bool:
        return talk.agent.final_reply(talk.refer()).status == 202

    talk.system.wait_until(accepted)
    talk.notified(100)
    return talk.target.expect("INVITE")


def connect(talk: Talk, invite: Message) -> None:
    """Let the target answer, and check that caller and target talk and the agent has gone."""
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    talk.target_voice.talk_to(invite.body)
    talk.notified(200, final=True)
    talk.agent.expect(200, to=talk.agent.request("BYE", talk.agent_dialog))
    talk.hear_target()


def refuse_late_byes(*uas: Ua) -> None:
    """Answer the BYE that a party gets when handoff, told by Redis of a call, finds that it has no media any more."""
    for ua in uas:
        ua.reply(ua.expect("BYE", timeout=5), 481)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_calls_connect_and_end_while_redis_is_away(system: System, agent: Ua, how: How) -> None:
    """Caller and agent hear one another, and either may hang up."""
    with ExitStack() as calls:
        with redis_away(system, how):
            talk = calls.enter_context(Talk(system, agent, add_target=False))
            talk.hang_up()
            other = calls.enter_context(Talk(system, agent, add_target=False))
            bye = agent.request("BYE", other.agent_dialog)
            other.caller.reply(other.caller.expect("BYE"), 200)
            agent.expect(200, to=bye)
            system.wait_until(lambda: system.media_calls() == 0)
        # A frozen Redis learns of a call when it has ended; handoff finds no media and hangs up on both once more.
        system.wait_until(lambda: system.calls() == [], timeout=5)
        for ua in (talk.caller, other.caller, agent):
            ua.forget()


def test_a_call_of_before_hangs_up_while_redis_is_stopped(talk: Talk) -> None:
    """Its record is still there when Redis is back, and goes when handoff finds that there is no media."""
    with talk.system.redis.away():
        talk.hang_up()
        talk.system.wait_until(lambda: talk.system.media_calls() == 0)
    assert talk.record.state is State.TALKING
    refuse_late_byes(talk.caller, talk.agent)
    talk.nothing_left()


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_transfers_are_refused_at_once_and_possible_again_when_redis_is_back(talk: Talk, how: How) -> None:
    """REFER gets 503 with Retry-After, and no worker waits for Redis so long that others would notice."""
    slowest = 0.0
    with redis_away(talk.system, how):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            refer = talk.refer()
            sent = time.time()
            options = talk.caller.request("OPTIONS", talk.caller_dialog)  # waits behind the REFER
            talk.agent.reply(talk.agent.expect("OPTIONS"), 200)
            slowest = max(slowest, talk.caller.expect(200, to=options).at - sent)
            refused = talk.agent.expect(503, to=refer)
            assert int(refused["Retry-After"]) > 0
            slowest = max(slowest, refused.at - sent)
    assert slowest < PATIENCE
    connect(talk, refer_until_accepted(talk))
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_frozen_redis_holds_no_worker_for_long(talk: Talk) -> None:
    """One wait of a tenth of a second, then requests fail at once for a second: so the most time is spent working."""
    with talk.system.redis.frozen():
        began = time.time()
        for _ in range(20):
            talk.agent.expect(503, to=talk.refer())
        assert time.time() - began < 2 * PATIENCE
    connect(talk, refer_until_accepted(talk))
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("side", ["caller", "target"])
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_call_handed_over_hangs_up_while_redis_is_away(talk: Talk, how: How, side: str) -> None:
    """The copy in this node's memory tells where the BYE has to go; the media is released."""
    invite = talk.hand_over()
    with redis_away(talk.system, how):
        if side == "caller":
            talk.hang_up_on_target()
        else:
            bye = talk.target.request("BYE", talk.target.dialog(invite))
            talk.caller.reply(talk.caller.expect("BYE"), 200)
            talk.target.expect(200, to=bye)
        talk.system.wait_until(lambda: talk.system.media_calls() == 0)
    if how == "stopped":  # a frozen Redis does what it was asked to when it thaws
        refuse_late_byes(talk.caller, talk.target)
    talk.nothing_left()


def test_the_agents_own_bye_after_the_transfer_harms_nobody_while_redis_is_away(talk: Talk) -> None:
    """It is answered, and caller and target talk on."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    talk.target_voice.talk_to(invite.body)
    talk.notified(200, final=True)
    with talk.system.redis.away():
        talk.agent.expect(200, to=talk.agent.request("BYE", talk.agent_dialog))
        talk.hear_target()
    talk.agent.reply(talk.agent.expect("BYE"), 481)  # what Redis knows: the agent had not hung up yet
    talk.hear_target()
    find_redis(talk.system)
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_transfer_that_rings_survives_a_restart_of_redis(talk: Talk) -> None:
    """The target answers when Redis is back: the caller is connected as if nothing had been."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    with talk.system.redis.away():
        talk.hear_each_other()
    connect(talk, invite)
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_person_who_answers_while_redis_is_away_is_let_go_and_the_agent_is_told(system: System, agent: Ua) -> None:
    """Caller and agent talk on; when Redis is back the ring timeout ends the transfer."""
    with Talk(system, agent, ring_timeout=1) as talk:
        invite = talk.refer_accepted()
        with system.redis.away():
            talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
            talk.target.expect("ACK")
            talk.target.reply(talk.target.expect("BYE"), 200)
            talk.hear_each_other()
        talk.notified(408, final=True)
        talk.hear_each_other()
        assert talk.record.state is State.TALKING
        find_redis(system)
        talk.hang_up()
        talk.nothing_left()


def test_a_target_stops_ringing_when_the_caller_hung_up_while_redis_was_away(talk: Talk) -> None:
    """The BYE reaches the agent at once; the target gets CANCEL when Redis is back, and the agent its final NOTIFY."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    with talk.system.redis.away():
        talk.hang_up()
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.notified(487, final=True)
    refuse_late_byes(talk.caller, talk.agent)
    talk.nothing_left()


def test_the_log_says_what_is_wrong_with_redis(system: System, agent: Ua) -> None:
    """One line for each request that suffered, with the place and the mend."""
    with Talk(system, agent) as talk:
        begin = len(system.kamailio.log.read_text())
        with system.redis.away():
            agent.expect(503, to=talk.refer(TARGET))
        lines = [line for line in system.kamailio.log.read_text()[begin:].splitlines() if "WARN" in line]
        (line,) = [line for line in lines if "REFER" in line]
        assert f"{system.folder}/redis.sock is not available" in line
        assert "check that it runs" in line
        assert "Traceback" not in system.kamailio.log.read_text()
        find_redis(system)
        talk.hang_up()
        talk.nothing_left()
