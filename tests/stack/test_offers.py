"""Offers between caller and agent before a transfer: the bridge uses what they agreed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from rtpengine.sdp import endpoint
from tests.stack.rtp import PAYLOAD_TYPES, RtpPeer
from tests.stack.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.system import System
    from tests.stack.ua import Ua


@pytest.fixture
def moved() -> Iterator[RtpPeer]:
    """Give a second port to which a party moves its audio."""
    with RtpPeer() as peer:
        yield peer


def handed_over(talk: Talk) -> None:
    """Hand the call over, check that caller and target talk, and let the caller hang up."""
    talk.hand_over()
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("party", ["caller", "agent"])
def test_a_refused_offer_changes_nothing_before_the_transfer(
    talk: Talk, moved: RtpPeer, party: str, method: str
) -> None:
    """Caller and agent hear one another where they did, and so do caller and target after the bridge."""
    side, dialog, other = (talk.caller, talk.caller_dialog, talk.agent)
    if party == "agent":
        side, dialog, other = (talk.agent, talk.agent_dialog, talk.caller)
    offer = side.request(method, dialog, sdp=moved.sdp(version=2))
    other.reply(other.expect(method), 491)
    refused = side.expect(491, to=offer)
    if method == "INVITE":
        other.expect("ACK")
        side.ack(refused)
    talk.hear_each_other()
    handed_over(talk)


@pytest.mark.parametrize("party", ["caller", "agent"])
def test_an_offer_in_the_answer_before_the_transfer(talk: Talk, moved: RtpPeer, party: str) -> None:
    """A re-INVITE without SDP, whose sender answers in its ACK from another port: the bridge uses what was agreed."""
    asker, dialog, other, voice = (talk.caller, talk.caller_dialog, talk.agent, talk.agent_voice)
    if party == "agent":
        asker, dialog, other, voice = (talk.agent, talk.agent_dialog, talk.caller, talk.caller_voice)
    asked = asker.request("INVITE", dialog)
    other.reply(other.expect("INVITE"), 200, sdp=voice.sdp("PCMU", "PCMA", version=2))
    offer = asker.expect(200, to=asked)
    asker.ack(offer, sdp=moved.sdp(version=2))
    assert endpoint(other.expect("ACK").body)[1] not in {0, moved.address[1]}
    moved.talk_to(offer.body)
    if party == "caller":
        talk.caller_voice.hush()
        talk.caller_voice = moved
    else:
        talk.agent_voice.hush()
        talk.agent_voice = moved
    talk.hear_each_other()
    handed_over(talk)


@pytest.mark.parametrize("target", [("PCMU",), ("PCMA",), ("G722",), ("PCMA", "PCMU")], ids="-".join)
def test_an_agent_that_agreed_to_several_codecs(system: System, agent: Ua, target: tuple[str, ...]) -> None:
    """The target hears what it answered with, and the caller what it agreed to."""
    with RtpPeer(target[0]) as voice, Talk(system, agent, agent_codecs=("PCMU", "PCMA")) as talk:
        talk.target_voice = voice
        invite = talk.refer_accepted()
        talk.target.reply(invite, 200, sdp=voice.sdp(*target))
        talk.target.expect("ACK")
        voice.talk_to(invite.body)
        talk.notified(200, final=True)
        talk.agent_leaves()
        bridged_at = time.time()
        for ear in (voice, talk.caller_voice):
            ear.wait_heard(since=bridged_at)  # by whatever SSRC: rtpengine chooses one when it transcodes
        talk.hang_up_on_target()
        talk.nothing_left()
        foreign = [p for p in voice.packets() if p.payload_type not in {PAYLOAD_TYPES[codec] for codec in target}]
        assert len(foreign) <= 1, "only what was on its way at the bridge may come as the caller sent it"
        assert {p.payload_type for p in talk.caller_voice.packets()} <= {PAYLOAD_TYPES["PCMU"], PAYLOAD_TYPES["PCMA"]}
