"""How a summary gets from the agent to the person: in every form whole or cut cleanly, and never to the caller.

What the person hears is shown elsewhere: here the sounds are not there, so that nobody waits for them.
"""

from __future__ import annotations

import email
import uuid
from email.policy import SMTP
from typing import TYPE_CHECKING, Any, cast

import pytest

from routing.outcomes import Mode, Outcome
from routing.records import State
from routing.texts import decode_percent
from tests.stack.system import NODE, System
from tests.stack.talk import Talk
from tests.stack.tcp_ua import TcpUa
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

WORDS = "Żółć! Frau Müller möchte 100 % zurück, grüßt herzlich aus Łódź 😀😀😀😀😀. "
SUMMARY = (WORDS * 12)[:799] + "."
TEXT = {"Content-Type": "text/plain;charset=UTF-8"}
NOW: dict[str, Any] = {"mode": "summary", "pause_before": 0, "pause_after": 0}


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give a stack on which speech is not waited for."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri, speech={"deadline": 0.1}) as system:
            yield agent, system


@pytest.fixture
def target() -> Iterator[TcpUa]:
    """Give a target that is reached over UDP and TCP."""
    with TcpUa("target") as target:
        yield target


def refer(talk: Talk, summary: str, **headers: str) -> Message:
    """Let the agent send REFER with the summary as its body."""
    refer_to = {"Refer-To": f"<sip:support@127.0.0.1:{talk.system.port}>", **TEXT, **headers}
    return talk.agent.request("REFER", talk.agent_dialog, headers=refer_to, body=summary)


def tell(talk: Talk, method: str, summary: str) -> Message:
    """Let the agent send a text within the dialog; gives the answer."""
    request = talk.agent.request(method, talk.agent_dialog, headers=TEXT, body=summary)
    return talk.agent.final_reply(request)


def parts(invite: Message) -> dict[str, str]:
    """Take a multipart body apart, by type."""
    message = email.message_from_bytes(
        f"Content-Type: {invite['Content-Type']}\r\n\r\n{invite.body}".encode(), policy=SMTP
    )
    return {
        part.get_content_type(): cast("bytes", part.get_payload(decode=True)).decode() for part in message.iter_parts()
    }


def answer(talk: Talk, invite: Message, sdp: str) -> None:
    """Let the target answer, and the agent leave at the bridge."""
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    talk.target_voice.talk_to(sdp)


def connected(talk: Talk) -> None:
    """Wait for the bridge, and end the call."""
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_long_summary_arrives_whole_or_cut_cleanly_in_every_form(system: System, agent: Ua, target: TcpUa) -> None:
    """800 characters, many of them not ASCII: whole in the body and the MESSAGE, cut in the headers, all by TCP."""
    deliver = ["speech", "header", "uui", "body", "message"]
    with Talk(system, agent, target=target, deliver=deliver, **NOW) as talk:
        before = len(talk.wire.messages(to=talk.caller.port))
        agent.expect(202, to=refer(talk, SUMMARY))
        talk.notified(100)
        invite = target.expect("INVITE")
        assert target.over_tcp == [invite]
        header = decode_percent(invite["X-Handoff-Summary"])
        uui, _, encoding = invite["User-to-User"].partition(";")
        assert encoding == "encoding=hex"
        for shown in (header, bytes.fromhex(uui).decode()):
            assert shown.endswith("…")
            assert SUMMARY.startswith(shown[:-1])
            assert len(shown) > 100
        body = parts(invite)
        assert body["text/plain"] == SUMMARY
        answer(talk, invite, body["application/sdp"])
        message = target.expect("MESSAGE")
        target.reply(message, 200)
        assert message.body == SUMMARY
        assert message["Content-Type"] == "text/plain;charset=UTF-8"
        assert message["Via"].startswith("SIP/2.0/TCP ")
        assert message.to_tag == target.dialog(invite).local.rpartition("tag=")[2]
        talk.notified(200, final=True)
        talk.agent_leaves()
        assert len(talk.wire.messages(to=talk.caller.port)) == before
        talk.hang_up_on_target()
        talk.nothing_left()


def test_line_breaks_in_a_summary_break_nothing(system: System, agent: Ua) -> None:
    """They are put on one line before anything is made of them."""
    deliver = ["header", "uui", "body"]
    with Talk(system, agent, deliver=deliver, **NOW) as talk:
        agent.expect(202, to=refer(talk, "a\r\nX-Evil: 1\r\n\r\n--handoff-0--\n"))
        talk.notified(100)
        invite = talk.target.expect("INVITE")
        assert invite["X-Handoff-Summary"] == "a X-Evil: 1 --handoff-0--"
        assert invite.get("X-Evil") == ""
        assert parts(invite)["text/plain"] == "a X-Evil: 1 --handoff-0--"
        answer(talk, invite, parts(invite)["application/sdp"])
        connected(talk)


@pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
def test_a_summary_that_comes_while_it_rings_is_delivered(system: System, agent: Ua, method: str) -> None:
    """The agent gets 200, the caller nothing at all, the person the text."""
    with Talk(system, agent, deliver=["message"], **NOW) as talk:
        before = len(talk.wire.messages(to=talk.caller.port))
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        assert tell(talk, method, "Wants\r\na refund.").status == 200
        answer(talk, invite, invite.body)
        message = talk.target.expect("MESSAGE")
        talk.target.reply(message, 200)
        assert message.body == "Wants a refund."
        assert message["Via"].startswith("SIP/2.0/UDP ")
        talk.notified(200, final=True)
        talk.agent_leaves()
        assert len(talk.wire.messages(to=talk.caller.port)) == before
        talk.hang_up_on_target()
        talk.nothing_left()


@pytest.mark.parametrize(("summary", "status"), [("x" * 1001, 413), (" \r\n", 400), ("a\x07b", 400)])
def test_a_summary_that_cannot_be_used_is_refused(talk: Talk, summary: str, status: int) -> None:
    """In the REFER, and in an INFO while the transfer goes on."""
    talk.system.add_target("support", talk.target.uri, **NOW)
    if summary.strip():
        assert talk.agent.final_reply(refer(talk, summary)).status == status
    invite = talk.refer_accepted()
    assert tell(talk, "INFO", summary).status == status
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    talk.hang_up()
    talk.nothing_left()


def test_a_refer_with_another_body_is_refused(talk: Talk) -> None:
    """With the type that is taken."""
    refusal = talk.agent.final_reply(refer(talk, "{}", **{"Content-Type": "application/json"}))
    assert (refusal.status, refusal["Accept"]) == (415, "text/plain")
    talk.hang_up()
    talk.nothing_left()


def test_without_a_transfer_the_caller_gets_the_agents_texts(talk: Talk) -> None:
    """They are for the caller then."""
    request = talk.agent.request("MESSAGE", talk.agent_dialog, headers=TEXT, body="Hello")
    seen = talk.caller.expect("MESSAGE")
    talk.caller.reply(seen, 200)
    talk.agent.expect(200, to=request)
    assert seen.body == "Hello"
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("status", [405, 415, 488])
def test_a_phone_that_takes_no_message_gets_the_call_all_the_same(system: System, agent: Ua, status: int) -> None:
    """Its refusal is in the log."""
    with Talk(system, agent, deliver=["message"], **NOW) as talk:
        agent.expect(202, to=refer(talk, "Wants a refund."))
        talk.notified(100)
        invite = talk.target.expect("INVITE")
        answer(talk, invite, invite.body)
        talk.target.reply(talk.target.expect("MESSAGE"), status)
        connected(talk)
        assert f"takes no MESSAGE: {status}" in system.kamailio.log.read_text()


@pytest.mark.parametrize(
    ("kind", "body"), [("application/dtmf-relay", "Signal= 1\r\nDuration= 160\r\n"), ("application/dtmf", "1")]
)
def test_a_key_by_info_takes_the_call(system: System, agent: Ua, kind: str, body: str) -> None:
    """It is answered, and goes nowhere; after the bridge keys are the caller's."""
    with Talk(system, agent, accept="1", **NOW) as talk:
        invite = talk.refer_accepted()
        answer(talk, invite, invite.body)
        dialog = talk.target.dialog(invite)
        system.wait_until(lambda: talk.record.state is State.ACCEPTING)
        bad = talk.target.request("INFO", dialog, headers={"Content-Type": kind}, body="Signal=what")
        talk.target.expect(400, to=bad)
        key = talk.target.request("INFO", dialog, headers={"Content-Type": kind}, body=body)
        talk.target.expect(200, to=key)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        key = talk.target.request("INFO", dialog, headers={"Content-Type": kind}, body=body)
        seen = talk.caller.expect("INFO")
        talk.caller.reply(seen, 200)
        talk.target.expect(200, to=key)
        assert seen.body == body
        assert talk.last_transfer.outcome is Outcome.CONNECTED
        talk.hang_up_on_target()
        talk.nothing_left()


def test_a_person_at_the_command_line_gives_mode_and_summary(talk: Talk) -> None:
    """With the transfer, and another summary after it."""
    system = talk.system
    system.add_target("support", talk.target.uri, deliver=["header", "message"], pause_before=0, pause_after=0)
    call_id = talk.record.id

    def ask(**command: str) -> dict[str, object] | None:
        given = {"id": uuid.uuid4().hex, "call": call_id, **command}
        system.store.send_command(NODE, given)
        return system.store.await_answer(given["id"], 5)

    answered = ask(kind="transfer", target="support", mode="summary", summary="Wants\na refund.")
    assert answered is not None
    assert answered["ok"]
    invite = talk.target.expect("INVITE")
    assert invite["X-Handoff-Summary"] == "Wants a refund."
    assert ask(kind="summary", text="Wants two.") == {"ok": True}
    answer(talk, invite, invite.body)
    message = talk.target.expect("MESSAGE")
    talk.target.reply(message, 200)
    assert message.body == "Wants two."
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.hear_target()
    assert talk.last_transfer.mode is Mode.SUMMARY
    late = ask(kind="summary", text="Wants three.")
    assert late is not None
    assert "No transfer of this call is under way" in str(late["text"])
    talk.hang_up_on_target()
    talk.nothing_left()
