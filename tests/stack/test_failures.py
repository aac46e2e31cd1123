"""A transfer that fails: caller and agent talk on without a gap, and the agent is told the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import State
from rtpengine import Query
from tests.stack.rtp import RtpPeer
from tests.stack.sipp import Sipp, free_port, receive, reply, scenario
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.system import System

ANSWERS = [
    (300, Outcome.REJECTED),
    (305, Outcome.REJECTED),
    (380, Outcome.REJECTED),
    (400, Outcome.REJECTED),
    (401, Outcome.AUTH_FAILED),
    (403, Outcome.NOT_ALLOWED),
    (404, Outcome.NOT_FOUND),
    (405, Outcome.REJECTED),
    (407, Outcome.AUTH_FAILED),
    (408, Outcome.NO_ANSWER),
    (410, Outcome.NOT_FOUND),
    (415, Outcome.MEDIA_FAILED),
    (420, Outcome.REJECTED),
    (480, Outcome.NO_ANSWER),
    (481, Outcome.REJECTED),
    (484, Outcome.NOT_FOUND),
    (486, Outcome.BUSY),
    (487, Outcome.NO_ANSWER),
    (488, Outcome.MEDIA_FAILED),
    (491, Outcome.REJECTED),
    (500, Outcome.UNREACHABLE),
    (501, Outcome.UNREACHABLE),
    (503, Outcome.UNREACHABLE),
    (504, Outcome.UNREACHABLE),
    (600, Outcome.BUSY),
    (603, Outcome.REJECTED),
    (604, Outcome.NOT_FOUND),
    (606, Outcome.MEDIA_FAILED),
]


def refused(talk: Talk, invite: Message, status: int) -> None:
    """Let the target refuse, and check that the agent is told so."""
    talk.target.reply(invite, status, "Not Now")
    talk.target.expect("ACK")
    assert talk.notified(status, final=True).body == f"SIP/2.0 {status} Not Now\r\n"


def failed_with(talk: Talk, outcome: Outcome, status: int) -> None:
    """Check what the record and the call log say, and that the call is as it was before the REFER."""
    talk.system.wait_until(lambda: talk.record.state is State.TALKING)
    (transfer,) = talk.record.history
    assert (transfer.outcome, transfer.status) == (outcome, status)
    only_logged = {"origin": None, "caller_codec": "", "caller_media": "", "offered": ()}
    assert talk.last_transfer.model_copy(update=only_logged) == transfer
    assert talk.record.leg is None
    assert set(talk.record.deadlines) == {"check"}


def media_tags(talk: Talk) -> set[str]:
    """Ask rtpengine whose media it holds; while only caller and agent talk that is two."""
    return set(talk.system.media.request("media1", Query(talk.record.id)).tags)


@pytest.mark.parametrize(("status", "outcome"), ANSWERS)
def test_each_refusal_reaches_the_agent_and_has_one_outcome(talk: Talk, status: int, outcome: Outcome) -> None:
    """The final NOTIFY has the status and the reason that the target gave; nobody's media are touched."""
    with talk.undisturbed():
        invite = talk.refer_accepted()
        refused(talk, invite, status)
    failed_with(talk, outcome, status)
    assert media_tags(talk) == {"caller", "agent"}
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("status", [486, 603])
def test_a_target_that_rang_may_still_refuse(talk: Talk, status: int) -> None:
    """The agent hears of 100, 180 and the refusal, in this order."""
    with talk.undisturbed():
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        refused(talk, invite, status)
    talk.hang_up()
    talk.nothing_left()


def test_a_second_transfer_works_after_a_failed_one(talk: Talk) -> None:
    """The second subscription is told apart by the CSeq of its REFER (RFC 3515 section 2.4.6)."""
    refused(talk, talk.refer_accepted(), 486)
    refer = talk.refer()
    talk.agent.expect(202, to=refer)
    assert talk.notified(100)["Event"] == f"refer;id={refer.cseq}"
    invite = talk.target.expect("INVITE")
    talk.target_answers(invite)
    assert talk.notified(200, final=True)["Event"] == f"refer;id={refer.cseq}"
    talk.agent_leaves()
    talk.hear_target()
    assert [transfer.outcome for transfer in talk.record.history] == [Outcome.BUSY, Outcome.CONNECTED]
    bye = talk.target.request("BYE", talk.target.dialog(invite))
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.target.expect(200, to=bye)
    talk.nothing_left()


