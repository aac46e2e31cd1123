"""Caller and target act at the same time: whoever wins, everyone is released and nothing is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.system import System

TRIES = 12


def cancelled(talk: Talk, invite: Message) -> Message:
    """Let the target stop ringing; gives its CANCEL."""
    cancel = talk.target.expect("CANCEL")
    assert (cancel.call_id, cancel.branch, cancel.cseq) == (invite.call_id, invite.branch, invite.cseq)
    talk.target.reply(cancel, 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    return cancel


def turned_away(talk: Talk, target: Ua, answer: Message) -> None:
    """Check that who answered in vain gets ACK, and then BYE."""
    ack, bye = target.expect("ACK"), target.expect("BYE")
    target.reply(bye, 200)
    assert ack.at <= bye.at
    assert ack.to_tag == bye.to_tag == answer.to_tag
    assert (ack.cseq, bye.cseq) == (answer.cseq, answer.cseq + 1)


def released(talk: Talk, status: int) -> None:
    """Check that the agent hears how the transfer ended, and gets BYE."""
    talk.notified(status, final=True)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.nothing_left()


def test_the_caller_hangs_up_while_the_target_rings(talk: Talk) -> None:
    """The target stops ringing and is told why (RFC 3326)."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
    released(talk, 487)
    assert cancelled(talk, invite)["Reason"].startswith("SIP;cause=487")
    assert talk.last_transfer.outcome is Outcome.CALLER_HUNG_UP


def test_the_caller_hangs_up_before_the_target_rings(talk: Talk) -> None:
    """CANCEL must wait for the first provisional response (RFC 3261 section 9.1)."""
    invite = talk.refer_accepted()
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
    released(talk, 487)
    talk.target.reply(invite, 180)
    cancelled(talk, invite)
    assert talk.last_transfer.outcome is Outcome.CALLER_HUNG_UP


@pytest.mark.parametrize("first", ["caller", "target"])
def test_the_caller_hangs_up_in_the_instant_of_the_answer(talk: Talk, first: str) -> None:
    """Many times: either the call was handed over and ends, or it was not; nobody is left alone on the line."""
    seen = set()
    for _ in range(TRIES):
        invite = talk.refer_accepted()
        answer = talk.target.reply(invite, 200, sdp=talk.target_voice.sdp(), send=False)
        bye = talk.caller.request("BYE", talk.caller_dialog, send=False)
        senders = [(talk.caller, bye), (talk.target, answer)]
        for sender, message in senders if first == "caller" else reversed(senders):
            sender.send(message)
        talk.target.allow("CANCEL")
        turned_away(talk, talk.target, answer)
        talk.caller.expect(200, to=bye)
        notify = talk.agent.expect("NOTIFY")
        talk.agent.reply(notify, 200)
        talk.agent.reply(talk.agent.expect("BYE"), 200)
        talk.nothing_left()
        told = notify.body.split()[1]
        assert talk.last_transfer.outcome is (Outcome.CONNECTED if told == "200" else Outcome.CALLER_HUNG_UP)
        seen.add(told)
        talk.connect()
    assert seen <= {"200", "487"}
    talk.hang_up()
    talk.nothing_left()


