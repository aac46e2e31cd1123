"""Parties that vanish without BYE, and the session timer that the agent had promised to look after."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

SILENCE = 5.0
TIMER = {"Session-Expires": "2;refresher=uas", "Require": "timer"}
WITH_UPDATE = {"Allow": "INVITE, ACK, BYE, CANCEL, UPDATE", "Supported": "timer"}
WITHOUT_UPDATE = {"Allow": "INVITE, ACK, BYE, CANCEL", "Supported": "timer"}


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give a stack that loses patience with silence soon."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri, media={"timeout": SILENCE, "check_every": 1.0}) as system:
            yield agent, system


def hold(talk: Talk) -> None:
    """Let the caller put the target on hold; nobody sends any more."""
    sdp = talk.caller_voice.sdp("PCMU", direction="inactive", version=2)
    offer = talk.caller.request("INVITE", talk.caller_dialog, sdp=sdp)
    seen = talk.target.expect("INVITE")
    assert "a=inactive" in seen.body
    talk.target.reply(seen, 200, sdp=talk.target_voice.sdp(direction="inactive", version=2))
    talk.caller.ack(talk.caller.expect(200, to=offer))
    talk.target.expect("ACK")


def test_a_call_without_media_is_ended(system: System, agent: Ua) -> None:
    """Whoever falls silent after the bridge, both get BYE with a Reason.

    A call on hold may be as silent as it likes, and so may an agent before the bridge: it says nothing while it thinks.
    """
    with ExitStack() as stack:
        thinking = stack.enter_context(Talk(system, agent))
        thinking.agent_voice.hush()
        talks, invites = [], []
        for _ in range(4):
            talks.append(stack.enter_context(Talk(system, agent)))
            invites.append(talks[-1].hand_over())
        no_target, no_caller, nobody, held = talks
        hold(held)
        began = time.time()
        for voice in (
            no_target.target_voice,
            no_caller.caller_voice,
            *(nobody.target_voice, nobody.caller_voice),
            *(held.target_voice, held.caller_voice),
        ):
            voice.hush()
        for talk in (no_target, no_caller, nobody):
            for party in (talk.caller, talk.target):
                bye = party.expect("BYE", timeout=SILENCE + 4)
                assert bye["Reason"].startswith("SIP;cause=408")
                assert bye.at - began > SILENCE - 1
                party.reply(bye, 200)
        assert len(system.calls()) == 2
        thinking.agent_voice.talk_to(thinking.incoming.body)
        thinking.hear_each_other()
        thinking.hang_up()
        bye = held.target.request("BYE", held.target.dialog(invites[-1]))
        held.caller.reply(held.caller.expect("BYE"), 200)
        held.target.expect(200, to=bye)
        held.nothing_left()


def handed_over(talk: Talk) -> Message:
    """Hand the call over; gives the target's INVITE."""
    invite = talk.hand_over()
    assert talk.record.session_timer is not None
    return invite


def end(talk: Talk, invite: Message) -> None:
    """Let the target hang up."""
    bye = talk.target.request("BYE", talk.target.dialog(invite))
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.target.expect(200, to=bye)
    talk.nothing_left()


def test_the_callers_session_is_refreshed_by_update(system: System, agent: Ua) -> None:
    """In the agent's place, at half of the interval each time (RFC 4028 section 7.4)."""
    with Talk(system, agent, invited=WITH_UPDATE, answered=TIMER) as talk:
        invite = handed_over(talk)
        updates = []
        for _ in range(2):
            update = talk.caller.expect("UPDATE")
            talk.caller.reply(update, 200, headers=TIMER)
            assert (update.call_id, update.from_tag) == (talk.answer.call_id, talk.answer.to_tag)
            assert update["Session-Expires"] == "2;refresher=uac"
            assert not update.body
            updates.append(update)
        assert 0.9 < updates[1].at - updates[0].at < 1.5
        assert updates[1].cseq == updates[0].cseq + 1
        talk.hear_target()
        end(talk, invite)


def test_the_callers_session_is_refreshed_by_invite(system: System, agent: Ua) -> None:
    """Where its INVITE did not allow UPDATE: the same SDP once more, and ACK for the answer."""
    with Talk(system, agent, invited=WITHOUT_UPDATE, answered=TIMER) as talk:
        invite = handed_over(talk)
        for _ in range(2):
            refresh = talk.caller.expect("INVITE")
            assert refresh.body == talk.answer.body
            talk.caller.reply(refresh, 200, sdp=talk.caller_voice.sdp("PCMU", "PCMA"), headers=TIMER)
            ack = talk.caller.expect("ACK")
            assert (ack.cseq, ack.to_tag) == (refresh.cseq, talk.answer.from_tag)
        talk.target.expect_nothing(0.0)
        talk.hear_target()
        end(talk, invite)


@pytest.mark.parametrize("invited", [WITH_UPDATE, WITHOUT_UPDATE], ids=["UPDATE", "INVITE"])
def test_a_caller_that_no_longer_knows_the_call_ends_it(system: System, agent: Ua, invited: dict[str, str]) -> None:
    """481 to the refresh: the target gets BYE, and the caller too (RFC 4028 section 10)."""
    with Talk(system, agent, invited=invited, answered=TIMER) as talk:
        handed_over(talk)
        method = "UPDATE" if "UPDATE" in invited["Allow"] else "INVITE"
        talk.caller.reply(talk.caller.expect(method), 481)
        if method == "INVITE":
            talk.caller.expect("ACK")
        for party in (talk.caller, talk.target):
            bye = party.expect("BYE")
            party.reply(bye, 200)
            assert bye["Reason"].startswith("SIP;cause=408")
        talk.nothing_left()


def test_a_refused_refresh_is_tried_again(system: System, agent: Ua) -> None:
    """491 or 500 says nothing about the session: the call goes on (RFC 4028 section 7.4)."""
    with Talk(system, agent, invited=WITH_UPDATE, answered=TIMER) as talk:
        invite = handed_over(talk)
        for status in (491, 500):
            talk.caller.reply(talk.caller.expect("UPDATE"), status)
        talk.caller.reply(talk.caller.expect("UPDATE"), 200, headers=TIMER)
        talk.hear_target()
        end(talk, invite)


def test_an_agent_that_has_just_refreshed_leaves_time(system: System, agent: Ua) -> None:
    """The first refresh of ours is due half an interval after its last one."""
    slow = {"Session-Expires": "4;refresher=uas"}
    with Talk(system, agent, invited=WITH_UPDATE, answered=slow) as talk:
        time.sleep(1.0)  # half of the time after which ours would come
        update = talk.agent.request("UPDATE", talk.agent_dialog, headers={"Session-Expires": "4;refresher=uac"})
        talk.caller.reply(talk.caller.expect("UPDATE"), 200, headers=slow)
        refreshed = talk.agent.expect(200, to=update).at
        invite = handed_over(talk)
        ours = talk.caller.expect("UPDATE")
        talk.caller.reply(ours, 200, headers=slow)
        assert 1.8 < ours.at - refreshed < 2.5
        end(talk, invite)