def test_a_port_where_nobody_listens_is_unreachable(talk: Talk) -> None:
    """No response at all within `sip.no_reply_timeout` is 408 for the agent."""
    talk.system.add_target("nobody", f"sip:127.0.0.1:{free_port()}")
    with talk.undisturbed():
        talk.agent.expect(202, to=talk.refer("nobody"))
        talk.notified(100)
        talk.notified(408, final=True)
    failed_with(talk, Outcome.UNREACHABLE, 408)
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("rings", [True, False])
def test_nobody_answers_in_time(system: System, agent: Ua, rings: bool) -> None:
    """The phone stops ringing with a Reason, and the agent is told 408; one that only said 100 counts as well."""
    with Talk(system, agent, ring_timeout=1.0) as talk:
        with talk.undisturbed():
            invite = talk.refer_accepted()
            talk.target.reply(invite, 180 if rings else 100)
            if rings:
                talk.notified(180)
            cancel = talk.target.expect("CANCEL")
            talk.target.reply(cancel, 200)
            talk.target.reply(invite, 487)
            talk.target.expect("ACK")
            talk.notified(408, final=True)
        assert cancel["Reason"].startswith("SIP;cause=408")
        assert 0.9 < cancel.at - invite.at < 1.5
        failed_with(talk, Outcome.NO_ANSWER, 408)
        talk.hang_up()
        talk.nothing_left()


def test_the_next_endpoint_answers_when_the_first_is_busy(talk: Talk) -> None:
    """The agent hears of neither: only that it was answered."""
    with Ua("desk") as desk:
        talk.system.add_target(TARGET, desk.uri, talk.target.uri)
        with talk.undisturbed():
            talk.agent.expect(202, to=talk.refer())
            talk.notified(100)
            first = desk.expect("INVITE")
            desk.reply(first, 486)
            desk.expect("ACK")
            invite = talk.target.expect("INVITE")
            assert invite.call_id != first.call_id
        talk.target_answers(invite)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        (transfer,) = talk.record.history
        assert [(a.uri, a.status) for a in transfer.attempts] == [(desk.uri, 486), (talk.target.uri, 200)]
        assert media_tags(talk) == {"caller", "leg2"}
        talk.hang_up_on_target()
        talk.nothing_left()


def test_the_next_endpoint_is_called_when_nobody_answers_at_the_first(system: System, agent: Ua) -> None:
    """The ring timeout holds for each endpoint."""
    with Ua("desk") as desk, Talk(system, agent, ring_timeout=1.0) as talk:
        system.add_target(TARGET, desk.uri, talk.target.uri, ring_timeout=1.0)
        talk.agent.expect(202, to=talk.refer())
        talk.notified(100)
        first = desk.expect("INVITE")
        desk.reply(first, 180)
        talk.notified(180)
        desk.reply(desk.expect("CANCEL"), 200)
        desk.reply(first, 487)
        desk.expect("ACK")
        talk.target_answers(talk.target.expect("INVITE"))
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        assert [attempt.status for attempt in talk.record.history[0].attempts] == [408, 200]
        talk.hang_up_on_target()
        talk.nothing_left()


def test_a_refusal_for_everywhere_ends_the_search(talk: Talk) -> None:
    """6xx says that no other endpoint is of use either (RFC 3261 section 21.6)."""
    with Ua("desk") as desk:
        talk.system.add_target(TARGET, talk.target.uri, desk.uri)
        refused(talk, talk.refer_accepted(), 603)
        failed_with(talk, Outcome.REJECTED, 603)
        desk.expect_nothing(0.1)
        talk.hang_up()
        talk.nothing_left()


@pytest.mark.parametrize("answer", ["no codec", "no port", "no body"])
def test_an_answer_without_usable_media_is_hung_up_on(talk: Talk, answer: str) -> None:
    """The person gets ACK and BYE, the agent 488; caller and agent still hear one another."""
    with RtpPeer("G722") as stranger:
        sdp = {
            "no codec": stranger.sdp().replace(" 9\r\n", " 97\r\n").replace("9 G722/8000", "97 ILBC/8000"),
            "no port": talk.target_voice.sdp().replace(f"m=audio {talk.target_voice.address[1]}", "m=audio 0"),
            "no body": None,
        }[answer]
        with talk.undisturbed():
            invite = talk.refer_accepted()
            talk.target.reply(invite, 200, sdp=sdp)
            ack, bye = talk.target.expect("ACK"), talk.target.expect("BYE")
            talk.target.reply(bye, 200)
            talk.notified(488, final=True)
        assert ack.to_tag == bye.to_tag == talk.target.dialog(invite).local.rpartition("tag=")[2]
        assert bye["Reason"].startswith("SIP;cause=488")
        failed_with(talk, Outcome.MEDIA_FAILED, 488)
        assert media_tags(talk) == {"caller", "agent"}
        talk.hang_up()
        talk.nothing_left()


def test_a_sipp_target_that_is_busy_for_many(system: System, agent: Ua) -> None:
    """Ten refusals in a row by SIPp, on one call: each is told, and nothing piles up."""
    busy = scenario(receive("INVITE"), reply(180), reply(486, "Busy Here"), receive("ACK"))
    with Talk(system, agent) as talk, Sipp(busy, calls=10) as phone:
        system.add_target(TARGET, phone.uri)
        for _ in range(10):
            talk.agent.expect(202, to=talk.refer())
            talk.notified(100)
            talk.notified(180)
            talk.notified(486, final=True)
        assert talk.record.legs_made == 10
        assert len(talk.record.history) == 10
        assert media_tags(talk) == {"caller", "agent"}
        talk.hear_each_other()
        talk.hang_up()
        talk.nothing_left()