def test_the_target_answers_after_the_cancel_of_a_caller_who_left(talk: Talk) -> None:
    """It gets ACK and BYE though the record of the call is gone."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
    released(talk, 487)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    turned_away(talk, talk.target, talk.target.reply(invite, 200, sdp=talk.target_voice.sdp()))


def test_the_target_answers_after_the_ring_timeout(system: System, agent: Ua) -> None:
    """It gets ACK and BYE, and nobody else notices."""
    with Talk(system, agent, ring_timeout=1.0) as talk:
        with talk.undisturbed():
            invite = talk.refer_accepted()
            talk.target.reply(invite, 180)
            talk.notified(180)
            talk.target.reply(talk.target.expect("CANCEL"), 200)
            talk.notified(408, final=True)
            turned_away(talk, talk.target, talk.target.reply(invite, 200, sdp=talk.target_voice.sdp()))
            talk.agent.expect_nothing(0.1)
        assert [transfer.outcome for transfer in talk.record.history] == [Outcome.NO_ANSWER]
        talk.hang_up()
        talk.nothing_left()


def test_the_ring_timeout_and_the_answer_cross(system: System, agent: Ua) -> None:
    """Whichever wins: the agent is told the truth, and the target either talks to the caller or is let go."""
    with Talk(system, agent, ring_timeout=1.0) as talk:
        talk.target.allow("CANCEL", "OPTIONS")  # who is too late twice seems to be out of order
        for late in (0.0, 0.02, 0.04, 0.06):
            invite = talk.refer_accepted()
            time.sleep(invite.at + 1.0 + late - time.time())
            answer = talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
            notify = talk.agent.expect("NOTIFY")
            talk.agent.reply(notify, 200)
            if notify.body.startswith("SIP/2.0 408 "):
                turned_away(talk, talk.target, answer)
                talk.hear_each_other()
                talk.hang_up()
            else:
                assert notify.body.startswith("SIP/2.0 200 ")
                talk.target.expect("ACK")
                talk.target_voice.talk_to(invite.body)
                talk.hear_target()
                talk.hang_up_on_target()
                talk.agent.reply(talk.agent.expect("BYE"), 200)
            talk.nothing_left()
            talk.connect()
        talk.hang_up()
        talk.nothing_left()


def test_the_answer_comes_twice(talk: Talk) -> None:
    """Before the ACK and after it: each time an ACK, but one bridge and one final NOTIFY (13.2.2.4)."""
    invite = talk.refer_accepted()
    answer = talk.target.reply(invite, 200, sdp=talk.target_voice.sdp(), send=False)
    talk.target.send(answer, answer)
    talk.target.expect("ACK")
    talk.target_voice.talk_to(invite.body)
    talk.notified(200, final=True)
    talk.hear_target()
    before = len(talk.wire.messages(to=talk.target.port, method="ACK"))
    talk.target.send(answer)
    talk.system.wait_until(lambda: len(talk.wire.messages(to=talk.target.port, method="ACK")) > before)
    talk.agent_leaves()
    talk.hear_target()
    talk.agent.expect_nothing(0.1)
    assert [transfer.outcome for transfer in talk.record.history] == [Outcome.CONNECTED]
    end(talk, invite)


def end(talk: Talk, invite: Message) -> None:
    """Let the target hang up on the caller."""
    bye = talk.target.request("BYE", talk.target.dialog(invite))
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.target.expect(200, to=bye)
    talk.nothing_left()


@pytest.mark.parametrize("when", ["at once", "later"])
def test_two_phones_behind_a_forking_proxy_answer(talk: Talk, when: str) -> None:
    """The first one talks to the caller; the second gets ACK and BYE in its own dialog."""
    with Ua("second") as second:
        invite = talk.refer_accepted()
        answer = talk.target.reply(invite, 200, sdp=talk.target_voice.sdp(), send=False)
        headers = ((n, v.replace(answer.to_tag, "fork") if n == "To" else v) for n, v in answer.headers)
        other = answer.with_headers((n, f"<{second.uri}>" if n == "Contact" else v) for n, v in headers)
        assert other.to_tag == "fork"
        talk.target.send(*([answer, other] if when == "at once" else [answer]))
        talk.notified(200, final=True)
        winner, loser = (talk.target, second)
        if when == "later":
            talk.target.send(other)
        elif talk.record.target and talk.record.target.remote_tag == "fork":
            winner, loser = second, talk.target
        turned_away(talk, loser, other if loser is second else answer)
        winner.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.agent_leaves()
        talk.hear_target()
        bye = talk.caller.request("BYE", talk.caller_dialog)
        winner.reply(winner.expect("BYE"), 200)
        talk.caller.expect(200, to=bye)
        talk.nothing_left()


def test_the_target_hangs_up_right_after_its_ack(talk: Talk) -> None:
    """Either the call was handed over and ends for all, or the transfer failed, and caller and agent talk on."""
    for _ in range(TRIES):
        invite = talk.refer_accepted()
        talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
        talk.target.expect("ACK")
        bye = talk.target.request("BYE", talk.target.dialog(invite))
        notify = talk.agent.expect("NOTIFY")
        talk.agent.reply(notify, 200)
        if notify.body.startswith("SIP/2.0 200 "):
            talk.caller.reply(talk.caller.expect("BYE"), 200)
            talk.agent.reply(talk.agent.expect("BYE"), 200)
        else:  # the BYE overtook the 200, which then belongs to no transfer
            assert notify.body.startswith("SIP/2.0 603 ")
            talk.target.reply(talk.target.expect("BYE"), 481)
            talk.hear_each_other()
            talk.hang_up()
        talk.target.expect(200, to=bye)
        talk.nothing_left()
        talk.connect()
    talk.hang_up()
    talk.nothing_left()
