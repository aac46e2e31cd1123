"""Attended transfers, step by step: consultations, what phones make of Replaces, and whoever hangs up meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import pytest

from routing.outcomes import Mode, Outcome
from routing.records import State
from rtpengine.sdp import endpoint
from tests.stack.rtp import RtpPeer
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.stack.dialog import Dialog
    from tests.stack.message import Message

REPLACES = {"Supported": "timer, replaces"}


class Consultation:
    """A second call of the agent, with the person, through handoff; entering it makes the call.

    `answered` are headers of the person's answer, `route` is a proxy before it.
    """

    def __init__(self, talk: Talk, answered: Mapping[str, str] = REPLACES, route: str = "") -> None:
        self.talk = talk
        self._route = route
        self._answered = answered
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        talk = self.talk
        self.agent_voice, self.person_voice = self._stack.enter_context(RtpPeer()), self._stack.enter_context(RtpPeer())
        uri = f"sip:{TARGET}@127.0.0.1:{talk.system.port}"
        self.invite = talk.agent.invite(uri, sdp=self.agent_voice.sdp())
        self.incoming = talk.target.expect("INVITE")
        talk.target.reply(self.incoming, 180)
        talk.agent.expect(180, to=self.invite)
        answer = talk.target.reply(self.incoming, 200, sdp=self.person_voice.sdp(), headers=self._answered, send=False)
        routes = (("Record-Route", self._route),) if self._route else ()
        talk.target.send(replace(answer, headers=(*routes, *answer.headers)))
        self.answer = talk.agent.expect(200, to=self.invite)
        talk.agent.ack(self.answer)
        talk.target.expect("ACK")
        self.agent_voice.talk_to(self.answer.body)
        self.person_voice.talk_to(self.incoming.body)
        self.person_voice.wait_heard(self.agent_voice.ssrc)
        self.agent_voice.wait_heard(self.person_voice.ssrc)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def agent_dialog(self) -> Dialog:
        """The agent's side."""
        return self.talk.agent.dialog(self.answer)

    @property
    def person_dialog(self) -> Dialog:
        """The person's side."""
        return self.talk.target.dialog(self.incoming)

    @property
    def replaces(self) -> str:
        """The dialog as the person knows it."""
        return f"{self.answer.call_id};to-tag={self.answer.to_tag};from-tag={self.answer.from_tag}"

    def refer(self, replaces: str = "", *, target: str = TARGET, headers: Mapping[str, str] | None = None) -> Message:
        """Ask in the caller's call for the attended transfer."""
        uri = f"sip:{target}@127.0.0.1:{self.talk.system.port}"
        return self.talk.refer(f"<{uri}?Replaces={quote(replaces or self.replaces)}&Require=replaces>", headers=headers)

    def refer_accepted(self) -> Message:
        """Do that, and give the INVITE that the person gets."""
        self.talk.agent.expect(202, to=self.refer())
        self.talk.notified(100)
        return self.talk.target.expect("INVITE")

    def end(self, *, by_agent: bool) -> None:
        """Let the agent or the person hang up."""
        agent, person = self.talk.agent, self.talk.target
        one, dialog, other = (agent, self.agent_dialog, person) if by_agent else (person, self.person_dialog, agent)
        bye = one.request("BYE", dialog)
        other.reply(other.expect("BYE"), 200)
        one.expect(200, to=bye)

    def goes_on(self) -> None:
        """Check that it stands, and end it with the caller's call."""
        assert sorted(call.state for call in self.talk.system.calls()) == [State.TALKING, State.TALKING]
        self.end(by_agent=True)
        self.talk.hang_up()
        self.talk.nothing_left()


@pytest.fixture
def consultation(talk: Talk) -> Iterator[Consultation]:
    """Give a consultation with a phone that understands Replaces."""
    with Consultation(talk) as consultation:
        yield consultation


