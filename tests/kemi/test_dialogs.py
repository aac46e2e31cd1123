"""Requests within a call that are for handoff itself: the agent's summary, and the keys that the person presses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.dialogs import LISTENING, _find
from kemi.message import SipError
from kemi.sender import Sender
from routing import events as ev
from routing.outcomes import Mode
from routing.records import Call, Party, State
from rtpengine import FakeRtpengine
from tests.kemi.calls import CALL_ID, anchored, leg, transfer

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

KEY = ("application/dtmf-relay", "Signal=1\r\nDuration=160")
WORDS = ("text/plain", "Wants\r\na refund.")


def call(mode: Mode | None = Mode.SUMMARY, state: State = State.CALLING) -> Call:
    """Make a call with a transfer under way in this mode."""
    wanted = mode and transfer().model_copy(update={"mode": mode})
    return anchored(FakeRtpengine()).model_copy(update={"transfer": wanted, "state": state, "leg": leg()})


def find(ksr: FakeKsr, party: Party, method: str, content: tuple[str, str], to: Call) -> ev.Event | None:
    """Let a request in; gives the event that it is."""
    kind, body = content
    ksr.receive(f"{method} sip:h SIP/2.0\r\nCall-ID: x\r\nContent-Type: {kind}\r\n\r\n{body}")
    return _find(Sender(CALL_ID, party, None, 1), method, 7)(to)


def relayed(party: Party, method: str) -> ev.RequestReceived:
    """Make the event of a request that is for the other side."""
    return ev.RequestReceived(party, method, 7)


@pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
@pytest.mark.parametrize("state", [State.ANNOUNCING, State.CALLING, State.RINGING, State.BRIEFING, State.BRIDGING])
def test_a_text_of_the_agent_is_the_summary(ksr: FakeKsr, method: str, state: State) -> None:
    """Whether it still comes in time is for the machine to say; the caller must not get it."""
    given = find(ksr, Party.AGENT, method, WORDS, call(state=state))
    assert given == ev.SummaryGiven("Wants a refund.", request=True)


@pytest.mark.parametrize("mode", [None, Mode.BLIND, Mode.MESSAGE])
def test_without_a_transfer_in_that_mode_the_caller_gets_the_text(ksr: FakeKsr, mode: Mode | None) -> None:
    """It is none of our business."""
    assert find(ksr, Party.AGENT, "MESSAGE", WORDS, call(mode)) == relayed(Party.AGENT, "MESSAGE")


def test_other_bodies_of_the_agent_and_texts_of_others_are_relayed(ksr: FakeKsr) -> None:
    """The agent may send keys, and the caller may write to the agent."""
    assert find(ksr, Party.AGENT, "INFO", KEY, call()) == relayed(Party.AGENT, "INFO")
    assert find(ksr, Party.CALLER, "MESSAGE", WORDS, call()) == relayed(Party.CALLER, "MESSAGE")
    assert find(ksr, Party.TARGET, "MESSAGE", WORDS, call()) == relayed(Party.TARGET, "MESSAGE")


@pytest.mark.parametrize(("body", "status"), [("", 400), ("\0", 400), ("x" * 1001, 413)])
def test_a_summary_that_cannot_be_used_is_refused(ksr: FakeKsr, body: str, status: int) -> None:
    """The agent can send another one."""
    with pytest.raises(SipError) as caught:
        find(ksr, Party.AGENT, "INFO", ("text/plain", body), call())
    assert caught.value.status == status


@pytest.mark.parametrize("state", sorted(LISTENING))
@pytest.mark.parametrize("content", [KEY, ("application/dtmf", "1")])
def test_a_key_of_the_person_is_for_us_until_the_bridge(ksr: FakeKsr, state: State, content: tuple[str, str]) -> None:
    """In whatever mode, since each may ask for one."""
    for mode in Mode:
        given = find(ksr, Party.TARGET, "INFO", content, call(mode, state))
        assert given == ev.KeyPressed("1", request=True)


@pytest.mark.parametrize("state", sorted(set(State) - LISTENING))
def test_a_key_of_the_person_is_the_callers_after_the_bridge(ksr: FakeKsr, state: State) -> None:
    """As is everything else then."""
    assert find(ksr, Party.TARGET, "INFO", KEY, call(state=state)) == relayed(Party.TARGET, "INFO")


def test_other_information_of_the_person_is_no_key(ksr: FakeKsr) -> None:
    """The machine says what becomes of it."""
    to = call(state=State.ACCEPTING)
    content = ("application/media_control+xml", "<x/>")
    assert find(ksr, Party.TARGET, "INFO", content, to) == relayed(Party.TARGET, "INFO")


def test_a_key_that_cannot_be_read_is_refused(ksr: FakeKsr) -> None:
    """With 400, and the person is asked again."""
    with pytest.raises(SipError) as caught:
        find(ksr, Party.TARGET, "INFO", ("application/dtmf-relay", "?"), call(state=State.ACCEPTING))
    assert caught.value.status == 400


def test_a_bye_is_a_bye_whatever_it_carries(ksr: FakeKsr) -> None:
    """Only INFO and MESSAGE are read."""
    assert find(ksr, Party.AGENT, "BYE", WORDS, call()) == ev.AgentHungUp(7)
    assert find(ksr, Party.CALLER, "BYE", WORDS, call()) == ev.CallerHungUp(7)
    assert find(ksr, Party.TARGET, "BYE", KEY, call(state=State.ACCEPTING)) == ev.TargetHungUp(7, 1)
