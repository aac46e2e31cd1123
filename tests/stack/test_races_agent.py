"""The agent acts before its transfer is done: it hangs up, or refers again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import State
from tests.stack.talk import TARGET, Talk

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.system import System
    from tests.stack.ua import Ua

TRIES = 20


def answered(talk: Talk, invite: Message) -> None:
    """Let the target answer, and talk to the caller."""
    talk.target_answers(invite)
    talk.hear_target()


def caller_ends(talk: Talk) -> None:
    """Let the caller hang up on the target."""
    talk.hang_up_on_target()
    talk.nothing_left()


def test_the_agent_hangs_up_right_after_its_202(talk: Talk) -> None:
    """The transfer goes on, and its subscription too: the BYE ends the session only (RFC 5057 section 4)."""
    invite = talk.refer_accepted()
    talk.agent_leaves()
    talk.caller.expect_nothing(0.1)
    talk.target.reply(invite, 180)
    talk.notified(180)
    answered(talk, invite)
    talk.notified(200, final=True)
    assert talk.record.state is State.CONNECTED
    talk.agent.expect_nothing(0.1)
    caller_ends(talk)


def test_the_caller_is_released_when_the_agent_has_left_and_the_target_refuses(talk: Talk) -> None:
    """The agent's subscription hears why, and the BYE of the caller says it in its Reason (RFC 3326)."""
    invite = talk.refer_accepted()
    talk.agent_leaves()
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    bye = talk.caller.expect("BYE")
    talk.caller.reply(bye, 200)
    assert bye["Reason"].startswith("SIP;cause=486")
    assert (bye.call_id, bye.from_tag) == (talk.answer.call_id, talk.answer.to_tag)
    assert talk.last_transfer.outcome is Outcome.BUSY
    talk.nothing_left()


def test_the_caller_hangs_up_after_the_agent_has_left(talk: Talk) -> None:
    """The target stops ringing; the agent hears 487 but gets no second end of its call."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.agent_leaves()
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.notified(487, final=True)
    talk.nothing_left()
    talk.agent.expect_nothing(0.1)


def test_refer_and_bye_come_in_one_instant(talk: Talk) -> None:
    """The REFER was sent first and is as a rule done first: then the BYE does not end the caller's call.

    The kernel hands the two to different processes, so the BYE may win all the same; then everybody is released.
    """
    overtaken = 0
    for _ in range(TRIES):
        refer = talk.agent.request("REFER", talk.agent_dialog, headers=refer_to(talk), send=False)
        bye = talk.agent.request("BYE", talk.agent_dialog, send=False)
        talk.agent.send(refer, bye)
        if talk.agent.final_reply(refer).status == 481:
            overtaken += 1
            talk.caller.reply(talk.caller.expect("BYE"), 200)
            talk.nothing_left()
        else:
            talk.notified(100)
            answered(talk, talk.target.expect("INVITE"))
            talk.notified(200, final=True)
            caller_ends(talk)
        talk.agent.expect(200, to=bye)
        talk.connect()
    assert overtaken < TRIES
    talk.hang_up()
    talk.nothing_left()


def refer_to(talk: Talk) -> dict[str, str]:
    """Name the target as a REFER does."""
    return {"Refer-To": f"<sip:{TARGET}@127.0.0.1:{talk.system.port}>"}


def test_the_agent_and_our_bye_cross(talk: Talk) -> None:
    """Both BYEs get 200."""
    answered(talk, talk.refer_accepted())
    talk.notified(200, final=True)
    ours = talk.agent.expect("BYE")
    talk.agent_leaves()
    talk.agent.reply(ours, 200)
    assert talk.record.state is State.CONNECTED
    talk.hear_target()
    caller_ends(talk)


def test_a_silent_agent_gets_bye_a_second_after_its_final_notify(talk: Talk) -> None:
    """It is let go with a Reason, and its media with it."""
    answered(talk, talk.refer_accepted())
    told = talk.notified(200, final=True)
    bye = talk.agent.expect("BYE")
    talk.agent.reply(bye, 200)
    assert 0.9 < bye.at - told.at < 1.5
    assert bye["Reason"].startswith("SIP;cause=200")
    assert bye.cseq == told.cseq + 1
    caller_ends(talk)


def test_a_second_refer_while_one_is_under_way_is_refused(talk: Talk) -> None:
    """491 with Retry-After; the first transfer goes on."""
    invite = talk.refer_accepted()
    refused = talk.agent.expect(491, to=talk.refer())
    assert int(refused["Retry-After"]) >= 1
    talk.target.expect_nothing(0.1)
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    assert talk.notified(486, final=True)["Event"] == "refer"
    talk.hang_up()
    talk.nothing_left()


def test_two_refers_in_one_instant(talk: Talk) -> None:
    """One is accepted and the other gets 491, whichever; the target is called once."""
    for _ in range(TRIES):
        refers = [talk.agent.request("REFER", talk.agent_dialog, headers=refer_to(talk), send=False) for _ in "12"]
        talk.agent.send(*refers)
        invite = talk.target.expect("INVITE")
        assert {talk.agent.final_reply(refer).status for refer in refers} == {202, 491}
        talk.notified(100)
        talk.target.expect_nothing(0.0)
        talk.target.reply(invite, 486)
        talk.target.expect("ACK")
        talk.notified(486, final=True)
        talk.hang_up()
        talk.nothing_left()
        talk.connect()
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("when", ["while it rings", "after it failed"])
def test_the_same_refer_again_changes_nothing(talk: Talk, when: str) -> None:
    """The same CSeq under a new branch, as after a restart of a proxy: 202 once more, but no second INVITE."""
    refer = talk.refer()
    talk.agent.expect(202, to=refer)
    talk.notified(100)
    invite = talk.target.expect("INVITE")
    if when == "after it failed":
        talk.target.reply(invite, 486)
        talk.target.expect("ACK")
        talk.notified(486, final=True)
    again = replace(refer, headers=tuple((n, v.replace(refer.branch, f"{refer.branch}b")) for n, v in refer.headers))
    talk.agent.send(refer, again, refer)
    talk.agent.expect(202, to=again)
    talk.target.expect_nothing(0.1)
    assert talk.record.legs_made == 1
    if when == "while it rings":
        talk.target.reply(invite, 486)
        talk.target.expect("ACK")
        talk.notified(486, final=True)
    talk.hang_up()
    talk.nothing_left()


def test_an_agent_that_never_answers_its_notify(system: System, agent: Ua) -> None:
    """It is repeated by the rules of UDP, and the transfer does not wait for it (RFC 3261 section 17.1.2)."""
    with Talk(system, agent) as talk:
        talk.agent.expect(202, to=talk.refer())
        invite = talk.target.expect("INVITE")
        first = talk.agent.expect("NOTIFY")
        began = time.time()
        answered(talk, invite)
        second = talk.agent.expect("NOTIFY")
        assert second.cseq > first.cseq
        assert time.time() - began < 1
        talk.agent.reply(first, 200)
        talk.agent.reply(second, 200)
        talk.agent_leaves()
        caller_ends(talk)