def finish(talk: Talk) -> None:
    """Let the agent leave, caller and person hear one another, and the caller hang up."""
    talk.agent_leaves()
    talk.hear_target()
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_phone_with_replaces_takes_the_caller_and_ends_the_consultation(
    talk: Talk, consultation: Consultation
) -> None:
    """The caller is sent nothing at all; a mode that came along has no effect."""
    before = len(talk.wire.messages(to=talk.caller.port))
    talk.agent.expect(202, to=consultation.refer(headers={"X-Handoff-Mode": "message"}))
    talk.notified(100)
    invite = talk.target.expect("INVITE")
    assert (invite["Replaces"], invite["Require"]) == (consultation.replaces, "replaces")
    assert "replaces" in invite["Supported"]
    assert invite.uri == talk.target.uri
    talk.target_answers(invite)
    consultation.end(by_agent=False)
    talk.notified(200, final=True)
    assert len(talk.wire.messages(to=talk.caller.port)) == before
    finish(talk)
    done = talk.last_transfer
    assert (done.target, done.mode, done.outcome) == (TARGET, Mode.BLIND, Outcome.CONNECTED)


def test_a_phone_without_replaces_rings_and_the_consultation_is_ended_for_it(talk: Talk) -> None:
    """Both sides of it get BYE, a second after the person has the caller."""
    with Consultation(talk, answered={}) as consultation:
        invite = consultation.refer_accepted()
        assert "Require" not in dict(invite.headers)
        talk.target.reply(invite, 180)
        talk.notified(180)
        talk.target_answers(invite)
        talk.notified(200, final=True)
        talk.agent_leaves()
        for party in (talk.agent, talk.target):
            bye = party.expect("BYE", timeout=6.0)
            assert bye.call_id == consultation.answer.call_id
            assert "Call completed elsewhere" in bye["Reason"]
            party.reply(bye, 200)
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()


def test_the_invite_goes_the_way_that_requests_of_the_consultation_go(talk: Talk) -> None:
    """The proxy here is the phone itself; its Contact is another name of it."""
    route, contact = f"<sip:127.0.0.1:{talk.target.port};lr>", f"sip:seat@127.0.0.1:{talk.target.port}"
    with Consultation(talk, REPLACES | {"Contact": f"<{contact}>"}, route) as consultation:
        invite = consultation.refer_accepted()
        assert (invite.uri, invite["Route"]) == (contact, route)
        talk.target.reply(invite, 486)
        talk.target.expect("ACK")
        talk.notified(486, final=True)
        consultation.goes_on()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(420, Outcome.REJECTED), (481, Outcome.REJECTED), (486, Outcome.BUSY), (501, Outcome.UNREACHABLE)],
)
def test_a_phone_that_refuses_leaves_the_agent_with_both_calls(
    talk: Talk, consultation: Consultation, status: int, outcome: Outcome
) -> None:
    """It is told the true status."""
    with talk.undisturbed():
        invite = consultation.refer_accepted()
        talk.target.reply(invite, status)
        talk.target.expect("ACK")
        talk.notified(status, final=True)
    assert talk.last_transfer.outcome is outcome
    consultation.goes_on()


@pytest.mark.parametrize("wrong", ["to-tag", "from-tag", "own"])
def test_replaces_must_name_a_call_of_this_agent(talk: Talk, consultation: Consultation, wrong: str) -> None:
    """Both tags must be right, and the call another one."""
    answer = consultation.answer
    tags = {"to-tag": answer.to_tag, "from-tag": answer.from_tag} | {wrong: "wrong"}
    value = f"{answer.call_id};to-tag={tags['to-tag']};from-tag={tags['from-tag']}"
    if wrong == "own":
        value = f"{talk.answer.call_id};to-tag={talk.incoming.from_tag};from-tag={talk.answer.to_tag}"
    with talk.undisturbed():
        talk.agent.expect(403, to=consultation.refer(value))
        talk.target.expect_nothing(0.0)
    consultation.goes_on()


@pytest.mark.parametrize("value", ["a", "a;to-tag=1", "a;to-tag=1;from-tag=2;to-tag=1"])
def test_a_replaces_that_names_no_dialog_is_refused(talk: Talk, value: str) -> None:
    """With 400."""
    refer = talk.refer(f"<sip:{TARGET}@127.0.0.1:{talk.system.port}?Replaces={quote(value)}>")
    talk.agent.expect(400, to=refer)
    talk.hang_up()
    talk.nothing_left()


