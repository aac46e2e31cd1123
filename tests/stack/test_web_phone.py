"""A browser with SIP.js that has registered by WebSocket takes transfers: it and the caller hear one another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import handoff
from cli.phones import Phones, State, TransferProgress
from cli.tones import AGENT, CALLER, write_tone
from routing.outcomes import Outcome
from tests.stack.phone_talk import PhoneTalk
from tests.stack.web_phone import PATIENCE, WebPhone
from tests.stack.web_system import PASSWORD, WebSystem
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.phones import PhoneCall

PAGE, MESSAGE = 1180, 1300


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PhoneTalk, WebSystem]]:
    with Phones(sounds={"message": MESSAGE}) as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        phones.tones["page"] = PAGE
        with WebSystem(agent.uri, folder=tmp_path_factory.mktemp("ca")) as system, Wire(system.port) as wire:
            yield PhoneTalk(phones, system, agent, wire), system


@pytest.fixture
def talk(stage: tuple[PhoneTalk, WebSystem]) -> Iterator[PhoneTalk]:
    yield stage[0]
    stage[0].end()


@pytest.fixture(scope="module")
def browser() -> Iterator[WebPhone]:
    with WebPhone(PAGE, {"caller": CALLER, "agent": AGENT, "message": MESSAGE}) as page:
        yield page


@pytest.fixture
def page(browser: WebPhone) -> WebPhone:
    browser.open()
    return browser


def handed_over(
    talk: PhoneTalk,
    system: WebSystem,
    page: WebPhone,
    by: str,
    *,
    keys: str = "",
    scheme: str = "sip",
    **settings: object,
) -> PhoneCall:
    """Hand a call over to a user at the page alone, and press `keys` there; gives it as the caller has it."""
    user = system.add_user("alice")
    page.register(system.url(by), user, PASSWORD)
    call, agent = talk.connect(talk.phone("caller"))
    system.add_target("desk", f"{scheme}:{user}", **settings)
    assert agent.refer(f"sip:desk@127.0.0.1:{system.port}").code == 202
    page.accept()
    for key in keys:
        page.wait_heard("message")
        page.press(key)
    hear_each_other(page, call)
    agent.wait(State.DISCONNECTED)
    return call


def hear_each_other(page: WebPhone, call: PhoneCall) -> None:
    now = time.time()
    page.wait_heard("caller", now)
    call.wait_heard("page", now, timeout=PATIENCE)


@pytest.mark.parametrize("by", ["ws", "wss"])
def test_a_page_takes_a_call_and_holds_it(
    stage: tuple[PhoneTalk, WebSystem], talk: PhoneTalk, page: WebPhone, by: str
) -> None:
    system, began = stage[1], time.time()
    call = handed_over(talk, system, page, by)
    media = call.media
    page.hold()
    now = time.time()
    call.wait_heard("pause", now, timeout=PATIENCE)
    page.wait_heard("pause", now)
    page.resume()
    hear_each_other(page, call)
    assert call.media == media
    assert not any(
        "fingerprint" in message.body or "ice-ufrag" in message.body for message in talk.to(call.phone, began)
    )
    page.hang_up()
    call.wait(State.DISCONNECTED)
    system.wait_until(lambda: system.calls() == [] and system.media_calls() == 0)


def test_a_page_is_held_by_the_caller_who_hangs_up(
    stage: tuple[PhoneTalk, WebSystem], talk: PhoneTalk, page: WebPhone
) -> None:
    call = handed_over(talk, stage[1], page, "ws")
    now = time.time()
    assert call.hold().code == 200
    call.wait_heard("pause", now, timeout=PATIENCE)
    assert call.resume().code == 200
    hear_each_other(page, call)
    call.hangup()
    page.hung_up()


def test_a_person_at_a_page_is_briefed_and_presses_a_key(
    stage: tuple[PhoneTalk, WebSystem], talk: PhoneTalk, page: WebPhone, tmp_path: Path
) -> None:
    message = str(write_tone(tmp_path / "message.wav", MESSAGE))
    call = handed_over(talk, stage[1], page, "ws", keys="1", mode="message", message_file=message, accept="1")
    assert page.voices()[0] == "message"
    assert "message" not in talk.voices(call)
    assert stage[1].store.finished(1)[0].transfer.outcome is Outcome.CONNECTED
    page.hang_up()
    call.wait(State.DISCONNECTED)


def test_a_sips_uri_leads_to_pages_that_came_over_tls(
    stage: tuple[PhoneTalk, WebSystem], talk: PhoneTalk, page: WebPhone
) -> None:
    """RFC 5630 section 3.1; URIs name WebSockets alike with TLS and without."""
    call = handed_over(talk, stage[1], page, "wss", scheme="sips")
    page.hang_up()
    call.wait(State.DISCONNECTED)


def test_a_page_that_has_gone_is_registered_nowhere(
    stage: tuple[PhoneTalk, WebSystem], talk: PhoneTalk, page: WebPhone
) -> None:
    system = stage[1]
    user = system.add_user("alice")
    page.register(system.url("ws"), user, PASSWORD)
    assert system.store.contacts([user])[user]
    page.open()  # without a word, as when a window is closed
    system.wait_until(lambda: not system.store.contacts([user])[user], timeout=PATIENCE)
    call, agent = talk.connect(talk.phone("caller"))
    system.add_target("desk", f"sip:{user}")
    with talk.undisturbed(call, agent):
        assert agent.refer(f"sip:desk@127.0.0.1:{system.port}").code == 202
        assert agent.wait_for(TransferProgress, final=True).code == 480


@pytest.mark.parametrize("by", ["ws", "wss"])
def test_a_page_is_asked_over_its_connection_when_its_target_is_tested(
    stage: tuple[PhoneTalk, WebSystem], page: WebPhone, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = stage[1]
    user = system.add_user("alice")
    page.register(system.url(by), user, PASSWORD)
    system.add_target("desk", f"sip:{user}", srtp="dtls")
    monkeypatch.setenv("HANDOFF_SETTINGS", str(system.folder / "settings.json"))
    result = CliRunner().invoke(handoff, ["targets", "test", "desk"])
    assert result.exit_code == 0, result.output
    assert f"({by}, " in result.stdout
    assert "replies 200 to OPTIONS" in result.stdout
    assert "not tested: calls, codecs and sound" in result.stdout
