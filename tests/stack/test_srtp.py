"""Targets whose media are encrypted (SRTP, with keys in SDP), and a caller who has plain RTP and notices nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cli.phones import Line, Phones, State, TransferProgress
from cli.tones import AGENT, write_tone
from routing.outcomes import Outcome
from rtpengine.sdp import endpoint, has_keys, profile
from tests.stack.phone_talk import PhoneTalk
from tests.stack.rtp import RtpPeer
from tests.stack.system import System
from tests.stack.ua import Ua
from tests.stack.wire import RtpWire, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.phones import Phone, PhoneCall

SECURE, MESSAGE = 1180, 1300
"""Hertz of the phone that encrypts, and of a message."""
ENOUGH = 10
PLAIN = 160
"""Bytes of 20 ms in G.711; those of SRTP have a tag as well (RFC 3711 section 3.1)."""


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[PhoneTalk, Phone]]:
    with Phones(sounds={"message": MESSAGE}) as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        secure = phones.add("secure", tone=SECURE, codecs=("PCMU",), line=Line(srtp=True), answer_after=0.1)
        with System(agent.uri) as system, Wire(system.port) as wire:
            yield PhoneTalk(phones, system, agent, wire), secure


@pytest.fixture
def talk(stage: tuple[PhoneTalk, Phone]) -> Iterator[PhoneTalk]:
    yield stage[0]
    stage[0].end()


@pytest.fixture
def secure(stage: tuple[PhoneTalk, Phone]) -> Phone:
    return stage[1]


def taken(talk: PhoneTalk, target: Phone, **settings: object) -> tuple[PhoneCall, PhoneCall, str, str]:
    """Hand a call over; gives it as caller and target have it, and offer and answer of the target."""
    began = time.time()
    call, agent = talk.connect(talk.phone("caller"))
    assert talk.refer(agent, target, **settings).code == 202
    answered = target.incoming()
    answered.wait(State.CONFIRMED)
    talk.hear_each_other(call, answered)
    agent.wait(State.DISCONNECTED)
    (offer,) = talk.wire.messages(to=target.port, method="INVITE", requests=True, since=began)
    (answer,) = talk.wire.messages(frm=target.port, method="INVITE", status=200, since=began)
    return call, answered, offer.body, answer.body


def lengths(answer: str) -> set[int]:
    """Watch a party's RTP for a while; gives the bytes that its packets carry."""
    with RtpWire(endpoint(answer)[1]) as rtp:
        System.wait_until(lambda: len(rtp.packets()) >= ENOUGH)
    return {len(packet.payload) for packet in rtp.packets()}


@pytest.mark.parametrize(("srtp", "offered"), [("optional", "RTP/AVP"), ("required", "RTP/SAVP")])
def test_a_phone_that_encrypts_and_a_caller_who_does_not_hear_one_another(
    talk: PhoneTalk, secure: Phone, srtp: str, offered: str
) -> None:
    began = time.time()
    call, answered, offer, answer = taken(talk, secure, srtp=srtp)
    media = call.media
    assert (profile(offer), has_keys(offer), has_keys(answer)) == (offered, True, True)
    assert "NULL" not in offer
    assert min(lengths(answer)) > PLAIN
    for holder in (answered, call):
        held = time.time()
        assert holder.hold().code == 200
        holder.wait_heard("pause", held)
        assert holder.resume().code == 200
        talk.hear_each_other(call, answered)
    assert min(lengths(answer)) > PLAIN
    assert call.media == media
    assert not any(has_keys(message.body) for message in talk.to(call.phone, began))


def test_a_phone_that_does_not_encrypt_may_ignore_keys_that_are_optional(talk: PhoneTalk) -> None:
    target = talk.phone("target-PCMU")
    target.behave(answer_after=0.1)
    _, _, offer, answer = taken(talk, target, srtp="optional")
    assert (has_keys(offer), has_keys(answer)) == (True, False)
    assert lengths(answer) == {PLAIN}


def test_a_phone_that_encrypts_is_offered_plain_media_where_nothing_is_said(talk: PhoneTalk, secure: Phone) -> None:
    _, _, offer, answer = taken(talk, secure)
    assert (has_keys(offer), has_keys(answer)) == (False, False)


def test_a_person_is_briefed_over_media_that_are_encrypted(talk: PhoneTalk, secure: Phone, tmp_path: Path) -> None:
    message = str(write_tone(tmp_path / "message.wav", MESSAGE))
    call, answered, _, answer = taken(talk, secure, mode="message", message_file=message, srtp="required")
    assert has_keys(answer)
    assert talk.voices(answered) == ["message", "pause", "caller"]
    assert "message" not in talk.voices(call)


def test_a_phone_without_srtp_where_it_is_required_leaves_the_caller_with_the_agent(talk: PhoneTalk) -> None:
    call, agent = talk.connect(talk.phone("caller"))
    target = talk.phone("target-PCMU")
    with talk.undisturbed(call, agent):
        assert talk.refer(agent, target, srtp="required").code == 202
        assert agent.wait_for(TransferProgress, final=True).code == 488
    assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.MEDIA_FAILED


def test_an_answer_without_keys_where_they_are_required_is_not_taken(talk: PhoneTalk) -> None:
    with Ua("target") as target, RtpPeer() as voice:
        call, agent = talk.connect(talk.phone("caller"))
        talk.system.add_target("rude", target.uri, srtp="required")
        assert agent.refer(f"sip:rude@127.0.0.1:{talk.system.port}").code == 202
        target.reply(target.expect("INVITE"), 200, sdp=voice.sdp())
        target.expect("ACK")
        target.reply(target.expect("BYE"), 200)
        told = agent.wait_for(TransferProgress, final=True)
        assert (told.code, told.reason) == (488, "The answer has no keys for SRTP, which is required")
        talk.hear_each_other(call, agent)
    assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.MEDIA_FAILED