def test_replaces_for_a_dialog_that_is_not_ours_is_passed_on_to_the_target(talk: Talk) -> None:
    """The agent has called the person by another way; the usual policy says whom it may name."""
    refer = f"@127.0.0.1:{talk.system.port}?Replaces=other%40host%3Bto-tag%3D1%3Bfrom-tag%3D2>"
    talk.agent.expect(404, to=talk.refer(f"<sip:nobody{refer}"))
    talk.agent.expect(202, to=talk.refer(f"<sip:{TARGET}{refer}"))
    talk.notified(100)
    invite = talk.target.expect("INVITE")
    assert invite["Replaces"] == "other@host;to-tag=1;from-tag=2"
    talk.target_answers(invite)
    talk.notified(200, final=True)
    finish(talk)


def test_the_person_hangs_up_while_the_caller_is_on_its_way(talk: Talk, consultation: Consultation) -> None:
    """Its phone has nothing to replace any more."""
    with talk.undisturbed():
        invite = consultation.refer_accepted()
        consultation.end(by_agent=False)
        talk.target.reply(invite, 481)
        talk.target.expect("ACK")
        talk.notified(481, final=True)
    talk.hang_up()
    talk.nothing_left()


def test_the_agent_has_hung_up_on_the_person_before(talk: Talk, consultation: Consultation) -> None:
    """Nobody but the phone can know what was replaced: it is asked."""
    consultation.end(by_agent=True)
    with talk.undisturbed():
        invite = consultation.refer_accepted()
        assert invite["Replaces"] == consultation.replaces
        talk.target.reply(invite, 481)
        talk.target.expect("ACK")
        talk.notified(481, final=True)
    talk.hang_up()
    talk.nothing_left()


