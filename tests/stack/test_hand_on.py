"""The person to whom a call was handed over hands it on: to another one, or back to the agents."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.transfer_record import Hold
from tests.stack.rtp import RtpPeer
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message
    from tests.stack.system import System

NEXT = "desk"
QUIET, ON_ITS_WAY = 0.4, 0.1
"""Seconds that are listened for, and in which a packet that was sent before arrives."""


class HandOn(Talk):
    """A call that was handed over to a person, and a second one who may get it next."""

    def connect(self) -> None:
        """Hand the call over, and put the second person in the store."""
        super().connect()
        self.second = self._stack.enter_context(Ua(NEXT))
        self.second_voice = self._stack.enter_context(RtpPeer())
        self.system.add_target(NEXT, self.second.uri)
        self.person_dialog = self.target.dialog(self.hand_over())
        self.told_caller = len(self.wire.messages(to=self.caller.port))

    def hands_on(self, to: str = NEXT) -> Message:
        """Let the person send REFER."""
        refer_to = f"<sip:{to}@127.0.0.1:{self.system.port}>"
        return self.target.request("REFER", self.person_dialog, headers={"Refer-To": refer_to})

    def told(self, status: int, *, final: bool = False) -> None:
        """Take the next NOTIFY at the person, within its own dialog."""
        notify = self.target.expect("NOTIFY")
        self.target.reply(notify, 200)
        assert notify.call_id == self.person_dialog.call_id
        assert notify.body.startswith(f"SIP/2.0 {status} "), notify.body
        assert notify["Subscription-State"].startswith("terminated" if final else "active")

    def accepted(self, to: str = NEXT, *, by: Ua | None = None) -> Message:
        """Let the person send REFER, and give the INVITE that the next one gets."""
        self.target.expect(202, to=self.hands_on(to))
        self.told(100)
        return (by or self.second).expect("INVITE")

    def answered(self, invite: Message, by: Ua, voice: RtpPeer) -> None:
        """Let the next one answer: the person is told and let go, and caller and the next one hear one another."""
        by.reply(invite, 200, sdp=voice.sdp())
        by.expect("ACK")
        voice.talk_to(invite.body)
        self.told(200, final=True)
        self.target.reply(self.target.expect("BYE"), 200)
        self._hear(voice)

    def hear_second(self) -> None:
        """Wait until caller and the second person hear one another, from now on."""
        self._hear(self.second_voice)

    def caller_noticed_nothing(self) -> None:
        """Check that no message has reached the caller since the first handover."""
        assert len(self.wire.messages(to=self.caller.port)) == self.told_caller

    def caller_hangs_up_on(self, other: Ua) -> None:
        """Let the caller hang up."""
        bye = self.caller.request("BYE", self.caller_dialog)
        other.reply(other.expect("BYE"), 200)
        self.caller.expect(200, to=bye)
        self.nothing_left()


@pytest.fixture
def talk(system: System, agent: Ua) -> Iterator[HandOn]:
    """Give a call that was handed over."""
    with HandOn(system, agent) as talk:
        yield talk


def test_the_next_person_gets_the_caller_who_notices_nothing(talk: HandOn) -> None:
    talk.answered(talk.accepted(), talk.second, talk.second_voice)
    talk.caller_noticed_nothing()
    now = time.time()
    assert talk.last_transfer.target == NEXT
    assert talk.last_transfer.outcome is Outcome.CONNECTED
    talk.hear_second()
    assert not [packet for packet in talk.target_voice.packets(since=now) if packet.ssrc == talk.caller_voice.ssrc]
    talk.caller_hangs_up_on(talk.second)


def test_back_to_the_agents_who_may_hand_over_again(talk: HandOn) -> None:
    invite = talk.accepted("agents", by=talk.agent)
    talk.answered(invite, talk.agent, talk.agent_voice)
    talk.caller_noticed_nothing()
    back = talk.agent.dialog(invite)
    refer_to = f"<sip:{NEXT}@127.0.0.1:{talk.system.port}>"
    talk.agent.expect(202, to=talk.agent.request("REFER", back, headers={"Refer-To": refer_to}))
    talk.notified(100)
    third = talk.second.expect("INVITE")
    talk.second.reply(third, 200, sdp=talk.second_voice.sdp())
    talk.second.expect("ACK")
    talk.second_voice.talk_to(third.body)
    talk.notified(200, final=True)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.hear_second()
    talk.caller_noticed_nothing()
    talk.caller_hangs_up_on(talk.second)


def test_when_the_next_one_is_busy_caller_and_person_talk_on(talk: HandOn) -> None:
    """Requests between them still reach the other side, and the person may try again."""
    talk.second.reply(talk.accepted(), 486)
    talk.second.expect("ACK")
    talk.told(486, final=True)
    talk.hear_target()
    talk.caller_noticed_nothing()
    offer = talk.target.request("INVITE", talk.person_dialog, sdp=talk.target_voice.sdp(version=2))
    seen = talk.caller.expect("INVITE")
    talk.caller.reply(seen, 200, sdp=talk.caller_voice.sdp(version=2))
    talk.target.ack(talk.target.expect(200, to=offer))
    talk.caller.expect("ACK")
    talk.hear_target()
    talk.answered(talk.accepted(), talk.second, talk.second_voice)
    talk.caller_hangs_up_on(talk.second)


@pytest.mark.parametrize("by", ["caller", "person"])
def test_after_a_try_in_vain_either_side_may_hang_up(talk: HandOn, by: str) -> None:
    talk.second.reply(talk.accepted(), 603)
    talk.second.expect("ACK")
    talk.told(603, final=True)
    if by == "caller":
        talk.caller_hangs_up_on(talk.target)
        return
    bye = talk.target.request("BYE", talk.person_dialog)
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.target.expect(200, to=bye)
    talk.nothing_left()


def test_the_person_may_leave_while_the_next_one_rings(talk: HandOn) -> None:
    invite = talk.accepted()
    talk.target.expect(200, to=talk.target.request("BYE", talk.person_dialog))
    talk.second.reply(invite, 200, sdp=talk.second_voice.sdp())
    talk.second.expect("ACK")
    talk.second_voice.talk_to(invite.body)
    talk.told(200, final=True)
    talk.hear_second()
    talk.caller_hangs_up_on(talk.second)


def test_the_caller_hangs_up_while_the_next_one_rings(talk: HandOn) -> None:
    invite = talk.accepted()
    talk.second.reply(invite, 180)
    talk.told(180)
    talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
    talk.second.reply(talk.second.expect("CANCEL"), 200)
    talk.second.reply(invite, 487)
    talk.second.expect("ACK")
    talk.told(487, final=True)
    talk.target.reply(talk.target.expect("BYE"), 200)
    talk.nothing_left()


def test_while_the_caller_hears_music_the_person_is_mute(talk: HandOn) -> None:
    talk.system.add_target(NEXT, talk.second.uri, hold=Hold.MUSIC)
    invite = talk.accepted()
    talk.second.reply(invite, 180)
    talk.told(180)
    now = time.time() + ON_ITS_WAY
    talk.target.expect_nothing(QUIET)
    for ear, voice in ((talk.caller_voice, talk.target_voice), (talk.target_voice, talk.caller_voice)):
        assert ear.heard(since=now)[voice.ssrc] == 0
    talk.second.reply(invite, 486)
    talk.second.expect("ACK")
    talk.told(486, final=True)
    talk.hear_target()
    talk.caller_hangs_up_on(talk.target)


def test_a_target_may_forbid_its_person_to_hand_the_call_on(system: System, agent: Ua) -> None:
    with HandOn(system, agent, may_refer=False) as talk:
        talk.target.expect(403, to=talk.hands_on())
        talk.hear_target()
        talk.caller_hangs_up_on(talk.target)


def test_an_operator_hands_on_a_call_that_was_handed_over(talk: HandOn) -> None:
    (call,) = talk.system.calls()
    talk.system.store.send_command(call.node, {"id": "1", "kind": "transfer", "call": call.id, "target": NEXT})
    invite = talk.second.expect("INVITE")
    talk.second.reply(invite, 200, sdp=talk.second_voice.sdp())
    talk.second.expect("ACK")
    talk.second_voice.talk_to(invite.body)
    talk.target.reply(talk.target.expect("BYE"), 200)
    talk.hear_second()
    talk.caller_noticed_nothing()
    talk.caller_hangs_up_on(talk.second)


def test_of_two_refers_in_one_instant_one_is_done(talk: HandOn) -> None:
    """The other one is told 491, whichever came first, and only one person is called."""
    requests = [talk.hands_on(), talk.hands_on()]
    assert {talk.target.final_reply(request).status for request in requests} == {202, 491}
    talk.told(100)
    talk.answered(talk.second.expect("INVITE"), talk.second, talk.second_voice)
    talk.caller_hangs_up_on(talk.second)


def test_of_a_refer_and_a_command_in_one_instant_one_is_done(talk: HandOn) -> None:
    (call,) = talk.system.calls()
    command = {"id": "2", "kind": "transfer", "call": call.id, "target": NEXT}
    thread = threading.Thread(target=talk.system.store.send_command, args=(call.node, command))
    thread.start()
    refer = talk.hands_on()
    thread.join()
    status = talk.target.final_reply(refer).status
    answer = talk.system.store.await_answer("2", 3.0)
    assert answer is not None
    assert answer["ok"] == (status == 491)
    invite = talk.second.expect("INVITE")
    talk.second.reply(invite, 486)
    talk.second.expect("ACK")
    if status == 202:
        talk.told(100)
        talk.told(486, final=True)
    talk.hear_target()
    talk.caller_hangs_up_on(talk.target)
