"""Blind transfers with real phones: who hears whom, and that the caller notices nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import handoff
from cli.phones import MediaChanged, Phones, State, TransferProgress
from cli.tones import AGENT, CALLER
from routing.outcomes import Outcome
from rtpengine.sdp import voices
from tests.stack.baresip import Baresip
from tests.stack.phone_talk import PhoneTalk
from tests.stack.system import System
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone


@pytest.fixture(scope="module")
def stage() -> Iterator[PhoneTalk]:
    with Phones() as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        with System(agent.uri) as system, Wire(system.port) as wire:
            yield PhoneTalk(phones, system, agent, wire)


@pytest.fixture
def talk(stage: PhoneTalk) -> Iterator[PhoneTalk]:
    yield stage
    stage.end()


@pytest.fixture
def caller(talk: PhoneTalk) -> Phone:
    return talk.phone("caller")


@pytest.fixture
def target(talk: PhoneTalk) -> Phone:
    phone = talk.phone("target")
    phone.behave(answer_after=0.3)
    return phone


def test_a_refer_hands_the_caller_over_and_the_caller_notices_nothing(
    talk: PhoneTalk, caller: Phone, target: Phone
) -> None:
    call, agent = talk.connect(caller)
    media, referred = call.media, time.time()
    assert talk.refer(agent, target).code == 202
    answered = target.incoming()
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    assert talk.progress(agent) == [(100, False), (180, False), (200, True)]
    assert talk.to(caller, referred) == []
    assert call.media == media
    assert talk.voices(call) == ["agent", "target"]
    assert set(talk.voices(answered)) == {"caller"}
    assert "target" not in talk.voices(agent)


def test_a_phone_that_takes_the_refer_calls_the_target_itself(talk: PhoneTalk, caller: Phone, target: Phone) -> None:
    call, agent = talk.connect(caller)
    assert talk.refer(agent, target, method="auto").code == 202
    answered = target.incoming()
    answered.wait(State.CONFIRMED)
    agent.wait(State.DISCONNECTED)
    call.wait(State.DISCONNECTED)
    answered.wait_heard("caller", time.time())
    assert talk.progress(agent)[-1] == (200, True)
    assert talk.system.calls() == []
    assert [attempt.method for attempt in talk.system.store.finished(1)[0].transfer.attempts] == ["refer"]


def test_a_command_hands_the_caller_over_and_the_agent_learns_it_by_its_bye(
    talk: PhoneTalk, caller: Phone, target: Phone
) -> None:
    call, agent = talk.connect(caller)
    talk.system.add_target("desk", target.uri)
    (record,) = talk.system.calls()
    settings, began = {"HANDOFF_SETTINGS": str(talk.system.folder / "settings.json")}, time.time()
    result = CliRunner().invoke(handoff, ["calls", "transfer", record.id[:8], "desk"], env=settings)
    assert result.exit_code == 0, result.output
    answered = target.incoming()
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    assert [message.method for message in talk.to(agent.phone, began)] == ["BYE"]
    assert talk.to(caller, began) == []
    assert talk.voices(call) == ["agent", "target"]


@pytest.mark.parametrize("leaver", ["caller", "target"])
def test_whoever_hangs_up_afterwards_ends_the_call_of_the_other(
    talk: PhoneTalk, caller: Phone, target: Phone, leaver: str
) -> None:
    calls = dict(zip(("caller", "target"), talk.hand_over(caller, target), strict=True))
    calls[leaver].hangup()
    for call in calls.values():
        assert call.wait(State.DISCONNECTED).code == 200
    talk.system.wait_until(lambda: talk.system.calls() == [] and talk.system.media_calls() == 0)


@pytest.mark.parametrize("holder", ["caller", "target"])
def test_hold_silences_the_other_one_and_resume_brings_its_voice_back(
    talk: PhoneTalk, caller: Phone, target: Phone, holder: str
) -> None:
    call, answered = talk.hand_over(caller, target)
    media = call.media.remote
    mine, other = (call, answered) if holder == "caller" else (answered, call)
    held = time.time()
    assert mine.hold().code == 200
    other.wait_for(MediaChanged, sending=False, hearing=True)
    mine.wait_heard("pause", held)
    other.wait_heard(mine.phone.name, held)  # a phone that holds goes on sending, for music
    assert mine.resume().code == 200
    talk.hear_each_other(call, answered)
    assert call.media.remote == media


@pytest.mark.parametrize(("caller_has", "target_has"), [("PCMA", "G722"), ("G722", "PCMU"), ("G722", "G722")])
def test_phones_without_a_common_codec_hear_one_another(talk: PhoneTalk, caller_has: str, target_has: str) -> None:
    call, answered = talk.hand_over(talk.phone(f"caller-{caller_has}"), talk.phone(f"target-{target_has}"))
    assert (call.media.codec, answered.media.codec) == (caller_has, target_has)
    assert set(talk.voices(answered)) == {call.phone.name}


@pytest.mark.parametrize(
    ("answers_with", "told", "outcome"),
    [(486, 486, Outcome.BUSY), (603, 603, Outcome.REJECTED), (None, 408, Outcome.NO_ANSWER)],
    ids=["busy", "rejected", "no answer"],
)
def test_a_target_that_does_not_take_the_call_leaves_caller_and_agent_talking(
    talk: PhoneTalk, target: Phone, answers_with: int | None, told: int, outcome: Outcome
) -> None:
    target.behave(answer_after=0.3 if answers_with else None, answer_with=answers_with or 200)
    call, agent = talk.connect(talk.phone("caller"))
    with talk.undisturbed(call, agent):
        assert talk.refer(agent, target, ring_timeout=1.0).code == 202
        assert agent.wait_for(TransferProgress, final=True).code == told
    assert target.incoming().wait(State.DISCONNECTED).code == (answers_with or 487)
    assert talk.system.store.finished(1)[0].transfer.outcome is outcome
    call.hangup()
    assert agent.wait(State.DISCONNECTED).code == 200


def test_a_phone_with_opus_alone_and_one_without_it_hear_one_another(talk: PhoneTalk, caller: Phone) -> None:
    talk.phones.tones["baresip"] = 1600
    with Baresip(tone=1600) as baresip:
        talk.system.add_target("opus", baresip.uri)
        call, agent = talk.connect(caller)
        assert agent.refer(f"sip:opus@127.0.0.1:{talk.system.port}").code == 202
        assert agent.wait_for(TransferProgress, final=True).code == 200
        call.wait_heard("baresip", seconds=1.2)  # of a call shorter than a second baresip says no end
        call.hangup()
        baresip.hung_up()
        heard = {sound.name for sound in baresip.heard({"caller": CALLER}) if sound.seconds >= 0.3}
    (answer,) = talk.wire.messages(frm=baresip.port, method="INVITE", status=200)
    assert voices(answer.body) == ("opus",)
    assert "caller" in heard
    assert talk.voices(call) == ["agent", "baresip"]
