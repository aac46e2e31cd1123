"""Offers within a call that is handed over: they are settled first, and the bridge uses what they agreed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from routing.records import State
from rtpengine.sdp import endpoint
from tests.stack.rtp import RtpPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message
    from tests.stack.talk import Talk

TRIES = 12


@pytest.fixture
def moved() -> Iterator[RtpPeer]:
    """Give a second port to which a party moves its audio."""
    with RtpPeer() as peer:
        yield peer


def ends(talk: Talk) -> None:
    """Let the agent leave after its final NOTIFY, check that caller and target talk, and let the caller hang up."""
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    talk.hang_up_on_target()
    talk.nothing_left()


def caller_moves(talk: Talk, moved: RtpPeer) -> tuple[Message, Message]:
    """Let the caller offer another port; gives its re-INVITE, and that which the agent got."""
    offer = talk.caller.request("INVITE", talk.caller_dialog, sdp=moved.sdp("PCMU", "PCMA", version=2))
    seen = talk.agent.expect("INVITE")
    assert endpoint(seen.body)[1] not in {moved.address[1], 0}
    moved.talk_to(talk.answer.body)
    talk.caller_voice.hush()
    talk.caller_voice = moved
    return offer, seen


def agent_accepts(talk: Talk, offer: Message, seen: Message) -> None:
    """Let the agent take the caller's offer."""
    talk.agent.reply(seen, 200, sdp=talk.agent_voice.sdp(version=2))
    answer = talk.caller.expect(200, to=offer)
    assert endpoint(answer.body) == endpoint(talk.answer.body)
    talk.caller.ack(answer)
    assert talk.agent.expect("ACK").cseq == seen.cseq


def agent_moves(talk: Talk, moved: RtpPeer) -> tuple[Message, Message]:
    """Let the agent offer another port; gives its re-INVITE, and that which the caller got."""
    offer = talk.agent.request("INVITE", talk.agent_dialog, sdp=moved.sdp(version=2))
    seen = talk.caller.expect("INVITE")
    assert endpoint(seen.body) == endpoint(talk.answer.body)
    moved.talk_to(talk.incoming.body)
    talk.agent_voice.hush()
    talk.agent_voice = moved
    return offer, seen


def caller_accepts(talk: Talk, offer: Message, seen: Message) -> None:
    """Let the caller take the agent's offer."""
    talk.caller.reply(seen, 200, sdp=talk.caller_voice.sdp("PCMU", "PCMA", version=2))
    answer = talk.agent.expect(200, to=offer)
    assert endpoint(answer.body)[1] == endpoint(talk.incoming.body)[1]
    talk.agent.ack(answer)
    assert talk.caller.expect("ACK").cseq == seen.cseq


def test_the_caller_moves_its_audio_while_the_target_rings(talk: Talk, moved: RtpPeer) -> None:
    """Caller and agent go on there, and the bridge goes there too."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    agent_accepts(talk, *caller_moves(talk, moved))
    talk.hear_each_other()
    talk.target_answers(invite)
    ends(talk)


@pytest.mark.parametrize("fails", [True, False])
def test_the_agent_moves_its_audio_while_the_target_rings(talk: Talk, moved: RtpPeer, fails: bool) -> None:
    """Caller and agent go on there, also when the transfer fails in the end."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    caller_accepts(talk, *agent_moves(talk, moved))
    talk.hear_each_other()
    if not fails:
        talk.target_answers(invite)
        ends(talk)
        return
    sdp = talk.target_voice.sdp().replace(f"m=audio {talk.target_voice.address[1]}", "m=audio 0")
    talk.target.reply(invite, 200, sdp=sdp)
    talk.target.expect("ACK")
    talk.target.reply(talk.target.expect("BYE"), 200)
    talk.notified(488, final=True)
    talk.hear_each_other()
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("party", ["caller", "agent"])
def test_the_bridge_waits_for_an_offer_under_way(talk: Talk, moved: RtpPeer, party: str) -> None:
    """The target is acknowledged at once, but the caller comes on only when it has its answer."""
    invite = talk.refer_accepted()
    offer, seen = (caller_moves if party == "caller" else agent_moves)(talk, moved)
    talk.target_answers(invite)
    talk.system.wait_until(lambda: talk.record.state is State.BRIDGING)
    talk.agent.expect_nothing(0.1)
    if party == "caller":
        talk.agent.reply(seen, 200, sdp=talk.agent_voice.sdp(version=2))
        talk.caller.ack(talk.caller.expect(200, to=offer))
        talk.agent.expect("ACK")
    else:
        talk.caller.reply(seen, 200, sdp=talk.caller_voice.sdp("PCMU", "PCMA", version=2))
        talk.agent.ack(talk.agent.expect(200, to=offer))
        talk.caller.expect("ACK")
    ends(talk)


