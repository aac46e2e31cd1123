"""Media as browsers have them, by DTLS-SRTP and ICE, for whoever is said to want them: a browser whose SIP is ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cli.phones import Phones, State
from cli.tones import AGENT, CALLER, TARGET, write_tone
from rtpengine.sdp import has_fingerprint, has_ice, profile
from tests.stack.phone_talk import PhoneTalk
from tests.stack.system import System
from tests.stack.ua import Ua
from tests.stack.web_phone import WebPhone
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE, MESSAGE = 1180, 1300


@pytest.fixture(scope="module")
def talk() -> Iterator[PhoneTalk]:
    with Phones(sounds={"message": MESSAGE}) as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        phones.tones["page"] = PAGE
        with System(agent.uri) as system, Wire(system.port) as wire:
            talk = PhoneTalk(phones, system, agent, wire)
            yield talk
            talk.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[WebPhone]:
    with WebPhone(PAGE, {"caller": CALLER, "agent": AGENT, "target": TARGET, "message": MESSAGE}) as page:
        yield page


@pytest.fixture
def page(browser: WebPhone) -> WebPhone:
    browser.open()
    return browser


def test_who_wants_dtls_hears_a_caller_with_plain_media(talk: PhoneTalk, page: WebPhone, tmp_path: Path) -> None:
    message = str(write_tone(tmp_path / "message.wav", MESSAGE))
    with Ua("target") as target:
        call, agent = talk.connect(talk.phone("caller"))
        media = call.media
        talk.system.add_target("web", target.uri, srtp="dtls", mode="message", message_file=message)
        assert agent.refer(f"sip:web@127.0.0.1:{talk.system.port}").code == 202
        invite = target.expect("INVITE", timeout=5)
        assert profile(invite.body) == "UDP/TLS/RTP/SAVPF"
        assert (has_fingerprint(invite.body), has_ice(invite.body), "a=crypto" in invite.body) == (True, True, False)
        target.reply(invite, 200, sdp=page.answer(invite.body))
        target.expect("ACK", timeout=5)
        page.wait_heard("caller")
        call.wait_heard("page", time.time())
        assert page.voices()[:3] == ["message", "pause", "caller"]
        assert "message" not in talk.voices(call)
        assert call.media == media
        call.hangup()
        target.reply(target.expect("BYE", timeout=5), 200)
        agent.wait(State.DISCONNECTED)


def test_a_caller_with_dtls_is_joined_with_plain_phones_and_notices_nothing(talk: PhoneTalk, page: WebPhone) -> None:
    target = talk.phone("target")
    target.behave(answer_after=0.1)
    with Ua("browser", proxy=talk.system.proxy) as caller:
        caller.allow(180)
        invite = caller.invite(f"sip:agent@127.0.0.1:{talk.system.port}", sdp=page.offer())
        answer = caller.final_reply(invite)
        caller.ack(answer)
        page.answered(answer.body)
        agent = talk.phone("agent").incoming()
        page.wait_heard("agent")
        agent.wait_heard("page", time.time())
        assert talk.refer(agent, target).code == 202
        answered = target.incoming()
        page.wait_heard("target")
        answered.wait_heard("page", time.time())
        agent.wait(State.DISCONNECTED)
        for phone in (agent.phone, target):
            (offer,) = talk.wire.messages(to=phone.port, method="INVITE", requests=True)[-1:]
            assert profile(offer.body) == "RTP/AVP"
            assert not has_ice(offer.body)
        caller.expect(200, to=caller.request("BYE", caller.dialog(answer)))
        answered.wait(State.DISCONNECTED)