def test_the_caller_hangs_up_while_it_is_on_its_way(talk: Talk, consultation: Consultation) -> None:
    """Agent and person go on talking."""
    invite = consultation.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
    cancel = talk.target.expect("CANCEL")
    talk.target.reply(cancel, 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.notified(487, final=True)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.system.wait_until(lambda: len(talk.system.calls()) == 1)
    consultation.end(by_agent=True)
    talk.nothing_left()


def test_a_person_that_only_rings_is_called_for_the_caller(talk: Talk) -> None:
    """An early dialog cannot be replaced by who is called (RFC 3891 section 3): it is a blind transfer."""
    call = talk.agent.invite(f"sip:{TARGET}@127.0.0.1:{talk.system.port}", sdp=talk.target_voice.sdp())
    first = talk.target.expect("INVITE")
    talk.target.reply(first, 180)
    ringing = talk.agent.expect(180, to=call)
    replaces = f"{call.call_id};to-tag={ringing.to_tag};from-tag={call.from_tag}"
    refer_to = f"<sip:{TARGET}@127.0.0.1:{talk.system.port}?Replaces={quote(replaces)}>"
    talk.agent.expect(202, to=talk.refer(refer_to))
    talk.notified(100)
    invite = talk.target.expect("INVITE")
    assert "Replaces" not in dict(invite.headers)
    cancel = talk.agent.cancel(call)
    talk.agent.expect(200, to=cancel)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(first, 487)
    talk.target.expect("ACK")
    talk.agent.ack(talk.agent.expect(487, to=call))
    talk.target_answers(invite)
    talk.notified(200, final=True)
    finish(talk)


def test_an_agent_joins_two_callers_that_have_both_called_it(talk: Talk) -> None:
    """The person is then the other caller."""
    with Ua("other", proxy=talk.system.proxy) as other, RtpPeer() as voice:
        call = other.invite(f"sip:+4930@127.0.0.1:{talk.system.port}", sdp=talk.target_voice.sdp())
        incoming = talk.agent.expect("INVITE")
        talk.agent.reply(incoming, 200, sdp=voice.sdp())
        answer = other.expect(200, to=call)
        other.ack(answer)
        talk.agent.expect("ACK")
        replaces = f"{answer.call_id};to-tag={answer.from_tag};from-tag={answer.to_tag}"
        refer_to = f"<sip:other@127.0.0.1:{talk.system.port}?Replaces={quote(replaces)}>"
        talk.agent.expect(202, to=talk.refer(refer_to))
        talk.notified(100)
        invite = other.expect("INVITE")
        assert invite["Replaces"] == replaces
        other.reply(invite, 200, sdp=talk.target_voice.sdp())
        other.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.notified(200, final=True)
        bye = other.request("BYE", other.dialog(answer))
        talk.agent.reply(talk.agent.expect("BYE"), 200)
        other.expect(200, to=bye)
        talk.agent_leaves()
        talk.hear_target()
        bye = talk.caller.request("BYE", talk.caller_dialog)
        other.reply(other.expect("BYE"), 200)
        talk.caller.expect(200, to=bye)
        talk.nothing_left()


def test_nobody_replaces_a_dialog_of_ours(talk: Talk) -> None:
    """What a person's PBX may try after the bridge; caller and person go on."""
    invite = talk.hand_over()
    headers = {"Replaces": f"{invite.call_id};to-tag={invite.from_tag};from-tag=x", "Require": "replaces"}
    refused = talk.target.invite(invite.contact, sdp=talk.target_voice.sdp(), headers=headers)
    talk.target.ack(talk.target.expect(403, to=refused))
    talk.hear_target()
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("crossed", [0, 2])
def test_a_caller_on_hold_hears_the_person_and_is_heard(talk: Talk, consultation: Consultation, crossed: int) -> None:
    """Agents put the caller on hold while they consult; its phone sends again when it is told so by a re-INVITE."""
    held = talk.agent.request("INVITE", talk.agent_dialog, sdp=talk.agent_voice.sdp(direction="sendonly", version=2))
    asked = talk.caller.expect("INVITE")
    talk.caller.reply(asked, 200, sdp=talk.caller_voice.sdp("PCMU", direction="recvonly", version=2))
    talk.agent.ack(talk.agent.expect(200, to=held))
    talk.caller.expect("ACK")
    talk.caller_voice.hush()
    invite = consultation.refer_accepted()
    talk.target_answers(invite)
    asked = talk.caller.expect("INVITE")
    assert "a=sendrecv" in asked.body
    assert endpoint(asked.body) == endpoint(talk.answer.body)
    assert "Session-Expires" not in dict(asked.headers)
    consultation.end(by_agent=False)
    talk.notified(200, final=True)
    talk.agent_leaves()
    for _ in range(crossed):  # the caller is just sending one itself
        talk.caller.reply(asked, 491)
        talk.caller.expect("ACK")
        first, asked = asked, talk.caller.expect("INVITE")
        assert (asked.body, asked.call_id) == (first.body, first.call_id)
        assert asked.cseq > first.cseq
    talk.caller.reply(asked, 200, sdp=talk.caller_voice.sdp("PCMU", version=3))
    talk.caller.expect("ACK")
    talk.caller_voice.talk_to(asked.body)
    talk.hear_target()
    talk.hang_up_on_target()
    talk.nothing_left()


def test_a_pbx_that_asks_who_calls_is_told_so_for_the_caller_too(talk: Talk) -> None:
    """By the login of the endpoint at which the agent has called the person; the Contact is at the same host."""
    talk.system.add_target(TARGET, {"uri": talk.target.uri, "user": "1001", "secret": "plain:secret"})
    contact = f"sip:seat@127.0.0.1:{talk.target.port}"
    with Consultation(talk, REPLACES | {"Contact": f"<{contact}>"}) as consultation:
        first = consultation.refer_accepted()
        talk.target.reply(first, 407, headers={"Proxy-Authenticate": 'Digest realm="pbx", nonce="n", qop="auth"'})
        talk.target.expect("ACK")
        again = talk.target.expect("INVITE")
        assert 'username="1001"' in again["Proxy-Authorization"]
        assert again["Replaces"] == first["Replaces"] == consultation.replaces
        talk.target_answers(again)
        consultation.end(by_agent=False)
        talk.notified(200, final=True)
        finish(talk)
