"""The person takes the call by a key, pressed as RFC 4733 events in the media or told by SIP INFO."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import Deadline, State
from tests.stack.frames import FramePeer, numbers
from tests.stack.warm_talk import WarmTalk, warm_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.message import Message
    from tests.stack.system import System
    from tests.stack.ua import Ua

    Press = Callable[["Asked", str], None]

CALLERS_VOICE = b"\x55" * 160
ENOUGH = 5
ACCEPT = {"accept": "1", "accept_rounds": 2, "accept_timeout": 20.0}


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that can speak and hears keys."""
    with warm_system() as both:
        yield both


class Asked:
    """A person who has answered and is asked for the key, and the ways in which it may press one."""

    def __init__(self, talk: WarmTalk, voice: FramePeer) -> None:
        self.talk = talk
        self.voice = voice
        talk.target_voice = voice
        self.invite: Message = talk.invited()
        talk.target.reply(self.invite, 200, sdp=voice.answer(self.invite.body))
        talk.target.expect("ACK")
        voice.talk_to(self.invite.body)
        self.is_asked()

    def is_asked(self, *, again: bool = False) -> None:
        """Wait until the person has heard the prompt begin, for the last time if it is asked again."""

        def there() -> bool:
            (call,) = self.talk.system.calls()
            waits = call.state is State.ACCEPTING and Deadline.HEARD in call.deadlines
            return waits and call.transfer is not None and call.transfer.rounds_left == (0 if again else 1)

        self.talk.system.wait_until(there)

    def talks_with_the_caller(self) -> None:
        """Wait until both hear one another; rtpengine may have given their packets another SSRC."""
        talk, now = self.talk, time.time()
        talk.told(200)

        def heard() -> bool:
            here = [packet.payload for packet in talk.caller_voice.packets(since=now)]
            there = [packet.payload for packet in self.voice.packets(since=now)]
            return len(numbers(here, self.voice.ssrc)) > ENOUGH and there.count(CALLERS_VOICE) > ENOUGH

        talk.agent_leaves()
        talk.system.wait_until(heard)

    def presses_in_media(self, key: str) -> None:
        """Press a key as phones do: events in the RTP stream."""
        self.voice.press("0123456789*#".index(key))

    def presses_by_info(self, key: str) -> None:
        """Press a key as many gateways tell it."""
        self.talk.press(key, self.invite)

    def presses_by_short_info(self, key: str) -> None:
        """Press a key as some others tell it."""
        self.talk.press(key, self.invite, "application/dtmf")


@pytest.fixture
def asked(system: System, agent: Ua) -> Iterator[Asked]:
    """Give a person who is asked for the key."""
    with WarmTalk(system, agent) as talk, FramePeer(events=True) as voice:
        talk.refer_warm(**ACCEPT)
        yield Asked(talk, voice)


@pytest.fixture
def talk(asked: Asked) -> WarmTalk:
    """Give the call of that person."""
    return asked.talk


PRESSES = [Asked.presses_in_media, Asked.presses_by_info, Asked.presses_by_short_info]
BOTH = PRESSES[:2]


@pytest.mark.parametrize("press", PRESSES)
def test_the_right_key_lets_the_caller_come_on(asked: Asked, talk: WarmTalk, press: Press) -> None:
    press(asked, "1")
    asked.talks_with_the_caller()
    assert talk.last_transfer.outcome is Outcome.CONNECTED
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("press", BOTH)
def test_the_wrong_key_and_then_the_right_one(asked: Asked, talk: WarmTalk, press: Press) -> None:
    """The person is asked once more."""
    press(asked, "5")
    asked.is_asked(again=True)
    press(asked, "1")
    asked.talks_with_the_caller()
    talk.hang_up_on_target()
    talk.nothing_left()


@pytest.mark.parametrize("press", BOTH)
def test_the_person_declines(asked: Asked, talk: WarmTalk, press: Press) -> None:
    """It hears goodbye, and the caller is the agent's again."""
    press(asked, "5")
    asked.is_asked(again=True)
    press(asked, "5")
    talk.reaches(State.DECLINING)
    talk.hears_somebody()
    talk.target_released()
    talk.told(603)
    talk.hear_each_other()
    assert talk.last_transfer.outcome is Outcome.REJECTED
    talk.hang_up()
    talk.nothing_left()


def test_nobody_presses_a_key_as_in_a_voicemail_box(system: System, agent: Ua) -> None:
    """The next endpoint is called, and the caller never talks to a machine."""
    with WarmTalk(system, agent) as talk, FramePeer(events=True) as voice:
        talk.refer_warm(accept="1", accept_rounds=1, accept_timeout=1.0)
        talk.target_voice = voice
        talk.target_answers(talk.invited())
        talk.target_released()
        talk.told(480)
        talk.hear_each_other()
        assert voice.heard()[talk.caller_voice.ssrc] == 0
        assert talk.last_transfer.outcome is Outcome.NO_ANSWER
        talk.hang_up()
        talk.nothing_left()