@pytest.mark.parametrize("status", [488, 491])
def test_the_bridge_goes_on_when_the_offer_is_refused(talk: Talk, moved: RtpPeer, status: int) -> None:
    """The refusal is passed back, and the caller's media are joined as they were before."""
    invite = talk.refer_accepted()
    offer = talk.caller.request("INVITE", talk.caller_dialog, sdp=moved.sdp("PCMU", version=2))
    seen = talk.agent.expect("INVITE")
    talk.target_answers(invite)
    talk.agent.reply(seen, status)
    talk.agent.expect("ACK")
    talk.caller.ack(talk.caller.expect(status, to=offer))
    ends(talk)


def test_the_bridge_does_not_wait_for_an_agent_that_says_nothing(talk: Talk, moved: RtpPeer) -> None:
    """An agent that sent BYE instead of an answer has left: the caller comes on at once, and gets its refusal."""
    invite = talk.refer_accepted()
    offer = talk.caller.request("INVITE", talk.caller_dialog, sdp=moved.sdp("PCMU", version=2))
    seen = talk.agent.expect("INVITE")
    talk.target_answers(invite)
    talk.agent_leaves()
    talk.notified(200, final=True)
    talk.agent.reply(seen, 487)
    talk.agent.expect("ACK")
    talk.caller.ack(talk.caller.expect(487, to=offer))
    talk.hear_target()
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("first", ["caller", "target"])
def test_the_callers_offer_crosses_the_bridge(talk: Talk, first: str) -> None:
    """Many times: whoever answers the offer, agent or target or handoff by 491, caller and target hear one another."""
    with ExitStack() as stack:
        for _ in range(TRIES):
            moved = stack.enter_context(RtpPeer())
            invite = talk.refer_accepted()
            offer = talk.caller.request(
                "INVITE", talk.caller_dialog, sdp=moved.sdp("PCMU", "PCMA", version=2), send=False
            )
            answer = talk.target.reply(invite, 200, sdp=talk.target_voice.sdp(), send=False)
            senders = [(talk.caller, offer), (talk.target, answer)]
            for sender, message in senders if first == "caller" else reversed(senders):
                sender.send(message)
            talk.target.expect("ACK")
            talk.target_voice.talk_to(invite.body)
            if offer_settled(talk, offer, moved):
                moved.talk_to(talk.answer.body)
                talk.caller_voice.hush()
                talk.caller_voice = moved
            ends(talk)
            talk.connect()
        talk.hang_up()
        talk.nothing_left()


def offer_settled(talk: Talk, offer: Message, moved: RtpPeer) -> bool:
    """Let whoever gets the caller's offer accept it; tells whether anybody did."""
    ports = {talk.agent.port: talk.agent, talk.target.port: talk.target}
    sent_at = talk.wire.wait_for(lambda m: m.is_request and m.branch == offer.branch).at

    def settles(message: Message) -> bool:
        if message.is_request:
            ours = message.source == talk.system.proxy and message.destination[1] in ports
            return ours and message.method == "INVITE" and message.to_tag != "" and message.at > sent_at
        return message.branch == offer.branch and (message.status or 0) >= 300

    what = talk.wire.wait_for(settles)
    if not what.is_request:
        talk.caller.ack(talk.caller.expect(what.status or 0, to=offer))
        return False
    who = ports[what.destination[1]]
    voice = talk.agent_voice if who is talk.agent else talk.target_voice
    who.reply(who.expect("INVITE"), 200, sdp=voice.sdp(version=2))
    answer = talk.caller.expect(200, to=offer)
    assert endpoint(answer.body) == endpoint(talk.answer.body)
    talk.caller.ack(answer)
    who.expect("ACK")
    return True
